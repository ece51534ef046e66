"""Plans: how many calls a client may make, and how a quota is spent over many processes.

The rate is a bucket that holds `burst` calls and refills evenly; the state of a bucket is one moment, the one at which
it will be full again. The day's count begins anew with each civil day at +08:00. Both stand in one row per client, from
which each process leases calls in small lots before it admits any.
"""

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from app.domain.api_client import ApiClient
from app.domain.errors import DomainError, FieldError
from app.domain.good_time import TOLERANCE
from elicense.encoding import civil_day_start

CUSTOM_PLAN = "custom"
"""The name shown for a client whose figures are its own."""

MOST_CALLS_PER_MINUTE = 1_000_000
MOST_CALLS_PER_DAY = 1_000_000_000
MOST_ITEMS = 1000
_LARGEST_LOT = 1000
_MINUTE = 60_000_000
_CIVIL = timedelta(hours=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Named quotas: calls a minute, how many of them at once (`burst`, None: all), calls a day (None: no limit)."""

    name: str
    calls_per_minute: int
    burst: int | None
    calls_per_day: int | None
    batch_limit: int


STANDARD_PLAN = Plan(
    name="standard", calls_per_minute=2000, burst=None, calls_per_day=None, batch_limit=MOST_ITEMS
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaState:
    """What a client has spent: its bucket is full again at `full_at`; `day_used` calls were leased on `day`."""

    client_id: str
    full_at: datetime
    day: date
    day_used: int

    def lies_ahead_of(self, other: "QuotaState") -> bool:
        """Tell whether this state was left by a clock that stood ahead of the one by which `other` followed it."""
        return self.full_at > other.full_at or self.day > other.day


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Calls granted to one process, and what is left for all: of the bucket, and of the day (None: no limit).

    All times are seconds. `call_in` and `day_call_in` say when each limit has a call again, 0 where it has one now.
    """

    calls: int
    available: int
    full_in: int
    day_left: int | None
    day_ends_in: int
    call_in: int
    day_call_in: int

    @property
    def wait(self) -> int:
        """Say in how many seconds another call can be granted."""
        return max(self.call_in, self.day_call_in)


def lot_of(client: ApiClient) -> int:
    """Return how many calls a process leases at once: a 20th of the burst, a 100th of the day, at most 1,000."""
    lot = min(_LARGEST_LOT, burst_of(client) // 20)
    if client.calls_per_day is not None:
        lot = min(lot, client.calls_per_day // 100)
    return max(1, lot)


def burst_of(client: ApiClient) -> int:
    """Return how many calls may come at once."""
    return client.calls_per_minute if client.burst is None else client.burst


def civil_day(now: datetime) -> date:
    """Return the civil day at +08:00 of a moment in UTC."""
    return (now + _CIVIL).date()


def lease_calls(
    client: ApiClient, state: QuotaState | None, *, now: datetime, wanted: int
) -> tuple[Lease, QuotaState]:
    """Grant up to `wanted` calls and return the client's state after that.

    A clock that was ahead, or is set back, cannot lock a client out: no bucket is taken to be emptier than empty, and
    what was used on another day counts for none; but near midnight clocks may differ on the day.
    """
    interval, burst, today = _MINUTE / client.calls_per_minute, burst_of(client), civil_day(now)
    debt = 0.0
    day_used = 0
    if state is not None:
        debt = min(max(0.0, (state.full_at - now) / timedelta(microseconds=1)), burst * interval)
        if state.day in (today, civil_day(now + TOLERANCE)):
            today, day_used = state.day, state.day_used
    room = burst - debt / interval
    available = math.floor(room + 1e-6)
    day_left = None if client.calls_per_day is None else max(0, client.calls_per_day - day_used)
    granted = min(wanted, available) if day_left is None else min(wanted, available, day_left)
    after = debt + granted * interval
    room -= granted
    day_ends_in = max(1, math.ceil((civil_day_start(today + timedelta(days=1)) - now).total_seconds()))
    lease = Lease(
        calls=granted,
        available=available - granted,
        full_in=_whole_seconds(after),
        day_left=None if day_left is None else day_left - granted,
        day_ends_in=day_ends_in,
        call_in=0 if available > granted else max(1, _whole_seconds((1 - room) * interval)),
        day_call_in=day_ends_in if day_left == granted else 0,
    )
    spent = QuotaState(
        client_id=client.id,
        full_at=now + timedelta(microseconds=round(after)),
        day=today,
        day_used=day_used + granted,
    )
    return lease, spent


def _whole_seconds(microseconds: float) -> int:
    # Rounded to whole microseconds first: the tail that floating point leaves would make a second more of it.
    return -(-round(microseconds) // 1_000_000)


def require_sound_quotas(
    *, calls_per_minute: int, burst: int | None, calls_per_day: int | None, batch_limit: int
) -> None:
    """Raise DomainError `invalid_request` unless the figures can be kept."""
    checks = (
        (
            "/calls_per_minute",
            1 <= calls_per_minute <= MOST_CALLS_PER_MINUTE,
            "must be 1 to 1000000",
            "应为 1 至 1000000",
        ),
        (
            "/burst",
            burst is None or 1 <= burst <= calls_per_minute,
            "must be 1 to the calls a minute",
            "应为 1 至每分钟调用上限",
        ),
        (
            "/calls_per_day",
            calls_per_day is None or 1 <= calls_per_day <= MOST_CALLS_PER_DAY,
            "must be 1 to 1000000000",
            "应为 1 至 1000000000",
        ),
        ("/batch_limit", 1 <= batch_limit <= MOST_ITEMS, "must be 1 to 1000", "应为 1 至 1000"),
    )
    wrong = [FieldError(pointer, en, zh) for pointer, good, en, zh in checks if not good]
    if wrong:
        raise DomainError("invalid_request", "these quotas cannot be kept", errors=wrong)
