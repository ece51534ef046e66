"""Both clients of the SDK over transports that answer from a list: what one does the other does, test by test."""

import asyncio
import inspect
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest

from elicense import AsyncElicense, Elicense, Timeout
from elicense.client._protocol import Request, Response

LICENSE = {
    "id": "0190",
    "identifier": "1.2.156.3005.2.T.A.S.001.X",
    "version": "001",
    "status": "active",
    "type_code": "11100000MB0143028R001",
    "type_name": "营业执照",
    "number": "N",
    "authority_code": "A",
    "authority_name": "南京市市场监督管理局(演示)",
    "holder": {"code": "H", "code_type": "001", "name": "某某"},
    "area_code": "320100",
    "issue_date": "1980-02-03",
    "valid_from": "1980-02-03",
    "valid_until": None,
    "elements": {"address": "x"},
    "created_at": "2026-11-23T12:00:00Z",
    "updated_at": "2026-11-23T12:00:00Z",
}
VERIFICATION = {"id": "v", "verdict": "invalid", "reason": "revoked", "receipt": "a.b.c", "checks": []}
BASE_URL = "https://license.example"


class FakeTransport:
    """Answers from a list, in order; remembers what was asked."""

    def __init__(self, *answers: Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []

    def send(self, request: Request, *, timeout: Timeout) -> Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None: ...


class Awaited:
    """A blocking fake as a transport for asyncio. Before it answers, other tasks have their turn."""

    def __init__(self, transport: FakeTransport) -> None:
        self._transport = transport

    async def send(self, request: Request, *, timeout: Timeout) -> Response:  # noqa: ASYNC109
        await asyncio.sleep(0)
        return self._transport.send(request, timeout=timeout)

    async def aclose(self) -> None:
        self._transport.close()


class Driven:
    """An `AsyncElicense` to be called like an `Elicense`: each call is run to its end on one event loop."""

    def __init__(self, driven: object, runner: asyncio.Runner) -> None:
        self._driven = driven
        self._runner = runner

    def __repr__(self) -> str:
        return repr(self._driven)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._driven, name)
        if not callable(member):
            return Driven(member, self._runner)

        def call(*args: object, **options: object) -> object:
            outcome = member(*args, **options)
            if inspect.iscoroutine(outcome):
                return self._runner.run(outcome)
            assert isinstance(outcome, AsyncIterator)
            return self._each(outcome)

        return call

    def _each(self, outcome: AsyncIterator[object]) -> Iterator[object]:
        async def following() -> object:
            return await anext(outcome, self)

        while (one := self._runner.run(following())) is not self:
            yield one


def json_answer(value: object, status: int = 200) -> Response:
    return Response(status=status, headers={}, body=json.dumps(value).encode())


def problem(status: int, code: str, **headers: str) -> Response:
    body = json.dumps({"code": code, "title": "t", "status": status}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, headers={"content-type": "application/problem+json", **named}, body=body)


def body_of(request: Request) -> object:
    return json.loads(request.body or b"null")


MakeClient = Callable[..., Elicense]


@pytest.fixture(params=["blocking", "asyncio"])
def client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Make clients of each kind over a `FakeTransport`; `slept` receives the pauses between attempts."""
    with asyncio.Runner() as runner:

        def make(transport: FakeTransport, *, slept: list[float] | None = None, **settings: Any) -> Elicense:
            pauses = [] if slept is None else slept
            options = {"api_key": "elk_live_a_b", "base_url": BASE_URL, **settings}
            if request.param == "blocking":
                return Elicense(transport=transport, pause=pauses.append, **options)

            async def pause(seconds: float) -> None:
                pauses.append(seconds)

            driven = AsyncElicense(transport=Awaited(transport), pause=pause, **options)
            return cast(Elicense, Driven(driven, runner))

        yield make


@pytest.fixture(params=["blocking", "asyncio"])
def kind(request: pytest.FixtureRequest) -> str:
    """Name the clients in turn, for `over_http`."""
    return str(request.param)


@contextmanager
def over_http(kind: str, url: str, **settings: Any) -> Iterator[Elicense]:
    """Make the client of a kind (`blocking`, `asyncio`) for a real socket, and close it."""
    options = {"api_key": "elk_live_a_b", "base_url": url, "max_retries": 0, **settings}
    if kind == "blocking":
        with Elicense(**options) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        awaited = AsyncElicense(**options)
        yield cast(Elicense, Driven(awaited, runner))
        runner.run(awaited.aclose())


class LocalHandler(BaseHTTPRequestHandler):
    """Answers licenses; tells in `version` which cookie came, or how often `large` was asked for."""

    protocol_version = "HTTP/1.1"
    large = 0

    def do_GET(self) -> None:
        if self.path.endswith("/slow"):
            self.server.released.wait(5)  # type: ignore[attr-defined]
        redirect = self.path.endswith("/moved")
        large = self.path.endswith("/large")
        LocalHandler.large += large
        told = {"number": self.headers["Accept-Language"], "version": f"cookie {self.headers['Cookie']}"}
        if self.path.endswith("/counted"):
            told["version"] = f"{LocalHandler.large} large"
        body = json.dumps(LICENSE | told).encode() + large * (64 << 20) * b" "
        self.send_response(302 if redirect else 200)
        if redirect:
            self.send_header("Location", "/v1/licenses/elsewhere")
        self.send_header("Set-Cookie", "session=1; Path=/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def local_service() -> Iterator[str]:
    """Serve a `LocalHandler`; return its address."""
    LocalHandler.large = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), LocalHandler)
    server.released = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.released.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join()
