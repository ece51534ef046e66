"""Connections that are slow, endless or no HTTP at all, against a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn

from app.api.http_protocol import MAX_HEAD_BYTES, StrictHttpProtocol

pytestmark = pytest.mark.anyio

HEAD = b"GET / HTTP/1.1\r\nHost: service.example\r\n"


class ImpatientProtocol(StrictHttpProtocol):
    """The protocol with a waiting time that suits tests."""

    head_seconds = 0.5
    linger_seconds = 0.3


class AnnouncingServer(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.ready.set()


async def hello(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    headers = [(b"content-length", str(len(body) + 2).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"<" + body + b">"})


LARGE = 20_000_000


async def large(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", str(LARGE).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x" * LARGE})


@asynccontextmanager
async def serving(app: Any = hello, *, keep_alive: int = 5) -> AsyncIterator[int]:
    config = uvicorn.Config(
        app,
        port=0,
        http=ImpatientProtocol,
        ws="none",
        lifespan="off",
        log_level="critical",
        backlog=4096,
        timeout_keep_alive=keep_alive,
    )
    server = AnnouncingServer(config)
    task = asyncio.create_task(server.serve())
    await server.ready.wait()
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


async def exchange(port: int, *pieces: bytes, pause: float = 0) -> bytes:
    """Send pieces and return all that comes back until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        return await asyncio.wait_for(reader.read(), timeout=10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_request_is_served() -> None:
    async with serving() as port:
        answer = await exchange(port, HEAD + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


async def test_a_head_in_pieces_is_served_when_it_is_in_time() -> None:
    async with serving() as port:
        answer = await exchange(port, HEAD, b"Connection: ", b"close\r\n\r\n", pause=0.05)
    assert answer.startswith(b"HTTP/1.1 200")


H2C = b"Connection: Upgrade, HTTP2-Settings%s\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
"""What clients send on http:// that would rather speak HTTP/2: Java's with every request, curl with --http2."""
SIZED = HEAD.replace(b"GET", b"POST") + H2C + b"Content-Length: 11\r\n\r\n"
CHUNKED = HEAD.replace(b"GET", b"POST") + H2C + b"Transfer-Encoding: chunked\r\n\r\n"
BARE = HEAD + H2C + b"\r\n"


@pytest.mark.parametrize(
    ("request_pieces", "body"),
    [
        ((SIZED + b"hello world",), b"hello world"),
        ((SIZED, b"hello ", b"world"), b"hello world"),
        ((SIZED[:50], SIZED[50:] + b"he", b"llo world"), b"hello world"),
        ((CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",), b"hello world"),
        ((CHUNKED, b"5\r\nhello\r\n6\r\n wo", b"rld\r\n0\r\n\r\n"), b"hello world"),
        ((BARE,), b""),
    ],
)
async def test_a_request_that_asks_for_another_protocol_is_served_with_its_body_and_so_is_the_next(
    request_pieces: tuple[bytes, ...], body: bytes
) -> None:
    first = [piece.replace(b"%s", b"") for piece in request_pieces]
    last = [piece.replace(b"%s", b", close") for piece in request_pieces]
    told = b"\r\n\r\n<" + body + b">"
    async with serving(echo) as port:
        apart = await exchange(port, *first, *first, *last, pause=0.05)
        at_once = await exchange(port, b"".join([*first, *first, *last]))
    assert (apart.count(b"HTTP/1.1 200"), apart.count(told)) == (3, 3)
    assert (at_once.count(b"HTTP/1.1 200"), at_once.count(told)) == (3, 3)


@pytest.mark.parametrize("sent", [b"", b"G", HEAD, HEAD + b"A: b\r\n" * 50])
async def test_a_head_that_never_ends_is_given_up(sent: bytes) -> None:
    async with serving() as port:
        assert await exchange(port, sent) == b""


async def test_the_second_request_of_a_connection_must_come_in_time_too() -> None:
    async with serving() as port:
        answer = await exchange(port, HEAD + b"\r\n", HEAD, pause=0.1)
    assert answer.count(b"HTTP/1.1 200") == 1


async def test_a_served_connection_is_not_cut_while_it_is_idle() -> None:
    async with serving() as port:
        answer = await exchange(port, HEAD + b"\r\n", HEAD + b"Connection: close\r\n\r\n", pause=0.8)
    assert answer.count(b"HTTP/1.1 200") == 2


async def test_an_endless_head_is_refused() -> None:
    async with serving() as port:
        answer = await exchange(port, HEAD + b"A: " + b"x" * (MAX_HEAD_BYTES + 1))
    assert answer.startswith(b"HTTP/1.1 413") or answer == b""


@pytest.mark.parametrize(
    "sent", [b"NONSENSE\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00"]
)
async def test_what_is_no_http_is_answered_with_a_problem_document(sent: bytes) -> None:
    async with serving() as port:
        answer = await exchange(port, sent)
    head, body = answer.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == 400


async def drip(port: int, request: bytes, piece: bytes) -> tuple[bytes, float]:
    """Send a request and then pieces until the other side closes; return what came and the seconds it took."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun = loop.time()
    writer.write(request)
    received = asyncio.create_task(reader.read())
    while not received.done() and loop.time() - begun < 6:
        writer.write(piece)
        await asyncio.wait([received], timeout=0.05)
    writer.transport.abort()
    try:
        return await received, loop.time() - begun
    except ConnectionError:
        return b"", loop.time() - begun


@pytest.mark.parametrize("length", [b"Content-Length: 100000\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_who_drips_a_body_that_was_answered_already_is_given_up(length: bytes) -> None:
    async with serving() as port:
        answer, seconds = await drip(port, HEAD.replace(b"GET", b"POST") + length + b"\r\n", b"1\r\nx\r\n")
    assert answer.startswith(b"HTTP/1.1 200") or answer == b""
    assert seconds < 3


async def test_who_drips_empty_lines_after_an_answer_is_given_up() -> None:
    async with serving(keep_alive=1) as port:
        answer, seconds = await drip(port, HEAD + b"\r\n", b"\r\n")
    assert answer.count(b"HTTP/1.1 200") <= 1
    assert seconds < 4


async def test_who_does_not_take_its_answer_is_given_up() -> None:
    async with serving(large, keep_alive=0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(HEAD + b"\r\n")
        await asyncio.sleep(1.7)
        taken = 0
        with suppress(ConnectionError):
            while data := await asyncio.wait_for(reader.read(1 << 20), timeout=5):
                taken += len(data)
        writer.transport.abort()
    assert taken < LARGE


async def test_who_takes_its_answer_slowly_gets_all_of_it() -> None:
    async with serving(large, keep_alive=0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(HEAD + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(10):
            await reader.readexactly(LARGE // 10)
            await asyncio.sleep(0.15)
        writer.close()


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.soak)])
async def test_many_slow_sockets_are_closed_while_others_are_served(count: int) -> None:
    async with serving() as port:
        slow = [asyncio.create_task(exchange(port, HEAD)) for _ in range(count)]
        await asyncio.sleep(0.1)
        answer = await exchange(port, HEAD + b"Connection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
        assert set(await asyncio.gather(*slow)) == {b""}
