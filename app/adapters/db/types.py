"""Column types that give the same values back on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from elicense.encoding import dump_finite_json, dump_json, read_own_json


class UtcTime(TypeDecorator[datetime]):
    """Store an aware moment: `timestamptz` on PostgreSQL, ISO 8601 text of one fixed width on SQLite.

    The text is always UTC with microseconds, so that comparing it as text compares the moments. A datetime without
    a time zone is refused (ValueError): guessing one here would shift a license by hours.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose text for SQLite, which has no type for time."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Turn an aware datetime into what the column holds."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored")
        moment = value if value.tzinfo is UTC else value.astimezone(UTC)
        return moment.isoformat(timespec="microseconds") if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Turn what the column holds into an aware UTC datetime."""
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


class JsonText(TypeDecorator[Any]):
    """Store a JSON value as compact text: order of members, strings and integers come back as they went in.

    Integers of up to 64 bits, that is. A native JSON type is avoided on purpose: `jsonb` reorders members and refuses
    U+0000, and nothing here is searched by the database. Lists come back as lists, also where a tuple went in.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Render compact JSON; NaN and infinities are refused (FormatError)."""
        return None if value is None else dump_json(value).decode("utf-8")

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Parse what was stored."""
        return None if value is None else read_own_json(value)


class OwnJson(JsonText):
    """Store JSON that this service built itself, as `JsonText` does: nobody looks for NaN and infinities in it."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Render compact JSON."""
        return None if value is None else dump_finite_json(value).decode("utf-8")
