"""Work that many ask for at once and that is done once: whoever comes while it runs waits for the same result."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SharedWork(Generic[K, T]):
    """Run one task for each key at a time. Nothing is kept: what shall outlast the task, the work keeps itself."""

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[T]] = {}

    def __len__(self) -> int:
        """Tell how many pieces of work are running."""
        return len(self._running)

    def __contains__(self, key: K) -> bool:
        """Tell whether the work of this key is running."""
        return key in self._running

    async def result(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what the running work of this key returns, or begin it. Raises what the work raises."""
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(work())
            self._running[key] = task
            task.add_done_callback(partial(self._ended, key))
        # A caller that goes away must not take the answer of all others with it.
        return await asyncio.shield(task)

    def _ended(self, key: K, task: asyncio.Task[T]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # looked at: there may be nobody left who waits to hear of it
