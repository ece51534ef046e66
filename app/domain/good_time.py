"""Which time is good: the clock held against the monotonic one, and against what is already known to have been.

Two clocks run in a machine: the wall clock, which people and programs may set, and the monotonic one, which nobody
can. As long as both advance alike, the wall clock is what it was when it was last found good. A service that signs
takes the wall clock's word only within a minute of that: what relying parties forgive a signer.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from elicense.service_reasons import ServiceReason

TOLERANCE: Final = timedelta(seconds=120)
# How far a clock may stand from the good time and sign. Verifiers forgive a minute (`Policy.leeway`):
# signatures from further ahead are `clock_unreliable` everywhere else, while the service would call itself well.
SIGNS_WITHIN: Final = timedelta(seconds=60)
# How far two good clocks may stand apart: one of them that much before the true time, the other that much after it.
FURTHEST_APART: Final = 2 * TOLERANCE
LONGEST_ABSENCE: Final = timedelta(days=7)
# The most by which a kernel slews a clock (adjtime: 500 parts in a million). Where the monotonic clock is not slewed
# along, a deviation that grows no faster is taken over; many small steps in a row are not.
FASTEST_SLEW: Final = 500e-6
_FOLLOW_EVERY: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Both clocks at one moment: the wall clock (aware, UTC) and the monotonic one (seconds from any beginning)."""

    wall: datetime
    monotonic: float


@dataclass(frozen=True, slots=True)
class GoodTime:
    """A moment at which the wall clock was good: whatever is read later is held against it."""

    at: Reading

    def expected(self, now: Reading) -> datetime:
        """Return what a good wall clock shows now."""
        return self.at.wall + timedelta(seconds=now.monotonic - self.at.monotonic)

    def deviation(self, now: Reading) -> timedelta:
        """Return how far the wall clock stands ahead of what is expected (negative: behind)."""
        return now.wall - self.expected(now)

    def agrees(self, now: Reading) -> bool:
        """Tell whether the wall clock is within a minute of what is expected."""
        return abs(self.deviation(now)) <= SIGNS_WITHIN

    def followed(self, now: Reading) -> "GoodTime":
        """Return the good time moved on to now, having taken over as much of the deviation as slewing explains.

        Of a clock that does not agree nothing is taken over. Within the same second nothing changes: a share of a
        microsecond would be rounded away each time and never add up.
        """
        elapsed = timedelta(seconds=now.monotonic - self.at.monotonic)
        if elapsed < _FOLLOW_EVERY or not self.agrees(now):
            return self
        most = elapsed * FASTEST_SLEW
        taken = max(-most, min(most, self.deviation(now)))
        return GoodTime(Reading(wall=self.expected(now) + taken, monotonic=now.monotonic))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """What a look at the clock found: what it shows, what it should show, and whether that is near enough."""

    shown: datetime
    expected: datetime
    reliable: bool

    @property
    def deviation(self) -> timedelta:
        """Return how far the clock stands ahead (negative: behind)."""
        return self.shown - self.expected


def judge_start(
    now: datetime, *, known: datetime | None, production: bool, starting: bool
) -> ServiceReason | None:
    """Hold the clock against the latest time known to have been (None: nothing is known); None when it may be right.

    It is behind when it stands more than two minutes before it. At a start in production it is ahead when it stands
    more than seven days after it: either the service was off for a week, or the clock is wrong, and only a person
    can tell.
    """
    if known is None:
        return None
    if now < known - TOLERANCE:
        return ServiceReason.CLOCK_BEHIND
    if production and starting and now > known + LONGEST_ABSENCE:
        return ServiceReason.CLOCK_AHEAD
    return None
