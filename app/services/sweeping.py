"""Deleting what has run out, a limited number of rows a transaction, however much has gathered."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

from app.ports import Store, UnitOfWork

ROWS_AT_ONCE: Final = 5_000


class Progress(StrEnum):
    """Say whether a duty that does only so much at once has more to do."""

    DONE = "done"
    MORE = "more"


async def sweep_all(
    store: Store, delete: Callable[[UnitOfWork, int], Awaitable[int]], *, at_once: int = ROWS_AT_ONCE
) -> int:
    """Call `delete`, which is given a limit and returns how many rows it deleted, until nothing is left; add up.

    Each call stands in a transaction of its own. After an outage of the worker one statement for all that gathered
    would outlast its time limit, be rolled back and tried again for ever; and on SQLite nobody else writes meanwhile.
    """
    swept = 0
    while True:
        count = await store.write(lambda unit: delete(unit, at_once))
        swept += count
        if count < at_once:
            return swept
