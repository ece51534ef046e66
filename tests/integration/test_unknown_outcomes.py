"""A commit whose outcome nobody knows: the call ends, and the next start finds what exists and adds what lacks."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import OperationalError
from typing import Any, TypeVar

import pytest
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

from app.adapters.db import SqlStore
from app.adapters.db.engine import open_transactions
from app.adapters.db.sqlite import SqliteConnection
from app.adapters.db.transactions import Link
from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.bootstrap import open_root_keys
from app.domain.authority import Area, SetupPlan
from app.domain.errors import DomainError, ServiceRefusal
from app.domain.license import Action
from app.domain.publication import DocumentKind
from app.ports import Store, UnitOfWork
from app.services.container import Services
from app.services.journal_rows import make_audit
from tests.faults.checker import check_register
from tests.installation import (
    BUSINESS_LICENSE,
    Installation,
    idempotent,
    open_again,
    open_installation,
    services_over,
    test_plan,
)

pytestmark = pytest.mark.anyio

T = TypeVar("T")
NUMBER = "N-1"


class UnknownOutcome:
    """A store whose n-th write breaks off at its commit: `kept` or not, the caller is not told."""

    def __init__(self, inner: Store, *, at: int, kept: bool) -> None:
        self._inner = inner
        self._at = at
        self._kept = kept
        self.writes = 0

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        self.writes += 1
        if self.writes != self._at:
            return await self._inner.write(work)
        if self._kept:
            await self._inner.write(work)
        raise DomainError("unavailable", "the connection broke while a change was being stored")

    async def read(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        return await self._inner.read(work)

    async def ready(self) -> None:
        await self._inner.ready()

    async def close(self) -> None:
        await self._inner.close()


class _Undone(Exception):
    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


class Presuming(UnknownOutcome):
    """Broken twin: it presumes that the commit it knows nothing of was kept, and says so."""

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        async def undone(unit: UnitOfWork) -> None:
            raise _Undone(await work(unit))

        self.writes += 1
        if self.writes != self._at:
            return await self._inner.write(work)
        try:
            await self._inner.write(undone)
        except _Undone as lost:
            result: T = lost.result
            return result
        raise AssertionError("the work was kept")


async def _issue(installation: Installation, services: Services) -> None:
    new = installation.new_license(number=NUMBER)
    await services.issuing.issue(new, actor="test", request_id=None, call=idempotent("k"))


async def _suspend(installation: Installation, services: Services) -> None:
    found = await services.store.read(
        lambda unit: unit.licenses.by_numbers(type_code=BUSINESS_LICENSE, numbers=["N-0"])
    )
    await services.lifecycle.act(
        Action.SUSPEND,
        found["N-0"].id,
        reason_code="x",
        reason="x",
        caller=await installation.caller("authority"),
        call=idempotent("s"),
    )


async def _publish(installation: Installation, services: Services) -> None:
    await services.status_lists.publish_due()


async def _keep(installation: Installation, services: Services) -> None:
    await services.high_water.keep()


async def _trust_list(installation: Installation, services: Services) -> None:
    plan = SetupPlan(authorities=[replace(test_plan().authorities[1], name="苏州市改名局")])
    await services.directory.apply(plan, dry_run=False, actor="test")
    await services.ceremony.publish_trust_list(root_keys=open_root_keys(installation.settings))


WORKS = {"issue": _issue, "suspend": _suspend, "publish": _publish, "keep": _keep, "trust_list": _trust_list}


async def _state_of(services: Services, number: str) -> str | None:
    found = await services.store.read(
        lambda unit: unit.licenses.by_numbers(type_code=BUSINESS_LICENSE, numbers=[number])
    )
    return found[number].state.value if number in found else None


async def test_the_check_finds_a_store_that_presumes_what_it_does_not_know(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await installation.issue(number="N-0")
        folder = KeyFolder(path=installation.settings.keys_dir, development=True)
        for store_kind, acknowledged in ((UnknownOutcome, False), (Presuming, True)):
            store = store_kind(installation.services.store, at=1, kept=False)
            try:
                await _suspend(installation, services_over(installation, store, FileSigners(folder)))
                said = True
            except DomainError:
                said = False
            assert said is acknowledged
            assert await _state_of(installation.services, "N-0") == "active"


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "lost"])
@pytest.mark.parametrize("name", WORKS)
async def test_what_exists_is_found_and_what_lacks_is_added(
    database_url: str, tmp_path: Path, name: str, kept: bool
) -> None:
    work = WORKS[name]
    async with open_installation(database_url, tmp_path) as installation:
        await installation.issue(number="N-0")
        await installation.services.high_water.keep()
        folder = KeyFolder(path=installation.settings.keys_dir, development=True)
        for at in range(1, 6):
            store = UnknownOutcome(installation.services.store, at=at, kept=kept)
            broken = services_over(installation, store, FileSigners(folder))
            await broken.high_water.compare()
            acknowledged = False
            with contextlib.suppress(DomainError):
                await work(installation, broken)
                acknowledged = True
            installation.clock.advance(seconds=61)  # until the leases of whoever broke off have run out
            async with open_again(installation) as again:
                services = again.services
                assert services.guard.reason is None, "what was never known to be committed is no rollback"
                while await services.issuing.recover():
                    pass
                if acknowledged and name in ("issue", "suspend"):
                    number, state = (NUMBER, "active") if name == "issue" else ("N-0", "suspended")
                    assert await _state_of(services, number) == state
                with contextlib.suppress(DomainError):  # a change that was kept is not allowed a second time
                    await work(again, services)
                await services.status_lists.publish_due()
                await services.freshness.publish_due()
                await services.high_water.keep()
                assert await services.recovery.loss() is None
                assert await check_register(database_url) == []
                assert await _gaps(services) == []


async def _gaps(services: Services) -> list[str]:
    """Name every kind of sequence that has a gap."""

    async def read(unit: UnitOfWork) -> list[str]:
        found = []
        for kind in DocumentKind:
            sequences = [document.sequence for document in await unit.documents.all(kind)]
            if sequences != list(range(1, len(sequences) + 1)):
                found.append(f"{kind.value}: {sequences}")
        return found

    return await services.store.read(read)


class _Sick:
    """A connection whose commit fails as SQLite says when the disk does not take a sync (code 1034)."""

    def __init__(self, link: Link, *, code: int) -> None:
        self._link = link
        self._code = code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)

    async def commit(self) -> None:
        error = OperationalError("disk I/O error")
        error.sqlite_errorcode = self._code
        raise DBAPIError("COMMIT", None, error)


class _SickDisk:
    """Transactions on a disk that fails while it is told to."""

    def __init__(self, database_url: str) -> None:
        self._inner = open_transactions(database_url)
        self.code: int | None = None

    @asynccontextmanager
    async def transaction(self, *, write: bool) -> AsyncIterator[Link]:
        async with self._inner.transaction(write=write) as link:
            yield link if self.code is None else _Sick(link, code=self.code)

    async def close(self) -> None:
        await self._inner.close()


on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@on_sqlite
@pytest.mark.parametrize("code", [1034, 1290])
async def test_after_a_failed_sync_a_process_writes_no_more_and_the_next_one_does(
    database_url: str, code: int
) -> None:
    disk = _SickDisk(database_url)
    store = SqlStore(disk)

    async def put(code: str) -> None:
        await store.write(lambda unit: unit.directory.put_area(Area(code=code, name="x")))

    await put("1")
    disk.code = code
    with pytest.raises(ServiceRefusal, match="storage_failed"):
        await put("2")
    disk.code = None  # the next sync would succeed, and prove nothing
    for work in (lambda: put("3"), store.ready):
        with pytest.raises(ServiceRefusal, match="storage_failed"):
            await work()
    areas = await store.read(lambda unit: unit.directory.areas())
    assert [area.code for area in areas] == ["1"], "reading goes on"
    await store.close()
    fresh = SqlStore(open_transactions(database_url))
    await fresh.ready()
    await fresh.write(lambda unit: unit.directory.put_area(Area(code="4", name="x")))
    await fresh.close()


@on_sqlite
async def test_a_full_disk_is_no_failed_sync_and_passes(database_url: str) -> None:
    disk = _SickDisk(database_url)
    store = SqlStore(disk)
    disk.code = 13  # SQLITE_FULL: nothing was kept, and it says so
    with pytest.raises(DomainError) as refusal:
        await store.write(lambda unit: unit.directory.put_area(Area(code="1", name="x")))
    assert (refusal.value.code, isinstance(refusal.value, ServiceRefusal)) == ("unavailable", False)
    disk.code = None
    await store.write(lambda unit: unit.directory.put_area(Area(code="1", name="x")))
    await store.close()


class _SickConnection:
    """SQLAlchemy's connection, whose first commit takes a moment in the writer's thread and then fails to sync."""

    def __init__(self, begun: threading.Event) -> None:
        self._begun = begun

    def execute(self, statement: Any, parameters: Any) -> None:
        """Take any statement."""

    @property
    def dialect(self) -> Any:
        return sqlite.dialect()

    def commit(self) -> None:
        if self._begun.is_set():
            return  # the next sync would succeed, and prove nothing
        self._begun.set()
        time.sleep(0.1)
        error = OperationalError("disk I/O error")
        error.sqlite_errorcode = 1034
        raise DBAPIError("COMMIT", None, error)


class _OnThatConnection:
    """Transactions that all run on one connection."""

    def __init__(self, connection: Any) -> None:
        self._link = SqliteConnection(connection, ThreadPoolExecutor(max_workers=1))

    @asynccontextmanager
    async def transaction(self, *, write: bool) -> AsyncIterator[Link]:
        yield self._link

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_sync_that_fails_while_its_write_is_being_cancelled_is_not_forgotten() -> None:
    begun = threading.Event()
    store = SqlStore(_OnThatConnection(_SickConnection(begun)))

    async def nothing(unit: UnitOfWork) -> None:
        """Leave it to the commit."""

    writing = asyncio.create_task(store.write(nothing))
    await asyncio.to_thread(begun.wait)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    with pytest.raises(ServiceRefusal, match="storage_failed"):
        await store.write(nothing)


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_what_the_server_rolled_back_at_the_commit_is_not_called_kept(database_url: str) -> None:
    store = SqlStore(open_transactions(database_url, pool_size=1))
    entry = make_audit(
        action="test", subject="s", actor="a", at=datetime(2026, 11, 24, tzinfo=UTC), outcome="ok"
    )

    async def careless(unit: UnitOfWork) -> None:
        await unit.journal.add_audit([entry])
        with contextlib.suppress(DomainError):
            await unit.journal.add_audit([entry])  # the same id: the transaction is lost

    with pytest.raises(DomainError) as refusal:
        await store.write(careless)
    assert refusal.value.code == "internal"
    await store.write(lambda unit: unit.journal.add_audit([entry]))  # on the same connection
    await store.close()
