"""What the store needs of a database: transactions, and statements inside them."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, CursorResult, Dialect, Executable, Row, Select, Table
from sqlalchemy.exc import SQLAlchemyError

T = TypeVar("T")

DRIVER_FAULTS = (SQLAlchemyError, OSError, UnicodeEncodeError, EOFError)


class Direct(Protocol):
    """The way straight to the driver, for the statements asked most. Raises what `Session` raises."""

    async def insert_many(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows that have the same columns; at least one."""
        ...

    async def rows(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Any]:
        """Return all rows of a statement whose text does not depend on its values, columns by name."""
        ...


class Link(Protocol):
    """A connection inside a transaction."""

    @property
    def dialect(self) -> Dialect:
        """Tell the dialect statements are compiled for."""
        ...

    @property
    def direct(self) -> Direct | None:
        """Return the way straight to the driver, where there is one."""
        ...

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Execute a statement, once or for many rows."""
        ...

    def stream(self, statement: Executable, *, at_once: int) -> AsyncIterator[Row[Any]]:
        """Read the rows of a statement without holding more than so many at once; several streams may be open."""
        ...

    async def commit(self) -> None:
        """Commit durably. Raises DRIVER_FAULTS, or what `errors.translate` makes of them.

        A CancelledError has as its cause what the commit failed with, where it came to its end all the same.
        """
        ...

    async def run_sync(self, work: Callable[[Connection], T]) -> T:
        """Run a plain function on the connection."""
        ...


class Transactions(Protocol):
    """A database that can begin transactions. Whatever is not committed inside is rolled back at its end."""

    def transaction(self, *, write: bool) -> AbstractAsyncContextManager[Link]:
        """Begin a transaction to write, or a snapshot to read. Raises what `errors.translate` makes."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


def ask(connection: Any, statement: str) -> Any:
    """Return the first column of the first row on a driver's own connection, None without a row."""
    cursor = connection.cursor()
    try:
        cursor.execute(statement)
        row = cursor.fetchone()
        return None if row is None else row[0]
    finally:
        cursor.close()
