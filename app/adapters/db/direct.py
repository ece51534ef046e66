"""The statements asked most, straight on PostgreSQL's driver, inside the transaction that SQLAlchemy holds.

SQLAlchemy writes the statement, and says how its values are written and its columns are read; it is asked once. To hand
every call through its layers costs several times what driver and database need for the statement itself.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from asyncpg import (  # type: ignore[import-untyped]
    IntegrityConstraintViolationError,
    InterfaceError,
    InternalClientError,
    InvalidCachedStatementError,
    PostgresError,
)
from sqlalchemy import Dialect, Select, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.db.errors import TryAgain, by_constraint, by_state, translate
from app.adapters.db.transactions import DRIVER_FAULTS

FAULTS = (*DRIVER_FAULTS, PostgresError, InterfaceError, InternalClientError)
"""What the driver raises, called straight."""

_Converts: TypeAlias = tuple[tuple[int, Callable[[Any], Any]], ...]
"""What turns the values at some places into what the driver takes, or what it gives into what a column holds."""


class DriverStatements:
    """The driver's own connection while a transaction is open on it (implements `transactions.Direct`)."""

    __slots__ = ("_connection", "_driver")

    def __init__(self, connection: AsyncConnection, driver: Any) -> None:
        """Use the driver (`asyncpg.Connection`) of a connection whose transaction has begun."""
        self._connection = connection
        self._driver = driver

    async def insert_many(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows that have the same columns; at least one."""
        insertion = _insertion(table, tuple(rows[0]), self._connection.dialect)
        values = [insertion.values(row) for row in rows]
        try:
            await self._driver.executemany(insertion.sql, values)
        except FAULTS as error:
            raise await self.translated(error) from error

    async def rows(self, statement: Select[Any], values: Mapping[str, Any]) -> list[Any]:
        """Return all rows, columns by name as SQLAlchemy's rows have them."""
        question = _question(statement, self._connection.dialect)
        arguments = question.arguments(values)
        try:
            records = await self._driver.fetch(question.sql, *arguments)
        except FAULTS as error:
            raise await self.translated(error) from error
        return [question.read(record) for record in records]

    async def translated(self, error: Exception) -> Exception:
        """Return what to raise instead of a fault of the driver's; a connection that broke is not used again."""
        # The driver lost count of where it stands on the line: no more use than a broken one.
        if not self._driver.is_closed() and not isinstance(error, InternalClientError):
            return _translate(error)
        await self._connection.invalidate()  # the pool does not see what happens to its driver here
        return TryAgain(lost_connection=True)


def _translate(error: Exception) -> Exception:
    if isinstance(error, InvalidCachedStatementError):
        # A migration changed what the statement returns, and the driver has forgotten it by now.
        return TryAgain()
    if isinstance(error, IntegrityConstraintViolationError):
        return by_constraint(error.constraint_name)
    return by_state(error.sqlstate) if isinstance(error, PostgresError) else translate(error)


@dataclass(frozen=True, slots=True)
class _Insertion:
    """An INSERT of one row, the columns of its parameters, and how their values are written."""

    sql: str
    names: tuple[str, ...]
    converts: _Converts

    def values(self, row: Mapping[str, Any]) -> list[Any]:
        """Return a row's values in their order. KeyError for a column that it lacks."""
        values = [row[name] for name in self.names]
        for place, convert in self.converts:
            values[place] = convert(values[place])
        return values


@cache
def _insertion(table: Table, names: tuple[str, ...], dialect: Dialect) -> _Insertion:
    compiled: Any = table.insert().compile(dialect=dialect, column_keys=names)
    ordered = tuple(compiled.positiontup)
    if set(ordered) != set(names):
        raise ValueError(f"{table.name} has columns that are filled in on the way")
    converts = [table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in ordered]
    return _Insertion(str(compiled), ordered, _needed(converts))


@dataclass(frozen=True, slots=True)
class _Question:
    """A SELECT, its parameters, and how its rows are read."""

    sql: str
    names: tuple[str, ...]
    row: Any
    converts: _Converts

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the parameters in their order."""
        return [values[name] for name in self.names]

    def read(self, record: Sequence[Any]) -> Any:
        """Make a row with a name for each column."""
        values = list(record)
        for place, convert in self.converts:
            values[place] = convert(values[place])
        return self.row._make(values)


@cache
def _question(statement: Select[Any], dialect: Dialect) -> _Question:
    compiled: Any = statement.compile(dialect=dialect)
    if "POSTCOMPILE" in str(compiled):
        raise ValueError("a statement whose text depends on its values cannot be made once")
    columns = statement.selected_columns
    converts = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    row = namedtuple("row", [column.key for column in columns])  # type: ignore[misc]  # names known at run time
    return _Question(str(compiled), tuple(compiled.positiontup), row, _needed(converts))


def _needed(converts: Sequence[Callable[[Any], Any] | None]) -> _Converts:
    return tuple((place, convert) for place, convert in enumerate(converts) if convert is not None)
