"""How a log grows and which tiles that takes, held against the plain tree."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.events import LogName
from app.domain.transparency_log import (
    BrokenLog,
    LogHead,
    edge_tiles,
    generation_of,
    grow,
    new_head,
    origin_of,
    path_tiles,
)
from elicense.merkle import MerkleTree, leaf_hash
from elicense.tiles import TiledTree, reader_of
from tests.log_checks import plain_root

ISSUER = "https://license.example"
ENTRIES = [b"entry %d" % number for number in range(66_000)]

Tiles = dict[tuple[int, int], bytes]


def grown(*sizes: int) -> tuple[LogHead, Tiles]:
    """Grow an empty log to each size in turn, given only the tiles it asks for."""
    head, stored = new_head(ISSUER, LogName.REGISTER, generation=1, kid="k"), Tiles()
    for size in sizes:
        asked = {key: stored[key] for key in edge_tiles(head.size)}
        growth = grow(head, ENTRIES[head.size : size], asked)
        stored.update(growth.tiles)
        head = replace(head, size=growth.size, root=growth.root)
    return head, stored


BIG, BIG_TILES = grown(1000, 65_535, 65_536, 65_537, 66_000)


@pytest.mark.parametrize(
    ("log", "generation", "origin", "name"),
    [
        (LogName.REGISTER, 1, "license.example/log", "log"),
        (LogName.REGISTER, 2, "license.example/log/2", "log-2"),
        (LogName.RECEIPTS, 1, "license.example/receipt-log", "receipt-log"),
        (LogName.RECEIPTS, 12, "license.example/receipt-log/12", "receipt-log-12"),
    ],
)
def test_an_origin_names_log_and_generation(log: LogName, generation: int, origin: str, name: str) -> None:
    assert origin_of(ISSUER, log, generation) == origin
    assert new_head(ISSUER, log, generation=generation, kid="k").name == name
    assert generation_of(origin) == (origin_of(ISSUER, log, 1), generation)


def test_an_empty_log_has_the_root_of_no_entries() -> None:
    assert new_head(ISSUER, LogName.REGISTER, generation=1, kid="k").root == plain_root([])


@given(st.lists(st.integers(1, 700), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_a_log_grown_in_any_batches_has_the_root_of_the_plain_tree(batches: list[int]) -> None:
    sizes = [sum(batches[: position + 1]) for position in range(len(batches))]
    head, _ = grown(*sizes)
    assert (head.size, head.root) == (sizes[-1], plain_root(ENTRIES[: sizes[-1]]))


def test_a_log_of_three_levels_has_the_root_of_the_plain_tree() -> None:
    assert BIG.root == plain_root(ENTRIES)


@given(st.integers(1, 66_000), st.data())
@settings(max_examples=150, deadline=None)
def test_the_named_tiles_are_enough_for_every_proof(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(0, size))

    def tree(position: int) -> TiledTree:
        return TiledTree(size, reader_of({key: BIG_TILES[key] for key in path_tiles([position], size)}))

    assert len(tree(index).inclusion_path(index)) < 40
    assert len(tree(old - 1).consistency_path(old)) < 40
    edge = TiledTree(size, reader_of({key: BIG_TILES[key] for key in edge_tiles(size)}))
    assert edge.root() == TiledTree(66_000, reader_of(BIG_TILES)).root(size)


def test_proofs_are_those_of_the_plain_tree() -> None:
    plain = MerkleTree([leaf_hash(entry) for entry in ENTRIES[:700]])
    for index in (0, 255, 256, 511, 699):
        tiles = {key: BIG_TILES[key] for key in path_tiles([index], 700)}
        assert TiledTree(700, reader_of(tiles)).inclusion_path(index) == plain.path(index)


def test_a_log_whose_tiles_were_changed_does_not_grow() -> None:
    head, stored = grown(300)
    for key in edge_tiles(300):
        changed = {**stored, key: bytes([stored[key][0] ^ 1]) + stored[key][1:]}
        with pytest.raises(BrokenLog):
            grow(head, [b"x"], changed)
    with pytest.raises(BrokenLog):
        grow(head, [b"x"], {})
    with pytest.raises(BrokenLog):
        grow(replace(head, root=bytes(32)), [b"x"], stored)
