"""The whole application in a thread of its own, so that generators of requests may drive it one call at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.types import ASGIApp

from tests.installation import CLIENTS
from tests.integration.http_service import HttpService, open_http
from tests.integration.test_hostile_bodies import good_bodies, pending

MANY = 1_000_000


@dataclass(frozen=True, slots=True)
class Attacked:
    """A service with something in it, reached without waiting for it. `known` are values that paths may name."""

    portal: BlockingPortal
    service: HttpService
    known: Mapping[str, str]
    good: Mapping[str, tuple[str, dict[str, Any]]]

    @property
    def app(self) -> Any:
        """Return the ASGI application."""
        return self.service.http._transport.app  # type: ignore[attr-defined]

    @property
    def keys(self) -> Mapping[str, str]:
        """Return the keys by role."""
        return self.service.installation.keys

    def role_for(self, operation: Mapping[str, Any]) -> str | None:
        """Return a role that may call an operation, None for a public one."""
        scope = operation.get("x-required-scope")
        if scope is None:
            return None
        return next((role for role, scopes in self._scopes().items() if scope in scopes), "operator")

    def request(self, app: ASGIApp | None = None, **request: Any) -> httpx.Response:
        """Send one request, to another application where one is given."""
        return self.portal.call(self._request, app, request)

    async def _request(self, app: ASGIApp | None, request: Mapping[str, Any]) -> httpx.Response:
        if app is None:
            return await self.service.http.request(**request)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service.example") as http:
            return await http.request(**request)

    def _scopes(self) -> Mapping[str, frozenset[str]]:
        from app.domain.api_client import DEFAULT_SCOPES

        return {
            role: frozenset(scope.value for scope in DEFAULT_SCOPES[options["kind"]])  # type: ignore[index]
            for role, options in CLIENTS.items()
        }


@contextmanager
def attacked(database_url: str, folder: Path) -> Iterator[Attacked]:
    """Open a service with licenses, a proposal and a scheduled change; its callers have quotas that nothing reaches."""
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(open_http(database_url, folder)) as service,
    ):
        yield portal.call(_prepare, portal, service)


async def _prepare(portal: BlockingPortal, service: HttpService) -> Attacked:
    for role, options in CLIENTS.items():
        await service.add_client(f"busy {role}", calls_per_minute=MANY, **options)
    service.installation.keys.update({role: service.installation.keys[f"busy {role}"] for role in CLIENTS})
    good = await good_bodies(service)
    license = await service.issue(number="attacked-1")
    verified = await service.verify(license={"identifier": license["identifier"]})
    known = {
        "license_id": license["id"],
        "verification_id": verified["id"],
        "type_code": license["type_code"],
        "authority_code": license["authority_code"],
        "schema_version": "1",
        **await pending(service),
    }
    return Attacked(portal, service, known, good)
