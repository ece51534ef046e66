"""The sandbox: its magic codes, and the calling client's own clock. Needs a sandbox key (`elk_test_…`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

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
from elicense.client._orders import Calls
from elicense.client._protocol import rfc3339


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


class Sandbox:
    """The sandbox as the calling client sees it."""

    def __init__(self, client: Calls) -> None:
        self._client = client

    def codes(self) -> Sequence[SandboxCode]:
        """Fetch every magic code."""
        page = self._client._get(["v1", "sandbox", "codes"])
        return tuple(_code_of(value) for value in _objects(page, "data"))

    def clock(self) -> SandboxClock:
        """Fetch the clock of this client."""
        return _clock_of(self._client._get(["v1", "sandbox", "clock"]))

    def move_clock(self, to: datetime | timedelta, *, idempotency_key: str | None = None) -> SandboxClock:
        """Set the clock of this client to a moment (with its zone), or so far ahead of the true time; it runs on.

        Raises InvalidRequestError for the past, and for more than ten years ahead.
        """
        if isinstance(to, datetime):
            return self._move({"now": rfc3339(to)}, idempotency_key)
        return self._move({"ahead_seconds": round(to.total_seconds())}, idempotency_key)

    def reset_clock(self, *, idempotency_key: str | None = None) -> SandboxClock:
        """Let the clock of this client show the true time again."""
        return self._move({"ahead_seconds": 0}, idempotency_key)

    def _move(self, body: Mapping[str, object], idempotency_key: str | None) -> SandboxClock:
        path = ["v1", "sandbox", "clock"]
        return _clock_of(self._client._post(path, body, idempotency_key=idempotency_key))


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


def _clock_of(value: Json) -> SandboxClock:
    return SandboxClock(
        now=_moment(_text(value, "now")),
        ahead=timedelta(seconds=_integer(value, "ahead_seconds")),
        true_time=_moment(_text(value, "true_time")),
    )
