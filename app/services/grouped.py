"""Calls that meet at the database share one transaction: the busier the service, the larger the groups.

Whoever comes while a transaction is under way waits for the next one, never for the one already begun; so a read sees
everything that was committed before it was asked for, and a write is answered only after its own commit. On an idle
service nobody waits for company.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Group(Generic[Item, Result]):
    """Items that go together, and the task that carries them out once it has begun to wait for its turn."""

    __slots__ = ("items", "task")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.task: asyncio.Task[Sequence[Result]] | None = None


class Grouped(Generic[Item, Result]):
    """Carry out items in groups; `run` gets the items of one group and returns one result for each, in order."""

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        at_once: int = 1,
        largest: int = 100,
    ) -> None:
        """Run at most `at_once` groups at a time, of at most `largest` items each."""
        self._run = run
        self._largest = largest
        self._turns = asyncio.Semaphore(at_once)
        self._open: _Group[Item, Result] = _Group()

    async def add(self, item: Item) -> Result:
        """Carry out one item together with others; raises whatever its group's `run` raises."""
        group = self._open
        position = len(group.items)
        group.items.append(item)
        if group.task is None:
            group.task = asyncio.create_task(self._carry_out(group))
        if len(group.items) >= self._largest:
            self._open = _Group()
        # A caller that goes away must not stop the work of the others in its group.
        return (await asyncio.shield(group.task))[position]

    async def _carry_out(self, group: _Group[Item, Result]) -> Sequence[Result]:
        async with self._turns:
            if self._open is group:
                self._open = _Group()
            return await self._run(group.items)
