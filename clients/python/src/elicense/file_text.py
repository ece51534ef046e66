"""Texts as people keep them in files: what editors put around a text is no part of it."""

from typing import AnyStr


def trimmed(text: AnyStr) -> AnyStr:
    """Drop a byte order mark before a text, and white space around it."""
    if isinstance(text, str):
        return text.removeprefix("\ufeff").strip()
    return text.removeprefix(b"\xef\xbb\xbf").strip()
