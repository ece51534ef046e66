"""The log's tree in tiles: the same roots and proofs as the plain tree, from tiles alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elicense.merkle import MerkleTree, leaf_hash, verify_consistency, verify_inclusion
from elicense.problems import FormatError
from elicense.tiles import (
    TiledTree,
    TileName,
    encode_entries,
    extend_tiles,
    parse_tile_path,
    reader_of,
    tile_width,
)
from tests.log_checks import split_bundle

SIZES = (1, 2, 3, 7, 8, 255, 256, 257, 511, 513, 1000)
LEAVES = [leaf_hash(str(index).encode()) for index in range(66_000)]


def _grown(*steps: int) -> dict[tuple[int, int], bytes]:
    tiles: dict[tuple[int, int], bytes] = {}
    size = 0
    for end in steps:
        tiles.update(extend_tiles(size, LEAVES[size:end], reader_of(tiles)))
        size = end
    return tiles


def test_roots_are_those_of_the_plain_tree() -> None:
    tree = TiledTree(1000, reader_of(_grown(1000)))
    for size in SIZES:
        assert tree.root(size) == MerkleTree(LEAVES[:size]).root


def test_growing_in_steps_gives_the_same_tiles_as_growing_at_once() -> None:
    assert _grown(1, 2, 200, 256, 257, 700, 66_000) == _grown(66_000)


def test_a_tree_of_three_levels_has_the_root_of_the_plain_tree() -> None:
    tree = TiledTree(66_000, reader_of(_grown(66_000)))
    assert tree.root() == MerkleTree(LEAVES[:66_000]).root
    path = tree.inclusion_path(65_536)
    assert verify_inclusion(LEAVES[65_536], 65_536, 66_000, path, tree.root())


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 1000), st.data())
def test_every_leaf_is_proven_in_every_size(size: int, data: st.DataObject) -> None:
    tree = TiledTree(1000, reader_of(_grown(1000)))
    index = data.draw(st.integers(0, size - 1))
    path = tree.inclusion_path(index, size)
    assert path == MerkleTree(LEAVES[:size]).path(index)
    assert verify_inclusion(LEAVES[index], index, size, path, tree.root(size))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1000))
def test_every_size_is_shown_to_begin_every_larger_one(one: int, other: int) -> None:
    tree = TiledTree(1000, reader_of(_grown(1000)))
    old, new = min(one, other), max(one, other)
    proof = tree.consistency_path(old, new)
    assert verify_consistency(old, tree.root(old), new, tree.root(new), proof)
    if 0 < old < new:
        forged = bytes(32)
        assert not verify_consistency(old, forged, new, tree.root(new), proof)
        assert not verify_consistency(old, tree.root(old), new, forged, proof)
        assert not verify_consistency(old, tree.root(old), new, tree.root(new), [*proof, forged])
        assert not verify_consistency(old, tree.root(old), new, tree.root(new), proof[:-1])
    if old < new:
        assert not verify_consistency(new, tree.root(new), old, tree.root(old), proof)


def test_a_fork_is_no_continuation() -> None:
    forked = [*LEAVES[:300], leaf_hash(b"another"), *LEAVES[301:500]]
    ours, theirs = TiledTree(500, reader_of(_grown(500))), MerkleTree(forked)
    proof = ours.consistency_path(400)
    assert not verify_consistency(400, ours.root(400), 500, theirs.root, proof)


def test_tile_paths_have_one_spelling() -> None:
    for name, path in (
        (TileName(0, 0, 256), "0/000"),
        (TileName(0, 1234067, 256), "0/x001/x234/067"),
        (TileName(1, 5, 17), "1/005.p/17"),
        (TileName(None, 999, 3), "entries/999.p/3"),
    ):
        assert name.path == path
        assert parse_tile_path(path) == name
    for path in (
        "0/0",
        "0/x000/001",
        "00/000",
        "9/000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/300",
        "a/000",
        "0/٠٠٠",
    ):
        with pytest.raises(FormatError):
            parse_tile_path(path)


def test_widths_and_names_follow_from_the_size() -> None:
    assert [tile_width(0, number, 600) for number in range(4)] == [256, 256, 88, 0]
    assert tile_width(1, 0, 600) == 2
    assert [tile_width(2, number, 66_000) for number in range(2)] == [1, 0]
    assert {(level, number) for level, number in _grown(66_000)} == {
        (level, number) for level in range(4) for number in range(259) if tile_width(level, number, 66_000)
    }


def test_entry_bundles_hold_their_entries_and_nothing_else() -> None:
    entries = [b"", b"a", b"b" * 65535]
    bundle = encode_entries(entries)
    assert bundle == b"\x00\x00" + b"\x00\x01a" + b"\xff\xff" + b"b" * 65535
    assert split_bundle(bundle) == entries
    with pytest.raises(ValueError, match="65,535"):
        encode_entries([b"x" * 65536])


def test_a_missing_or_narrow_tile_is_an_error_never_a_wrong_root() -> None:
    tiles = _grown(300)
    with pytest.raises(ValueError, match="missing"):
        TiledTree(300, reader_of({})).root()
    tiles[0, 1] = tiles[0, 1][:-32]
    with pytest.raises(ValueError, match="narrower"):
        TiledTree(300, reader_of(tiles)).root()
