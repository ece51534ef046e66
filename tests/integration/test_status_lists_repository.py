"""Status lists: indices, values, the dirty mark, publication by compare-and-swap."""

import asyncio
from dataclasses import fields, replace

import pytest

from app.adapters.db import SqlStore
from app.domain.errors import ConcurrentChange, DomainError
from app.domain.events import Event
from app.domain.ids import new_id
from app.domain.publication import PublishedStatusList, StatusListRow, StatusListVersion
from app.ports import UnitOfWork
from tests.builders import LIST_ID, NOON, TYPE_CODE, make_status_list, minutes

pytestmark = pytest.mark.anyio


async def _with_list(store: SqlStore, *lists: StatusListRow) -> None:
    for row in lists or (make_status_list(),):
        await store.write(lambda unit, row=row: unit.status.add_list(row))


async def _row(store: SqlStore) -> StatusListRow:
    return (await store.read(lambda unit: unit.status.lists()))[0]


async def _set(store: SqlStore, *values: tuple[str, int, int]) -> None:
    await store.write(lambda unit: unit.status.set_values(values))


def _published(seq: int) -> PublishedStatusList:
    return PublishedStatusList(
        list_id=LIST_ID,
        uri=make_status_list().uri,
        seq=seq,
        event_seq=4,
        token=f"a.b.{seq}",
        sha256="ef" * 32,
        issued_at=NOON,
        expires_at=NOON + minutes(60),
    )


async def _publish(store: SqlStore, seq: int, *, expected: int, changes: int) -> None:
    await store.write(
        lambda unit: unit.status.publish(_published(seq), expected_seq=expected, changes=changes)
    )


async def test_lists_come_back_as_they_were_added_and_only_once(store: SqlStore) -> None:
    lists = [make_status_list("a"), make_status_list("b", size=8)]
    await _with_list(store, *lists)
    assert await store.read(lambda unit: unit.status.lists()) == lists
    with pytest.raises(DomainError) as refused:
        await _with_list(store, make_status_list("a"))
    assert refused.value.code == "conflict"


async def test_a_list_added_with_changes_is_dirty(store: SqlStore) -> None:
    row = replace(make_status_list(), changes=3, published_changes=1)
    await _with_list(store, row)
    assert await _row(store) == row


async def test_reserved_blocks_follow_each_other_until_the_list_is_full(store: SqlStore) -> None:
    await _with_list(store, make_status_list(size=10))

    async def reserve(count: int) -> int:
        return await store.write(lambda unit: unit.status.reserve(list_id=LIST_ID, count=count))

    assert [await reserve(4), await reserve(4)] == [0, 4]
    with pytest.raises(ConcurrentChange):
        await reserve(3)
    assert await reserve(2) == 8
    with pytest.raises(ConcurrentChange):
        await reserve(1)
    with pytest.raises(ConcurrentChange):
        await store.write(lambda unit: unit.status.reserve(list_id="unknown", count=1))


async def test_concurrent_reservations_never_overlap(store: SqlStore, another_store: SqlStore) -> None:
    await _with_list(store)

    async def reserve(who: int) -> int:
        on = (store, another_store)[who % 2]
        return await on.write(lambda unit: unit.status.reserve(list_id=LIST_ID, count=7))

    assert sorted(await asyncio.gather(*(reserve(who) for who in range(12)))) == [n * 7 for n in range(12)]


async def test_values_are_read_back_and_anything_never_set_is_valid(store: SqlStore) -> None:
    await _with_list(store)
    await store.write(lambda unit: unit.status.reserve(list_id=LIST_ID, count=100))
    await _set(store, (LIST_ID, 5, 1), (LIST_ID, 9, 2), (LIST_ID, 7, 3))
    await _set(store, (LIST_ID, 9, 0), (LIST_ID, 7, 1), (LIST_ID, 8, 0))

    async def read(unit: UnitOfWork) -> list[int | None]:
        return [await unit.status.value(list_id=LIST_ID, index=index) for index in (5, 7, 8, 9, 99, 100, -1)]

    assert await store.read(read) == [1, 1, 0, 0, 0, None, None]
    assert await store.read(lambda unit: unit.status.value(list_id="unknown", index=0)) is None
    row, values, event_seq = await store.read(lambda unit: unit.status.read_for_publication(LIST_ID))
    assert (list(values), row.changes, event_seq) == ([(5, 1), (7, 1)], 2, 0)


async def test_each_call_marks_each_of_its_lists_once(store: SqlStore) -> None:
    await _with_list(store, make_status_list("a"), make_status_list("b"), make_status_list("c"))
    await _set(store, ("a", 1, 1), ("a", 2, 2), ("b", 1, 3))
    await _set(store, ("a", 1, 0))
    await _set(store)
    lists = await store.read(lambda unit: unit.status.lists())
    assert {row.id: row.changes for row in lists} == {"a": 2, "b": 1, "c": 0}


async def test_the_last_of_several_values_of_one_entry_counts(store: SqlStore) -> None:
    await _with_list(store)
    await _set(store, (LIST_ID, 1, 2), (LIST_ID, 1, 1), (LIST_ID, 2, 1), (LIST_ID, 2, 0))
    _, values, _ = await store.read(lambda unit: unit.status.read_for_publication(LIST_ID))
    assert list(values) == [(1, 1)]


async def test_thousands_of_values_are_set_in_one_go(store: SqlStore) -> None:
    await _with_list(store, make_status_list(size=10_000))
    await _set(store, *((LIST_ID, index, 1) for index in range(3000)))
    await _set(store, *((LIST_ID, index, 0) for index in range(2500)))
    _, values, _ = await store.read(lambda unit: unit.status.read_for_publication(LIST_ID))
    assert [index for index, _ in values] == list(range(2500, 3000))


async def test_what_cannot_be_a_status_is_refused(store: SqlStore) -> None:
    await _with_list(store)
    with pytest.raises(DomainError):
        await _set(store, (LIST_ID, 1, 4))


async def test_publishing_serves_the_version_and_cleans_the_list(store: SqlStore) -> None:
    await _with_list(store)
    assert await store.read(lambda unit: unit.status.served(LIST_ID)) is None
    await _set(store, (LIST_ID, 1, 1))
    await _publish(store, 1, expected=0, changes=1)
    assert await store.read(lambda unit: unit.status.served(LIST_ID)) == _published(1)
    assert await _row(store) == replace(make_status_list(), seq=1, changes=1, published_changes=1)
    await _publish(store, 2, expected=1, changes=1)  # re-signed without a change
    assert await store.read(lambda unit: unit.status.served(LIST_ID)) == _published(2)


async def test_what_is_served_is_told_without_the_tokens(
    store: SqlStore, statements: list[tuple[str, object]]
) -> None:
    await _with_list(store, make_status_list(), make_status_list("never-published"))
    await _publish(store, 1, expected=0, changes=0)
    await _publish(store, 2, expected=1, changes=0)
    del statements[:]
    (served,) = await store.read(lambda unit: unit.status.all_served())
    assert served == StatusListVersion(
        **{field.name: getattr(_published(2), field.name) for field in fields(StatusListVersion)}
    )
    assert not any("token" in sql for sql, _ in statements)


async def test_a_change_after_the_bits_were_read_keeps_the_list_dirty(store: SqlStore) -> None:
    await _with_list(store)
    await _set(store, (LIST_ID, 1, 1))
    row, _, _ = await store.read(lambda unit: unit.status.read_for_publication(LIST_ID))
    await _set(store, (LIST_ID, 2, 1))
    await _publish(store, 1, expected=0, changes=row.changes)
    after = await _row(store)
    assert (after.changes, after.published_changes) == (2, 1)
    row, values, _ = await store.read(lambda unit: unit.status.read_for_publication(LIST_ID))
    assert list(values) == [(1, 1), (2, 1)]
    await _publish(store, 2, expected=1, changes=row.changes)
    after = await _row(store)
    assert after.changes == after.published_changes == 2


async def test_a_stalled_publisher_cannot_put_back_an_older_list(store: SqlStore) -> None:
    await _with_list(store)
    await _publish(store, 1, expected=0, changes=0)
    for seq, expected in ((1, 0), (2, 0), (1, 1), (3, 2)):
        with pytest.raises(ConcurrentChange):
            await _publish(store, seq, expected=expected, changes=0)
    assert await store.read(lambda unit: unit.status.served(LIST_ID)) == _published(1)


async def test_publishers_and_changes_at_once_lose_no_bit(store: SqlStore, another_store: SqlStore) -> None:
    await _with_list(store)
    served: list[tuple[int, int]] = []

    async def publish(on: SqlStore) -> None:
        row, values, _ = await on.read(lambda unit: unit.status.read_for_publication(LIST_ID))
        if row.changes == row.published_changes:
            return
        version = replace(_published(row.seq + 1), token=str(len(values)))
        try:
            await on.write(
                lambda unit: unit.status.publish(version, expected_seq=row.seq, changes=row.changes)
            )
        except ConcurrentChange:
            return
        served.append((version.seq, len(values)))

    async def publisher(on: SqlStore) -> None:
        for _ in range(15):
            await publish(on)

    async def changer(on: SqlStore, first: int) -> None:
        for index in range(first, first + 20):
            await _set(on, (LIST_ID, index, 1))

    await asyncio.gather(
        publisher(store), publisher(another_store), changer(store, 0), changer(another_store, 100)
    )
    await publish(store)
    row, values, _ = await store.read(lambda unit: unit.status.read_for_publication(LIST_ID))
    assert (row.changes, row.published_changes, len(values)) == (40, 40, 40)
    by_seq = sorted(served)
    assert [seq for seq, _ in by_seq] == list(range(1, row.seq + 1))
    assert [count for _, count in by_seq] == sorted(count for _, count in by_seq)
    last = await store.read(lambda unit: unit.status.served(LIST_ID))
    assert last is not None
    assert last.token == "40"


async def test_row_values_and_event_sequence_are_read_from_one_snapshot(
    store: SqlStore, another_store: SqlStore
) -> None:
    await _with_list(store)
    event = Event(
        id=new_id(), kind="license.revoked", license_id="l", type_code=TYPE_CODE, occurred_at=NOON, payload={}
    )

    async def change(unit: UnitOfWork) -> None:
        await unit.status.set_values([(LIST_ID, 1, 1)])
        await unit.journal.add_events([event])
        await unit.journal.sequence_events(limit=10)

    async def read(unit: UnitOfWork) -> tuple[int, int, int]:
        before = await unit.status.lists()
        await another_store.write(change)
        row, values, event_seq = await unit.status.read_for_publication(LIST_ID)
        assert row == before[0]
        return row.changes, len(values), event_seq

    assert await store.read(read) == (0, 0, 0)
    row, values, event_seq = await store.read(lambda unit: unit.status.read_for_publication(LIST_ID))
    assert (row.changes, list(values), event_seq) == (1, [(1, 1)], 1)


async def test_an_unknown_list_cannot_be_read_for_publication(store: SqlStore) -> None:
    with pytest.raises(ConcurrentChange):
        await store.read(lambda unit: unit.status.read_for_publication("unknown"))


async def test_every_published_version_stays_to_be_had(store: SqlStore) -> None:
    await _with_list(store, make_status_list(), make_status_list("a"))
    await _publish(store, 1, expected=0, changes=0)
    await _publish(store, 2, expected=1, changes=0)
    uri, other = make_status_list().uri, make_status_list("a").uri
    for seq in (1, 2):
        found = await store.read(lambda unit, seq=seq: unit.status.versions({uri: seq, other: 1, "x": 1}))
        assert found == [_published(seq)]
    assert await store.read(lambda unit: unit.status.versions({uri: 3})) == []
    assert await store.read(lambda unit: unit.status.versions({})) == []


async def test_of_versions_out_of_order_the_highest_number_was_the_newest(store: SqlStore) -> None:
    await _with_list(store)
    at = {1: 0, 2: 10, 3: 8, 4: 12}
    for seq, time in at.items():
        version = replace(_published(seq), issued_at=NOON + minutes(time))
        await store.write(
            lambda unit, made=version: unit.status.publish(made, expected_seq=made.seq - 1, changes=0)
        )

    async def seq_at(time: int) -> int | None:
        found = await store.read(lambda unit: unit.status.newest_at(LIST_ID, NOON + minutes(time)))
        return None if found is None else found.seq

    wanted = {-1: None, 0: 1, 7: 1, 8: 3, 10: 3, 11: 3, 12: 4}
    assert {time: await seq_at(time) for time in wanted} == wanted


async def test_what_follows_knows_digest_and_time_of_the_served_version(store: SqlStore) -> None:
    await _with_list(store)
    assert await store.read(lambda unit: unit.status.served_stamp(LIST_ID)) is None
    await _publish(store, 1, expected=0, changes=0)
    stamp = await store.read(lambda unit: unit.status.served_stamp(LIST_ID))
    assert stamp is not None and (stamp.sha256, stamp.issued_at) == ("ef" * 32, NOON)
