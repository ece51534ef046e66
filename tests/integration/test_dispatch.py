"""What is looked up answers byte for byte as what is searched for: status, headers in their order, body."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from app.api.dispatch import Dispatch, fixed_routes
from app.api.routing import PlainRoute
from app.domain.errors import DomainError
from tests.integration.http_service import HttpService, open_http

pytestmark = pytest.mark.anyio

# What two answers to one question never share, each of one length: ids, moments, salts, digests over them, signatures.
_OWN = re.compile(
    rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z"
    rb'|(?<="question_salt":")[^"]*|(?<="receipt":")[^"]*|(?<="digest":")[^"]*|(?<="path":\[)[^\]]*|(?<="evaluated_at":)[0-9]+'
)


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def _ask(
    app: Any, method: str, path: str, *, key: str | None, body: bytes, headers: Mapping[bytes, bytes]
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    given = {b"content-type": b"application/json", b"x-request-id": b"same-for-both", **headers}
    if key is not None:
        given[b"authorization"] = b"Bearer " + key.encode()
    bare, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": bare,
        "raw_path": bare.encode(),
        "query_string": query.encode(),
        "headers": list(given.items()),
        "client": ("127.0.0.1", 1),
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], list(sent[0]["headers"]), content


def _comparable(answer: tuple[int, list[tuple[bytes, bytes]], bytes]) -> tuple[object, ...]:
    status, headers, body = answer
    kept = [(name, b"" if name == b"ratelimit" else value) for name, value in headers]
    return status, kept, _OWN.sub(b"", body)


def _searching(app: FastAPI) -> FastAPI:
    """Let the application search for every route, as Starlette does."""
    door: Any = app.build_middleware_stack()
    assert isinstance(door._app, Dispatch)
    door._app = ExceptionMiddleware(app.router, handlers=app.exception_handlers)
    app.middleware_stack = door
    return app


async def test_a_route_looked_up_answers_as_one_searched_for(service: HttpService) -> None:
    issued = await service.issue()
    credential = await service.credential(issued["id"])
    question = json.dumps({"credential": credential, "reference": "r"}).encode()
    reference = {"holder_code": issued["holder"]["code"], "type_code": issued["type_code"]}
    number = json.dumps({"license": reference, "elements": {"holder_name": "别家公司"}}).encode()
    one, batch = "/v1/verifications", "/v1/verifications/batch"
    english = {b"accept-language": b"en"}
    asked: list[tuple[str, str, str | None, bytes, Mapping[bytes, bytes]]] = [
        ("POST", one, "platform", question, {}),
        ("POST", one, "platform", question, english),
        ("POST", one, "platform", number, {}),
        ("POST", one, "bank", b'{"code":"nothing"}', {}),
        ("POST", one, "platform", b'{"credential":"no.credential"}', english),
        ("POST", one, "platform", b'{"credential":1,"code":"","more":null}', english),
        ("POST", one, "platform", b'{"license":{"number":"1"}}', {}),
        ("POST", one, "platform", b"[]", {}),
        ("POST", one, "platform", b"{", {}),
        ("POST", one, "platform", b"\xff", english),
        ("POST", one, "platform", b'{"code":"x","purpose":"other"}', {}),
        ("POST", one + "?dry_run=true", "platform", question, {}),
        ("POST", one, None, question, english),
        ("POST", one, "holder", question, {}),
        ("POST", one, "platform", question, {b"idempotency-key": b"\x01"}),
        ("POST", one, "platform", b'{"code":"x","license":null}', {b"idempotency-key": b"kept"}),
        ("POST", one, "platform", question, {b"content-type": b"text/plain"}),
        ("POST", one + "/", "platform", question, {}),
        ("PUT", one, "platform", question, english),
        ("DELETE", one, "platform", b"", {}),
        ("GET", one + "?limit=1000", "platform", b"", {}),
        ("POST", batch, "platform", b'{"items":[{"code":"nothing"},{"code":1},7]}', english),
        ("POST", batch, "platform", b'{"items":[]}', {}),
        ("GET", batch, "platform", b"", {}),
        ("GET", "/v1/reasons", None, b"", {}),
        ("HEAD", "/v1/reasons", None, b"", english),
        ("POST", "/v1/licenses", "platform", b"{}", {}),
    ]
    transport: Any = service.http._transport
    for call in asked:
        if call[4].get(b"idempotency-key") == b"kept":
            await _ask_as(service, transport.app, *call)  # both below repeat this one's answer
    looked_up = [await _ask_as(service, transport.app, *call) for call in asked]
    searched = [await _ask_as(service, _searching(transport.app), *call) for call in asked]
    for call, first, second in zip(asked, looked_up, searched, strict=True):
        assert _comparable(first) == _comparable(second), call[:3]
    statuses = {answer[0] for answer in looked_up}
    assert {200, 400, 401, 403, 404, 405, 415, 422} <= statuses


async def _ask_as(
    service: HttpService,
    app: Any,
    method: str,
    path: str,
    role: str | None,
    body: bytes,
    headers: Mapping[bytes, bytes],
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    key = None if role is None else service.installation.keys[role]
    return await _ask(app, method, path, key=key, body=body, headers=headers)


async def _one(request: Request) -> Response:
    return Response("one")


async def _two(request: Request) -> Response:
    raise DomainError("not_found")


def test_a_path_that_an_earlier_route_takes_is_not_looked_up() -> None:
    hidden = PlainRoute("/a/b", _two, methods=["GET"])
    open_route = PlainRoute("/a/b", _two, methods=["POST"])
    routes = [PlainRoute("/a/{name}", _one, methods=["GET"]), hidden, open_route]
    assert fixed_routes(routes) == {("POST", "/a/b"): open_route}
