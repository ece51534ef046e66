"""Change one bit of one stored value, and put it back: for every column of every table, from the tables' metadata."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.adapters.db.tables import metadata
from app.adapters.db.types import UtcTime
from app.services.log_audit import AuditReport
from app.services.log_audit_columns import EXCEPTIONS, Coverage

# Of columns that are derived in part: the rows in which they are.
WHERE = {
    "log_leaves.id": "kind = 'receipt'",
    "log_leaves.recorded_at": "kind IN ('issuance', 'change', 'receipt', 'receipts')",
    "verifications.license_id": "kind = 'credential'",
    "intents.actor": "state = 'done'",
    "intents.replaces": "state = 'done'",
    "log_tiles": "origin IN (SELECT origin FROM log_heads WHERE state = 'open')",
    "scheduled_changes": "status = 'done'",
    "proposals": "status = 'approved'",
    "audit": "action IN ('license.issue', 'license.suspend', 'license.amend', 'verification.create')",
}
# Where the bit is: in texts that hold more than can be derived, behind these words.
BEHIND = {"verifications.answer": '"receipt":"', "intents.license": '"holder_name":"'}
LICENSE_OF = {
    "licenses": "id",
    "license_versions": "license_id",
    "license_history": "license_id",
    "license_numbers": "license_id",
    "license_successors": "license_id",
    "events": "license_id",
}
_SECONDS = 18  # the last digit of the seconds in a time stored as text
Row = Mapping[str, Any]
Look = Callable[[], Awaitable[AuditReport]]


@dataclass(frozen=True, slots=True)
class Place:
    """One column, and whether its values are times."""

    table: str
    column: str
    is_time: bool = False

    @property
    def name(self) -> str:
        return f"{self.table}.{self.column}"

    @property
    def condition(self) -> str:
        return WHERE.get(self.name) or WHERE.get(self.table) or "1 = 1"

    @property
    def keys(self) -> list[str]:
        return [column.name for column in metadata.tables[self.table].primary_key.columns]


def coverage_of(table: str, column: str) -> Coverage:
    """Return how far a column is re-derived; its own entry counts before its table's."""
    for name in (f"{table}.{column}", f"{table}.*"):
        if name in EXCEPTIONS:
            return EXCEPTIONS[name].coverage
    return Coverage.FULL


def derivable() -> list[Place]:
    """Return every column that an audit re-derives, fully or in part."""
    return [
        Place(table.name, column.name, isinstance(column.type, UtcTime))
        for table in metadata.tables.values()
        for column in table.columns
        if coverage_of(table.name, column.name) is not Coverage.NONE
    ]


def places(*names: str) -> list[Place]:
    """Return these columns."""
    return [place for place in derivable() if place.name in names]


class Flipper:
    """Changes bits behind everybody's back: no constraint is looked at."""

    def __init__(self, database_url: str) -> None:
        self._engine: AsyncEngine = create_async_engine(database_url)
        self._sqlite = database_url.startswith("sqlite")

    async def close(self) -> None:
        await self._engine.dispose()

    async def missed(self, where: Iterable[Place], look: Look, *, rows: int = 1) -> list[str]:
        """Change a bit in so many rows of each column, one at a time; return what an audit does not find, or finds
        elsewhere.
        """
        found = []
        for place in where:
            chosen = await self._rows(place, most=rows)
            if not chosen:
                found.append(f"{place.name}: no row to change")
            for row in chosen:
                license_id = await self._license_of(place, row)
                async with self._flipped(place, row):
                    report = await look()
                if not any(
                    fault.where == place.name and license_id in (None, fault.license)
                    for fault in report.faults
                ):
                    others = sorted({fault.where for fault in report.faults})
                    found.append(f"{place.name} of {license_id or row}: found {others}")
        return found

    async def _rows(self, place: Place, *, most: int) -> list[Row]:
        condition = f"{place.column} IS NOT NULL AND ({place.condition})"
        statement = f"SELECT * FROM {place.table} WHERE {condition} ORDER BY {', '.join(place.keys)}"
        async with self._engine.connect() as connection:
            rows = [dict(row._mapping) for row in await connection.execute(text(statement))]
        return rows if len(rows) <= most else [*rows[: most // 2], *rows[-(most - most // 2) :]]

    async def _license_of(self, place: Place, row: Row) -> str | None:
        """Return the license a row is about, None where it is about none."""
        if place.table in LICENSE_OF:
            return str(row[LICENSE_OF[place.table]])
        if place.table == "log_leaves":
            return str(row["subject"]) if row["kind"] in ("issuance", "change") else None
        if place.table == "audit":
            return str(row["subject"]) if row["action"].startswith("license.") else None
        if place.table != "status_entries":
            return None
        owner = text(
            "SELECT license_id FROM license_versions WHERE status_list_id = :one AND status_index = :two"
        )
        async with self._engine.connect() as connection:
            found = (await connection.execute(owner, {"one": row["list_id"], "two": row["idx"]})).scalar()
        return None if found is None else str(found)

    @asynccontextmanager
    async def _flipped(self, place: Place, row: Row) -> AsyncIterator[None]:
        before = row[place.column]
        after = await self._change(place, {name: row[name] for name in place.keys}, before)
        try:
            yield
        finally:
            changed = {name: after if name == place.column else row[name] for name in place.keys}
            await self._set(place, changed, before)

    async def _change(self, place: Place, key: Row, before: Any) -> Any:
        for bit in (0, 1, 3, 6):
            after = flip(place, before, bit=bit)
            try:
                await self._set(place, key, after)
            except IntegrityError:
                continue  # a value that the database itself refuses here
            return after
        raise AssertionError(f"{place.name}: no bit of it can be changed")

    async def _set(self, place: Place, key: Row, value: Any) -> None:
        condition = " AND ".join(f"{name} = :key_{name}" for name in key)
        update = text(f"UPDATE {place.table} SET {place.column} = :new WHERE {condition}")
        values = {f"key_{name}": one for name, one in key.items()} | {"new": value}
        async with self._engine.connect() as connection:
            if self._sqlite:
                await connection.execute(text("PRAGMA ignore_check_constraints = ON"))
            else:
                await connection.execute(text("SET session_replication_role = replica"))
            done = await connection.execute(update, values)
            assert done.rowcount == 1, f"{place.name}: {done.rowcount} rows"
            await connection.commit()


def flip(place: Place, value: Any, *, bit: int = 0) -> Any:
    """Return a value with one bit changed: of a number, of a byte in the middle, of a letter, of a time's seconds."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value ^ (1 << bit)
    if isinstance(value, datetime):
        return value.replace(second=value.second ^ 1)
    if isinstance(value, date):
        return date.fromordinal(value.toordinal() ^ 1)
    if isinstance(value, bytes):
        middle = len(value) // 2
        return value[:middle] + bytes([value[middle] ^ (1 << bit)]) + value[middle + 1 :]
    return _flip_text(str(value), _at(place, str(value)), bit)


def _flip_text(value: str, at: int, bit: int) -> str:
    return value[:at] + chr(ord(value[at]) ^ (1 << bit)) + value[at + 1 :]


def _at(place: Place, value: str) -> int:
    if place.is_time:
        return _SECONDS
    if place.name in BEHIND:
        words = BEHIND[place.name]
        return value.index(words) + len(words) + (200 if place.column == "answer" else 0)
    return len(value) // 2
