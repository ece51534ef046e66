"""One request and its answer on a connection: a body that has come is taken at once, an answer is written at once.

uvicorn writes the head of an answer and its body apart, each a call of the system and a packet of its own, and gives
a body only to who waits for it, which the front door must do under a timer.
"""

import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from app.api.arrival import TAKE_BODY

_NO_NAME = re.compile(rb'[\x00-\x1f\x7f()<>@,;:\[\]={} \t\\"]')
_NO_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Exchange(RequestResponseCycle):
    """Keep the head of an answer back until its first part is there, and write both together."""

    _head: bytes = b""

    async def run_asgi(self, app: Any) -> None:
        """Let the application answer."""
        try:
            await super().run_asgi(app)
        finally:
            # The scope leads to this exchange and back: left so, all that a call has made would stay in memory, and
            # out of the processor's caches, until the next search for such circles.
            scope: Any = self.scope
            scope.pop(TAKE_BODY, None)

    def take_body(self) -> bytes | None:
        """Return the whole body when all of it has come, else None: then it is to be received."""
        if self.more_body or self.disconnected or self.response_complete:
            return None
        self.waiting_for_100_continue = False  # nothing is left to be sent (RFC 9110 §10.1.1)
        self.flow.resume_reading()
        self.message_event.clear()
        body, self.body = bytes(self.body), bytearray()
        return body

    async def send(self, message: Any) -> None:
        """Take one message of the answer. Raises RuntimeError for one that is out of order or has no true length."""
        kind = message["type"]
        if kind == "http.response.start" and not self.response_started:
            self.response_started = True
            self.waiting_for_100_continue = False
            self._head = self._make_head(message["status"], [*self.default_headers, *message["headers"]])
            return
        if not self._head or kind != "http.response.body":
            await super().send(message)
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        head, self._head = self._head, b""
        if self.chunked_encoding or message.get("more_body", False) or self.scope["method"] == "HEAD":
            self.transport.write(head)
            await super().send(message)
        else:
            self._finish(head, message.get("body", b""))

    def _make_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return status line and fields; what would break out of its field is refused with RuntimeError."""
        for name, _ in headers:
            if _NO_NAME.search(name):
                raise RuntimeError("Invalid HTTP header name.")
        if _NO_VALUE.search(b"\t".join([value for _, value in headers])):
            raise RuntimeError("Invalid HTTP header value.")
        lines = [STATUS_LINE[status]]
        closes = False
        for name, value in headers:
            lowered = name.lower()
            if lowered == b"content-length" and self.chunked_encoding is None:
                self.expected_content_length = int(value)
                self.chunked_encoding = False
            elif lowered == b"transfer-encoding" and value.lower() == b"chunked":
                self.expected_content_length = 0
                self.chunked_encoding = True
            elif lowered == b"connection" and b"close" in [
                word.lower().strip() for word in value.split(b",")
            ]:
                self.keep_alive = False
                closes = True
            lines += (lowered, b": ", value, b"\r\n")
        if not self.keep_alive and not closes:
            lines.append(b"connection: close\r\n")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in (204, 304):
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)

    def _finish(self, head: bytes, body: bytes) -> None:
        if len(body) != self.expected_content_length:
            raise RuntimeError("Response content is not as long as its Content-Length says")
        self.expected_content_length = 0
        self.transport.writelines((head, body) if body else (head,))
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
