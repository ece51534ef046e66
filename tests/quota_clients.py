"""A platform with quotas of its own."""

from datetime import UTC, datetime

from app.domain.api_client import DEFAULT_SCOPES, ApiClient, ClientKind
from app.domain.ids import ClientId


def client(
    *, calls_per_minute: int = 60, burst: int | None = None, calls_per_day: int | None = None
) -> ApiClient:
    return ApiClient(
        id=ClientId("c"),
        name="c",
        kind=ClientKind.PLATFORM,
        authority_code=None,
        holder_code=None,
        scopes=DEFAULT_SCOPES[ClientKind.PLATFORM],
        purposes=(),
        default_purpose="",
        calls_per_minute=calls_per_minute,
        burst=burst,
        calls_per_day=calls_per_day,
        batch_limit=1,
        created_at=datetime(2026, 11, 24, tzinfo=UTC),
    )
