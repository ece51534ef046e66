"""The HTTP connection itself: how long and how large the head of a request may be before any application sees it, and
how long a connection is kept for a caller that does not go on.

uvicorn waits for the head of a request for ever and keeps all of it. A caller that opens many connections and sends
a byte now and then would hold them all; one that never ends its headers would fill the memory. After an answer any
byte, of a body that nobody waits for or of empty lines, makes uvicorn wait anew; and what a caller does not take of
its answer stays in memory.
"""

import asyncio
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api.arrival import TAKE_BODY, Arrival
from app.api.http_exchange import Exchange
from app.api.http_upgrade import head_again, parser_behind_head
from app.api.problems import PROBLEM_TYPE, problem_response
from app.domain.ids import new_id

HEAD_SECONDS = 10.0
LINGER_SECONDS = 5.0
MAX_HEAD_BYTES = 128 * 1024


class StrictHttpProtocol(HttpToolsProtocol):
    """Close connections whose next request has no complete head in time, and answer what is no HTTP as a problem.

    After an answer the time is that of a kept connection and of a head together, or `linger_seconds` when the request
    answered has not come to its end: long enough to read the refusal. As long as a caller takes some of its answer it
    is given time again.
    """

    head_seconds = HEAD_SECONDS
    linger_seconds = LINGER_SECONDS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = True
        self._unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait_for_head(self.head_seconds)

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
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("")

    def _parse(self, data: bytes | memoryview) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                head = head_again(self.parser, self.headers)
                self.parser = parser_behind_head(self)
                self.parser.feed_data(head)
                data = memoryview(data)[stop.args[0] :]
            else:
                return

    def on_message_begin(self) -> None:
        """Begin to wait for the head of this request, however many came before on the connection."""
        super().on_message_begin()
        if not self._in_head:  # else it is the first one: its time runs since the connection was made
            self._stop_waiting()
            self._wait_for_head(self.head_seconds)
        self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Hand the request on; from here the front door limits time and size."""
        self._in_head = False
        self._stop_waiting()
        version = self.parser.get_http_version()
        scope: Any = self.scope
        target = httptools.parse_url(self.url)
        path = target.path.decode("ascii")
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = target.path
        scope["query_string"] = target.query or b""
        self._exchange(keep_alive=version != "1.0" and self.parser.should_keep_alive())

    def on_message_complete(self) -> None:
        """Hand the end of the body on. It has not come where another protocol is asked for: see `_parse`."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _exchange(self, *, keep_alive: bool) -> None:
        """Begin the exchange of a request, or let it wait for the answer of the one before on this connection."""
        before = self.cycle
        self.cycle = exchange = Exchange(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        scope: Any = self.scope
        scope[TAKE_BODY] = exchange.take_body
        if before is None or before.response_complete:
            self._start_asgi_task(exchange, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, unless one is being read or answered already."""
        super().on_response_complete()
        self._unsent = self.transport.get_write_buffer_size() + 1
        if self._head_timer is None and self.cycle.response_complete:
            whole = not self.cycle.more_body
            idle = self.config.timeout_keep_alive + self.head_seconds
            self._wait_for_head(idle if whole else self.linger_seconds)

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP request."""
        self._refuse("not_json", "this is not an HTTP request")

    def _wait_for_head(self, seconds: float) -> None:
        self._head_timer = self.loop.call_later(seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        if self._unsent == 0:
            self.transport.close()
        elif self._unsent < before:
            self._wait_for_head(self.head_seconds)
        else:
            self.transport.abort()  # to close would wait until the rest is taken

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
