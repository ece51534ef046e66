"""The one place that reads the machine's clocks."""

import time
from datetime import UTC, datetime
from typing import Final

# A machine that slept must not look like a clock that was set: of the monotonic clocks, the one that counts on
# through a suspension (Linux: CLOCK_BOOTTIME, elsewhere CLOCK_MONOTONIC). Both are slewed along with the wall clock,
# so NTP's slow corrections never part them.
_COUNTS_ON: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


class SystemClock:
    """The clocks of this machine (implements `ports.Clock`)."""

    def now(self) -> datetime:
        """Return the current moment, timezone-aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the seconds since this machine started, sleep included."""
        return time.monotonic() if _COUNTS_ON is None else time.clock_gettime(_COUNTS_ON)
