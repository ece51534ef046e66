"""The client for asyncio over real sockets: its transport, its time-outs, and more calls than it has connections."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from elicense import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AsyncElicense,
    ElicenseError,
    License,
    Timeout,
)
from tests.sdk_clients import LICENSE

pytestmark = pytest.mark.anyio
CONNECTIONS = 100
"""As many as a client opens at once."""


class LocalService:
    """A small HTTP service. `held` waits until it is released, `large` is larger than a client takes."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.held = 0
        self.asked = 0
        self.url = ""
        self.callers: set[asyncio.Task[None] | None] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.callers.add(asyncio.current_task())
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head.split()[1].decode().rpartition("/")[2], head, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, name: str, head: bytes, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        if name == "held":
            self.held += 1
            await self.released.wait()
        body = json.dumps(LICENSE | {"number": "en" if b"accept-language: en" in head.lower() else "zh"})
        status = "302 Found\r\nLocation: /v1/licenses/elsewhere" if name == "moved" else "200 OK"
        size = (64 << 20) + 1 if name == "large" else len(body)
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n{body}".encode())
        if name == "large":
            writer.write(bytes(size))


@pytest.fixture
async def service() -> AsyncIterator[LocalService]:
    local = LocalService()
    server = await asyncio.start_server(local.connected, "127.0.0.1", 0, backlog=1024)
    local.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield local
    local.released.set()
    server.close()
    await asyncio.gather(*filter(None, local.callers))


def client(service: LocalService, **settings: object) -> AsyncElicense:
    return AsyncElicense(**{"api_key": "k", "base_url": service.url, "max_retries": 0} | settings)  # type: ignore[arg-type]


async def hold_every_connection(opened: AsyncElicense, service: LocalService) -> list[asyncio.Task[License]]:
    """Begin one call after another, so that none waits long for its connection; the service answers none of them."""
    calls = []
    for number in range(CONNECTIONS):
        calls.append(asyncio.create_task(opened.licenses.get("held")))
        while service.held <= number:  # noqa: ASYNC110
            await asyncio.sleep(0)
    return calls


async def test_an_answer_arrives(service: LocalService) -> None:
    async with client(service, language="en") as opened:
        assert (await opened.licenses.get("0190")).number == "en"


async def test_a_slow_answer_is_a_time_out_and_the_next_call_is_none(service: LocalService) -> None:
    async with client(service, timeout=Timeout(read=0.1)) as opened:
        with pytest.raises(APITimeoutError):
            await opened.licenses.get("held")
        assert (await opened.licenses.get("0190")).id == "0190"


async def test_a_redirect_is_not_followed(service: LocalService) -> None:
    async with client(service) as opened:
        with pytest.raises(APIStatusError) as refused:
            await opened.licenses.get("moved")
    assert refused.value.status_code == 302


async def test_nobody_listening_is_a_connection_error(service: LocalService) -> None:
    async with client(service, base_url="http://127.0.0.1:1") as opened:
        with pytest.raises(APIConnectionError):
            await opened.licenses.get("0190")


async def test_an_answer_that_is_too_large_is_refused(service: LocalService) -> None:
    async with client(service, max_retries=2) as opened:
        with pytest.raises(APIResponseError, match="larger"):
            await opened.licenses.get("large")
    assert service.asked == 1


async def test_a_call_waits_for_a_free_connection_longer_than_for_a_new_one(service: LocalService) -> None:
    """That all connections are taken says nothing about the service: it is no time-out."""
    async with client(service, timeout=Timeout(connect=0.5)) as opened, asyncio.timeout(60):
        held = await hold_every_connection(opened, service)
        waiting = asyncio.create_task(opened.licenses.get("0190"))
        await asyncio.wait({waiting}, timeout=1)
        assert not waiting.done()
        service.released.set()
        assert {one.id for one in await asyncio.gather(waiting, *held)} == {"0190"}


async def test_cancelled_calls_give_their_connections_back(service: LocalService) -> None:
    async with client(service) as opened, asyncio.timeout(60):
        held = await hold_every_connection(opened, service)
        held += [asyncio.create_task(opened.licenses.get("waiting")) for _ in range(20)]
        await asyncio.sleep(0)
        for call in held:
            call.cancel()
        await asyncio.wait(held)
        assert all(call.cancelled() for call in held)
        found = await asyncio.gather(*(opened.licenses.get("0190") for _ in range(CONNECTIONS)))
    assert len(found) == CONNECTIONS


async def test_closing_ends_the_calls_under_way_and_refuses_later_ones(service: LocalService) -> None:
    opened = client(service, max_retries=2)
    held = await hold_every_connection(opened, service)
    await opened.aclose()
    ended = await asyncio.gather(*held, return_exceptions=True)
    assert all(isinstance(one, ElicenseError) for one in ended)
    with pytest.raises(ElicenseError, match="closed"):
        await opened.licenses.get("0190")
