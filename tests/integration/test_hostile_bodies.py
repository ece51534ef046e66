"""Whatever a caller sends, with whatever key, to whatever operation: a documented answer, and no word from inside.

More than 300 bodies for each operation that takes one, hostile paths, queries and headers for every operation of the
OpenAPI document. Each answer must be one the document names for that operation.
"""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from app.domain.api_client import ClientKind
from elicense.problems import PROBLEMS
from tests.integration.hostile import HEADERS, QUERIES, SEGMENTS, SHAPES, SYNTAX, bodies
from tests.integration.http_service import ROLES, HttpService, license_body, open_http
from tests.integration.ordering import need_two_persons, propose, schedule

pytestmark = pytest.mark.anyio

INTERNAL = re.compile(
    rb"Traceback|File \"|\.py\b|site-packages|sqlalchemy|asyncpg|aiosqlite|sqlite3|psycopg|pydantic|starlette|fastapi"
    rb"|SELECT |INSERT |UPDATE |DELETE FROM|IntegrityError|OperationalError|DataError|DBAPIError|Exception\b"
    rb"|KeyError|TypeError|ValueError|AttributeError|object at 0x|<class '|/root/|/home/|/tmp/|/usr/",
)
MANY = 1_000_000


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        installation = opened.installation
        authority, other_authority = installation.authorities
        holder = installation.new_license().holder
        bound: dict[str, dict[str, Any]] = {
            "operator": {"kind": ClientKind.OPERATOR},
            "authority": {"kind": ClientKind.AUTHORITY, "authority_code": authority},
            "other_authority": {
                "kind": ClientKind.AUTHORITY,
                "authority_code": other_authority,
            },
            "platform": {"kind": ClientKind.PLATFORM},
            "bank": {"kind": ClientKind.BANK},
            "holder": {"kind": ClientKind.HOLDER, "holder_code": holder.code},
        }
        for role, options in bound.items():
            await opened.add_client(f"busy {role}", calls_per_minute=MANY, **options)
            installation.keys[role] = installation.keys[f"busy {role}"]
        yield opened


class Watch:
    """Sends requests below any client's mending and judges each answer by the OpenAPI document."""

    def __init__(self, service: HttpService) -> None:
        self.app: Any = service.http._transport.app  # type: ignore[attr-defined]
        self.document = self.app.openapi()
        self.keys = service.installation.keys
        self.seen: Counter[tuple[int, str]] = Counter()
        self.faults: list[str] = []

    async def send(
        self,
        role: str | None,
        method: str,
        template: str,
        *,
        path: bytes | None = None,
        query: bytes = b"",
        body: bytes = b"",
        headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),),
    ) -> int:
        """Send one request; remember what is wrong with its answer, and return its status."""
        if role is not None:
            headers = (*headers, (b"authorization", f"Bearer {self.keys.get(role, role)}".encode()))
        raw = template.encode() if path is None else path
        status, answered, content = await self._exchange(method, raw, query, body, headers)
        fault = self._fault(method, template, path is not None, status, answered, content)
        if fault:
            self.faults.append(f"{method} {raw[:80]!r}?{query[:60]!r} as {role}: {body[:120]!r} -> {fault}")
        return status

    async def _exchange(
        self, method: str, raw: bytes, query: bytes, body: bytes, headers: tuple[tuple[bytes, bytes], ...]
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        waiting = [{"type": "http.request", "body": body, "more_body": False}]
        started: dict[str, Any] = {}
        chunks: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                chunks.append(message.get("body", b""))

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            # As uvicorn hands it on: undecodable bytes replaced.
            "path": unquote(raw.decode("latin-1")),
            "raw_path": raw,
            "query_string": query,
            "root_path": "",
            "headers": [(b"host", b"service.example"), *headers],
            "client": ("127.0.0.1", 40000),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        await self.app(scope, receive, send)
        return started["status"], dict(started["headers"]), b"".join(chunks)

    def _fault(
        self,
        method: str,
        template: str,
        path_changed: bool,
        status: int,
        headers: dict[bytes, bytes],
        content: bytes,
    ) -> str | None:
        if status >= 500:
            return f"status {status}: {content[:200]!r}"
        operation = self.document["paths"].get(template, {}).get(method.lower())
        documented = operation["responses"] if operation else {}
        if status < 400:
            self.seen[status, ""] += 1
            return None if str(status) in documented or path_changed else f"undocumented status {status}"
        if headers.get(b"content-type") != b"application/problem+json":
            return f"no problem document: {headers} {content[:200]!r}"
        if INTERNAL.search(content):
            return f"internal text: {content[:300]!r}"
        document = json.loads(content)
        code = document["code"]
        self.seen[status, code] += 1
        if code not in PROBLEMS or PROBLEMS[code].status != status or document["status"] != status:
            return f"code {code} with status {status}"
        if headers.get(b"x-request-id", b"").decode() != document["request_id"]:
            return "another request id"
        # A changed path may lead to another route, or to none.
        if not path_changed and code != "method_not_allowed":
            schema = documented.get(str(status), {}).get("content", {}).get("application/problem+json", {})
            if code not in schema.get("schema", {}).get("allOf", [{}, {}])[1].get("properties", {}).get(
                "code", {}
            ).get("enum", ()):
                return f"undocumented problem {code}"
        return None


async def good_bodies(service: HttpService) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return, for each operation with a body, who may call it and a body that is right."""
    issued = await service.issue(number="hostile-0")
    token = await service.credential(issued["id"])
    change = {"reason_code": "inspection", "reason": "检查", "effective_at": "2020-01-01"}
    license_path = "/v1/licenses/{license_id}"
    question = {
        "license": {"number": issued["number"], "type_code": issued["type_code"]},
        "elements": {"holder_name": issued["holder"]["name"]},
        "reference": "shop-1",
    }
    return {
        "/v1/licenses": ("authority", license_body(service, number="hostile-1")),
        f"{license_path}/amend": (
            "authority",
            {
                **change,
                "elements": {"address": "二号", "company_type": None},
                "holder": {**issued["holder"], "name": "新名称"},
                "valid_until": "2044-01-01",
                "area_code": issued["area_code"],
            },
        ),
        f"{license_path}/renew": (
            "authority",
            {**change, "valid_until": None, "valid_from": "2024-05-06", "issue_date": "2026-01-01"},
        ),
        f"{license_path}/suspend": ("authority", change),
        f"{license_path}/resume": ("authority", change),
        f"{license_path}/revoke": ("authority", {**change, "kind": "annulled"}),
        f"{license_path}/cancel": ("authority", change),
        f"{license_path}/succession": (
            "authority",
            {**change, "relation": "split_to", "successors": [issued["id"], issued["identifier"]]},
        ),
        "/v1/scheduled-changes/{change_id}/cancel": ("authority", {"reason": "不再需要"}),
        "/v1/proposals/{proposal_id}/approve": ("authority", {"unknown": "x"}),
        "/v1/proposals/{proposal_id}/reject": ("authority", {"reason": "证据不足"}),
        "/v1/policies": (
            "platform",
            {"name": "own", "parts": {"types": [issued["type_code"]], "areas": ["32"]}},
        ),
        "/v1/policies/dry-run": (
            "platform",
            {"parts": {"areas": ["32"]}, "from": "2026-01-01T00:00:00Z", "cursor": "", "limit": 5},
        ),
        "/v1/verifications": ("platform", question),
        "/v1/verifications/batch": ("bank", {"items": [question, {"credential": token, "reference": "x"}]}),
    }


async def pending(service: HttpService) -> dict[str, str]:
    """Make a proposal and a scheduled change; return their ids by the names of paths."""
    await need_two_persons(service.installation, "revoke")
    license_id = (await service.issue(number="hostile-3"))["id"]
    proposal = await propose(service.installation, "revoke", license_id)
    change = await schedule(service.installation, "suspend", license_id, seconds=3600)
    return {"proposal_id": proposal.id, "change_id": change.id}


async def test_hostile_bodies_get_documented_answers(service: HttpService) -> None:
    watch = Watch(service)
    good = await good_bodies(service)
    license_id = (await service.issue(number="hostile-2"))["id"]
    known = {"license_id": license_id, **await pending(service)}
    for template, (role, body) in good.items():
        path = template.format(**known).encode()
        hostile = bodies(body)
        for content in hostile:
            await watch.send(role, "POST", template, path=path, body=content)
        for other in (None, "nonsense", *ROLES):
            for content in (*SYNTAX[::6], *(json.dumps(shape).encode() for shape in SHAPES[::4])):
                await watch.send(other, "POST", template, path=path, body=content)
    assert watch.faults == []
    assert {code for _, code in watch.seen} >= {"not_json", "wrong_encoding", "too_large", "invalid_request"}


async def test_hostile_paths_and_queries_get_documented_answers(service: HttpService) -> None:
    watch = Watch(service)
    for template, methods in watch.document["paths"].items():
        method = "POST" if "post" in methods and "get" not in methods else "GET"
        roles = ("authority", "platform", "holder") if template.startswith("/v1/") else (None,)
        concrete = re.sub(r"\{\w+\}", "none", template).encode()
        for role in (*roles, "operator", None):
            for query in QUERIES:
                await watch.send(role, method, template, path=concrete, query=query, body=b"{}")
        if "{" not in template:
            continue
        for role in (*roles, None):
            for segment in SEGMENTS:
                path = re.sub(rb"\{\w+\}", lambda _, text=segment: text, template.encode())
                await watch.send(role, method, template, path=path, body=b"{}")
    assert watch.faults == []


async def test_hostile_headers_and_methods_get_documented_answers(service: HttpService) -> None:
    watch = Watch(service)
    good = await good_bodies(service)
    for template, methods in watch.document["paths"].items():
        concrete = re.sub(r"\{\w+\}", "none", template).encode()
        for method in methods:
            role = good[template][0] if template in good and method == "post" else "authority"
            body = json.dumps(good[template][1]).encode() if template in good else b""
            for header in HEADERS:
                for key in (role, None):
                    await watch.send(
                        key,
                        method.upper(),
                        template,
                        path=concrete,
                        body=body,
                        headers=((b"content-type", b"application/json"), header),
                    )
        for method in (
            "PUT",
            "PATCH",
            "DELETE",
            "OPTIONS",
            "TRACE",
            "CONNECT",
            "PROPFIND",
            "get",
            "X" * 500,
            "",
        ):
            await watch.send("operator", method, template, path=concrete, body=b"{}")
    assert watch.faults == []


async def test_the_watch_catches_what_is_planted(service: HttpService) -> None:
    watch = Watch(service)
    plain = {b"content-type": b"text/plain"}
    problem = {b"content-type": b"application/problem+json", b"x-request-id": b"r"}
    document = {"code": "not_found", "status": 404, "request_id": "r", "detail": ""}
    leak = json.dumps({**document, "detail": 'File "app/x.py"'}).encode()

    def fault(status: int, headers: dict[bytes, bytes], content: bytes) -> str | None:
        return watch._fault("GET", "/v1/areas", False, status, headers, content)

    assert fault(500, plain, b"")
    assert fault(404, plain, b"Not Found")
    assert fault(404, problem, leak)
    assert fault(404, problem, json.dumps(document).encode())  # not documented for this operation
    assert fault(404, problem, json.dumps({**document, "code": "made_up"}).encode())
    assert fault(202, plain, b"")
