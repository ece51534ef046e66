"""Whether this installation may write: a restored backup that lacks what was published before may not."""

from app.domain.errors import DomainError


class WriteGuard:
    """Holds why the service is read-only, if it is."""

    def __init__(self, reason: str | None = None) -> None:
        """Allow everything, or with a reason (`rollback_detected`) only reading."""
        self.reason = reason

    def require_writable(self) -> None:
        """Raise DomainError `read_only` when nothing may be written."""
        if self.reason is not None:
            raise DomainError("read_only", f"the service is read-only: {self.reason}")
