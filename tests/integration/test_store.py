"""Transactions: what is kept, what is run again, what is said when the database cannot serve."""

import asyncio
import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import text

from app.adapters.db import SqlStore, open_store
from app.adapters.db.engine import open_transactions
from app.domain.authority import Area
from app.domain.errors import DomainError
from app.domain.license import State
from app.ports import UnitOfWork
from app.services.journal_rows import make_audit
from tests.builders import NOON, make_entry, make_license, make_row, make_version
from tests.databases import PostgreSQL

pytestmark = pytest.mark.anyio

on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)

AREA = Area(code="320100", name="南京市")


async def _areas(store: SqlStore) -> list[Area]:
    return list(await store.read(lambda unit: unit.directory.areas()))


async def _code_of(work: object) -> str:
    with pytest.raises(DomainError) as raised:
        await work  # type: ignore[misc]
    return raised.value.code


async def test_a_migrated_database_is_ready(store: SqlStore) -> None:
    await store.ready()


async def test_a_write_returns_what_its_work_returned_after_the_commit(
    store: SqlStore, another_store: SqlStore
) -> None:
    async def work(unit: UnitOfWork) -> str:
        await unit.directory.put_area(AREA)
        return "done"

    assert await store.write(work) == "done"
    assert await _areas(another_store) == [AREA]


async def test_any_exception_of_the_work_rolls_everything_back(store: SqlStore) -> None:
    async def work(unit: UnitOfWork) -> None:
        await unit.directory.put_area(AREA)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.write(work)
    assert await _areas(store) == []
    assert await store.read(lambda unit: unit.directory.revision()) == 0


async def test_a_cancelled_write_leaves_nothing_and_the_store_serves_on(store: SqlStore) -> None:
    begun = asyncio.Event()

    async def work(unit: UnitOfWork) -> None:
        await unit.directory.put_area(AREA)
        begun.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(store.write(work))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _areas(store) == []
    await store.write(lambda unit: unit.directory.put_area(AREA))


async def test_nothing_a_read_does_is_kept(store: SqlStore) -> None:
    async def work(unit: UnitOfWork) -> None:
        await unit.directory.put_area(AREA)

    with contextlib.suppress(DomainError):  # PostgreSQL refuses at once, on SQLite the commit never comes
        await store.read(work)
    assert await _areas(store) == []


async def test_a_read_sees_one_snapshot_while_others_write(store: SqlStore, another_store: SqlStore) -> None:
    license_ = make_license()
    await store.write(lambda unit: unit.licenses.add_many([make_row(license_, index=0)]))

    async def revoke(unit: UnitOfWork) -> None:
        await unit.licenses.change_state(
            license_id=license_.id,
            expected_row_version=1,
            state=State.REVOKED,
            at=NOON,
            entry=make_entry(license_, action="revoke", to_state=State.REVOKED),
        )

    async def read(unit: UnitOfWork) -> None:
        assert await unit.licenses.get(license_.id) == license_
        await another_store.write(revoke)
        assert await unit.licenses.get(license_.id) == license_
        assert len(await unit.licenses.history(license_.id)) == 1

    await store.read(read)
    after = await store.read(lambda unit: unit.licenses.get(license_.id))
    assert after is not None
    assert after.state is State.REVOKED


async def test_a_reader_never_sees_an_uncommitted_change(store: SqlStore, another_store: SqlStore) -> None:
    async def work(unit: UnitOfWork) -> None:
        await unit.directory.put_area(AREA)
        assert await _areas(another_store) == []

    await store.write(work)
    assert await _areas(another_store) == [AREA]


async def test_work_that_read_what_another_changed_is_run_again(
    store: SqlStore, another_store: SqlStore
) -> None:
    async def add(on: SqlStore, who: int) -> int:
        runs = 0

        async def work(unit: UnitOfWork) -> None:
            nonlocal runs
            runs += 1
            revision = await unit.directory.revision()
            await asyncio.sleep(0.01)
            await unit.directory.put_area(Area(code=str(who), name=str(revision)))

        await on.write(work)
        return runs

    await asyncio.gather(*(add((store, another_store)[who % 2], who) for who in range(6)))
    # Had one worked on an outdated read, two would have seen the same revision.
    assert sorted(area.name for area in await _areas(store)) == [str(n) for n in range(6)]


async def test_many_more_units_than_connections_wait_their_turn(database_url: str) -> None:
    store = open_store(database_url, pool_size=2)

    async def put(who: int) -> None:
        await store.write(lambda unit: unit.directory.put_area(Area(code=f"{who:03}", name="x")))
        await store.read(lambda unit: unit.directory.areas())

    await asyncio.gather(*(put(who) for who in range(40)))
    assert len(await _areas(store)) == 40
    await store.close()


@pytest.mark.parametrize("text_", ["a\x00b", "a\ud800b"])
async def test_text_that_cannot_be_stored_is_the_callers_fault_or_kept_as_it_is(
    store: SqlStore, text_: str
) -> None:
    area = Area(code="1", name=text_)
    try:
        await store.write(lambda unit: unit.directory.put_area(area))
    except DomainError as error:
        assert error.code == "invalid_request"
        assert text_ not in str(error)
        assert await _areas(store) == []
    else:
        assert await _areas(store) == [area]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite:///:memory:",
        "sqlite:///x.db",
        "postgresql://user:secret@host/db",
        "mysql+aiomysql://host/db",
        "secret",
        "",
    ],
)
def test_databases_we_cannot_promise_anything_on_are_refused_without_showing_the_url(url: str) -> None:
    with pytest.raises(DomainError) as refused:
        open_store(url)
    assert refused.value.code == "unavailable"
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["sqlite+aiosqlite:////no/such/folder/x.db", "postgresql+asyncpg://user:secret@127.0.0.1:1/db"],
    ids=["sqlite", "postgresql"],
)
async def test_a_database_out_of_reach_is_unavailable(url: str) -> None:
    store = open_store(url)
    with pytest.raises(DomainError) as refused:
        await store.ready()
    assert refused.value.code == "unavailable"
    assert "secret" not in str(refused.value)
    assert await _code_of(store.read(lambda unit: unit.directory.areas())) == "unavailable"
    assert await _code_of(store.write(lambda unit: unit.directory.put_area(AREA))) == "unavailable"
    await store.close()


async def test_a_file_that_is_not_there_is_unavailable_and_not_made(tmp_path: Path) -> None:
    missing = tmp_path / "mistyped # % ? name.db"
    store = open_store(f"sqlite+aiosqlite:///{quote(str(missing))}")
    assert await _code_of(store.ready()) == "unavailable"
    assert _names_in(tmp_path) == []
    await store.close()


async def test_an_empty_database_is_not_ready(empty_database_url: str) -> None:
    store = open_store(empty_database_url)
    assert await _code_of(store.ready()) == "unavailable"
    assert await _code_of(store.read(lambda unit: unit.directory.areas())) == "unavailable"
    await store.close()


@on_postgresql
async def test_connections_that_broke_while_idle_are_replaced(
    store: SqlStore, database_url: str, postgresql_server: PostgreSQL
) -> None:
    await store.write(lambda unit: unit.directory.put_area(AREA))
    _kill_connections(postgresql_server, database_url)
    assert await _areas(store) == [AREA]
    _kill_connections(postgresql_server, database_url)
    await store.write(lambda unit: unit.directory.put_area(Area(code="2", name="x")))


@on_postgresql
async def test_work_cut_off_before_its_commit_is_run_again_in_full(
    store: SqlStore, database_url: str, postgresql_server: PostgreSQL
) -> None:
    runs = 0

    async def work(unit: UnitOfWork) -> None:
        nonlocal runs
        runs += 1
        await unit.directory.put_area(AREA)
        if runs == 1:
            _kill_connections(postgresql_server, database_url)
        await unit.directory.put_area(Area(code="2", name="x"))

    await store.write(work)
    assert runs == 2
    assert await store.read(lambda unit: unit.directory.revision()) == 2


@on_postgresql
async def test_statements_straight_on_the_driver_are_run_again_with_the_rest_when_cut_off(
    store: SqlStore, database_url: str, postgresql_server: PostgreSQL
) -> None:
    entry = make_audit(action="a", subject="s", actor="t", at=NOON)
    for cut_before in ("writing", "reading"):
        runs = 0

        async def work(unit: UnitOfWork) -> None:
            nonlocal runs
            runs += 1
            await unit.licenses.find_by_numbers(["x"], type_code="y")
            if runs == 1:
                _kill_connections(postgresql_server, database_url)
            if cut_before == "reading":  # noqa: B023
                await unit.licenses.by_identifiers(["x"])
            await unit.journal.add_audit([replace(entry, id=cut_before)])  # noqa: B023

        await store.write(work)
        assert runs == 2
    kept, _ = await store.read(lambda unit: unit.journal.audit_page(cursor=None, limit=10))
    assert {one.id for one in kept} == {"writing", "reading"}


async def test_what_breaks_a_rule_of_the_database_is_told_alike_however_it_is_written(
    store: SqlStore,
) -> None:
    license_, version, entry = make_row(make_license(), index=0)
    await store.write(lambda unit: unit.licenses.add_many([(license_, version, entry)]))
    other = make_license("other")
    taken = replace(make_version(other, index=1), identifier=version.identifier)
    assert (
        await _code_of(store.write(lambda unit: unit.licenses.add_many([(other, taken, make_entry(other))])))
        == "conflict"
    )
    audit = make_audit(action="a", subject="s", actor="t", at=NOON)
    assert await _code_of(store.write(lambda unit: unit.journal.add_audit([audit, audit]))) == "internal"
    unwritable = replace(audit, subject="a lone \ud800 surrogate")
    assert await _code_of(store.write(lambda unit: unit.journal.add_audit([unwritable]))) == "invalid_request"


@on_postgresql
async def test_a_commit_of_unknown_outcome_is_never_run_again(
    store: SqlStore, database_url: str, postgresql_server: PostgreSQL
) -> None:
    runs = 0

    async def work(unit: UnitOfWork) -> None:
        nonlocal runs
        runs += 1
        await unit.directory.put_area(AREA)
        _kill_connections(postgresql_server, database_url)

    assert await _code_of(store.write(work)) == "unavailable"
    assert runs == 1
    assert await _areas(store) == []


@on_postgresql
async def test_a_server_that_would_lose_acknowledged_commits_is_refused(
    database_url: str, postgresql_server: PostgreSQL
) -> None:
    name = database_url.rsplit("/", 1)[1].split("?")[0]
    postgresql_server.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    store = open_store(database_url)
    with pytest.raises(DomainError, match="synchronous_commit"):
        await store.ready()
    await store.close()


@on_postgresql
async def test_transactions_run_at_repeatable_read_and_reads_are_read_only(database_url: str) -> None:
    transactions = open_transactions(database_url)
    for write, read_only in ((True, "off"), (False, "on"), (True, "off")):
        async with transactions.transaction(write=write) as link:
            assert (await link.execute(text("SHOW transaction_isolation"))).scalar() == "repeatable read"
            assert (await link.execute(text("SHOW transaction_read_only"))).scalar() == read_only
    await transactions.close()


@on_sqlite
async def test_sqlite_runs_with_wal_full_sync_and_foreign_keys(database_url: str) -> None:
    transactions = open_transactions(database_url)
    for write in (True, False):
        async with transactions.transaction(write=write) as link:
            for pragma, answer in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
                assert (await link.execute(text(f"PRAGMA {pragma}"))).scalar() == answer
    await transactions.close()


def _names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _file_of(database_url: str) -> Path:
    return Path(database_url.removeprefix("sqlite+aiosqlite:///"))


@on_sqlite
async def test_a_lock_held_by_another_process_for_a_moment_is_waited_for(
    store: SqlStore, database_url: str
) -> None:
    other = sqlite3.connect(_file_of(database_url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(store.write(lambda unit: unit.directory.put_area(AREA)))
    await asyncio.sleep(0.3)
    assert not writing.done()
    assert await _areas(store) == []  # readers are not held up
    other.execute("ROLLBACK")
    other.close()
    await writing
    assert await _areas(store) == [AREA]


@on_sqlite
async def test_a_full_disk_is_unavailable_and_reads_go_on(database_url: str) -> None:
    transactions = open_transactions(database_url, pool_size=1)
    store = SqlStore(transactions)
    await store.write(lambda unit: unit.directory.put_area(AREA))
    async with transactions.transaction(
        write=False
    ) as link:  # the disk of this connection ends where the file does
        pages = (await link.execute(text("PRAGMA page_count"))).scalar()
        await link.execute(text(f"PRAGMA max_page_count = {pages}"))
    big = Area(code="2", name="x" * 5_000_000)
    assert await _code_of(store.write(lambda unit: unit.directory.put_area(big))) == "unavailable"
    assert await _areas(store) == [AREA]
    await store.close()


@on_sqlite
async def test_a_write_cancelled_while_it_waits_for_another_process_leaves_no_lock(
    store: SqlStore, database_url: str
) -> None:
    other = sqlite3.connect(_file_of(database_url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(store.write(lambda unit: unit.directory.put_area(AREA)))
    await asyncio.sleep(0.1)
    writing.cancel()
    await asyncio.sleep(0.1)
    other.execute("COMMIT")
    with pytest.raises(asyncio.CancelledError):
        await writing
    other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()
    assert await _areas(store) == []


@on_sqlite
async def test_the_loop_runs_on_while_a_write_waits_for_another_process(
    store: SqlStore, database_url: str
) -> None:
    other = sqlite3.connect(_file_of(database_url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(store.write(lambda unit: unit.directory.put_area(AREA)))
    reads = 0
    for _ in range(20):
        await asyncio.sleep(0.005)
        reads += await _areas(store) == []
    assert (reads, writing.done()) == (20, False)
    other.execute("ROLLBACK")
    other.close()
    await writing


@on_postgresql
async def test_statements_go_on_when_a_migration_changes_what_they_return(
    store: SqlStore, database_url: str
) -> None:
    async def read(unit: UnitOfWork) -> tuple[int, int]:
        return await unit.journal.last_event_seq(), await unit.directory.revision()

    await store.write(lambda unit: unit.directory.put_area(AREA))
    before = await store.read(read)
    migrating = open_transactions(database_url, pool_size=1)
    async with migrating.transaction(write=True) as link:
        await link.execute(text("ALTER TABLE counters ALTER COLUMN value TYPE numeric(20)"))
        await link.commit()
    await migrating.close()
    assert await store.read(read) == before


def _kill_connections(server: PostgreSQL, database_url: str) -> None:
    name = database_url.rsplit("/", 1)[1].split("?")[0]
    server.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")
