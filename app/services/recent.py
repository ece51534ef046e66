"""A value read from the database and kept for a moment, so that hot paths do not read it with every call."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")

MAX_AGE_SECONDS = 1.0


class Steady(Protocol):
    """What ages are measured by."""

    def monotonic(self) -> float:
        """Return the seconds since any fixed beginning."""
        ...


class Recent(Generic[T]):
    """Hold what `load` last returned for at most a second, counted from when it began to read; nobody can set that."""

    def __init__(self, clock: Steady, load: Callable[[T | None], Awaitable[T]]) -> None:
        """Use `load`, which gets the value held before, to return it unchanged where nothing is new."""
        self._clock = clock
        self._load = load
        self._held: tuple[float, T] | None = None
        self._forgotten = 0
        self._turn = asyncio.Lock()

    async def get(self) -> T:
        """Return the value, read anew when it is older than a second. Raises what `load` raises."""
        came_at, held = self._clock.monotonic(), self._held
        if held is not None and came_at - held[0] < MAX_AGE_SECONDS:
            return held[1]
        async with self._turn:
            # The time is taken before the read: what changes during it must not count as seen.
            asked_at, held = self._clock.monotonic(), self._held
            # What was asked for since this call came is new enough for it, however long the reading took.
            if held is not None and (held[0] >= came_at or asked_at - held[0] < MAX_AGE_SECONDS):
                return held[1]
            forgotten = self._forgotten
            value = await self._load(held[1] if held is not None else None)
            if forgotten == self._forgotten:
                self._held = (asked_at, value)
            return value

    def forget(self) -> None:
        """Read anew at the next call; what is being read now is for those alone who asked before."""
        self._held = None
        self._forgotten += 1
