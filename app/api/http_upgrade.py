"""Go on with a request that asks for another protocol: it is served as HTTP/1.1 all the same (RFC 9110 §7.8).

The parser stops behind the head of such a request and takes the body for something else. Another parser takes its
place. It is told of the body in a head of its own, of which nobody hears, and reads on from there.
"""

from collections.abc import Iterable
from typing import Any

import httptools

_ABOUT_THE_BODY = frozenset({b"content-length", b"transfer-encoding"})


def parser_behind_head(protocol: Any) -> httptools.HttpRequestParser:
    """Return a parser for a protocol that has heard of a request's head already; it must be given `head_again`."""
    return httptools.HttpRequestParser(_BehindHead(protocol))


def head_again(stopped: httptools.HttpRequestParser, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write what a head says about its body and about the connection after it."""
    lines = [f"POST / HTTP/{stopped.get_http_version()}".encode()]
    lines += [name + b": " + value for name, value in headers if name in _ABOUT_THE_BODY]
    lines.append(b"connection: " + (b"keep-alive" if stopped.should_keep_alive() else b"close"))
    return b"\r\n".join([*lines, b"", b""])


class _BehindHead:
    """Passes on what a parser finds, but for the first head."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._is_behind = False
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        if self._is_behind:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._is_behind:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_behind:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._is_behind:
            self._protocol.on_headers_complete()
        self._is_behind = True
