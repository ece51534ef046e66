"""The HTTP connection itself: how long and how large the head of a request may be before any application sees it.

uvicorn waits for the head of a request for ever and keeps all of it. A caller that opens many connections and sends
a byte now and then would hold them all; one that never ends its headers would fill the memory.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api.arrival import Arrival
from app.api.problems import PROBLEM_TYPE, problem_response
from app.domain.ids import new_id

HEAD_SECONDS = 10.0
MAX_HEAD_BYTES = 128 * 1024


class StrictHttpProtocol(HttpToolsProtocol):
    """Close connections whose next request has no complete head in time, and answer what is no HTTP as a problem."""

    head_seconds = HEAD_SECONDS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; refuse a head that grows beyond any use. The application's own limit is far below this one."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse("too_large", "the head of a request is limited")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin to wait for the head of this request, however many came before on the connection."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0
        if self._head_timer is None:
            self._wait_for_head()

    def on_headers_complete(self) -> None:
        """Hand the request on; from here the front door limits time and size."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP request."""
        self._refuse("not_json", "this is not an HTTP request")

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, code: str, detail: str) -> None:
        """Write a whole answer and close: the parser's state is worth nothing after this."""
        if self.transport.is_closing():
            return
        arrival = Arrival(new_id(), {}, b"", None)
        response = problem_response(code, detail, arrival)
        body = bytes(response.body)
        lines = [
            STATUS_LINE[response.status_code],
            f"content-type: {PROBLEM_TYPE}\r\n".encode(),
            f"content-length: {len(body)}\r\n".encode(),
            f"x-request-id: {arrival.request_id}\r\n".encode(),
            b"connection: close\r\n\r\n",
            body,
        ]
        self.transport.write(b"".join(lines))
        self.transport.close()
