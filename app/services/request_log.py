"""Request logs: what each caller called, written in groups beside the work, read by the caller alone.

An entry is noted after the answer has gone out and written with others about once a second, in a transaction of its
own: it holds up no answer and can undo no audit row. It is no evidence either. A process that is killed loses the
entries of its last second; while the database takes no writes they wait, and beyond the limit the oldest are dropped.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from app.domain.api_client import Caller
from app.domain.errors import DomainError
from app.domain.ids import new_id
from app.domain.request_log import LoggedRequest
from app.ports import Clock, Store, UnitOfWork
from app.services.sweeping import sweep_all

log = structlog.get_logger()

FLUSH_SECONDS = 1.0
_MOST_WAITING = 20_000
_GROUP = 500
_METHODS = frozenset({"GET", "POST"})


class RequestLogService:
    """Notes, writes, shows and forgets requests."""

    def __init__(self, store: Store, clock: Clock, *, days: int, most_waiting: int = _MOST_WAITING) -> None:
        """Keep entries for so many days; at most `most_waiting` of them wait while the database takes none."""
        self._store = store
        self._clock = clock
        self._days = days
        self._waiting: deque[tuple[LoggedRequest, str, str | None]] = deque(maxlen=most_waiting)
        self._flushing = asyncio.Lock()

    def note(
        self,
        *,
        client_id: str,
        handle: str,
        kid: str | None,
        method: str,
        route: str,
        status: int,
        request_id: str,
        seconds: float,
    ) -> None:
        """Remember one answered request until the next flush. Never fails, never waits."""
        entry = LoggedRequest(
            id=new_id(),
            client_id=client_id,
            at=self._clock.now(),
            method=method if method in _METHODS else "(other)",
            route=route,
            status=status,
            request_id=request_id,
            duration_us=round(seconds * 1_000_000),
        )
        self._waiting.append((entry, handle, kid))

    async def flush(self) -> None:
        """Write what waits. What cannot be written now goes on waiting, the newest of it where not all finds room."""
        async with self._flushing:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(_GROUP, len(self._waiting)))]
                try:
                    await self._store.write(lambda unit, group=group: _write(unit, group))  # type: ignore[misc]
                except DomainError as error:
                    self._wait_on(group)
                    log.warning("request_log_waits", waiting=len(self._waiting), code=error.code)
                    return

    def _wait_on(self, group: Sequence[tuple[LoggedRequest, str, str | None]]) -> None:
        # What came during the write is newer than the group, and a full queue would let it go at the other end.
        free = (self._waiting.maxlen or 0) - len(self._waiting)
        self._waiting.extendleft(reversed(group[max(0, len(group) - free) :]))

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Flush again and again while the context lasts, and once more at its end."""
        task = asyncio.create_task(self._write_for_ever(), name="request_log")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self.flush()

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                # Not cut off in the middle at the end: what was taken out of the queue would be lost.
                await asyncio.shield(self.flush())
            except Exception:
                # The edge of this task: a fault in the log of requests must never end the log of requests.
                log.exception("request_log_broke")

    async def page(
        self, caller: Caller, *, cursor: str | None, limit: int
    ) -> tuple[Sequence[LoggedRequest], str | None]:
        """Return one page of the caller's own requests, newest first; what this process noted is written before."""
        await self.flush()
        return await self._store.read(
            lambda unit: unit.request_log.page(caller.client.id, cursor=cursor, limit=limit)
        )

    async def sweep(self) -> int:
        """Delete entries older than the settings' number of days; return how many."""
        before = self._clock.now() - timedelta(days=self._days)
        return await sweep_all(
            self._store, lambda unit, limit: unit.request_log.sweep(before=before, limit=limit)
        )


async def _write(unit: UnitOfWork, group: Sequence[tuple[LoggedRequest, str, str | None]]) -> None:
    await unit.request_log.add_many([entry for entry, _, _ in group])
    keys = {handle: entry.at for entry, handle, kid in group if kid is None}
    jwks = {(entry.client_id, kid): entry.at for entry, _, kid in group if kid is not None}
    await unit.request_log.mark_used(keys, jwks=jwks)
