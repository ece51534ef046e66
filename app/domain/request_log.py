"""A caller's own request log: that a call was made and how it ended, never what was in it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One answered request: route template, never the path; no query, no body, no element. Duration in microseconds."""

    id: str
    client_id: str
    at: datetime
    method: str
    route: str
    status: int
    request_id: str
    duration_us: int
