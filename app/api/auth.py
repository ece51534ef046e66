"""Who is calling, and whether it may: bearer key, quota, scope — in this order."""

import math
import re
from datetime import datetime

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.requests import Request

from app.api.arrival import arrival_of
from app.api.requests import services_of
from app.domain.api_client import ApiClient, Caller, ClientKind, Scope
from app.domain.errors import DomainError, TooManyCalls

_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([\x21-\x7e]{1,256})")


class CallQuota:
    """Count each client's calls in windows of one minute, in this process.

    With several worker processes a client may reach its quota in each of them: the quota protects the machine, it
    is not a bill. A window that ends frees the whole quota at once.
    """

    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._items: dict[int, RateLimitItemPerMinute] = {}

    async def take(self, client: ApiClient, *, now: datetime) -> None:
        """Count one call at `now`. Raises TooManyCalls (429) with the seconds until the window ends."""
        quota = client.calls_per_minute
        item = self._items.get(quota)
        if item is None:
            item = self._items[quota] = RateLimitItemPerMinute(quota)
        if not await self._limiter.hit(item, client.id):
            reset = (await self._limiter.get_window_stats(item, client.id)).reset_time
            raise TooManyCalls(max(1, min(60, math.ceil(reset - now.timestamp()))))


async def authorize(request: Request, scope: Scope) -> Caller:
    """Return the caller if its key is good, its quota is not used up and the key has the scope.

    Raises DomainError unauthenticated, key_expired, key_revoked, wrong_environment (401), rate_limited (429),
    forbidden (403).
    """
    arrival = arrival_of(request)
    matched = _BEARER.fullmatch(arrival.header(b"authorization") or "")
    if matched is None:
        raise DomainError("unauthenticated", "send Authorization: Bearer with an API key")
    authenticated = await services_of(request).api_clients.authenticate(matched[1])
    client = authenticated.client
    quota: CallQuota = request.app.state.quota
    await quota.take(client, now=services_of(request).clock.now())
    if scope not in client.scopes:
        raise DomainError("forbidden", f"this needs the scope {scope.value}")
    return Caller(client=client, key_handle=authenticated.handle, request_id=arrival.request_id)


def own_authority(caller: Caller) -> str:
    """Return the code of the authority the caller acts for. Raises DomainError `forbidden` for everybody else."""
    client = caller.client
    if client.kind is not ClientKind.AUTHORITY or client.authority_code is None:
        raise DomainError("forbidden", "only an issuing authority's key may do this")
    return client.authority_code
