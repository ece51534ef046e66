"""One answer on a connection: written at once, never against its own length, and never out of its fields."""

import asyncio
import gc
import logging
import weakref
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from app.api.arrival import TAKE_BODY
from app.api.http_exchange import Exchange

pytestmark = pytest.mark.anyio


class _Transport:
    """Remember what was written, one entry for each time."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(bytes(data))

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        self.writes.append(b"".join(parts))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def _exchange(transport: Any, *, method: str = "POST", expects: bool = False) -> Exchange:
    return Exchange(
        scope={"type": "http", "method": method},  # type: ignore[typeddict-item]
        transport=transport,
        flow=FlowControl(transport),
        logger=logging.getLogger("test"),
        access_logger=logging.getLogger("test"),
        access_log=False,
        default_headers=[(b"date", b"now")],
        message_event=asyncio.Event(),
        expect_100_continue=expects,
        keep_alive=True,
        on_response=lambda: None,
    )


def _start(*headers: tuple[bytes, bytes]) -> dict[str, object]:
    return {"type": "http.response.start", "status": 200, "headers": list(headers)}


def _part(body: bytes, *, more: bool = False) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def test_head_and_body_are_written_together() -> None:
    transport = _Transport()
    exchange = _exchange(transport)
    await exchange.send(_start((b"content-length", b"2")))
    assert transport.writes == []
    await exchange.send(_part(b"ok"))
    assert transport.writes == [b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 2\r\n\r\nok"]
    assert exchange.response_complete
    assert not transport.closed


async def test_an_answer_in_parts_is_chunked() -> None:
    transport = _Transport()
    exchange = _exchange(transport)
    await exchange.send(_start())
    await exchange.send(_part(b"one", more=True))
    await exchange.send(_part(b"two"))
    assert b"".join(transport.writes).endswith(
        b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    )


async def test_the_answer_to_head_has_no_body() -> None:
    transport = _Transport()
    exchange = _exchange(transport, method="HEAD")
    await exchange.send(_start((b"content-length", b"2")))
    await exchange.send(_part(b""))
    assert b"".join(transport.writes).endswith(b"content-length: 2\r\n\r\n")
    assert exchange.response_complete


@pytest.mark.parametrize("body", [b"", b"o", b"okay"])
async def test_a_body_of_another_length_is_not_written(body: bytes) -> None:
    transport = _Transport()
    exchange = _exchange(transport)
    await exchange.send(_start((b"content-length", b"2")))
    with pytest.raises(RuntimeError):
        await exchange.send(_part(body))
    assert transport.writes == []
    assert not exchange.response_complete


@pytest.mark.parametrize(
    "header",
    [(b"x", b"a\r\nset-cookie: b"), (b"x", b"\x00"), (b"x\r\ny", b"a"), (b"x y", b"a"), (b"x:", b"a")],
)
async def test_what_would_break_out_of_its_field_is_refused(header: tuple[bytes, bytes]) -> None:
    transport = _Transport()
    with pytest.raises(RuntimeError):
        await _exchange(transport).send(_start((b"content-length", b"2"), header))
    assert transport.writes == []


async def test_a_second_answer_is_refused() -> None:
    transport = _Transport()
    exchange = _exchange(transport)
    await exchange.send(_start((b"content-length", b"2")))
    with pytest.raises(RuntimeError):
        await exchange.send(_start((b"content-length", b"2")))
    await exchange.send(_part(b"ok"))
    with pytest.raises(RuntimeError):
        await exchange.send(_part(b"ok"))
    assert len(transport.writes) == 1


async def test_only_a_whole_body_is_taken_and_nothing_is_asked_for_then() -> None:
    transport = _Transport()
    exchange = _exchange(transport, expects=True)
    exchange.body += b"half"
    assert exchange.take_body() is None
    exchange.body += b" and half"
    exchange.more_body = False
    assert exchange.take_body() == b"half and half"
    assert transport.writes == []


async def test_nothing_is_written_to_a_caller_that_went_away() -> None:
    transport = _Transport()
    exchange = _exchange(transport)
    await exchange.send(_start((b"content-length", b"2")))
    exchange.disconnected = True
    await exchange.send(_part(b"ok"))
    assert transport.writes == []
    assert exchange.take_body() is None


async def test_nothing_of_a_call_is_left_for_the_search_of_unreachable_circles() -> None:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send(_start((b"content-length", b"2")))
        await send(_part(b"ok"))

    exchange = _exchange(_Transport())
    exchange.scope[TAKE_BODY] = exchange.take_body  # type: ignore[typeddict-unknown-key]
    gone = weakref.ref(exchange)
    gc.disable()
    try:
        await exchange.run_asgi(answer)
        del exchange
        assert gone() is None
    finally:
        gc.enable()
