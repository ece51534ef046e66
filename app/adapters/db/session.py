"""The one place where statements run: executes on a connection and translates what the driver raises."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import CursorResult, Executable, Row, Table
from sqlalchemy.dialects import postgresql, sqlite

from app.adapters.db.errors import translate
from app.adapters.db.transactions import DRIVER_FAULTS, Link

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@cache
def _field_names(kind: "type[DataclassInstance]") -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def flat_values(value: "DataclassInstance") -> dict[str, Any]:
    """Return the fields of a flat dataclass by name, without the deep copies of `dataclasses.asdict`."""
    return {name: getattr(value, name) for name in _field_names(type(value))}


class Session:
    """Statements inside one transaction. Raises domain errors, ConcurrentChange or TryAgain, never a driver's.

    After any raised error the transaction is lost (PostgreSQL refuses whatever follows): let it end the unit of work.
    """

    __slots__ = ("_link", "dialect")

    def __init__(self, link: Link) -> None:
        self._link = link
        self.dialect = link.dialect.name

    async def run(
        self, statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Execute one statement, once or (given a sequence of values) for many rows in one go."""
        try:
            return await self._link.execute(statement, values)
        except DRIVER_FAULTS as error:
            raise translate(error) from error

    async def rows(
        self, statement: Executable, values: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        """Return all rows."""
        return (await self.run(statement, values)).all()

    async def row(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Row[Any] | None:
        """Return the first row or None."""
        return (await self.run(statement, values)).first()

    async def scalar(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Any:
        """Return the first column of the first row or None."""
        return (await self.run(statement, values)).scalar()

    async def changed(self, statement: Executable, values: Mapping[str, Any] | None = None) -> int:
        """Execute an update or delete and return how many rows it met."""
        return (await self.run(statement, values)).rowcount

    async def insert_many(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows with one prepared statement (the driver's executemany). Nothing happens without rows."""
        if rows:
            await self.run(table.insert(), rows)

    def insert(self, table: Table) -> "postgresql.Insert | sqlite.Insert":
        """Return an INSERT that knows ON CONFLICT in this database's dialect (both spell it alike)."""
        return postgresql.insert(table) if self.dialect == "postgresql" else sqlite.insert(table)

    async def put(self, table: Table, values: Mapping[str, Any]) -> None:
        """Insert a row or overwrite the one with the same primary key."""
        keys = [column.name for column in table.primary_key.columns]
        rest = {name: value for name, value in values.items() if name not in keys}
        statement = self.insert(table).values(dict(values))
        await self.run(statement.on_conflict_do_update(index_elements=keys, set_=rest))
