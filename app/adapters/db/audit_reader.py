"""Read the whole register for its audit: every table as it is stored, streamed from one snapshot.

Nothing of the repositories is used here. Values are decoded one by one, because a value that cannot be read is a
finding about that value and not the end of the audit.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any, Final

from sqlalchemy import Column, Date, Select, String, Table, Text, collate, select, type_coerce

from app.adapters.db.engine import open_transactions
from app.adapters.db.errors import translate
from app.adapters.db.tables import metadata
from app.adapters.db.transactions import DRIVER_FAULTS, Link
from app.adapters.db.types import JsonText, UtcTime
from app.log_ports import UNREADABLE, AuditRow

_AT_ONCE: Final = 500
_Decode = Callable[[Any], Any]


class SqlAuditReader:
    """Implements `log_ports.AuditReader` on a pool of its own: an audit of hours takes nobody's connection."""

    def __init__(self, database_url: str) -> None:
        self._transactions = open_transactions(database_url, pool_size=1, statement_seconds=None)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["SqlAuditSnapshot"]:
        """Begin a transaction to read: REPEATABLE READ on PostgreSQL, the state of its first read on SQLite."""
        async with self._transactions.transaction(write=False) as link:
            yield SqlAuditSnapshot(link)

    async def close(self) -> None:
        """Close its connections."""
        await self._transactions.close()


class SqlAuditSnapshot:
    """Implements `log_ports.AuditSnapshot`."""

    __slots__ = ("_link", "_postgresql")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._postgresql = link.dialect.name == "postgresql"

    async def rows(
        self,
        table: str,
        *,
        order: Sequence[str] = (),
        equal: Mapping[str, object] | None = None,
        any_of: tuple[str, Sequence[str]] | None = None,
        present: str | None = None,
    ) -> AsyncIterator[AuditRow]:
        """Stream rows. Several streams of one snapshot may be read in turns."""
        of = metadata.tables[table]
        statement = self._select(of)
        for name, value in (equal or {}).items():
            column = of.c[name]
            statement = statement.where(column.is_(None) if value is None else column == value)
        if any_of is not None:
            statement = statement.where(of.c[any_of[0]].in_(any_of[1]))
        if present is not None:
            statement = statement.where(of.c[present].is_not(None))
        statement = statement.order_by(*(self._by(of.c[name]) for name in order))
        decoders = [_decoder(column) for column in of.columns]
        names = [column.name for column in of.columns]
        async for row in self._stream(statement):
            yield {name: decode(value) for name, decode, value in zip(names, decoders, row, strict=True)}

    def _select(self, of: Table) -> Select[Any]:
        """Select every column as the driver gives it: a decoder of SQLAlchemy would stop at the first bad value."""
        raw = [
            type_coerce(column, Text)
            if isinstance(column.type, JsonText)
            or (isinstance(column.type, UtcTime | Date) and not self._postgresql)
            else column
            for column in of.columns
        ]
        return select(*raw)

    def _by(self, column: Column[Any]) -> Any:
        # Streams are merged by comparing their texts here: the database's own collation may order them otherwise.
        is_text = isinstance(column.type, String) and self._postgresql
        return collate(column, "C") if is_text else column

    async def _stream(self, statement: Select[Any]) -> AsyncIterator[Any]:
        try:
            async for row in self._link.stream(statement, at_once=_AT_ONCE):
                yield row
        except DRIVER_FAULTS as error:
            raise translate(error) from error


def _decoder(column: Column[Any]) -> _Decode:
    if isinstance(column.type, JsonText):
        return _json
    if isinstance(column.type, UtcTime):
        return _moment
    if isinstance(column.type, Date):
        return _day
    return _as_is


def _as_is(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def _json(value: Any) -> Any:
    try:
        read = None if value is None else json.loads(value)
    except (TypeError, ValueError):
        return UNREADABLE
    # Two spellings of one value are two values here: nothing but the register's own spelling is ever written.
    written = json.dumps(read, ensure_ascii=False, separators=(",", ":"))
    return read if value in (None, written) else UNREADABLE


def _moment(value: Any) -> Any:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        found = None if moment is None else moment.astimezone(UTC)
    except (AttributeError, OverflowError, ValueError):
        return UNREADABLE
    is_own = not isinstance(value, str) or found is None or found.isoformat(timespec="microseconds") == value
    return found if is_own else UNREADABLE


def _day(value: Any) -> Any:
    try:
        found = date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return UNREADABLE
    return UNREADABLE if isinstance(value, str) and found.isoformat() != value else found
