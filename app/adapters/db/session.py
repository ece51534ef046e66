"""The one place where statements run: executes on a connection and translates what the driver raises."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Executable,
    Insert,
    Row,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    delete,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

from app.adapters.db.errors import translate
from app.adapters.db.transactions import DRIVER_FAULTS, Link

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def among(column: ColumnElement[str], name: str, dialect: str) -> ColumnElement[bool]:
    """Say that a column holds one of the texts of a parameter: one statement for any number of them.

    PostgreSQL takes them as one array, SQLite each by itself.
    """
    if dialect == "postgresql":
        return column == any_(bindparam(name, type_=postgresql.ARRAY(Text())))
    return column.in_(bindparam(name, expanding=True))


DIALECTS: Final = ("postgresql", "sqlite")
"""The databases that statements made beforehand are made for."""


@cache
def _insert_into(table: Table) -> Insert:
    return table.insert()  # made once: to make one costs more than to find how it was compiled


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

    async def delete_some(self, table: Table, where: ColumnElement[bool], *, limit: int) -> int:
        """Delete up to `limit` of the rows that a condition holds for, by their primary key; return how many."""
        if limit <= 0:
            return 0
        key = table.primary_key.columns
        chosen = select(*key).where(where).limit(limit)
        return await self.changed(delete(table).where(tuple_(*key).in_(chosen)))

    async def insert_many(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows of the same columns with one prepared statement (the driver's executemany); none of none."""
        if not rows:
            return
        direct = self._link.direct
        if direct is None:
            await self.run(_insert_into(table), rows)
        else:
            await direct.insert_many(table, rows)

    async def named_rows(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Any]:
        """Return all rows of a statement that is made once and asked often; columns are read by name."""
        direct = self._link.direct
        return await (self.rows(statement, values) if direct is None else direct.rows(statement, values))

    def insert(self, table: Table) -> "postgresql.Insert | sqlite.Insert":
        """Return an INSERT that knows ON CONFLICT in this database's dialect (both spell it alike)."""
        return postgresql.insert(table) if self.dialect == "postgresql" else sqlite.insert(table)

    async def put(self, table: Table, values: Mapping[str, Any]) -> None:
        """Insert a row or overwrite the one with the same primary key."""
        keys = [column.name for column in table.primary_key.columns]
        rest = {name: value for name, value in values.items() if name not in keys}
        statement = self.insert(table).values(dict(values))
        await self.run(statement.on_conflict_do_update(index_elements=keys, set_=rest))
