"""Heads, leaves, tiles and checkpoints as both databases keep them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.adapters.db import SqlStore
from app.domain.errors import ConcurrentChange
from app.domain.events import LogLeaf, LogName
from app.domain.ids import new_id
from app.domain.transparency_log import (
    Growth,
    LogHead,
    LogState,
    PublishedCheckpoint,
    edge_tiles,
    grow,
    new_head,
)
from app.ports import UnitOfWork
from tests.builders import NOON, minutes
from tests.log_checks import log_faults

pytestmark = pytest.mark.anyio

ISSUER = "https://license.example"
ORIGIN = "license.example/log"


def _head(**changes: object) -> LogHead:
    head = new_head(ISSUER, LogName.REGISTER, generation=1, kid="kid-1")
    return replace(head, **changes)  # type: ignore[arg-type]


def _leaf(leaf_id: str | None = None, **changes: object) -> LogLeaf:
    made = LogLeaf(
        id=leaf_id or new_id(),
        log=LogName.REGISTER,
        kind="change",
        subject="license-1",
        identifier="identifier-1",
        entry=b"entry of " + (leaf_id or "any").encode(),
        event_sha256="ab" * 32,
        salt="cd" * 11,
        recorded_at=NOON,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def _checkpoint(size: int, **changes: object) -> PublishedCheckpoint:
    note = f"{ORIGIN}\n{size}\nroot\n\n— {ORIGIN} AAAA\n"
    made = PublishedCheckpoint(origin=ORIGIN, size=size, note=note, published_at=NOON)
    return replace(made, **changes)  # type: ignore[arg-type]


async def _add(store: SqlStore, leaves: Sequence[LogLeaf]) -> None:
    await store.write(lambda unit: unit.journal.add_leaves(leaves))


async def _begin(store: SqlStore, head: LogHead) -> None:
    await store.write(lambda unit: unit.transparency_log.add_head(head))


async def _sequence(unit: UnitOfWork, *, limit: int = 100) -> int:
    head = await unit.transparency_log.claim(LogName.REGISTER)
    if head is None:
        return 0
    leaves = await unit.transparency_log.waiting(LogName.REGISTER, limit=limit)
    if not leaves:
        return 0
    tiles = await unit.transparency_log.tiles(head.origin, edge_tiles(head.size))
    growth = grow(head, [leaf.entry for leaf in leaves], tiles)
    await unit.transparency_log.advance(head, growth)
    await unit.transparency_log.place(head.origin, first=head.size, leaf_ids=[leaf.id for leaf in leaves])
    await unit.transparency_log.put_tiles(head.origin, growth.tiles)
    return len(leaves)


async def test_a_head_comes_back_as_it_was_stored(store: SqlStore) -> None:
    head = _head()
    assert await store.read(lambda unit: unit.transparency_log.open_head(LogName.REGISTER)) is None
    await _begin(store, head)
    assert await store.read(lambda unit: unit.transparency_log.open_head(LogName.REGISTER)) == head
    assert await store.read(lambda unit: unit.transparency_log.head(ORIGIN)) == head
    assert await store.read(lambda unit: unit.transparency_log.heads()) == [head]
    assert await store.read(lambda unit: unit.transparency_log.open_head(LogName.RECEIPTS)) is None


async def test_a_log_has_one_open_generation(store: SqlStore) -> None:
    await _begin(store, _head())
    with pytest.raises(ConcurrentChange):
        await _begin(store, _head())
    second = new_head(ISSUER, LogName.REGISTER, generation=2, kid="kid-2")
    with pytest.raises(ConcurrentChange):
        await _begin(store, second)
    with pytest.raises(ConcurrentChange):
        await _begin(store, replace(second, origin="license.example/other", generation=1))
    await store.write(lambda unit: unit.transparency_log.cut_off(_head(), root=_head().root))
    await _begin(store, second)
    frozen, opened = await store.read(lambda unit: unit.transparency_log.heads())
    assert (frozen.state, opened) == (LogState.FROZEN, second)
    with pytest.raises(ConcurrentChange):
        await store.write(lambda unit: unit.transparency_log.cut_off(frozen, root=frozen.root))
    await _add(store, [_leaf("a")])
    await store.write(_sequence)
    placed = await store.read(lambda unit: unit.transparency_log.leaf("a"))
    assert placed is not None and (placed.origin, placed.index) == (second.origin, 0)


async def test_leaves_get_places_in_the_order_of_their_ids(store: SqlStore, database_url: str) -> None:
    await _begin(store, _head())
    await _add(store, [_leaf(f"{number:04}") for number in reversed(range(700))])
    await _add(store, [_leaf("other", log=LogName.RECEIPTS)])
    assert await store.read(lambda unit: unit.transparency_log.waiting_since(LogName.REGISTER)) == NOON
    assert [await store.write(lambda unit: _sequence(unit, limit=300)) for _ in range(3)] == [300, 300, 100]
    assert await store.read(lambda unit: unit.transparency_log.waiting_since(LogName.REGISTER)) is None
    entries = await store.read(lambda unit: unit.transparency_log.entries(ORIGIN, first=250, count=300))
    assert entries == [_leaf(f"{number:04}").entry for number in range(250, 550)]
    faults = await log_faults(database_url, drained=False)
    assert faults == []
    other = await store.read(lambda unit: unit.transparency_log.leaf("other"))
    assert other is not None and other.index is None


async def test_a_head_that_has_moved_is_not_advanced(store: SqlStore, database_url: str) -> None:
    await _begin(store, _head())
    await _add(store, [_leaf("a")])
    await store.write(_sequence)
    stale = Growth(size=7, root=bytes(32), tiles={})
    for head in (_head(), _head(row_version=2, state=LogState.OPEN, origin="license.example/none")):
        with pytest.raises(ConcurrentChange):
            await store.write(lambda unit, head=head: unit.transparency_log.advance(head, stale))
    assert await log_faults(database_url, drained=False) == []


async def test_a_leaf_with_a_place_gets_no_other(store: SqlStore, database_url: str) -> None:
    await _begin(store, _head())
    await _add(store, [_leaf("a"), _leaf("b")])
    await store.write(_sequence)
    for first, ids in ((2, ["a"]), (2, ["none"]), (2, ["a", "b"])):
        with pytest.raises(ConcurrentChange):
            await store.write(
                lambda unit, first=first, ids=ids: unit.transparency_log.place(
                    ORIGIN, first=first, leaf_ids=ids
                )
            )
    await _add(store, [_leaf("c")])
    with pytest.raises(ConcurrentChange):
        await store.write(lambda unit: unit.transparency_log.place(ORIGIN, first=1, leaf_ids=["c"]))
    assert await log_faults(database_url, drained=False) == []


async def test_tiles_are_replaced_by_wider_ones(store: SqlStore) -> None:
    await store.write(lambda unit: unit.transparency_log.put_tiles(ORIGIN, {(0, 0): b"a", (1, 7): b"b"}))
    await store.write(lambda unit: unit.transparency_log.put_tiles(ORIGIN, {(0, 0): b"abc"}))
    await store.write(lambda unit: unit.transparency_log.put_tiles(ORIGIN, {}))
    asked = [(0, 0), (0, 1), (1, 7)]
    found = await store.read(lambda unit: unit.transparency_log.tiles(ORIGIN, asked))
    assert found == {(0, 0): b"abc", (1, 7): b"b"}
    assert await store.read(lambda unit: unit.transparency_log.tiles("other", asked)) == {}
    assert await store.read(lambda unit: unit.transparency_log.tiles(ORIGIN, [])) == {}


async def test_checkpoints_are_published_by_comparison(store: SqlStore) -> None:
    await _begin(store, _head(size=10))
    assert await store.read(lambda unit: unit.transparency_log.newest_checkpoint(LogName.REGISTER)) is None
    await store.write(lambda unit: unit.transparency_log.publish(_checkpoint(4), expected_size=0))
    await store.write(lambda unit: unit.transparency_log.publish(_checkpoint(9), expected_size=4))
    for late, expected in ((5, 4), (8, 9), (9, 9), (11, 9), (10, 4)):
        with pytest.raises(ConcurrentChange):
            await store.write(
                lambda unit, late=late, expected=expected: unit.transparency_log.publish(
                    _checkpoint(late), expected_size=expected
                )
            )
    newest = await store.read(lambda unit: unit.transparency_log.newest_checkpoint(LogName.REGISTER))
    assert newest == _checkpoint(9)
    assert newest.text == f"{ORIGIN}\n9\nroot\n"
    assert await store.read(lambda unit: unit.transparency_log.checkpoint(ORIGIN)) == newest
    assert await store.read(lambda unit: unit.transparency_log.checkpoint(ORIGIN, size=4)) == _checkpoint(4)
    assert await store.read(lambda unit: unit.transparency_log.checkpoint(ORIGIN, size=5)) is None
    assert await store.read(lambda unit: unit.transparency_log.newest_checkpoint(LogName.RECEIPTS)) is None


async def test_the_last_witnessed_checkpoint_before_a_moment_is_known(store: SqlStore) -> None:
    await _begin(store, _head(size=40))
    for size, before in ((10, 0), (20, 10), (30, 20), (40, 30)):
        await store.write(
            lambda unit, size=size, before=before: unit.transparency_log.publish(
                _checkpoint(size), expected_size=before
            )
        )
    for size, minute in ((10, 1), (30, 3)):
        seen = _checkpoint(
            size, note=_checkpoint(size).note + "— w BBBB\n", witnessed_at=NOON + minutes(minute)
        )
        await store.write(
            lambda unit, seen=seen: unit.transparency_log.put_cosigned(
                seen, expected_note=_checkpoint(seen.size).note
            )
        )
        with pytest.raises(ConcurrentChange):
            await store.write(
                lambda unit, seen=seen: unit.transparency_log.put_cosigned(
                    seen, expected_note=_checkpoint(seen.size).note
                )
            )

    async def last(minute: float | None) -> int | None:
        before = None if minute is None else NOON + minutes(minute)
        found = await store.read(lambda unit: unit.transparency_log.last_witnessed(ORIGIN, before=before))
        return None if found is None else found.size

    assert [await last(minute) for minute in (None, 5, 3, 2, 1, 0)] == [30, 30, 10, 10, None, None]


async def test_a_leaf_is_found_by_what_it_speaks_of(store: SqlStore) -> None:
    await _add(
        store, [_leaf("a"), _leaf("b", kind="issuance"), _leaf("r", identifier=None, log=LogName.RECEIPTS)]
    )
    found = await store.read(lambda unit: unit.transparency_log.leaf_of("identifier-1", kind="issuance"))
    assert found is not None
    assert (found.id, found.entry, found.salt, found.event_sha256) == (
        "b",
        _leaf("b").entry,
        "cd" * 11,
        "ab" * 32,
    )
    assert (found.origin, found.index, found.recorded_at) == (None, None, NOON)
    assert (
        await store.read(lambda unit: unit.transparency_log.leaf_of("identifier-1", kind="receipt")) is None
    )
    assert await store.read(lambda unit: unit.transparency_log.leaf("none")) is None


async def test_a_checkpoint_is_anchored_once(store: SqlStore) -> None:
    await _begin(store, _head(size=30))
    for size, before in ((10, 0), (20, 10), (30, 20)):
        await store.write(
            lambda unit, size=size, before=before: unit.transparency_log.publish(
                _checkpoint(size), expected_size=before
            )
        )

    async def first(above: int) -> int | None:
        found = await store.read(lambda unit: unit.transparency_log.first_anchored(ORIGIN, above=above))
        return None if found is None else found.size

    assert await first(0) is None
    assert await store.read(lambda unit: unit.transparency_log.last_anchored(ORIGIN)) is None
    for size in (10, 30):
        await store.write(
            lambda unit, size=size: unit.transparency_log.anchor(ORIGIN, size=size, leaf_id=f"l{size}")
        )
    with pytest.raises(ConcurrentChange):
        await store.write(lambda unit: unit.transparency_log.anchor(ORIGIN, size=10, leaf_id="other"))
    assert [await first(above) for above in (0, 9, 10, 29, 30)] == [10, 10, 30, 30, None]
    last = await store.read(lambda unit: unit.transparency_log.last_anchored(ORIGIN))
    assert last is not None and last.anchor_id == "l30"
    for seen, later in ((last, 1), (replace(last, restated_at=NOON + minutes(1)), 2)):
        at = NOON + minutes(later)
        await store.write(lambda unit, seen=seen, at=at: unit.transparency_log.restate(seen, at=at))
        with pytest.raises(ConcurrentChange):
            await store.write(lambda unit, seen=seen, at=at: unit.transparency_log.restate(seen, at=at))
    again = await store.read(lambda unit: unit.transparency_log.last_anchored(ORIGIN))
    assert again == replace(last, restated_at=NOON + minutes(2)), "the first leaf stays the one proofs use"
    unfixed = replace(last, size=20, anchor_id=None)
    with pytest.raises(ConcurrentChange):
        await store.write(lambda unit: unit.transparency_log.restate(unfixed, at=NOON))


async def test_sequencers_beside_writers_fork_nothing(
    store: SqlStore, another_store: SqlStore, database_url: str
) -> None:
    await _begin(store, _head())

    async def write(on: SqlStore) -> None:
        for _ in range(12):
            await _add(on, [_leaf(), _leaf(), _leaf()])

    async def sequence(on: SqlStore) -> None:
        for _ in range(20):
            try:
                await on.write(lambda unit: _sequence(unit, limit=4))
            except ConcurrentChange:
                continue
            await asyncio.sleep(0.002)

    await asyncio.gather(write(store), write(another_store), sequence(store), sequence(another_store))
    while await store.write(_sequence):
        pass
    assert await log_faults(database_url, drained=False) == []
    head = await store.read(lambda unit: unit.transparency_log.head(ORIGIN))
    assert head is not None and head.size == 72


# SQLite has one writer: while a transaction is open there, nobody else can sequence.
@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_a_leaf_that_commits_late_is_sequenced_all_the_same(
    store: SqlStore, another_store: SqlStore, database_url: str
) -> None:
    await _begin(store, _head())

    async def slow(unit: UnitOfWork) -> None:
        await unit.journal.add_leaves([_leaf("0001")])
        await _add(another_store, [_leaf("0002")])
        assert await another_store.write(_sequence) == 1

    await store.write(slow)
    assert await store.write(_sequence) == 1
    early = await store.read(lambda unit: unit.transparency_log.leaf("0001"))
    assert early is not None and early.index == 1
    assert await log_faults(database_url, drained=False) == []


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_a_head_held_by_another_sequencer_is_left_alone(
    store: SqlStore, another_store: SqlStore
) -> None:
    await _begin(store, _head())
    await _add(store, [_leaf("a")])

    async def hold(unit: UnitOfWork) -> int:
        added = await _sequence(unit)
        assert await another_store.write(_sequence) == 0
        return added

    assert await store.write(hold) == 1
