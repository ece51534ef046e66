"""Which encoding a file is in, and what of it cannot be read: nothing damaged is taken for good text.

What cannot be decoded becomes lone surrogates, so that its row is told apart; U+FFFD says that another program met the
same damage before.
"""

import codecs
import re

_UNREADABLE = re.compile("[\ud800-\udfff\ufffd]")
_WIDE = re.compile("[\u0800-\ud7ff\ue000-\ufffc\U00010000-\U0010ffff]+")
_SOME_WIDE = 2
_BYTES_OF_WIDE = 3
_MARK = "\udcff"


def is_damaged(text: str) -> bool:
    """Tell whether some of a decoded text could not be read, here or before it came here."""
    return _UNREADABLE.search(text) is not None


def decode(data: bytes) -> str:
    """Decode a file: UTF-16 or UTF-8 as its mark says, else UTF-8 where it is that at least for the most part, else
    GB18030. Bytes that cannot be read, and lines in the other of the two encodings, come as lone surrogates.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _decode_utf16(data)
    if data.startswith(codecs.BOM_UTF8):
        return data[3:].decode("utf-8", "surrogateescape")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    text = data.decode("utf-8", "surrogateescape")
    # Almost any bytes are characters in GB18030: a damaged UTF-8 file would be read as nonsense without a fault.
    if _BYTES_OF_WIDE * _count_wide(text) >= _count_damaged(text):
        return text
    return "".join(_decode_gb18030(line) for line in data.splitlines(keepends=True))


def _decode_utf16(data: bytes) -> str:
    whole = data[: len(data) // 2 * 2]
    text = whole.decode("utf-16", "surrogatepass")
    return text + _MARK if len(whole) < len(data) else text


def _decode_gb18030(line: bytes) -> str:
    """Decode one line. One that is UTF-8 came from elsewhere: as GB18030 it would be other characters."""
    if not line.isascii() and _is_utf8(line):
        return line.decode("ascii", "surrogateescape")
    return line.decode("gb18030", "surrogateescape")


def _is_utf8(line: bytes) -> bool:
    try:
        return _count_wide(line.decode("utf-8")) >= _SOME_WIDE
    except UnicodeDecodeError:
        return False


def _count_wide(text: str) -> int:
    """Count what UTF-8 writes in three bytes or four: Chinese, and hardly ever met by chance in GB18030."""
    return sum(len(found) for found in _WIDE.findall(text))


def _count_damaged(text: str) -> int:
    return len(text) - len(text.encode("utf-8", "ignore").decode("utf-8"))
