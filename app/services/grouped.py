"""Calls that meet at the database share one transaction: the busier the service, the larger the groups.

Whoever comes while a transaction is under way waits for the next one, never for the one already begun; so a read sees
everything that was committed before it was asked for, and a write is answered only after its own commit. On an idle
service nobody waits for company.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def together_or_apart(
    run: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
    items: Sequence[Item],
    *,
    concerns_all: Callable[[Exception], bool],
) -> Sequence[Result | Exception]:
    """Carry items out together, or each by itself where that fails through one of them, which gets its own failure.

    Raises what fails for a single item, and failures that concern all, such as a database that is away; where those
    come when some have been carried out, the rest get them.
    """
    try:
        return await run(items)
    except Exception as error:
        if len(items) == 1 or concerns_all(error):
            raise
    outcomes: list[Result | Exception] = []
    for item in items:
        try:
            outcomes += await run([item])
        except Exception as error:  # noqa: BLE001  # told to whom it belongs
            if concerns_all(error):
                return [*outcomes, *[error] * (len(items) - len(outcomes))]
            outcomes.append(error)
    return outcomes


class _Group(Generic[Item, Result]):
    """Items that go together, where each caller waits for its own, and the task that carries them out."""

    __slots__ = ("answers", "items", "task")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.answers: list[asyncio.Future[Result]] = []
        self.task: asyncio.Task[None] | None = None


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
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        group.items.append(item)
        group.answers.append(answer)
        if group.task is None:
            group.task = asyncio.create_task(self._carry_out(group))
            group.task.add_done_callback(partial(self._end, group))
        if len(group.items) >= self._largest:
            self._open = _Group()
        # A caller that goes away takes its own future along, and stops nobody's work.
        return await answer

    def _end(self, group: _Group[Item, Result], task: "asyncio.Task[None]") -> None:
        """Leave nobody waiting for a task that was stopped, even before its first step, and open the next group."""
        if task.cancelled():
            for answer in group.answers:
                answer.cancel()
            if self._open is group:
                self._open = _Group()

    async def _carry_out(self, group: _Group[Item, Result]) -> None:
        try:
            async with self._turns:
                if self._open is group:
                    self._open = _Group()
                results = await self._run(group.items)
            told = list(zip(group.answers, results, strict=True))
        except BaseException as error:  # whatever it was, everybody who waits is to hear of it
            for answer in group.answers:
                if isinstance(error, Exception) and not answer.done():
                    answer.set_exception(error)
                else:
                    answer.cancel()
            if not isinstance(error, Exception):
                raise
            return
        for answer, result in told:
            if not answer.done():
                answer.set_result(result)
