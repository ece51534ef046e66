"""The whole application over a real database, driven over HTTP inside the test's own process."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.main import create_app
from elicense.problems import PROBLEMS
from tests.installation import Installation, open_installation

ROLES = ("operator", "authority", "other_authority", "platform", "bank", "holder")


@dataclass(frozen=True, slots=True)
class HttpService:
    """An installation and the way in."""

    installation: Installation
    http: httpx.AsyncClient

    async def call(
        self,
        role: str | None,
        method: str,
        path: str,
        *,
        json: object = None,
        headers: Mapping[str, str | bytes] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Call as a role, or without a key."""
        sent: dict[str, str | bytes] = dict(headers or {})
        if role is not None:
            sent["Authorization"] = f"Bearer {self.installation.keys[role]}"
        return await self.http.request(method, path, json=json, headers=sent, params=params)

    async def issue(self, *, role: str = "authority", **changes: object) -> dict[str, Any]:
        """Issue a license and return it."""
        response = await self.call(role, "POST", "/v1/licenses", json={**license_body(self), **changes})
        assert response.status_code == 201, response.text
        document: dict[str, Any] = response.json()
        return document

    async def act(self, license_id: str, action: str, *, role: str = "authority") -> httpx.Response:
        """Change a license's state."""
        body = {"reason_code": "inspection", "reason": "现场检查"}
        return await self.call(role, "POST", f"/v1/licenses/{license_id}/{action}", json=body)

    async def credential(self, license_id: str) -> str:
        """Fetch a license's credential."""
        response = await self.call("authority", "GET", f"/v1/licenses/{license_id}/credential")
        assert response.status_code == 200, response.text
        return response.text

    async def verify(self, *, role: str = "platform", **question: object) -> dict[str, Any]:
        """Ask one question and return the answer."""
        response = await self.call(role, "POST", "/v1/verifications", json=question)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def add_client(self, role: str, **options: Any) -> None:
        """Make one more client and keep its key under a role's name."""
        made = await self.installation.services.api_clients.create(name=role, actor="test", **options)
        self.installation.keys[role] = made.secret


def license_body(service: HttpService, *, number: str | None = None) -> dict[str, Any]:
    """Make the body of a good request to issue, with a number of its own."""
    new = service.installation.new_license()
    return {
        "type_code": new.type_code,
        "number": number or new.number,
        "holder": {"code": new.holder.code, "code_type": new.holder.code_type, "name": new.holder.name},
        "area_code": new.area_code,
        "issue_date": new.issue_date.isoformat(),
        "valid_from": new.valid_from.isoformat(),
        "valid_until": None if new.valid_until is None else new.valid_until.isoformat(),
        "elements": dict(new.elements),
    }


@asynccontextmanager
async def open_http(database_url: str, folder: Path, **options: object) -> AsyncIterator[HttpService]:
    """Open an installation on a migrated database and serve it; `options` are settings."""
    async with open_installation(database_url, folder, **options) as installation:
        app = create_app(installation.settings, services=installation.services)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://service.example"
        ) as http:
            yield HttpService(installation, http)


def assert_problem(response: httpx.Response, code: str) -> None:
    """Assert that a response is the problem document of a code and tells nothing else."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    document = response.json()
    assert document["code"] == code, document
    assert response.status_code == document["status"] == PROBLEMS[code].status
    assert document["request_id"] == response.headers["x-request-id"]


def shown(value: object) -> str:
    """Shorten a case for the report of a failure."""
    return repr(value)[:60]
