"""For operators: clients, their keys, plans and networks.

A secret stands in the first answer alone: what is kept to repeat the answer by does not hold it.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.api.auth import authorize
from app.api.idempotency import carry_out
from app.api.paging import NoQuery, PageQuery, page_by_key
from app.api.requests import json_answer, page_answer, read_body, read_query, services_of
from app.api.routing import Routes
from app.api.schemas.answers import ClientAnswer, ClientPage
from app.api.schemas.callers import (
    AllowListBody,
    ClientDetail,
    ClientJwkAnswer,
    ClientPlanBody,
    JwkBody,
    NewClientBody,
    NewKeyAnswer,
    NoBody,
    PlanAnswer,
    PlanBody,
    PlanPage,
    RotateBody,
)
from app.domain.api_client import ApiClient, ApiKey, ClientKind, ClientWithKeys, Scope
from app.domain.errors import DomainError, FieldError, NotFound
from app.domain.oauth import ClientJwk
from app.domain.plan import Plan
from app.services.answers import moment_json
from app.services.api_clients import NewKey
from app.services.once import Once

routes = Routes(tag="operators")

Json = dict[str, object]


async def list_clients(request: Request) -> Response:
    """List all API clients with their keys' public parts."""
    await authorize(request, Scope.CLIENTS_READ)
    query = read_query(request, PageQuery)
    clients = await services_of(request).api_clients.list()
    page, next_cursor = page_by_key(clients, query, listing="clients", key=lambda one: one.client.name)
    return page_answer([client_json(one.client, one.keys) for one in page], next_cursor)


async def get_client(request: Request) -> Response:
    """Answer one client with its keys and registered public keys."""
    await authorize(request, Scope.CLIENTS_READ)
    held = await _client(request)
    read_query(request, NoQuery)
    jwks = await services_of(request).oauth.jwks_of(held.client.id)
    return json_answer({**client_json(held.client, held.keys), "jwks": [_jwk_json(jwk) for jwk in jwks]})


async def create_client(request: Request) -> Response:
    """Create a client and answer its first key."""
    caller = await authorize(request, Scope.CLIENTS_WRITE)

    async def create(once: Once | None) -> NewKey:
        body = read_body(request, NewClientBody)
        return await services_of(request).api_clients.create(
            name=body.name,
            kind=ClientKind(body.kind),
            authority_code=body.authority_code,
            holder_code=body.holder_code,
            scopes=None if body.scopes is None else _scopes(body.scopes),
            purposes=body.purposes,
            default_purpose=body.default_purpose,
            plan=body.plan,
            calls_per_minute=body.calls_per_minute,
            batch_limit=body.batch_limit,
            allowed_networks=body.allowed_networks,
            actor=caller.client.id,
            once=once,
        )

    return await carry_out(request, caller, create, _new_key_json, status=201)


async def rotate_client(request: Request) -> Response:
    """Give a client another key; the one before counts a while longer."""
    caller = await authorize(request, Scope.CLIENTS_WRITE)
    held = await _client(request)

    async def rotate(once: Once | None) -> NewKey:
        body = read_body(request, RotateBody)
        overlap = timedelta(seconds=body.overlap_seconds)
        return await services_of(request).api_clients.rotate(
            held.client.name, overlap=overlap, actor=caller.client.id, once=once
        )

    return await carry_out(request, caller, rotate, _new_key_json, status=201)


async def revoke_client(request: Request) -> Response:
    """Revoke a client, every key and every access token of it."""
    caller = await authorize(request, Scope.CLIENTS_WRITE)
    held = await _client(request)

    async def revoke(once: Once | None) -> ApiClient:
        read_body(request, NoBody)
        return await services_of(request).api_clients.revoke(
            held.client.name, actor=caller.client.id, once=once
        )

    return await carry_out(request, caller, revoke, _changed(held))


async def set_client_plan(request: Request) -> Response:
    """Put a client on a plan."""
    caller = await authorize(request, Scope.CLIENTS_WRITE)
    held = await _client(request)

    async def give(once: Once | None) -> ApiClient:
        plan = read_body(request, ClientPlanBody).plan
        return await services_of(request).plans.give(
            held.client.name, plan, actor=caller.client.id, once=once
        )

    return await carry_out(request, caller, give, _changed(held))


async def set_client_networks(request: Request) -> Response:
    """Say from where a client may call."""
    caller = await authorize(request, Scope.CLIENTS_WRITE)
    held = await _client(request)

    async def allow(once: Once | None) -> ApiClient:
        networks = read_body(request, AllowListBody).networks
        return await services_of(request).api_clients.allow_from(
            held.client.name, networks, actor=caller.client.id, once=once
        )

    return await carry_out(request, caller, allow, _changed(held))


async def add_client_jwk(request: Request) -> Response:
    """Register a public key of a client."""
    caller = await authorize(request, Scope.CLIENTS_WRITE)
    held = await _client(request)

    async def register(once: Once | None) -> ClientJwk:
        jwk = read_body(request, JwkBody).jwk
        return await services_of(request).oauth.register_jwk(
            held.client.name, jwk, actor=caller.client.id, once=once
        )

    return await carry_out(request, caller, register, _jwk_json, status=201)


async def end_client_jwk(request: Request) -> Response:
    """End a public key of a client and every access token it got."""
    caller = await authorize(request, Scope.CLIENTS_WRITE)
    held = await _client(request)

    async def end(once: Once | None) -> ApiClient:
        oauth, kid = services_of(request).oauth, request.path_params["kid"]
        # What is not there is told before what is wrong with the body. A key that has ended is there: a call that is
        # repeated meanwhile is answered as the first.
        if kid not in {jwk.kid for jwk in await oauth.jwks_of(held.client.id)}:
            raise NotFound("key")
        read_body(request, NoBody)
        return await oauth.end_jwk(held.client.name, kid, actor=caller.client.id, once=once)

    return await carry_out(request, caller, end, _changed(held))


async def list_plans(request: Request) -> Response:
    """List all plans."""
    await authorize(request, Scope.CLIENTS_READ)
    read_query(request, NoQuery)
    return page_answer([plan_json(plan) for plan in await services_of(request).plans.list()], None)


async def put_plan(request: Request) -> Response:
    """Set a plan; the clients that are on it have its figures at once."""
    caller = await authorize(request, Scope.CLIENTS_WRITE)

    async def put(once: Once | None) -> Plan:
        body = read_body(request, PlanBody)
        plan = Plan(**body.model_dump())
        return await services_of(request).plans.put(plan, actor=caller.client.id, once=once)

    return await carry_out(request, caller, put, plan_json)


async def _client(request: Request) -> ClientWithKeys:
    return await services_of(request).api_clients.get(request.path_params["client_id"])


def _scopes(names: Sequence[str]) -> frozenset[Scope]:
    known = {scope.value for scope in Scope}
    wrong = [
        FieldError(f"/scopes/{index}", "is no scope", "没有此权限")
        for index, name in enumerate(names)
        if name not in known
    ]
    if wrong:
        raise DomainError("invalid_request", "unknown scopes", errors=wrong)
    return frozenset(Scope(name) for name in names)


def client_json(client: ApiClient, keys: Sequence[ApiKey]) -> Json:
    """Write a client and its keys, no secrets."""
    return {
        "id": client.id,
        "name": client.name,
        "kind": client.kind.value,
        "authority_code": client.authority_code,
        "holder_code": client.holder_code,
        "scopes": sorted(scope.value for scope in client.scopes),
        "purposes": list(client.purposes),
        "default_purpose": client.default_purpose,
        "plan": client.plan,
        "calls_per_minute": client.calls_per_minute,
        "burst": client.burst,
        "calls_per_day": client.calls_per_day,
        "batch_limit": client.batch_limit,
        "allowed_networks": list(client.allowed_networks),
        "created_at": moment_json(client.created_at),
        "revoked_at": moment_json(client.revoked_at),
        "keys": [_key_json(key) for key in keys],
    }


def _key_json(key: ApiKey) -> Json:
    return {
        "handle": key.handle,
        "prefix": key.prefix,
        "created_at": moment_json(key.created_at),
        "expires_at": moment_json(key.expires_at),
        "revoked_at": moment_json(key.revoked_at),
        "last_used_at": moment_json(key.last_used_at),
    }


def _jwk_json(jwk: ClientJwk) -> Json:
    return {
        "kid": jwk.kid,
        "jwk": dict(jwk.jwk),
        "created_at": moment_json(jwk.created_at),
        "ended_at": moment_json(jwk.ended_at),
        "last_used_at": moment_json(jwk.last_used_at),
    }


def _new_key_json(made: NewKey) -> Json:
    return {
        "client": client_json(made.client, [made.key]),
        "key": _key_json(made.key),
        "secret": made.secret,
    }


def _changed(held: ClientWithKeys) -> Callable[[ApiClient], Json]:
    def answer(client: ApiClient) -> Json:
        keys = held.keys
        if client.revoked_at is not None:
            keys = [_ended(key, client) for key in keys]
        return client_json(client, keys)

    return answer


def _ended(key: ApiKey, client: ApiClient) -> ApiKey:
    return key if key.revoked_at is not None else replace(key, revoked_at=client.revoked_at)


def plan_json(plan: Plan) -> Json:
    """Write a plan."""
    return {
        "name": plan.name,
        "calls_per_minute": plan.calls_per_minute,
        "burst": plan.burst,
        "calls_per_day": plan.calls_per_day,
        "batch_limit": plan.batch_limit,
    }


def _add(
    path: str,
    endpoint: Callable[[Request], Awaitable[Response]],
    *,
    summary: str,
    body: type[BaseModel],
    answer: type[BaseModel],
    status: int = 200,
    description: str = "",
    problems: Sequence[str] = ("not_found",),
) -> None:
    routes.add(
        "POST",
        path,
        endpoint,
        summary=summary,
        description=description,
        scope=Scope.CLIENTS_WRITE,
        body=body,
        answer=answer,
        status=status,
        problems=("read_only", *problems),
    )


_SHOWN_ONCE = (
    "`secret` is shown in this answer alone: a call repeated by its Idempotency-Key answers null for it."
)

routes.add(
    "GET",
    "/v1/clients",
    list_clients,
    summary="API 调用方 · API clients",
    scope=Scope.CLIENTS_READ,
    query=PageQuery,
    answer=ClientPage,
)
_add(
    "/v1/clients",
    create_client,
    summary="新建调用方 · Create a client",
    description=_SHOWN_ONCE,
    body=NewClientBody,
    answer=NewKeyAnswer,
    status=201,
    problems=("conflict",),
)
routes.add(
    "GET",
    "/v1/clients/{client_id}",
    get_client,
    summary="读取调用方 · Read one client",
    scope=Scope.CLIENTS_READ,
    query=NoQuery,
    answer=ClientDetail,
    problems=("not_found",),
)
_add(
    "/v1/clients/{client_id}/rotate",
    rotate_client,
    summary="更换密钥 · Another key for a client",
    description=f"{_SHOWN_ONCE} Two keys count at most: the one before for `overlap_seconds`, older ones no longer.",
    body=RotateBody,
    answer=NewKeyAnswer,
    status=201,
    problems=("not_found", "conflict"),
)
_add(
    "/v1/clients/{client_id}/revoke",
    revoke_client,
    summary="停用调用方 · Revoke a client",
    body=NoBody,
    answer=ClientAnswer,
)
_add(
    "/v1/clients/{client_id}/plan",
    set_client_plan,
    summary="设定套餐 · Put a client on a plan",
    body=ClientPlanBody,
    answer=ClientAnswer,
)
_add(
    "/v1/clients/{client_id}/networks",
    set_client_networks,
    summary="设定来源地址 · From where a client may call",
    body=AllowListBody,
    answer=ClientAnswer,
)
_add(
    "/v1/clients/{client_id}/jwks",
    add_client_jwk,
    summary="登记公钥 · Register a client's public key",
    body=JwkBody,
    answer=ClientJwkAnswer,
    status=201,
    problems=("not_found", "conflict"),
)
_add(
    "/v1/clients/{client_id}/jwks/{kid}/end",
    end_client_jwk,
    summary="停用公钥 · End a client's public key",
    body=NoBody,
    answer=ClientAnswer,
)
routes.add(
    "GET",
    "/v1/plans",
    list_plans,
    summary="套餐 · Plans",
    scope=Scope.CLIENTS_READ,
    query=NoQuery,
    answer=PlanPage,
)
_add(
    "/v1/plans",
    put_plan,
    summary="设定套餐内容 · Set a plan",
    body=PlanBody,
    answer=PlanAnswer,
    problems=(),
)
