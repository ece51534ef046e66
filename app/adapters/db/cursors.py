"""Cursors of keyset pagination: those of `domain.cursors`, and the moments that some of their keys name."""

from datetime import UTC, datetime

from app.domain.cursors import decode_cursor, encode_cursor, refused_cursor

__all__ = ["decode_cursor", "encode_cursor", "moment_of", "refused_cursor"]


def moment_of(text: str) -> datetime:
    """Return the moment, in UTC, that a cursor's key names; DomainError `invalid_request` for what names none.

    A local time of the calendar's first or last hours may have no moment in UTC: it names none.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise refused_cursor()
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise refused_cursor() from None
