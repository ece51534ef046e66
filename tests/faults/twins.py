"""Deliberately broken stores. Each breaks one rule the register stands on; a fault test must find each of them.

They wrap the real store, so that everything else stays as it is in production.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from app.domain.events import LogLeaf
from app.domain.publication import PublishedStatusList
from app.ports import Store, UnitOfWork

T = TypeVar("T")

_GAP_SECONDS = 0.05


class _Wrapped:
    """A store that passes everything on."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        return await self.inner.write(work)

    async def read(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        return await self.inner.read(work)

    async def ready(self) -> None:
        await self.inner.ready()

    async def close(self) -> None:
        await self.inner.close()


class CommitAfterAnswer(_Wrapped):
    """Answer a change of state as soon as its work is done, and commit a moment later.

    Issuing would hide this fault: its intent is durable before the license is, and recovery finishes it.
    """

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._running: set[asyncio.Task[None]] = set()

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def linger(unit: UnitOfWork) -> T:
            changed = False

            async def change_state(**change: Any) -> None:
                nonlocal changed
                await unit.licenses.change_state(**change)
                changed = True

            licenses = _Proxy(unit.licenses, change_state=change_state)
            result = await work(_Proxy(unit, licenses=licenses))  # type: ignore[arg-type]
            if changed and not answer.done():
                answer.set_result(result)
                await asyncio.sleep(_GAP_SECONDS)
            return result

        async def commit() -> None:
            result = await self.inner.write(linger)
            if not answer.done():
                answer.set_result(result)

        def hand_on(task: asyncio.Task[None]) -> None:
            self._running.discard(task)
            error = task.exception()
            if error is not None and not answer.done():
                answer.set_exception(error)

        task = asyncio.create_task(commit())
        self._running.add(task)
        task.add_done_callback(hand_on)
        return await answer


class _Proxy:
    """Stand before an object and replace some of its attributes."""

    def __init__(self, target: Any, **replaced: Any) -> None:
        self._target = target
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        replaced = object.__getattribute__(self, "_replaced")
        if name in replaced:
            return replaced[name]
        return getattr(object.__getattribute__(self, "_target"), name)


class LeafInSecondTransaction(_Wrapped):
    """Store the log leaves in a transaction of their own, after the one they belong to."""

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        kept: list[LogLeaf] = []

        async def without_leaves(unit: UnitOfWork) -> T:
            kept.clear()

            async def keep(leaves: Sequence[LogLeaf]) -> None:
                kept.extend(leaves)

            journal = _Proxy(unit.journal, add_leaves=keep)
            return await work(_Proxy(unit, journal=journal))  # type: ignore[arg-type]

        result = await self.inner.write(without_leaves)
        if kept:
            await asyncio.sleep(_GAP_SECONDS)

            async def store_leaves(unit: UnitOfWork) -> None:
                await unit.journal.add_leaves(kept)

            await self.inner.write(store_leaves)
        return result


class UncheckedPublish(_Wrapped):
    """Publish whatever was read, however long ago, over whatever is served now."""

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        async def unchecked(unit: UnitOfWork) -> T:
            async def publish(published: PublishedStatusList, *, expected_seq: int, changes: int) -> None:
                row, _, _ = await unit.status.read_for_publication(published.list_id)
                forced = replace(published, seq=row.seq + 1)
                await unit.status.publish(forced, expected_seq=row.seq, changes=row.changes)

            status = _Proxy(unit.status, publish=publish)
            return await work(_Proxy(unit, status=status))  # type: ignore[arg-type]

        return await self.inner.write(unchecked)


TWINS: dict[str, Callable[[Store], Store]] = {
    "commit_after_answer": CommitAfterAnswer,
    "leaf_in_second_transaction": LeafInSecondTransaction,
    "unchecked_publish": UncheckedPublish,
}
