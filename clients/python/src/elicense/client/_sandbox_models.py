"""Answers of the sandbox as frozen values: its magic codes, and the calling client's own clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from elicense.client._models import (
    Json,
    _day,
    _integer,
    _maybe_text,
    _moment,
    _object,
    _objects,
    _optional,
    _text,
)
from elicense.client.errors import APIResponseError

_FURTHEST: Final = 10_000 * 366 * 86_400
"""More seconds than the calendar has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxCode:
    """One magic code: how to ask about it, and what the answer is.

    `number`, `identifier` and `credential` are None where there is no license, or several. `status` is the HTTP status;
    `verdict` and `reason` are None where the call is refused.
    """

    scenario: str
    holder_code: str
    type_code: str
    number: str | None
    identifier: str | None
    credential: str | None
    valid_until: date | None
    elements: Mapping[str, str]
    status: int
    verdict: str | None
    reason: str | None
    text_zh: str
    text_en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxClock:
    """The clock of the calling client: what it shows, how far it stands ahead, and the true time."""

    now: datetime
    ahead: timedelta
    true_time: datetime


def codes_of(value: Json) -> Sequence[SandboxCode]:
    """Read all magic codes. Raises APIResponseError for a missing or wrongly typed member."""
    return tuple(_code_of(code) for code in _objects(value, "data"))


def _code_of(value: Json) -> SandboxCode:
    expected, text, elements = _object(value, "expected"), _object(value, "text"), _object(value, "elements")
    return SandboxCode(
        scenario=_text(value, "scenario"),
        holder_code=_text(value, "holder_code"),
        type_code=_text(value, "type_code"),
        number=_maybe_text(value, "number"),
        identifier=_maybe_text(value, "identifier"),
        credential=_maybe_text(value, "credential"),
        valid_until=_optional(_day, _maybe_text(value, "valid_until")),
        elements={name: _text(elements, name) for name in elements},
        status=_integer(expected, "status"),
        verdict=_maybe_text(expected, "verdict"),
        reason=_maybe_text(expected, "reason"),
        text_zh=_text(text, "zh"),
        text_en=_text(text, "en"),
    )


def clock_of(value: Json) -> SandboxClock:
    """Read a clock. Raises APIResponseError as `codes_of`."""
    ahead = _integer(value, "ahead_seconds")
    if abs(ahead) > _FURTHEST:
        raise APIResponseError("the answer's clock stands beyond the calendar")
    return SandboxClock(
        now=_moment(_text(value, "now")),
        ahead=timedelta(seconds=ahead),
        true_time=_moment(_text(value, "true_time")),
    )
