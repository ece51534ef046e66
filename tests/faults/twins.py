"""Deliberately broken stores. Each breaks one rule the register stands on; a fault test must find each of them.

A few are not broken but slow or stuck, and say so: with them nothing may go wrong. All wrap the real store, so that
everything else stays as it is in production.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from app.domain.events import LogLeaf, LogName
from app.domain.ids import jitter
from app.domain.license import HistoryEntry, License, LicenseVersion, Replacement
from app.domain.publication import PublishedStatusList
from app.domain.scheduled_change import ChangeStatus, ScheduledChange
from app.domain.transparency_log import Growth, LogHead, WaitingLeaf
from app.ports import Store, UnitOfWork

T = TypeVar("T")

_GAP_SECONDS = 0.05


class Wrapped:
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


class CommitAfterAnswer(Wrapped):
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

            licenses = Proxy(unit.licenses, change_state=change_state)
            result = await work(Proxy(unit, licenses=licenses))  # type: ignore[arg-type]
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


class Proxy:
    """Stand before an object and replace some of its attributes."""

    def __init__(self, target: Any, **replaced: Any) -> None:
        self._target = target
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        replaced = object.__getattribute__(self, "_replaced")
        if name in replaced:
            return replaced[name]
        return getattr(object.__getattribute__(self, "_target"), name)


class LeafInSecondTransaction(Wrapped):
    """Store the log leaves in a transaction of their own, after the one they belong to."""

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        kept: list[LogLeaf] = []

        async def without_leaves(unit: UnitOfWork) -> T:
            kept.clear()

            async def keep(leaves: Sequence[LogLeaf]) -> None:
                kept.extend(leaves)

            journal = Proxy(unit.journal, add_leaves=keep)
            return await work(Proxy(unit, journal=journal))  # type: ignore[arg-type]

        result = await self.inner.write(without_leaves)
        if kept:
            await asyncio.sleep(_GAP_SECONDS)

            async def store_leaves(unit: UnitOfWork) -> None:
                await unit.journal.add_leaves(kept)

            await self.inner.write(store_leaves)
        return result


class UncheckedPublish(Wrapped):
    """Publish whatever was read, however long ago, over whatever is served now."""

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        async def unchecked(unit: UnitOfWork) -> T:
            async def publish(published: PublishedStatusList, *, expected_seq: int, changes: int) -> None:
                row, _, _ = await unit.status.read_for_publication(published.list_id)
                forced = replace(published, seq=row.seq + 1)
                await unit.status.publish(forced, expected_seq=row.seq, changes=row.changes)

            status = Proxy(unit.status, publish=publish)
            return await work(Proxy(unit, status=status))  # type: ignore[arg-type]

        return await self.inner.write(unchecked)


class SlowWrites(Wrapped):
    """Not broken, only slow: a moment passes before each transaction, so that others come in between."""

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        await asyncio.sleep(_GAP_SECONDS * jitter() / 2)
        return await self.inner.write(work)


class UncheckedAmendment(SlowWrites):
    """Store a further version whatever became of its license since it was promised."""

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        async def unchecked(unit: UnitOfWork) -> T:
            async def add_version(
                license: License, version: LicenseVersion, entry: HistoryEntry, *, expected: Replacement
            ) -> bool:
                now = await unit.licenses.get(license.id)
                assert now is not None
                return await unit.licenses.add_version(
                    replace(license, row_version=now.row_version + 1),
                    version,
                    entry,
                    expected=replace(expected, row_version=now.row_version, state=now.state),
                )

            licenses = Proxy(unit.licenses, add_version=add_version)
            return await work(Proxy(unit, licenses=licenses))  # type: ignore[arg-type]

        return await super().write(unchecked)


class UnfencedScheduledChanges(Wrapped):
    """End a scheduled change whoever holds it by now and however it ended, as if nothing had been claimed anew."""

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        async def unfenced(unit: UnitOfWork) -> T:
            async def end(ended: ScheduledChange) -> None:
                held = await unit.scheduled_changes.get(ended.id)
                if held is not None and held.status is ChangeStatus.SCHEDULED:
                    await unit.scheduled_changes.end(replace(ended, fence=held.fence))

            changes = Proxy(unit.scheduled_changes, end=end)
            return await work(Proxy(unit, scheduled_changes=changes))  # type: ignore[arg-type]

        return await self.inner.write(unfenced)


class Dawdling(Wrapped):
    """No fault, but slow: every transaction begins a moment later than it could, so that leases are taken over."""

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        await asyncio.sleep(_GAP_SECONDS * jitter())
        return await self.inner.write(work)


class StalledAfterClaim(Wrapped):
    """Claim scheduled changes, say so, and never come to do them: to be killed there."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._claimed = False

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        if self._claimed:
            print("claimed", flush=True)
            await asyncio.Event().wait()

        async def watched(unit: UnitOfWork) -> T:
            async def claim_due(**options: Any) -> Sequence[ScheduledChange]:
                claimed = await unit.scheduled_changes.claim_due(**options)
                self._claimed = self._claimed or bool(claimed)
                return claimed

            changes = Proxy(unit.scheduled_changes, claim_due=claim_due)
            return await work(Proxy(unit, scheduled_changes=changes))  # type: ignore[arg-type]

        return await self.inner.write(watched)


class UncheckedHead(Wrapped):
    """Advance a log from a head read long ago, over whatever stands there now."""

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        seen = {
            log: await self.inner.read(lambda unit, log=log: unit.transparency_log.open_head(log))
            for log in LogName
        }
        await asyncio.sleep(_GAP_SECONDS)

        async def unchecked(unit: UnitOfWork) -> T:
            logs, moved = unit.transparency_log, 0

            async def claim(log: LogName) -> LogHead | None:
                return seen[log]

            async def advance(head: LogHead, growth: Growth) -> None:
                nonlocal moved
                current = await logs.head(head.origin)
                assert current is not None
                moved = current.size - head.size
                await logs.advance(current, replace(growth, size=growth.size + moved))

            async def place(origin: str, *, first: int, leaf_ids: Sequence[str]) -> None:
                await logs.place(origin, first=first + moved, leaf_ids=leaf_ids)

            twin = Proxy(logs, claim=claim, advance=advance, place=place)
            return await work(Proxy(unit, transparency_log=twin))  # type: ignore[arg-type]

        return await self.inner.write(unchecked)


class AdvanceById(Wrapped):
    """Take only leaves whose ids are above the last one taken, as a reader of a feed by id would."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._last: dict[LogName, str] = {}

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        async def by_id(unit: UnitOfWork) -> T:
            async def waiting(log: LogName, *, limit: int) -> Sequence[WaitingLeaf]:
                last = self._last.get(log, "")
                every = await unit.transparency_log.waiting(log, limit=100_000)
                taken = [leaf for leaf in every if leaf.id > last][:limit]
                self._last[log] = max([last, *(leaf.id for leaf in taken)])
                return taken

            twin = Proxy(unit.transparency_log, waiting=waiting)
            return await work(Proxy(unit, transparency_log=twin))  # type: ignore[arg-type]

        return await self.inner.write(by_id)


TWINS: dict[str, Callable[[Store], Store]] = {
    "commit_after_answer": CommitAfterAnswer,
    "leaf_in_second_transaction": LeafInSecondTransaction,
    "unchecked_publish": UncheckedPublish,
    "slow_writes": SlowWrites,
    "unchecked_amendment": UncheckedAmendment,
    "dawdling": Dawdling,
    "dawdling_unfenced": lambda store: UnfencedScheduledChanges(Dawdling(store)),
    "stalled_after_claim": StalledAfterClaim,
    "unchecked_head": UncheckedHead,
    "advance_by_id": AdvanceById,
}
