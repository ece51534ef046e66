"""Pages of lists that are held whole: which page is asked for, and cursors over the last key shown."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from app.api.schemas.fields import Cursor, Limit, StrictModel
from app.domain.cursors import decode_cursor, encode_cursor, refused_cursor

T = TypeVar("T")
_MOST_DIGITS = 9


class NoQuery(StrictModel):
    """Nothing may be asked: a parameter that would be passed over is refused."""


class PageQuery(StrictModel):
    """Which page of a list."""

    cursor: Cursor | None = None
    limit: Limit = 200


def page_by_key(
    entries: Sequence[T], query: PageQuery, *, listing: str, key: Callable[[T], str]
) -> tuple[Sequence[T], str | None]:
    """Return the page asked for of a whole list, in the order of its keys, and the cursor of the next.

    Raises DomainError `invalid_request` for a cursor that `listing` has not given out.
    """
    after = key_after(query, listing=listing)
    rest = sorted((one for one in entries if key(one) > after), key=key)
    page = rest[: query.limit]
    return page, encode_cursor(listing, key(page[-1])) if len(rest) > len(page) else None


def key_after(query: PageQuery, *, listing: str) -> str:
    """Return the key the page begins after, empty for the first. Raises DomainError `invalid_request`."""
    key = decode_cursor(query.cursor, listing, parts=1)
    return "" if key is None else key[0]


def page_by_position(
    entries: Sequence[T], query: PageQuery, *, listing: str, of: str
) -> tuple[Sequence[T], str | None]:
    """Return the page asked for of a list that only grows, and the cursor of the next; `of` says whose list it is.

    Raises DomainError `invalid_request` for a cursor that this list of another, or another listing, has given out.
    """
    key = decode_cursor(query.cursor, listing, parts=2)
    start = 0 if key is None else _position(key, of)
    end = start + query.limit
    return entries[start:end], encode_cursor(listing, of, str(end)) if end < len(entries) else None


def _position(key: Sequence[str], of: str) -> int:
    owner, position = key
    if owner != of or not (position.isascii() and position.isdigit() and len(position) <= _MOST_DIGITS):
        raise refused_cursor()
    return int(position)
