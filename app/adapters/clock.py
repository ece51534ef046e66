"""The one place that reads the machine's clock."""

from datetime import UTC, datetime


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the current moment, timezone-aware UTC."""
        return datetime.now(UTC)
