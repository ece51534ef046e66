"""Look into signed texts: base64url unfolded to the bytes it stands for, compressed status lists to their entries.

A signed token cannot be changed by one entry and stay signed, but two versions of it can be compared where they are
alike: inside. Unfolding is exact: folding gives the same text again, or the part is left as it stands.
"""

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeAlias

from elicense.encoding import JsonValue, b64url_decode, b64url_encode, malformed
from elicense.problems import FormatError
from elicense.status_list import deflate_bits, inflate_bits

Shape: TypeAlias = "list[JsonValue]"
"""Of each part in turn: 0 bytes as they stand, 1 the entries of a compressed list, or the shape inside base64url."""

_BYTES, _ENTRIES = 0, 1
_BASE64URL = re.compile(rb"[A-Za-z0-9_-]{80,}")
_DEEPEST = 2
"""A token holds its payload, a payload the compressed list: there is nothing to look into below."""


def unfold(text: bytes, *, inflate: bool) -> tuple[Shape, list[bytes]]:
    """Take a text apart into its shape and the bytes of its parts.

    With `inflate`, a status list that this machine's zlib compresses to exactly the same bytes becomes its entries.
    """
    leaves: list[bytes] = []
    return _unfold(text, leaves, inflate=inflate, depth=0), leaves


def fold(shape: Shape, leaves: Iterator[bytes]) -> bytes:
    """Put a text together again; FormatError (malformed) for another shape or when leaves are missing."""
    return _fold(shape, leaves, depth=0)


@lru_cache(maxsize=1)
def deflate_fingerprint() -> str:
    """Name how this machine's zlib compresses: two machines of one name make the same bytes of the same entries.

    zlib defines what a stream means, not which of many streams a compressor chooses; versions and forks differ. The
    name is a digest of what became of samples, sparse and dense, and no proof: the digest of the result decides.
    """
    made = hashlib.sha256()
    for spacing in (2, 7, 61, 509, 4093):
        packed = bytearray(65536)
        state = spacing
        for _ in range(len(packed) // spacing):
            # A fixed sequence (the constants of C's own rand): the same samples on every machine.
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            packed[state % len(packed)] |= 1 << (2 * (state >> 16 & 3))
        made.update(deflate_bits(packed))
    return made.hexdigest()[:16]


def _unfold(data: bytes, leaves: list[bytes], *, inflate: bool, depth: int) -> Shape:
    shape: Shape = []
    done = 0
    for found in _BASE64URL.finditer(data) if depth < _DEEPEST else ():
        inside = _decode(found[0])
        if inside is None:
            continue
        if found.start() > done:
            shape.append(_BYTES)
            leaves.append(data[done : found.start()])
        shape.append(_unfold(inside, leaves, inflate=inflate, depth=depth + 1))
        done = found.end()
    if done == 0 and inflate and depth == _DEEPEST:
        entries = _inflate_exactly(data)
        if entries is not None:
            leaves.append(entries)
            return [_ENTRIES]
    if done < len(data):
        shape.append(_BYTES)
        leaves.append(data[done:])
    return shape


def _decode(text: bytes) -> bytes | None:
    try:
        return b64url_decode(text)
    except FormatError:
        return None  # a long run of letters that is no base64url: it stays as it is


def _inflate_exactly(data: bytes) -> bytes | None:
    try:
        entries = inflate_bits(data)
    except FormatError:
        return None  # no list, or one beyond every bound: it stays as it is
    return entries if deflate_bits(entries) == data else None


def _fold(shape: JsonValue, leaves: Iterator[bytes], *, depth: int) -> bytes:
    if not isinstance(shape, list) or depth > _DEEPEST:
        raise malformed("shape of a text is not known")
    parts = []
    for part in shape:
        if isinstance(part, list):
            parts.append(b64url_encode(_fold(part, leaves, depth=depth + 1)).encode("ascii"))
            continue
        leaf = next(leaves, None)
        if leaf is None or type(part) is not int or part not in (_BYTES, _ENTRIES):
            raise malformed("shape of a text and its parts disagree")
        parts.append(leaf if part == _BYTES else deflate_bits(leaf))
    return b"".join(parts)
