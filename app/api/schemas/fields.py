"""Field types shared by the request models: every text is bounded and free of control characters."""

import re
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from app.domain.cursors import MAX_CURSOR
from app.domain.texts import reason_problem
from elicense.encoding import civil_day_start, parse_rfc3339

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# Databases refuse NUL, logs and tables are broken by the rest; only running text may hold line breaks and tabs.
_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]*$"
_NO_CONTROLS_BUT_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"


class StrictModel(BaseModel):
    """Refuse unknown fields and every conversion: a number is not a text, a text is not a number."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def _parse_date(value: object) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise PydanticCustomError("date_form", "must be a date as YYYY-MM-DD")


def parse_moment(value: object) -> datetime:
    """Parse an RFC 3339 time with its offset into UTC. Raises PydanticCustomError `time_form`."""
    if isinstance(value, str):
        try:
            return parse_rfc3339(value)
        except ValueError:
            pass
    raise PydanticCustomError("time_form", "must be an RFC 3339 time with its offset")


def _check_moment(value: object) -> object:
    parse_moment(value)
    return value


def _parse_effective_at(value: object) -> datetime:
    """Take a moment, or a civil day for its beginning at +08:00."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return civil_day_start(date.fromisoformat(value))
        except ValueError:  # FormatError is one: the very first day has no beginning in UTC
            pass
    try:
        return parse_moment(value)
    except PydanticCustomError:
        raise PydanticCustomError(
            "effective_at_form", "must be an RFC 3339 time with its offset, or a date as YYYY-MM-DD"
        ) from None


def _check_reason(value: str) -> str:
    problem = reason_problem(value)
    if problem is not None:
        raise PydanticCustomError("unreadable", "cannot be read", {"zh": problem.zh, "en": problem.en})
    return value


def _parse_limit(value: object) -> int:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,6}", value):
        return int(value)
    raise PydanticCustomError("int_type", "must be an integer")


Day = Annotated[date, BeforeValidator(_parse_date), WithJsonSchema({"type": "string", "format": "date"})]
"""A civil day, exactly YYYY-MM-DD."""

Moment = Annotated[
    datetime, BeforeValidator(parse_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""A moment as RFC 3339 with its offset; kept in UTC."""

PastMoment = Annotated[
    str,
    BeforeValidator(_check_moment),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "description": "The past moment asked about: the answer says what held then. Not in the future.",
        }
    ),
]
"""A moment as RFC 3339 with its offset, kept as it was written."""

EffectiveAt = Annotated[
    datetime,
    BeforeValidator(_parse_effective_at),
    WithJsonSchema(
        {
            "type": "string",
            "anyOf": [{"format": "date-time"}, {"format": "date"}],
            "description": "From when it has effect: a moment, or a civil day for its 00:00 at +08:00. "
            "In the future, at most a year ahead.",
        }
    ),
]
"""From when an order has effect; kept in UTC."""

Code = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_NO_CONTROLS)]
"""A code, number or identifier: short, one line."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=_NO_CONTROLS)]
"""A name: one line."""

AreaCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
"""A GB/T 2260 area: six digits."""

ReasonCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""Why something was done, as a code; an open list."""

ReasonText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2000, pattern=_NO_CONTROLS_BUT_LINES),
    AfterValidator(_check_reason),
]
"""Why something was done, in words that can be read."""

ElementName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""The stable name of an element."""

ElementValue = Annotated[str, StringConstraints(max_length=20_000, pattern=_NO_CONTROLS_BUT_LINES)]
"""The value of an element."""

Elements = Annotated[dict[ElementName, ElementValue], Field(max_length=100)]
"""Elements by name."""

Limit = Annotated[
    int,
    Field(ge=1, le=200),
    BeforeValidator(_parse_limit),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 200}),
]
"""How many entries a page holds."""

Cursor = Annotated[str, StringConstraints(max_length=MAX_CURSOR, pattern=_NO_CONTROLS)]
"""Where a page begins: `next_cursor` of the page before; empty means from the start."""

MAX_CREDENTIAL_BYTES = 64 * 1024


def _bounded_credential(value: Any) -> Any:
    # A character takes at most four bytes: only long texts need to be encoded to be measured.
    long = isinstance(value, str) and len(value) > MAX_CREDENTIAL_BYTES // 4
    if long and len(value.encode("utf-8")) > MAX_CREDENTIAL_BYTES:
        raise PydanticCustomError(
            "too_many_bytes", "is longer than {limit} bytes", {"limit": MAX_CREDENTIAL_BYTES}
        )
    return value


CredentialText = Annotated[str, BeforeValidator(_bounded_credential), Field(max_length=MAX_CREDENTIAL_BYTES)]
"""Any text up to 64 KB is a question, however unlike a credential it looks."""


def _without_export_marks(jwk: object) -> object:
    """Drop what browsers write into every public key that they export (Web Cryptography: JWK `ext`, `key_ops`)."""
    if not isinstance(jwk, dict):
        return jwk
    said = {"ext": (True, False), "key_ops": (["verify"],)}
    return {name: value for name, value in jwk.items() if value not in said.get(name, ())}


_KeyText = Annotated[str, StringConstraints(max_length=128)]
HolderKey = Annotated[
    dict[ElementName, _KeyText],
    BeforeValidator(_without_export_marks, json_schema_input_type=dict[str, str | bool | list[str]]),
    Field(max_length=10),
]
"""A public JWK; whether it is a key is judged by the rules of issuing."""
