"""How long a call may take: bounded as a whole, whatever the service does meanwhile."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from elicense import APITimeoutError, AsyncElicense, ConfigurationError, Elicense, Timeout
from tests.raw_service import Asked, http, serving
from tests.sdk_clients import LICENSE, over_http

CONNECTIONS = 100
"""As many as a client opens at once."""
HASTY = Timeout(total=0.4)


def trickle(head: bytes, part: bytes, *, every: float = 0.05) -> Callable[[Asked], Iterator[bytes]]:
    """Answer with a head, and then without end."""

    def say(_: Asked) -> Iterator[bytes]:
        yield head
        for _ in range(round(20 / every)):
            time.sleep(every)
            yield part

    return say


BODY = trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" ")
CHUNKS = trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")
HEAD = trickle(b"HTTP/1.1 200 OK\r\nX: ", b"y")
INTERIM = trickle(b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n")
BLOCKING_BOUNDS = [BODY, CHUNKS]
ASYNCIO_BOUNDS = [BODY, CHUNKS, HEAD, INTERIM]


def ends_in_time(kind: str, reply: Callable[[Asked], Iterator[bytes]]) -> None:
    with serving(reply) as service, over_http(kind, service.url, timeout=HASTY) as opened:
        began = time.monotonic()
        with pytest.raises(APITimeoutError):
            opened.licenses.get("0190")
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("reply", BLOCKING_BOUNDS, ids=["body", "chunks"])
def test_an_answer_that_trickles_in_is_a_time_out(reply: Callable[[Asked], Iterator[bytes]]) -> None:
    ends_in_time("blocking", reply)


@pytest.mark.parametrize("reply", ASYNCIO_BOUNDS, ids=["body", "chunks", "head", "interim"])
def test_for_asyncio_a_head_that_trickles_in_is_one_too(reply: Callable[[Asked], Iterator[bytes]]) -> None:
    ends_in_time("asyncio", reply)


def test_a_large_answer_over_a_thin_line_is_none(kind: str) -> None:
    content = json.dumps(LICENSE).encode().ljust(8 * (64 << 10))

    def slowly(_: Asked) -> Iterator[bytes]:
        yield f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        for start in range(0, len(content), 64 << 10):
            yield content[start : start + (64 << 10)]
            time.sleep(0.1)

    with serving(slowly) as service, over_http(kind, service.url, timeout=HASTY) as opened:
        assert opened.licenses.get("0190").id == "0190"


def test_more_threads_than_connections_wait_for_a_free_one() -> None:
    """That all connections are taken says nothing about the service: it is no time-out."""
    everybody = threading.Barrier(CONNECTIONS)

    def together(asked: Asked) -> list[bytes]:
        if asked.path.endswith("first"):
            everybody.wait(30)
            time.sleep(1)
        return http(LICENSE)

    with (
        serving(together) as service,
        Elicense(api_key="k", base_url=service.url, max_retries=0, timeout=Timeout(connect=0.5)) as opened,
        ThreadPoolExecutor(CONNECTIONS + 20) as threads,
    ):
        first = [threads.submit(opened.licenses.get, "first") for _ in range(CONNECTIONS)]
        while len(service.asked) < CONNECTIONS:
            time.sleep(0.01)
        later = [threads.submit(opened.licenses.get, "later") for _ in range(20)]
        assert {call.result().id for call in [*first, *later]} == {"0190"}


@pytest.mark.anyio
async def test_a_trickle_on_every_connection_holds_up_the_next_call_for_a_while_only() -> None:
    def trickle_for_all_but_one(asked: Asked) -> Iterator[bytes]:
        return BODY(asked) if asked.path.endswith("trickle") else iter(http(LICENSE))

    with serving(trickle_for_all_but_one) as service:
        async with AsyncElicense(
            api_key="k", base_url=service.url, max_retries=0, timeout=Timeout(total=1)
        ) as opened:
            held = [asyncio.create_task(opened.licenses.get("trickle")) for _ in range(CONNECTIONS)]
            await asyncio.sleep(0)
            async with asyncio.timeout(20):
                assert (await opened.licenses.get("0190")).id == "0190"
            ended = await asyncio.gather(*held, return_exceptions=True)
    assert {type(one) for one in ended} == {APITimeoutError}


def test_one_client_serves_one_event_loop_after_another() -> None:
    with serving(lambda _: http(LICENSE)) as service:
        client = AsyncElicense(api_key="k", base_url=service.url, max_retries=0)

        async def get_and_close() -> str:
            found = await client.licenses.get("0190")
            if len(service.asked) == 3:
                await client.aclose()
            return found.id

        for _ in range(2):
            with asyncio.Runner() as runner:
                assert runner.run(client.licenses.get("0190")).id == "0190"
        assert asyncio.run(get_and_close()) == "0190"


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), 86_401])
def test_time_outs_are_above_zero_and_a_day_at_most(seconds: float) -> None:
    for name in ("connect", "read", "total"):
        with pytest.raises(ConfigurationError):
            Timeout(**{name: seconds})
    assert Timeout(total=None).total is None


def test_who_waits_longer_for_bytes_waits_as_long_for_the_whole() -> None:
    assert Timeout().total == 60
    assert Timeout(read=120).total == 123
    assert Timeout(read=120, total=5).total == 5
    assert Timeout(total=None).total is None
