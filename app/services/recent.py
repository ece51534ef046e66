"""A value read from the database and kept for a moment, so that hot paths do not read it with every call."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from app.ports import Clock

T = TypeVar("T")

MAX_AGE = timedelta(seconds=1)


class Recent(Generic[T]):
    """Hold what `load` last returned for at most a second; a clock that went back counts as too old."""

    def __init__(self, clock: Clock, load: Callable[[T | None], Awaitable[T]]) -> None:
        """Use `load`, which gets the value held before, to return it unchanged where nothing is new."""
        self._clock = clock
        self._load = load
        self._held: tuple[datetime, T] | None = None
        self._turn = asyncio.Lock()

    async def get(self) -> T:
        """Return the value, read anew when it is older than a second. Raises what `load` raises."""
        held = self._held
        if held is not None and abs(self._clock.now() - held[0]) < MAX_AGE:
            return held[1]
        async with self._turn:
            if self._held is not None and self._held is not held:
                return self._held[1]
            # The time is taken before the read: what changes during it must not count as seen.
            asked_at = self._clock.now()
            value = await self._load(held[1] if held is not None else None)
            self._held = (asked_at, value)
            return value

    def forget(self) -> None:
        """Read anew at the next call."""
        self._held = None
