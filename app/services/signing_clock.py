"""The clock as far as signing may trust it: within a minute of what the monotonic clock says it must be.

A clock that is set while the service runs, back or forth, stops every signature until it agrees again or an operator
accepts it. Slow corrections (NTP slewing) reach both clocks and part nothing. A machine that slept counts on
(`adapters/clock.py`). A virtual machine that was paused from outside does not: neither of its clocks ran, and when
the wall clock is then set right it looks like any clock that was set. That is not forgiven by itself: a restart, or
an operator's word, tells it from the case it must be told from.
"""

from datetime import datetime
from typing import Final

import structlog

from app.domain.errors import ServiceRefusal
from app.domain.good_time import TOLERANCE, ClockState, GoodTime, Reading
from app.ports import Clock
from elicense.service_reasons import ServiceReason

MAX_STEP_BACK: Final = TOLERANCE

log = structlog.get_logger()


class SigningClock:
    """Hold the wall clock against the monotonic one; refuse to sign while they have parted by over a minute."""

    def __init__(self, clock: Clock) -> None:
        """Begin with what the clock says now; whether that may be believed is compared at start-up."""
        self._clock = clock
        self._good = GoodTime(self._read())
        self._was_reliable = True

    def look(self) -> ClockState:
        """Look at both clocks. A change between reliable and not is logged, once each."""
        now = self._read()
        state = ClockState(shown=now.wall, expected=self._good.expected(now), reliable=self._good.agrees(now))
        self._good = self._good.followed(now)
        if state.reliable != self._was_reliable:
            self._was_reliable = state.reliable
            self._tell(state)
        return state

    def is_reliable(self) -> bool:
        """Tell whether the clock shows what it must, within a minute."""
        return self.look().reliable

    def require_reliable(self) -> None:
        """Raise ServiceRefusal `unavailable` while the clock cannot be believed."""
        self._require(self.look())

    def signing_time(self) -> datetime:
        """Return now in whole seconds for a signed object. Raises ServiceRefusal as `require_reliable`."""
        state = self.look()
        self._require(state)
        return state.shown.replace(microsecond=0)

    def good_time(self) -> datetime:
        """Return, in whole seconds, what a good clock shows now, whatever the wall clock says."""
        return self._good.expected(self._read()).replace(microsecond=0)

    def accept(self) -> None:
        """Take what the clock shows now for good."""
        self._good = GoodTime(self._read())

    def monotonic(self) -> float:
        """Return the monotonic clock's seconds, to measure pauses by."""
        return self._clock.monotonic()

    def _read(self) -> Reading:
        return Reading(wall=self._clock.now(), monotonic=self._clock.monotonic())

    @staticmethod
    def _require(state: ClockState) -> None:
        if not state.reliable:
            seconds = round(state.deviation.total_seconds())
            raise ServiceRefusal(
                "unavailable",
                ServiceReason.CLOCK_UNRELIABLE,
                f"the clock was moved by {seconds:+d} seconds while the service ran; nothing is signed",
                detail_zh=f"运行中系统时钟跳变 {seconds:+d} 秒,暂停签名",
            )

    @staticmethod
    def _tell(state: ClockState) -> None:
        seconds = round(state.deviation.total_seconds())
        if state.reliable:
            log.warning("clock_reliable_again", deviation_seconds=seconds)
        else:
            log.error("clock_unreliable", deviation_seconds=seconds, expected=state.expected.isoformat())
