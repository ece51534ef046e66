"""The clock as far as signing may trust it."""

from datetime import datetime, timedelta

from app.domain.errors import DomainError
from app.ports import Clock

MAX_STEP_BACK = timedelta(seconds=120)


class SigningClock:
    """Remember the highest time seen; refuse to sign while the clock stands more than two minutes before it."""

    def __init__(self, clock: Clock) -> None:
        """Begin with what the clock says now; `observe` adds what was seen before this start."""
        self._clock = clock
        self._highest = clock.now()

    @property
    def highest(self) -> datetime:
        """Return the highest time seen by this process."""
        return self._highest

    def observe(self, seen: datetime) -> None:
        """Count a time that was proven elsewhere: a signed document's, or the mark kept outside the database."""
        self._highest = max(self._highest, seen)

    def is_reliable(self) -> bool:
        """Tell whether the clock stands where time has already been, at most two minutes back."""
        now = self._clock.now()
        self.observe(now)
        return now >= self._highest - MAX_STEP_BACK

    def signing_time(self) -> datetime:
        """Return now in whole seconds for a signed object. Raises DomainError `unavailable` when time ran back."""
        if not self.is_reliable():
            raise DomainError("unavailable", "the clock of the service runs backwards; nothing is signed")
        return self._clock.now().replace(microsecond=0)
