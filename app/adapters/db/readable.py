"""Rows read one by one, so that one that cannot be read stands in nobody's way."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import Row, Table, select

from app.adapters.db.session import Session
from elicense.problems import FormatError

T = TypeVar("T")

# What making a value of a damaged row raises. Never a driver's fault: that concerns the whole transaction.
_DAMAGE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, FormatError)

log = structlog.get_logger()


async def readable(
    session: Session, table: Table, ids: Sequence[str], make: Callable[[Row[Any]], T]
) -> Sequence[T]:
    """Return the rows of these ids as values, in their order; one that cannot be read is logged by its id."""
    found = []
    for one in ids:
        try:
            row = await session.row(select(*table.columns).where(table.c.id == one))
            if row is not None:
                found.append(make(row))
        except _DAMAGE:
            log.exception("row_not_readable", table=table.name, id=one)
    return found
