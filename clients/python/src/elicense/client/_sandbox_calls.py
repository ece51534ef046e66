"""The calls about the sandbox."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from elicense.client._call import Call, get, post
from elicense.client._protocol import rfc3339
from elicense.client._sandbox_models import SandboxClock, SandboxCode, clock_of, codes_of


def codes() -> Call[Sequence[SandboxCode]]:
    """Fetch every magic code."""
    return get(["v1", "sandbox", "codes"], codes_of)


def clock() -> Call[SandboxClock]:
    """Fetch the caller's clock."""
    return get(["v1", "sandbox", "clock"], clock_of)


def move_clock(to: datetime | timedelta, *, idempotency_key: str | None) -> Call[SandboxClock]:
    """Set the caller's clock to a moment, or so far ahead of the true time."""
    body: dict[str, object] = (
        {"now": rfc3339(to)} if isinstance(to, datetime) else {"ahead_seconds": round(to.total_seconds())}
    )
    return post(["v1", "sandbox", "clock"], body, clock_of, idempotency_key=idempotency_key)
