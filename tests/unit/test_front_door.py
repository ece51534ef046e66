"""The front door alone, in front of an application that says what it was given."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Scope
from structlog.testing import capture_logs

from app.api.arrival import Arrival, arrival_of
from app.api.errors import install_error_handlers
from app.api.front_door import (
    MAX_HEADER_BYTES,
    MAX_LARGE_VALUES,
    MAX_TARGET_BYTES,
    MAX_VALUES,
    FrontDoor,
)
from app.domain.errors import DomainError
from app.metrics import Metrics

LIMIT = 1000
LARGE = 4000


async def echo(request: Request) -> Response:
    arrival = arrival_of(request)
    return JSONResponse({"value": arrival.value, "size": len(arrival.body), "path": request.url.path})


async def explode(request: Request) -> Response:
    raise RuntimeError("SELECT secret FROM /srv/private")


async def require_known(_scope: Scope, arrival: Arrival) -> None:
    if arrival.header(b"x-stranger"):
        raise DomainError("unauthenticated", "say who you are")
    if arrival.header(b"x-broken"):
        raise RuntimeError("SELECT secret FROM /srv/private")


def make_app(*, body_seconds: float = 5, room: int = 1) -> Starlette:
    app = Starlette(
        routes=[
            Route("/echo", echo, methods=["GET", "POST"]),
            Route("/large", echo, methods=["POST"]),
            Route("/explode", explode),
            Route("/names/{name}", echo),
        ]
    )
    install_error_handlers(app)
    app.add_middleware(
        FrontDoor,
        max_body_bytes=LIMIT * room,
        large_body_bytes={"/large": LARGE * room},
        require_known=require_known,
        metrics=Metrics(),
        body_seconds=body_seconds,
    )
    return app


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=make_app()), base_url="http://service.example")


JSON = {"content-type": "application/json"}


async def post(body: bytes, *, path: str = "/echo", headers: dict[str, str] | None = None) -> httpx.Response:
    async with client() as http:
        return await http.post(path, content=body, headers=JSON if headers is None else headers)


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == status
    assert document["code"] == code
    assert document["request_id"] == response.headers["x-request-id"]
    assert set(document) == {"type", "title", "status", "code", "detail", "request_id", "errors"}


@pytest.mark.anyio
async def test_a_strict_json_body_reaches_the_route_parsed() -> None:
    response = await post(b'{"a": [1, "\xe8\xaf\x81"]}')
    assert response.json() == {"value": {"a": [1, "证"]}, "size": 17, "path": "/echo"}
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":18446744073709551616}',
        b"[" * 33 + b"]" * 33,
        b"[" * 499 + b"]" * 499,
        b'{"a":1}{"b":2}',
        b"\xef\xbb\xbf{}",
        b"{'a':1}",
        b'{"a":"\x00"}',
    ],
)
async def test_a_body_that_is_not_strict_json_is_refused(body: bytes) -> None:
    assert_problem(await post(body), 400, "not_json")


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b'{"a":"\xff"}', '{"a":1}'.encode("utf-16"), '{"名":1}'.encode("gb18030")])
async def test_a_body_in_another_encoding_is_refused(body: bytes) -> None:
    assert_problem(await post(body), 400, "wrong_encoding")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/jsonx",
        "application/json; charset=gbk",
        "application/json; charset=utf-8; charset=gbk",
        "application/json; profile=x",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json, text/plain",
    ],
)
async def test_another_content_type_is_refused(content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    assert_problem(await post(b"{}", headers=headers), 415, "unsupported_media_type")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON", 'application/json;charset="UTF-8"']
)
async def test_json_in_utf8_is_accepted_however_it_is_written(content_type: str) -> None:
    assert (await post(b"{}", headers={"content-type": content_type})).status_code == 200


@pytest.mark.anyio
async def test_an_encoded_body_is_refused() -> None:
    response = await post(b"{}", headers={**JSON, "content-encoding": "gzip"})
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.anyio
async def test_the_declared_size_is_refused_before_the_body_is_read() -> None:
    response = await post(b"{}", headers={**JSON, "content-length": "99999999"})
    assert_problem(response, 413, "too_large")


@pytest.mark.anyio
async def test_a_streamed_body_is_refused_once_it_is_too_long() -> None:
    async def stream() -> Any:
        for _ in range(100):
            yield b" " * 100

    async with client() as http:
        assert_problem(await http.post("/echo", content=stream(), headers=JSON), 413, "too_large")


@pytest.mark.anyio
async def test_only_the_named_path_takes_large_bodies() -> None:
    body = json.dumps({"a": "x" * 2000}).encode()
    assert_problem(await post(body), 413, "too_large")
    assert (await post(body, path="/large")).status_code == 200
    assert_problem(await post(b'"' + b"x" * LARGE + b'"', path="/large"), 413, "too_large")


def full_batch() -> object:
    """Make a batch of 1,000 questions, each with all that a question may hold, texts full of what parts JSON values."""
    elements = {f"element_{number}": 'a,b,[c],{"d": "e"},\\' for number in range(100)}
    asked = {
        "purpose": "x",
        "reference": ",",
        "policy": "[",
        "at": "{",
        "license": {"number": "1", "type_code": "2"},
    }
    return {"items": [{**asked, "elements": elements} for _ in range(1000)]}


@pytest.mark.anyio
@pytest.mark.parametrize(("path", "most"), [("/echo", MAX_VALUES), ("/large", MAX_LARGE_VALUES)])
@pytest.mark.parametrize("value", ["[]", "{}", '""', '{"":0}', '"\\\\"', '"\\""', "1.5", "[[[[[[]]]]]]"])
async def test_a_body_of_too_many_values_is_refused_before_it_is_parsed(
    path: str, most: int, value: str
) -> None:
    def body(values: int) -> bytes:
        return f"[{','.join([value] * (values // inside - 1))}]".encode()

    inside = 1 + sum(map(value.count, "[{"))
    app = make_app(room=2000)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://service.example"
    ) as http:
        assert (await http.post(path, content=body(most), headers=JSON)).status_code == 200
        assert_problem(await http.post(path, content=body(most + 4 * inside), headers=JSON), 413, "too_large")
        unbalanced = b"[1" * (most + 1)
        assert_problem(await http.post(path, content=unbalanced, headers=JSON), 400, "not_json")


@pytest.mark.anyio
async def test_a_batch_of_the_largest_questions_is_taken_whatever_its_texts_hold() -> None:
    content = json.dumps(full_batch()).encode()
    app = make_app(room=5000)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://service.example"
    ) as http:
        response = await http.post("/large", content=content, headers=JSON)
    assert response.status_code == 200
    assert response.json()["size"] == len(content)


@pytest.mark.anyio
@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_larger_than_usual_is_not_read_of_who_has_no_good_key(declared: bool) -> None:
    sent = []

    async def stream() -> Any:
        for _ in range(LARGE // 100):
            sent.append(100)
            yield b" " * 100

    headers = {**JSON, "x-stranger": "1", **({"content-length": str(LARGE)} if declared else {})}
    async with client() as http:
        refused = await http.post("/large", content=stream(), headers=headers)
        small = await http.post("/large", content=b"{", headers=headers | {"content-length": "1"})
    assert_problem(refused, 401, "unauthenticated")
    assert sent == []
    assert_problem(small, 400, "not_json")


@pytest.mark.anyio
async def test_a_fault_while_a_caller_is_looked_up_is_a_document_and_its_cause_is_logged() -> None:
    headers = {**JSON, "x-broken": "1", "x-request-id": "of-the-broken"}
    with capture_logs() as lines:
        async with client() as http:
            answer = await http.post("/large", content=b" " * LARGE, headers=headers)
    assert_problem(answer, 500, "internal")
    assert "secret" not in answer.text
    assert [(line["event"], line["request_id"]) for line in lines] == [("unexpected_error", "of-the-broken")]


@pytest.mark.anyio
async def test_oversized_headers_and_targets_are_refused() -> None:
    async with client() as http:
        big = await http.get("/echo", headers={"x-big": "x" * (MAX_HEADER_BYTES + 1)})
        long = await http.get("/echo?" + "x" * (MAX_TARGET_BYTES + 1))
    assert_problem(big, 413, "too_large")
    assert_problem(long, 413, "too_large")


@pytest.mark.anyio
async def test_a_request_id_is_echoed_when_it_is_printable_and_made_when_not() -> None:
    async with client() as http:
        kept = await http.get("/echo", headers={"x-request-id": "case-17/α".replace("α", "a")})
        made = [
            await http.get("/echo", headers={"x-request-id": value}) for value in ("", "x" * 129, "two words")
        ]
    assert kept.headers["x-request-id"] == "case-17/a"
    for response in made:
        assert len(response.headers["x-request-id"]) == 36


@pytest.mark.anyio
@pytest.mark.parametrize(
    "accept", ["image/png", "nonsense", "application/xml, image/*", "application/json;q=0"]
)
async def test_an_accept_that_nothing_satisfies_is_refused(accept: str) -> None:
    async with client() as http:
        assert_problem(await http.get("/echo", headers={"accept": accept}), 406, "not_acceptable")


@pytest.mark.anyio
@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html,application/xhtml+xml,*/*;q=0.8"])
async def test_an_accept_that_something_satisfies_is_taken(accept: str) -> None:
    async with client() as http:
        assert (await http.get("/echo", headers={"accept": accept})).status_code == 200


@pytest.mark.anyio
async def test_an_unexpected_error_is_answered_without_internal_text() -> None:
    async with client() as http:
        response = await http.get("/explode")
    assert_problem(response, 500, "internal")
    assert "SELECT" not in response.text
    assert "RuntimeError" not in response.text


@pytest.mark.anyio
async def test_unknown_paths_and_methods_are_problem_documents() -> None:
    async with client() as http:
        assert_problem(await http.get("/nowhere"), 404, "not_found")
        wrong_method = await http.delete("/echo")
    assert_problem(wrong_method, 405, "method_not_allowed")
    assert wrong_method.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.anyio
async def test_problems_speak_the_callers_language() -> None:
    async with client() as http:
        chinese = await http.get("/nowhere")
        english = await http.get("/nowhere", headers={"accept-language": "fr;q=0.9, en-US;q=0.8, zh;q=0.5"})
    assert chinese.json()["title"] == "未找到"
    assert chinese.headers["content-language"] == "zh-CN"
    assert english.json()["title"] == "Not found"
    assert english.headers["content-language"] == "en"
    assert "Accept-Language" in english.headers["vary"]


@pytest.mark.anyio
async def test_head_answers_as_get_without_a_body() -> None:
    async with client() as http:
        response = await http.head("/echo")
    assert response.status_code == 200
    assert response.content == b""


async def call_raw(
    raw_path: bytes,
    *,
    query: bytes = b"",
    messages: Sequence[dict[str, Any]] = (),
    method: str = "GET",
    body_seconds: float = 5,
) -> list[dict[str, Any]]:
    """Drive the application below any HTTP client, which would mend what is sent here."""
    sent: list[dict[str, Any]] = []
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop(0)
        await asyncio.sleep(3600)
        raise AssertionError("unreachable")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": raw_path.decode("latin-1").replace("%41", "A"),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    await make_app(body_seconds=body_seconds)(scope, receive, send)
    return sent


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "query"),
    [
        (b"/names/%zz", b""),
        (b"/names/%", b""),
        (b"/names/%ff", b""),
        (b"/names/%00", b""),
        (b"/names/%0a", b""),
        (b"/names/\xff", b""),
        (b"/names/%ed%a0%80", b""),
        (b"/echo", b"a=%ff"),
        (b"/echo", b"a=%00"),
        (b"/echo", b"a=%q1"),
        (b"/echo", b"a=%ed%a0%80"),
    ],
)
async def test_paths_and_queries_that_are_not_utf8_are_refused(path: bytes, query: bytes) -> None:
    sent = await call_raw(path, query=query)
    assert sent[0]["status"] == 400
    assert json.loads(sent[1]["body"])["code"] == "wrong_encoding"


@pytest.mark.anyio
async def test_a_body_that_never_ends_is_given_up() -> None:
    first = {"type": "http.request", "body": b"{", "more_body": True}
    sent = await call_raw(b"/echo", messages=[first], method="POST", body_seconds=0.05)
    assert sent[0]["status"] == 400


@pytest.mark.anyio
async def test_a_caller_that_leaves_gets_no_answer() -> None:
    assert await call_raw(b"/echo", messages=[{"type": "http.disconnect"}], method="POST") == []
