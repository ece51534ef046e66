"""SQLite: one machine, several processes, every commit on the disk before it is acknowledged.

Statements of one row run on the event loop's own thread. They take some ten microseconds, less than handing them to
another thread and back, and under WAL a reader waits for nobody. What may wait or take long goes to a thread: the
beginning of a write (another process may be writing), bulk statements, and the commit with its fsync.
"""

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, CursorResult, Dialect, Executable, Row, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import QueuePool

from app.adapters.db.errors import translate, unavailable
from app.adapters.db.transactions import DRIVER_FAULTS, ask

T = TypeVar("T")

_BEGIN: Final = "elicense_begin"
# How long a writer waits in its thread for another process's write. A reader waits on the loop's thread, and only
# while another process recovers the file: shortly, then the retry wrapper sleeps without holding anybody up.
_BUSY_TIMEOUT_MS: Final = 5_000
_READER_BUSY_TIMEOUT_MS: Final = 100
_SYNCHRONOUS_FULL: Final = 2
_INLINE_ROWS: Final = 20


def files_open_to_others(database_url: str) -> tuple[Path, ...]:
    """Return the files of a SQLite database that users other than the owner may use; none for other databases."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        return ()
    files = [Path(f"{url.database}{ending}") for ending in ("", "-wal", "-shm")]
    return tuple(file for file in files if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077)


class SqliteTransactions:
    """Transactions on a SQLite file in WAL mode (implements `transactions.Transactions`).

    Writes begin with BEGIN IMMEDIATE: a transaction that first reads and then writes cannot lose its place half-way.
    """

    def __init__(self, url: URL, *, pool_size: int, create: bool) -> None:
        """Name the file; only with `create` is a missing one made: a mistyped path must not look like a new start."""
        # No limit beyond the pool: waiting for a connection would stop the loop that has to give one back.
        self._engine = create_engine(
            "sqlite+pysqlite://",
            creator=partial(_connect, url.database or "", create=create),
            poolclass=QueuePool,
            pool_size=pool_size,
            max_overflow=-1,
        )
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        self._readers = self._engine.execution_options(**{_BEGIN: "BEGIN"})
        # SQLite has one writer. Waiting in line here costs nothing; waiting for the file's lock costs a sleeping
        # thread per waiter and is unfair. Other processes still meet at the file.
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-writer")

    @asynccontextmanager
    async def transaction(self, *, write: bool) -> "AsyncIterator[SqliteConnection]":
        """Begin a transaction; on leaving roll back whatever was not committed."""
        # Reads never wait by themselves: without this a task of many reads would keep all others from running.
        await asyncio.sleep(0)
        async with self._turn_of(write=write):
            try:
                connection = (self._engine if write else self._readers).connect()
            except DRIVER_FAULTS as error:
                raise translate(error) from error
            try:
                await self._begin(connection, write=write)
                yield SqliteConnection(connection, self._thread)
            finally:
                _give_back(connection)

    async def close(self) -> None:
        """Close all connections; the last one of all processes folds the WAL into the file."""
        self._engine.dispose()
        self._thread.shutdown(wait=False)

    def _turn_of(self, *, write: bool) -> AbstractAsyncContextManager[object]:
        return self._turn if write else nullcontext()

    async def _begin(self, connection: Connection, *, write: bool) -> None:
        try:
            if write:
                await _in_thread(self._thread, connection.begin)
            else:
                connection.begin()
        except DRIVER_FAULTS as error:
            raise translate(error) from error


class SqliteConnection:
    """A connection inside a transaction (implements `transactions.Link`)."""

    __slots__ = ("_connection", "_thread", "direct")

    def __init__(self, connection: Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread
        # SQLite's driver is called in this process, and the layers before it cost less than a hop.
        self.direct: None = None

    @property
    def dialect(self) -> Dialect:
        """Tell the dialect statements are compiled for."""
        return self._connection.dialect

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Execute here, or in the thread when there are many rows to write."""
        call = partial(self._connection.execute, statement, parameters)
        if isinstance(parameters, Sequence) and len(parameters) > _INLINE_ROWS:
            return await _in_thread(self._thread, call)
        return call()

    async def stream(self, statement: Executable, *, at_once: int) -> AsyncIterator[Row[Any]]:
        """Read rows here; the cursor itself reads on as it is asked."""
        found = self._connection.execute(statement)
        while rows := found.fetchmany(at_once):
            for row in rows:
                yield row

    async def commit(self) -> None:
        """Commit in the thread: it returns when the WAL is on the disk."""
        await _in_thread(self._thread, self._connection.commit)

    async def run_sync(self, work: Callable[[Connection], T]) -> T:
        """Run a plain function on the connection, in the thread."""
        return await _in_thread(self._thread, partial(work, self._connection))


async def _in_thread(thread: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    """Run a call in the thread and wait for its end, whatever happens: the connection must not be used meanwhile.

    A cancellation is passed on once the call has ended; what the call failed with is its cause.
    """
    running = asyncio.get_running_loop().run_in_executor(thread, call)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from running.exception()
    return running.result()


def _give_back(connection: Connection) -> None:
    """Roll back and return the connection; one too broken for that has lost its transaction anyway."""
    try:
        connection.close()
    except DRIVER_FAULTS:
        connection.invalidate()


def _connect(path: str, *, create: bool) -> sqlite3.Connection:
    if create:
        _make_private(path)
    # One thread at a time uses a connection (see `_in_thread`), but not always the same one.
    name = f"file:{quote(path)}?mode={'rwc' if create else 'rw'}"
    return sqlite3.connect(name, uri=True, check_same_thread=False)


def _make_private(path: str) -> None:
    """Make a missing file for its owner alone; SQLite makes the WAL beside it with the same mode."""
    # Never opened where it exists: closing it again would take this process's locks on it away (POSIX). And what
    # cannot be made here SQLite says in its own words.
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _prepare(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling is off: `_begin` says how each one begins.
    connection.isolation_level = None
    ask(connection, f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    ask(connection, "PRAGMA foreign_keys = ON")
    ask(connection, "PRAGMA synchronous = FULL")
    journal = ask(connection, "PRAGMA journal_mode")
    if journal != "wal":
        journal = ask(connection, "PRAGMA journal_mode = WAL")
    if journal != "wal" or ask(connection, "PRAGMA synchronous") != _SYNCHRONOUS_FULL:
        raise unavailable("this SQLite file cannot be used with WAL and synchronous=FULL")
    if ask(connection, "PRAGMA foreign_keys") != 1:
        raise unavailable("this SQLite has no foreign keys")


def _begin(connection: Connection) -> None:
    begin = connection.get_execution_options().get(_BEGIN, "BEGIN IMMEDIATE")
    timeout = _READER_BUSY_TIMEOUT_MS if begin == "BEGIN" else _BUSY_TIMEOUT_MS
    driver: Any = connection.connection.dbapi_connection
    driver.execute(f"PRAGMA busy_timeout = {timeout}")  # touches no file, so it cannot fail
    connection.exec_driver_sql(begin)
