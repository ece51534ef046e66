"""The body of an answer as it arrives: bounded in what it takes, and taken apart here, for that alone bounds it.

A compressed answer of a few kilobytes may hold gigabytes: an HTTP library that undoes the compression by itself hands
them on in one piece, before anybody can count.
"""

import zlib
from typing import Final

from elicense.client.errors import APIConnectionError, APIResponseError

MOST_BYTES: Final = 64 << 20
ENCODING: Final = "gzip"
"""What is asked for (Accept-Encoding); nothing else is understood but a body as it is."""
_GZIP: Final = 16 + zlib.MAX_WBITS


class Body:
    """Collect an answer's body, compressed or not, up to 64 MiB on its way and 64 MiB of content."""

    def __init__(self, content_encoding: str | None) -> None:
        """`received` counts what arrived, as it arrived.

        Raises APIResponseError for an encoding that was not asked for, or one upon another.
        """
        encoding = (content_encoding or "").strip().lower()
        if encoding not in {"", "identity", "gzip", "x-gzip"}:
            raise APIResponseError("the answer is encoded in a way that was not asked for")
        self._inflater = zlib.decompressobj(_GZIP) if "gzip" in encoding else None
        self._parts: list[bytes] = []
        self.received = 0
        self._size = 0

    def add(self, part: bytes) -> None:
        """Take what arrived. Raises APIResponseError for too much, APIConnectionError for what is no gzip."""
        self.received += len(part)
        content = part if self._inflater is None else self._inflated(self._inflater, part)
        self._size += len(content)
        if max(self.received, self._size) > MOST_BYTES:
            # No lost connection: fetched again it would be as large.
            raise APIResponseError("the answer is larger than 64 MiB")
        self._parts.append(content)

    def whole(self) -> bytes:
        """Return the content. Raises APIConnectionError when the gzip was cut short."""
        if self._inflater is not None and self.received and not self._inflater.eof:
            raise APIConnectionError("the answer was cut short")
        return b"".join(self._parts)

    def _inflated(self, inflater: "zlib._Decompress", part: bytes) -> bytes:
        try:
            # One byte more than there is room for tells that it is too much.
            content = inflater.decompress(part, MOST_BYTES + 1 - self._size)
        except zlib.error as error:
            raise APIConnectionError("the answer was damaged on its way") from error
        if inflater.unused_data:
            raise APIConnectionError("the answer holds more than one gzip stream")
        return content
