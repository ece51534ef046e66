"""Who is calling, and whether it may: bearer key or token, address, quota, scope — in this order."""

import re
from functools import partial

from starlette.requests import Request
from starlette.types import Scope as AsgiScope

from app.api.arrival import CALL, Arrival, Call, arrival_of
from app.api.requests import services_of
from app.domain.address import Address, caller_address, may_call_from
from app.domain.api_client import ApiClient, Caller, ClientKind, Scope
from app.domain.errors import DomainError, TooManyCalls
from app.services.api_clients import Authenticated
from app.services.request_log import RequestLogService

_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([\x21-\x7e]{1,256})")


async def authorize(request: Request, scope: Scope) -> Caller:
    """Return the caller if its key is good, it may call from here, its quota is not used up and it has the scope.

    Raises DomainError unauthenticated, key_expired, key_revoked, wrong_environment (401), address_not_allowed (403),
    rate_limited (429), forbidden (403).
    """
    arrival = arrival_of(request)
    authenticated = await _authenticated(request, arrival)
    client = authenticated.client
    await admit(request, client, handle=authenticated.handle, kid=authenticated.kid)
    if scope not in authenticated.scopes:
        raise DomainError("forbidden", f"this needs the scope {scope.value}")
    return Caller(client=client, key_handle=authenticated.handle, request_id=arrival.request_id)


async def require_known(scope: AsgiScope, arrival: Arrival) -> None:
    """Raise as `authorize` where the caller has no good key; nothing else is asked, and nothing counted yet."""
    await _authenticated(Request(scope), arrival)


async def _authenticated(request: Request, arrival: Arrival) -> Authenticated:
    matched = _BEARER.fullmatch(arrival.authorization)
    if matched is None:
        raise DomainError("unauthenticated", "send Authorization: Bearer with an API key")
    return await services_of(request).api_clients.authenticate(matched[1])


async def admit(request: Request, client: ApiClient, *, handle: str, kid: str | None) -> None:
    """Let a client that has proven who it is call from where it is and within its quota.

    From here on the call stands in its request log and its answer carries RateLimit. Raises DomainError
    address_not_allowed before the quota: whoever holds a stolen key elsewhere cannot use it up.
    """
    services = services_of(request)
    request_id, method = arrival_of(request).request_id, request.method
    call = Call(
        partial(_finish, services.request_log, client.id, handle, kid, method=method, request_id=request_id)
    )
    request.scope[CALL] = call
    if client.allowed_networks and not may_call_from(address_of(request), client.allowed_networks):
        raise DomainError("address_not_allowed", "this client may not call from this address")
    try:
        call.fields = await services.quotas.take(client)
    except TooManyCalls:
        call.fields = services.quotas.fields(client)
        raise


def address_of(request: Request) -> Address | None:
    """Return the address a request comes from: the peer's, or what trusted proxies say; None for an unknown one."""
    peer = request.scope.get("client")
    forwarded = arrival_of(request).header(b"x-forwarded-for")
    trusted = request.app.state.trusted_proxies
    return caller_address(None if peer is None else peer[0], forwarded, trusted=trusted)


def _finish(
    log: RequestLogService,
    client_id: str,
    handle: str,
    kid: str | None,
    status: int,
    route: str,
    seconds: float,
    *,
    method: str,
    request_id: str,
) -> None:
    log.note(
        client_id=client_id,
        handle=handle,
        kid=kid,
        method=method,
        route=route,
        status=status,
        request_id=request_id,
        seconds=seconds,
    )


def own_authority(caller: Caller) -> str:
    """Return the code of the authority the caller acts for. Raises DomainError `forbidden` for everybody else."""
    client = caller.client
    if client.kind is not ClientKind.AUTHORITY or client.authority_code is None:
        raise DomainError("forbidden", "only an issuing authority's key may do this")
    return client.authority_code
