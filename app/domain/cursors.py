"""Opaque cursors: base64url over a JSON list that names the list it was given out for and the last key shown."""

from typing import Final

from app.domain.errors import DomainError, FieldError
from elicense.encoding import b64url_decode, b64url_encode, dump_json, parse_json
from elicense.problems import FormatError

MAX_CURSOR: Final = 1024
"""How long a cursor can be, in characters: the longest key is a name of a hundred characters."""


def encode_cursor(listing: str, *key: str) -> str:
    """Make the cursor that continues `listing` after `key`."""
    return b64url_encode(dump_json([listing, *key]))


def decode_cursor(cursor: str | None, listing: str, *, parts: int) -> tuple[str, ...] | None:
    """Return the key a cursor stands for; None for no cursor or an empty one (from the start).

    Raises DomainError `invalid_request` for whatever `encode_cursor` cannot have made for this listing.
    """
    if not cursor:
        return None
    if len(cursor) > MAX_CURSOR:
        raise refused_cursor()
    try:
        value = parse_json(b64url_decode(cursor), max_bytes=MAX_CURSOR, max_depth=2)
    except FormatError:
        raise refused_cursor() from None
    if not isinstance(value, list) or len(value) != parts + 1 or value[0] != listing:
        raise refused_cursor()
    key = tuple(part for part in value[1:] if isinstance(part, str) and "\x00" not in part)
    if len(key) != parts:
        raise refused_cursor()
    return key


def refused_cursor() -> DomainError:
    """Make the error for a cursor that this listing has not given out."""
    return DomainError(
        "invalid_request",
        "the cursor is not one of ours",
        errors=[FieldError("/cursor", "not a cursor of this list", "游标无效,请使用上一页的 next_cursor")],
    )
