"""Append-only rows, and the gap-free sequence of events."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.db import SqlStore
from app.domain.events import AuditEntry, Event, LogLeaf, LogName
from app.domain.ids import new_id
from app.ports import UnitOfWork
from tests.builders import NOON, TYPE_CODE, minutes

pytestmark = pytest.mark.anyio


def _event() -> Event:
    return Event(
        id=new_id(),
        kind="license.issued",
        license_id="license-1",
        type_code=TYPE_CODE,
        occurred_at=NOON,
        payload={"b": 1, "a": "中"},
    )


def _audit(count: int) -> list[AuditEntry]:
    return [
        AuditEntry(
            id=f"{n:04}",
            at=NOON + minutes(n),
            actor="client-1",
            action="license.issue",
            subject=f"license-{n}",
            outcome="done",
            request_id=None if n % 2 else f"request-{n}",
        )
        for n in range(count)
    ]


async def _sequences(database_url: str) -> list[int | None]:
    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT seq FROM events ORDER BY seq"))).all()
    await engine.dispose()
    return [row.seq for row in rows]


async def test_audit_entries_are_listed_newest_first(store: SqlStore) -> None:
    entries = _audit(5)
    await store.write(lambda unit: unit.journal.add_audit(entries))
    first, cursor = await store.read(lambda unit: unit.journal.audit_page(cursor=None, limit=3))
    rest, end = await store.read(lambda unit: unit.journal.audit_page(cursor=cursor, limit=3))
    assert [*first, *rest] == entries[::-1]
    assert end is None


async def test_nothing_to_add_is_nothing_done(store: SqlStore) -> None:
    async def work(unit: UnitOfWork) -> None:
        await unit.journal.add_audit([])
        await unit.journal.add_events([])
        await unit.journal.add_leaves([])

    await store.write(work)
    assert await store.read(lambda unit: unit.journal.audit_page(cursor=None, limit=3)) == ([], None)


async def test_leaves_are_kept(store: SqlStore, database_url: str) -> None:
    leaf = LogLeaf(
        id=new_id(),
        log=LogName.REGISTER,
        kind="issuance",
        subject="license-1",
        identifier="identifier-1",
        entry=b'{"digest":"ab"}',
        event_sha256="ab" * 32,
        salt="cd" * 11,
        recorded_at=NOON,
    )
    await store.write(lambda unit: unit.journal.add_leaves([leaf]))
    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        (row,) = (await connection.execute(text("SELECT identifier, entry, salt, idx FROM log_leaves"))).all()
    await engine.dispose()
    assert tuple(row) == (leaf.identifier, leaf.entry, leaf.salt, None)


async def test_events_have_no_place_until_they_are_sequenced(store: SqlStore, database_url: str) -> None:
    await store.write(lambda unit: unit.journal.add_events([_event() for _ in range(3)]))
    assert await _sequences(database_url) == [None, None, None]
    assert await store.write(lambda unit: unit.journal.sequence_events(limit=2)) == 2
    assert await store.write(lambda unit: unit.journal.sequence_events(limit=2)) == 1
    assert await store.write(lambda unit: unit.journal.sequence_events(limit=2)) == 0
    assert await _sequences(database_url) == [1, 2, 3]


async def test_a_sequencer_that_fails_leaves_no_gap(store: SqlStore, database_url: str) -> None:
    await store.write(lambda unit: unit.journal.add_events([_event()]))

    async def fail(unit: UnitOfWork) -> None:
        await unit.journal.sequence_events(limit=5)
        raise RuntimeError("killed here")

    with pytest.raises(RuntimeError):
        await store.write(fail)
    await store.write(lambda unit: unit.journal.sequence_events(limit=5))
    assert await _sequences(database_url) == [1]


async def test_two_sequencers_beside_writers_leave_no_gap(
    store: SqlStore, another_store: SqlStore, database_url: str
) -> None:
    async def write(on: SqlStore) -> None:
        for _ in range(15):
            await on.write(lambda unit: unit.journal.add_events([_event(), _event()]))

    async def sequence(on: SqlStore) -> None:
        for _ in range(15):
            await on.write(lambda unit: unit.journal.sequence_events(limit=4))

    await asyncio.gather(write(store), write(another_store), sequence(store), sequence(another_store))
    while await store.write(lambda unit: unit.journal.sequence_events(limit=50)):
        pass
    assert await _sequences(database_url) == list(range(1, 61))


# SQLite has one writer: while a transaction is open there, nobody else can sequence.
@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_an_event_still_uncommitted_is_not_sequenced_before_it_commits(
    store: SqlStore, another_store: SqlStore, database_url: str
) -> None:
    early, late = _event(), _event()

    async def slow(unit: UnitOfWork) -> None:
        await unit.journal.add_events([early])
        await another_store.write(lambda other: other.journal.add_events([late]))
        assert await another_store.write(lambda other: other.journal.sequence_events(limit=5)) == 1

    await store.write(slow)
    await store.write(lambda unit: unit.journal.sequence_events(limit=5))
    assert await _sequences(database_url) == [1, 2]
