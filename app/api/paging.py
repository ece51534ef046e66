"""Pages of lists that are held whole: which page is asked for, and cursors over the last key shown."""

import base64
import binascii

from app.api.errors import InvalidShape
from app.api.schemas.fields import Cursor, Limit, StrictModel


class NoQuery(StrictModel):
    """Nothing may be asked: a parameter that would be passed over is refused."""


class PageQuery(StrictModel):
    """Which page of a list."""

    cursor: Cursor | None = None
    limit: Limit = 200


def encode_cursor(key: str) -> str:
    """Make the cursor that continues after a key."""
    return base64.urlsafe_b64encode(key.encode("utf-8")).decode("ascii")


def decode_cursor(cursor: str) -> str:
    """Return the key a cursor continues after. Raises InvalidShape for what is no cursor."""
    try:
        return base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True).decode("utf-8")
    except (binascii.Error, UnicodeError):
        raise InvalidShape.at("cursor", "cursor") from None


def decode_position(cursor: str) -> int:
    """Return the position a cursor over a growing list continues at. Raises InvalidShape for what is no cursor."""
    text = decode_cursor(cursor)
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidShape.at("cursor", "cursor")
    return int(text)
