"""Work done item by item: what one of them raises, and whether the others must wait for it."""

from app.domain.errors import DomainError
from elicense.problems import PROBLEMS

_SERVER_FAULT = 500


def concerns_one(error: Exception) -> bool:
    """Tell whether what an item raised may be about it alone: not when the service refuses or the database is away."""
    return not (isinstance(error, DomainError) and PROBLEMS[error.code].status >= _SERVER_FAULT)
