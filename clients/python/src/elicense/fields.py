"""Read the members of a signed JSON object strictly: each by its name, its exact kind, and its place in errors.

Members that this version does not know are passed over: what was signed by a trusted key may grow without
breaking older readers, and `fmt` says when it may not.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TypeGuard

from elicense.encoding import JsonValue, from_unix, malformed

ENVIRONMENTS = frozenset({"test", "live"})


def _is_object(value: JsonValue) -> TypeGuard[dict[str, JsonValue]]:
    return type(value) is dict


class Fields:
    """Read one JSON object; every reader raises FormatError (malformed) naming the place, never the value."""

    __slots__ = ("_members", "_where")

    def __init__(self, value: JsonValue, where: str) -> None:
        """Take an object; anything else is refused."""
        if not _is_object(value):
            raise malformed(f"{where} is not an object")
        self._members: Mapping[str, JsonValue] = value
        self._where = where

    def has(self, name: str) -> bool:
        """Tell whether the member is there and not null."""
        return self._members.get(name) is not None

    def raw(self, name: str) -> JsonValue:
        """Read a member of any kind; its absence is refused, null is not."""
        if name not in self._members:
            raise malformed(f"{self._where} lacks {name}")
        return self._members[name]

    def text(self, name: str) -> str:
        """Read text that is not empty."""
        value = self.raw(name)
        if type(value) is not str or not value:
            raise malformed(f"{self._where}.{name} is not text")
        return value

    def optional_text(self, name: str) -> str | None:
        """Read text, or None where the member is null; its absence is refused."""
        return None if self.raw(name) is None else self.text(name)

    def integer(self, name: str, *, minimum: int = 0) -> int:
        """Read an integer of at least `minimum`; true and false are no integers."""
        value = self.raw(name)
        if type(value) is not int or value < minimum:
            raise malformed(f"{self._where}.{name} is not an integer of at least {minimum}")
        return value

    def time(self, name: str) -> datetime:
        """Read a moment given as whole Unix seconds."""
        return from_unix(self.integer(name))

    def optional_time(self, name: str) -> datetime | None:
        """Read a moment, or None where the member is null; its absence is refused."""
        return None if self.raw(name) is None else self.time(name)

    def optional_day(self, name: str) -> date | None:
        """Read a civil day (ISO 8601, YYYY-MM-DD), or None where the member is null."""
        if self.raw(name) is None:
            return None
        value = self.text(name)
        try:
            day = date.fromisoformat(value)
        except ValueError:
            raise malformed(f"{self._where}.{name} is not a date") from None
        if day.isoformat() != value:
            raise malformed(f"{self._where}.{name} is not written YYYY-MM-DD")
        return day

    def array(self, name: str) -> Sequence[JsonValue]:
        """Read an array."""
        value = self.raw(name)
        if type(value) is not list:
            raise malformed(f"{self._where}.{name} is not an array")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Read an array of texts, none empty."""
        values = self.array(name)
        texts = tuple(value for value in values if type(value) is str and value)
        if len(texts) != len(values):
            raise malformed(f"{self._where}.{name} holds something else than text")
        return texts

    def child(self, name: str) -> "Fields":
        """Read an object inside this one."""
        return Fields(self.raw(name), f"{self._where}.{name}")

    def members(self) -> Mapping[str, JsonValue]:
        """Give all members as they came."""
        return self._members

    def require_format(self, known: int) -> None:
        """Refuse any `fmt` but the known one, naming it."""
        found = self.integer("fmt")
        if found != known:
            raise malformed(f"{self._where} has fmt {found}; this version reads fmt {known}")

    def env(self) -> str:
        """Read `env`, test or live."""
        value = self.text("env")
        if value not in ENVIRONMENTS:
            raise malformed(f"{self._where}.env is neither test nor live")
        return value

    def digest(self, name: str) -> str:
        """Read a SHA-256 digest written as 64 lower-case hexadecimal digits."""
        value = self.text(name)
        if len(value) != 64 or not set(value) <= set("0123456789abcdef"):
            raise malformed(f"{self._where}.{name} is not a SHA-256 digest in hexadecimal")
        return value
