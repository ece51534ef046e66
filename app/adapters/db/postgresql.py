"""PostgreSQL: a province. Every commit is durable, every transaction sees one snapshot.

Isolation is REPEATABLE READ, not SERIALIZABLE. An update of a row that changed since the snapshot fails with a
serialization failure, and the unit of work is run again. What must never happen twice is held by unique constraints,
and what two hands may change carries a version that the update compares. Where a rule rests on rows that another
transaction may change or add (a client's live keys, the successions a license leads to), the rows they hang on are held
(`hold`): that makes of them what an update would, and the one that comes second runs again. SERIALIZABLE would see to
this unasked; its price would be predicate locks on every read of the busiest indexes, and false failures under load.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, CursorResult, Dialect, Executable, Row, event
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from app.adapters.db.direct import FAULTS, DriverStatements
from app.adapters.db.errors import translate, unavailable
from app.adapters.db.transactions import DRIVER_FAULTS, ask
from app.domain.errors import DomainError

T = TypeVar("T")

_BEGIN_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
_BEGIN_WRITE: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ;"

# `remote_apply` promises more than `on`; `local`, `remote_write` and `off` promise less to somebody.
_DURABLE_COMMITS: Final = frozenset({"on", "remote_apply"})


class PostgresqlTransactions:
    """Transactions on a PostgreSQL database (implements `transactions.Transactions`)."""

    def __init__(
        self,
        url: URL,
        *,
        pool_size: int,
        statement_seconds: float | None,
        schema: str | None = None,
        create: bool = False,
    ) -> None:
        """Connect at the first transaction. All tables are in `schema` (a plain name), which `create` makes."""
        options = {"server_settings": {"search_path": schema}} if schema is not None else {}
        self._engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=30,
            isolation_level="AUTOCOMMIT",  # the transactions are begun on the driver, see `PostgresqlConnection`
            connect_args={"timeout": 10, "command_timeout": statement_seconds, **options},
        )
        event.listen(self._engine.sync_engine, "connect", _check)
        if create and schema is not None:
            event.listen(self._engine.sync_engine, "connect", partial(_make_schema, schema))

    @asynccontextmanager
    async def transaction(self, *, write: bool) -> "AsyncIterator[PostgresqlConnection]":
        """Begin a transaction; on leaving roll back whatever was not committed and give the connection back."""
        connection = self._engine.connect()
        try:
            await connection.start()
        except DRIVER_FAULTS as error:
            raise translate(error) from error
        link, usable = PostgresqlConnection(connection), True
        try:
            await link.begin(write=write)
            yield link
        except BaseException as error:
            # Cancelled, perhaps in the middle of a statement whose answer the driver still waits for.
            usable = isinstance(error, Exception)
            raise
        finally:
            # Also when the task is being cancelled: a connection never goes back with its transaction open.
            await asyncio.shield(asyncio.ensure_future(link.give_back(usable=usable)))

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()


class PostgresqlConnection:
    """A connection inside a transaction (implements `transactions.Link`).

    The transaction is begun and ended on the driver: SQLAlchemy, told to begin none, runs its statements inside of it.
    """

    __slots__ = ("_connection", "_driver", "_is_known", "_is_open", "direct")

    def __init__(self, connection: AsyncConnection) -> None:
        sync = connection.sync_connection
        assert sync is not None  # it was started
        self._driver: Any = sync.connection.driver_connection
        self._connection = connection
        self._is_open = False
        self._is_known = True
        self.direct = DriverStatements(connection, self._driver)

    @property
    def dialect(self) -> Dialect:
        """Tell the dialect statements are compiled for."""
        return self._connection.dialect

    async def begin(self, *, write: bool) -> None:
        """Begin; the snapshot is that of the first statement. A pooled connection may turn out to be gone."""
        await self._tell(_BEGIN_WRITE if write else _BEGIN_READ)
        self._is_open = True

    async def give_back(self, *, usable: bool) -> None:
        """Roll back what was not committed and return the connection; one that is not `usable` is thrown away."""
        try:
            # Cut off in a beginning or a commit: what became of it only the server knows.
            usable = usable and self._is_known
            if usable and self._is_open:
                await self._driver.execute("ROLLBACK;")
        except FAULTS:
            usable = False
        finally:
            await self._leave(usable=usable)

    async def _leave(self, *, usable: bool) -> None:
        try:
            if not usable:
                await self._connection.invalidate()
            await self._connection.close()
        except DRIVER_FAULTS:
            # A line that breaks while the connection is being closed can leave it closed: then nothing is left to do.
            if not self._connection.closed:
                await self._connection.invalidate()

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Execute a statement, once or for many rows."""
        return await self._connection.execute(statement, parameters)

    async def stream(self, statement: Executable, *, at_once: int) -> AsyncIterator[Row[Any]]:
        """Read rows from a cursor of the server."""
        async with self._connection.stream(statement.execution_options(yield_per=at_once)) as found:
            async for row in found:
                yield row

    async def commit(self) -> None:
        """Commit durably. Raises DomainError `internal` where a statement had failed before: then nothing was kept."""
        done = await self._tell("COMMIT;")
        self._is_open = False
        if done != "COMMIT":
            # PostgreSQL rolls back what cannot be committed any more, and does not call that a fault.
            raise DomainError("internal", "a transaction that had failed was to be committed")

    async def _tell(self, command: str) -> str:
        """Give the server a command about the transaction and return its word for what it did."""
        self._is_known = False
        try:
            done: str = await self._driver.execute(command)
        except FAULTS as error:
            raise await self.direct.translated(error) from error
        self._is_known = True
        return done

    async def run_sync(self, work: Callable[[Connection], T]) -> T:
        """Run a plain function on the connection."""
        return await self._connection.run_sync(work)


def _make_schema(schema: str, connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        connection.commit()
    finally:
        cursor.close()
        connection.rollback()


def _check(connection: Any, _record: Any) -> None:
    try:
        commit = ask(connection, "SELECT current_setting('synchronous_commit')")
        fsync = ask(connection, "SELECT current_setting('fsync')")
    finally:
        connection.rollback()
    if commit not in _DURABLE_COMMITS:
        raise unavailable(
            "PostgreSQL must run with synchronous_commit=on: an acknowledged license must be durable"
        )
    if fsync != "on":
        raise unavailable("PostgreSQL must run with fsync=on: an acknowledged license must be durable")
