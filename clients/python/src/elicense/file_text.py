"""Texts as people keep them in files: what editors put around a text is no part of it."""

from typing import overload


@overload
def trimmed(text: str) -> str: ...


@overload
def trimmed(text: bytes) -> bytes: ...


@overload
def trimmed(text: str | bytes) -> str | bytes: ...


def trimmed(text: str | bytes) -> str | bytes:
    """Drop a byte order mark before a text, and white space around it."""
    if isinstance(text, str):
        return text.removeprefix("\ufeff").strip()
    return text.removeprefix(b"\xef\xbb\xbf").strip()
