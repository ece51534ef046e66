"""Roles × routes × ids: every combination is called, and only what the table allows is open.

The routes come from the application itself: a new one without a row fails. Another's id answers 404, never 403, and
looks like one that does not exist.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from app.api import operators
from app.api.auth import authorize
from app.api.requests import json_answer
from app.domain.api_client import ClientKind
from app.domain.api_client import Scope as ApiScope
from app.domain.errors import DomainError
from tests.client_assertions import access_token, register_key
from tests.installation import OTHER_AREA, OTHER_AUTHORITY, uscc
from tests.integration.http_service import HttpService, open_http
from tests.integration.ordering import need_two_persons

pytestmark = pytest.mark.anyio
on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
"""For what no database has a part in."""

AUTHORITY = frozenset({"authority"})
READERS = frozenset({"authority", "holder"})
RELYING = frozenset({"platform", "bank", "bank_token"})
OPERATOR = frozenset({"operator"})
KNOWN = frozenset({"operator", "authority", "holder", "platform", "bank", "bank_token"})
UNKNOWN = {
    "none": "unauthenticated",
    "revoked_key": "key_revoked",
    "expired_key": "key_expired",
    "expired_token": "key_expired",
}
"""Who proves nothing, and the problem it is answered with."""

MAY: Mapping[str, frozenset[str]] = {
    "POST /v1/licenses": AUTHORITY,
    "GET /v1/licenses": READERS,
    "GET /v1/licenses/{license_id}": READERS,
    "GET /v1/licenses/{license_id}/history": READERS,
    "GET /v1/licenses/{license_id}/credential": READERS,
    "POST /v1/licenses/{license_id}/suspend": AUTHORITY,
    "POST /v1/licenses/{license_id}/resume": AUTHORITY,
    "POST /v1/licenses/{license_id}/revoke": AUTHORITY,
    "POST /v1/licenses/{license_id}/cancel": AUTHORITY,
    "POST /v1/licenses/{license_id}/amend": AUTHORITY,
    "POST /v1/licenses/{license_id}/renew": AUTHORITY,
    "POST /v1/licenses/{license_id}/succession": AUTHORITY,
    "GET /v1/licenses/{license_id}/preview": AUTHORITY,
    "GET /v1/licenses/{license_id}/scheduled": AUTHORITY,
    "GET /v1/scheduled-changes": AUTHORITY,
    "GET /v1/scheduled-changes/{change_id}": AUTHORITY,
    "POST /v1/scheduled-changes/{change_id}/cancel": AUTHORITY,
    "GET /v1/proposals": AUTHORITY,
    "GET /v1/proposals/{proposal_id}": AUTHORITY,
    "POST /v1/proposals/{proposal_id}/approve": AUTHORITY,
    "POST /v1/proposals/{proposal_id}/reject": AUTHORITY,
    "GET /v1/alarms": AUTHORITY,
    "GET /v1/holdings": frozenset({"holder"}),
    "POST /v1/verifications": RELYING,
    "POST /v1/verifications/batch": RELYING,
    "GET /v1/verifications": RELYING,
    "GET /v1/verifications/{verification_id}": RELYING,
    "GET /v1/verifications/{verification_id}/receipt-proof": RELYING,
    "POST /v1/policies": RELYING,
    "POST /v1/policies/dry-run": RELYING,
    "GET /v1/policies": RELYING,
    "GET /v1/policies/{name}": RELYING,
    "POST /v1/presentation-nonces": RELYING,
    "GET /v1/requests": KNOWN,
    # With a live key there is no sandbox for anybody.
    "GET /v1/sandbox/codes": frozenset(),
    "GET /v1/sandbox/clock": frozenset(),
    "POST /v1/sandbox/clock": frozenset(),
    "GET /v1/audit": OPERATOR,
    "GET /v1/clients": OPERATOR,
    "POST /v1/clients": OPERATOR,
    "GET /v1/clients/{client_id}": OPERATOR,
    "POST /v1/clients/{client_id}/rotate": OPERATOR,
    "POST /v1/clients/{client_id}/revoke": OPERATOR,
    "POST /v1/clients/{client_id}/plan": OPERATOR,
    "POST /v1/clients/{client_id}/networks": OPERATOR,
    "POST /v1/clients/{client_id}/jwks": OPERATOR,
    "POST /v1/clients/{client_id}/jwks/{kid}/end": OPERATOR,
    "GET /v1/plans": OPERATOR,
    "POST /v1/plans": OPERATOR,
}
"""Who may call what needs a key; nobody else may."""

OPEN = {
    "GET /v1/license-types",
    "GET /v1/license-types/{type_code}",
    "GET /v1/authorities",
    "GET /v1/areas",
    "GET /v1/purposes",
    "GET /v1/reasons",
    "GET /v1/trust-root",
    "GET /v1/trust-list",
    "GET /v1/freshness",
    "GET /v1/status-lists",
    "GET /v1/status-lists/{list_id}",
    "GET /v1/bundle",
    "GET /types/{type_code}/{schema_version}",
    "GET /.well-known/jwt-vc-issuer/authorities/{authority_code}",
    "GET /.well-known/oauth-authorization-server",
    "GET /log/checkpoint",
    "GET /log/tile/{tile}",
    "GET /logs/{name}/checkpoint",
    "GET /logs/{name}/tile/{tile}",
    "GET /v1/log/proof",
    "GET /v1/log/consistency",
    "POST /log/cosignature",
    "POST /oauth/token",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /openapi.json",
    "GET /docs",
    "GET /docs/start.js",
    "GET /docs/swagger-ui.css",
    "GET /docs/swagger-ui-bundle.js",
}
"""What needs no key: the same for everyone, with a key, without one and with a bad one."""

NOWHERE = "00000000-0000-7000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class World:
    """The service, and whose ids there are: `own[role]` and `foreign[role]` name every parameter of a path."""

    service: HttpService
    own: dict[str, dict[str, str]] = field(default_factory=dict)
    foreign: dict[str, dict[str, str]] = field(default_factory=dict)

    def headers(self, role: str) -> dict[str, str]:
        return {} if role == "none" else {"Authorization": f"Bearer {self.service.installation.keys[role]}"}


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with open_http(database_url, tmp_path) as service:
        yield await make_world(service)


async def make_world(service: HttpService) -> World:
    """Let every role have something of its own, and let there be the same of others."""
    installation = service.installation
    keys, clients = installation.keys, installation.services.api_clients
    await _make_bad_keys(service)
    await need_two_persons(installation, "revoke")
    licenses, changes, proposals = {}, {}, {}
    for role, more in (
        ("authority", {}),
        (
            "other_authority",
            {"area_code": OTHER_AREA, "holder": {"code": uscc(7), "code_type": "001", "name": "他人"}},
        ),
    ):
        colleague = f"{role}_colleague"
        own_code = (await installation.caller(role)).client.authority_code
        await service.add_client(colleague, kind=ClientKind.AUTHORITY, authority_code=own_code)
        license = await service.issue(role=role, **more)
        licenses[role] = license["id"]
        ahead = (installation.clock.now() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        proposals[role] = await _ordered(service, colleague, license["id"], "revoke")
        changes[role] = await _ordered(service, colleague, license["id"], "suspend", effective_at=ahead)
    verified = {
        role: (
            await service.verify(role=role, license={"number": "none", "type_code": f"{OTHER_AUTHORITY}001"})
        )["id"]
        for role in ("platform", "bank")
    }
    for role in ("platform", "bank"):
        made = await service.call(role, "POST", "/v1/policies", json={"name": f"of-{role}", "parts": {}})
        assert made.status_code == 201, made.text
    await installation.services.log_sequencer.run()
    spare = await clients.create(name="spare", kind=ClientKind.BANK, actor="test")
    kid = (await register_key(installation, "spare")).kid
    keys["bank_token"] = await access_token(service, "bank", await register_key(installation, "bank"))
    shared = {"client_id": spare.client.id, "kid": kid}
    world = World(service)
    for role in (*KNOWN, *UNKNOWN):
        asks_as = role.removesuffix("_token") if role in KNOWN else "bank"
        other = "bank" if asks_as == "platform" else "platform"
        world.own[role] = {
            **shared,
            "license_id": licenses["authority"],
            "change_id": changes["authority"],
            "proposal_id": proposals["authority"],
            "verification_id": verified.get(asks_as, verified["platform"]),
            "name": f"of-{asks_as}",
        }
        world.foreign[role] = {
            "client_id": NOWHERE,
            "kid": "none",
            "license_id": licenses["other_authority"],
            "change_id": changes["other_authority"],
            "proposal_id": proposals["other_authority"],
            "verification_id": verified[other],
            "name": f"of-{other}",
        }
    return world


async def _make_bad_keys(service: HttpService) -> None:
    """Make a revoked key, a key and an access token past their end."""
    installation = service.installation
    clients, keys = installation.services.api_clients, installation.keys
    await service.add_client("revoked_key", kind=ClientKind.BANK)
    await clients.revoke("revoked_key", actor="test")
    await service.add_client("expired_key", kind=ClientKind.BANK)
    await clients.rotate("expired_key", overlap=timedelta(0), actor="test")
    await service.add_client("expired_token", kind=ClientKind.BANK)
    signer = await register_key(installation, "expired_token")
    keys["expired_token"] = await access_token(service, "expired_token", signer)
    installation.clock.advance(seconds=601)


async def _ordered(service: HttpService, role: str, license_id: str, action: str, **more: str) -> str:
    body = {"reason_code": "inspection", "reason": "现场检查", **more}
    response = await service.call(role, "POST", f"/v1/licenses/{license_id}/{action}", json=body)
    assert response.status_code == 202, response.text
    made: str = response.json()["id"]
    return made


def routes_of(service: HttpService) -> dict[str, str]:
    """Return every route of the application by method and path, each with its path template."""
    app = service.http._transport.app  # type: ignore[attr-defined]
    return {
        f"{method} {getattr(route, 'path_format', route.path)}": getattr(route, "path_format", route.path)
        for route in app.routes
        for method in getattr(route, "methods", None) or ()
        if method != "HEAD"
    }


async def violations(world: World, rows: Mapping[str, frozenset[str]]) -> list[str]:
    """Call every combination of the rows; return what is open and should not be, or closed and should not be."""
    wrong = []
    for row, allowed in rows.items():
        method, _, template = row.partition(" ")
        ids = ("foreign", "own") if "{" in template else ("own",)
        for which in ids:
            for role in (*UNKNOWN, *sorted(KNOWN - allowed), *sorted(allowed)):
                path = template.format(**(world.own if which == "own" else world.foreign)[role])
                response = await world.service.http.request(
                    method, path, headers=world.headers(role), json={} if method == "POST" else None
                )
                code = response.json().get("code") if response.status_code >= 400 else None
                if role in UNKNOWN:
                    good = code == UNKNOWN[role]
                elif role not in allowed:
                    good = code == "forbidden"
                elif which == "foreign":
                    good = code == "not_found"
                else:
                    good = response.status_code in (200, 201, 409, 422)
                if not good:
                    wrong.append(f"{role} {row} ({which}): {response.status_code} {code}")
    return wrong


@on_sqlite
async def test_every_route_has_a_row_and_every_row_a_route(world: World) -> None:
    assert set(routes_of(world.service)) == set(MAY) | OPEN
    assert not set(MAY) & OPEN
    documented = world.service.http._transport.app.openapi()["paths"]  # type: ignore[attr-defined]
    secured = {
        f"{method.upper()} {path}"
        for path, methods in documented.items()
        for method, operation in methods.items()
        if "security" in operation
    }
    assert secured == set(MAY)


async def test_only_what_the_table_allows_is_open(world: World) -> None:
    assert await violations(world, MAY) == []


@on_sqlite
async def test_what_needs_no_key_is_the_same_for_everyone(world: World) -> None:
    names = {"tile": "0/000", "name": "log", "schema_version": "1"}
    for row in sorted(OPEN):
        method, _, template = row.partition(" ")
        path = template.replace(":path", "")
        for part in ("tile", "name", "schema_version", "type_code", "authority_code", "list_id"):
            path = path.replace(f"{{{part}}}", names.get(part, "none"))
        answers = set()
        for role in ("none", "operator", "holder", "revoked_key"):
            response = await world.service.http.request(
                method, path, headers=world.headers(role), json={} if method == "POST" else None
            )
            answers.add(response.status_code)
            assert "ratelimit" not in response.headers
        assert len(answers) == 1 and not answers & {401, 403, 500}, (row, answers)


async def _without_any_check(scope: Scope, receive: Receive, send: Send) -> None:
    await json_answer({"data": []})(scope, receive, send)


async def _telling_that_it_exists(scope: Scope, receive: Receive, send: Send) -> None:
    raise DomainError("forbidden", "this license is not yours")


@on_sqlite
@pytest.mark.parametrize(
    ("row", "broken", "caught"),
    [
        ("GET /v1/audit", _without_any_check, "holder GET /v1/audit (own): 200 None"),
        (
            "GET /v1/licenses/{license_id}",
            _telling_that_it_exists,
            "authority GET /v1/licenses/{license_id} (foreign): 403 forbidden",
        ),
    ],
)
async def test_a_route_that_forgets_its_check_is_caught(
    world: World, monkeypatch: pytest.MonkeyPatch, row: str, broken: object, caught: str
) -> None:
    app = world.service.http._transport.app  # type: ignore[attr-defined]
    method, _, template = row.partition(" ")
    (route,) = (
        one
        for one in app.routes
        if isinstance(one, APIRoute) and one.path_format == template and method in one.methods
    )
    monkeypatch.setattr(route, "app", broken)
    assert caught in await violations(world, {row: MAY[row]})
    monkeypatch.undo()
    assert await violations(world, {row: MAY[row]}) == []


@on_sqlite
async def test_a_route_that_lets_any_key_in_is_caught(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def any_key(request: Request, scope: ApiScope) -> object:
        return await authorize(request, ApiScope.REQUESTS_READ)

    monkeypatch.setattr(operators, "authorize", any_key)
    found = await violations(world, {"GET /v1/audit": MAY["GET /v1/audit"]})
    assert [one.split(" ", 1)[0] for one in found] == sorted(KNOWN - OPERATOR)
