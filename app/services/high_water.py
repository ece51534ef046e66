"""The high-water mark at work: compared at start-up and ever after, kept while running; an operator's word on time.

Reading order is what makes the comparison safe while others publish: the mark outside first, then the database. The
mark is raised only after a commit, so whatever it says was committed before it was read, and a database that lacks it
has lost it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.domain.errors import DomainError, ServiceRefusal
from app.domain.good_time import TOLERANCE
from app.domain.high_water import ClockTrouble, HighWaterMark, KeptOutside, LogMark, TimeAcceptance
from app.domain.standing import Standing
from app.ports import Store, UnitOfWork
from app.services.anchor import Anchor
from app.services.journal_rows import make_audit
from app.services.log_recovery import LogRecovery
from app.services.signing_clock import SigningClock
from app.services.write_guard import WriteGuard
from elicense.report import rfc3339
from elicense.service_reasons import ServiceReason

LOOK_SECONDS: Final = 5.0
LOOK_AGAIN_SECONDS: Final = 1.0
COUNT_SECONDS: Final = 600.0
ACCEPT_TIME: Final = "clock.accept"
_CLOCK_REASONS: Final = (ServiceReason.CLOCK_BEHIND, ServiceReason.CLOCK_AHEAD)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedTime:
    """What an operator accepted: the clock's time now, instead of the latest one known until then (None: none was)."""

    time: datetime
    known: datetime | None


class HighWaterService:
    """Compares the database and the clock with the mark, and raises the mark while running."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        anchor: Anchor,
        guard: WriteGuard,
        logs: LogRecovery,
        production: bool,
    ) -> None:
        """Use the store itself, not the guarded one: the word of an operator is written while all else may not be."""
        self._store = store
        self._signing_clock = signing_clock
        self._anchor = anchor
        self._guard = guard
        self._logs = logs
        self.production = production
        self._starting = True
        self._acceptance_seen = 0
        self._looked_at = signing_clock.monotonic()
        self._counted_at: float | None = None

    async def compare(self) -> None:
        """Compare at start-up; the service is read-only if the clock or the database cannot be believed."""
        standing = await self.standing()
        if standing.outside is not None and standing.outside.acceptance is not None:
            self._acceptance_seen = standing.outside.acceptance.number
        self._judge(standing)

    async def review(self) -> None:
        """Compare again: what has come right is allowed again, what went wrong meanwhile is stopped.

        Raises DomainError `unavailable` when the database or the mark cannot be read.
        """
        # Before the mark is read: an acceptance that this look finds is at most this old.
        before, self._looked_at = self._looked_at, self._signing_clock.monotonic()
        standing = await self.standing()
        if self._take_up_acceptance(standing, since=before):
            standing = replace(standing, clock=self._signing_clock.look())
        self._judge(standing)
        await self._note_trouble(standing)

    async def review_soon(self) -> None:
        """Compare again unless that was done within the last second."""
        if self._signing_clock.monotonic() - self._looked_at >= LOOK_AGAIN_SECONDS:
            await self.review()

    async def keep(self, *, last: bool = False) -> None:
        """Raise the mark to all that stands in the database now; `last` when the process is about to end.

        Does nothing while read-only or while the clock cannot be believed. Raises DomainError `unavailable`.
        """
        await self.review()
        if self._guard.restriction is not None or not self._signing_clock.is_reliable():
            return
        # Apart and before: counting takes as long as the register is large, and nobody else could keep the mark (or, on
        # SQLite, write) meanwhile. Rows are never deleted, so what was counted earlier is there still.
        rows = await self._store.read(_count_rows) if last or self._is_count_due() else {}

        async def work(unit: UnitOfWork) -> HighWaterMark | None:
            await unit.high_water.keep()
            return await self._inside(unit)

        inside = await self._store.write(work)
        if inside is not None:
            mark = replace(inside, time=self._signing_clock.good_time(), rows=rows)
            await self._anchor.raise_to(mark)
            await self._clear_trouble()

    @asynccontextmanager
    async def watching(self, *, every: float = LOOK_SECONDS) -> AsyncIterator[None]:
        """Compare every few seconds beside other work, and keep the mark at a clean end."""
        watch = asyncio.create_task(self._watch(every), name="watch_clock_and_anchor")
        try:
            yield
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
            await self.close()

    async def close(self) -> None:
        """Keep the mark at the clean end of a process; what prevents it is logged, since the end comes anyway."""
        try:
            await self.keep(last=True)
        except DomainError as error:
            log.warning("mark_not_kept_at_the_end", error=str(error))

    async def standing(self) -> Standing:
        """Look at the mark, the database and the clock. Raises DomainError `unavailable`."""
        outside, logs = self._anchor.load(), self._logs.seen()
        inside = await self._store.read(self._inside)
        return Standing(outside=outside, inside=inside, clock=self._signing_clock.look(), logs=logs)

    async def accept_time(self, *, actor: str) -> AcceptedTime:
        """Take an operator's word that the clock is right; written to the audit, then outside, then believed.

        Running processes take it up within seconds. Raises DomainError `unavailable`.
        """
        standing = await self.standing()
        now = standing.clock.shown.replace(microsecond=0)
        known = standing.known
        old = "none" if known is None else rfc3339(known)

        async def work(unit: UnitOfWork) -> None:
            entry = make_audit(action=ACCEPT_TIME, subject=f"{old} -> {rfc3339(now)}", actor=actor, at=now)
            await unit.journal.add_audit([entry])

        await self._store.write(work)
        # A crash before this line leaves an audit entry and nothing accepted: the command is run again.
        await self._anchor.change(lambda kept: _accepted(kept, now=now, known=known))
        self._signing_clock.accept()
        await self.compare()
        return AcceptedTime(time=now, known=known)

    async def _inside(self, unit: UnitOfWork) -> HighWaterMark | None:
        inside = await unit.high_water.standing()
        if inside is None:
            return None
        return replace(inside, logs=_with_given_up(await self._logs.heads(unit), inside.logs))

    def _judge(self, standing: Standing) -> None:
        before = self._guard.restriction
        restriction = standing.rollback()
        doubted = before is not None and before.reason in _CLOCK_REASONS
        # A clock that was moved while we ran signs nothing already, and says so by its own name.
        if restriction is None and (self._starting or doubted or standing.clock.reliable):
            restriction = standing.wrong_clock(production=self.production, starting=self._starting)
        if restriction is not None:
            self._guard.restrict(restriction)
        elif before is not None:
            if self._starting or doubted:
                # The clock was wrong when we began, so it is no measure; now it is where it must be.
                self._signing_clock.accept()
            self._guard.lift()
        self._starting = self._starting and restriction is not None
        if (restriction and restriction.reason) != (before and before.reason):
            log.warning(
                "read_only_changed",
                reason=self._guard.reason,
                detail=restriction.en if restriction is not None else None,
            )

    def _take_up_acceptance(self, standing: Standing, *, since: float) -> bool:
        """Believe the clock if an operator has accepted, since the last look, what it shows."""
        accepted = None if standing.outside is None else standing.outside.acceptance
        if accepted is None or accepted.number <= self._acceptance_seen:
            return False
        self._acceptance_seen = accepted.number
        passed = timedelta(seconds=self._signing_clock.monotonic() - since)
        if not accepted.time - TOLERANCE <= standing.clock.shown <= accepted.time + passed + TOLERANCE:
            log.error("accepted_time_is_not_ours", accepted=rfc3339(accepted.time))
            return False
        self._signing_clock.accept()
        log.warning("accepted_time_taken_up", time=rfc3339(accepted.time))
        return True

    async def _note_trouble(self, standing: Standing) -> None:
        """Leave word outside that the clock was moved while this process ran: doctor is another process."""
        clock = self._signing_clock.look()
        if clock.reliable or standing.outside is None or standing.outside.trouble is not None:
            return
        trouble = ClockTrouble(
            expected=clock.expected.replace(microsecond=0),
            deviation=round(clock.deviation.total_seconds()),
        )
        await self._anchor.change(lambda kept: replace(_held(kept), trouble=trouble))

    async def _clear_trouble(self) -> None:
        # A process that is still in trouble leaves its word again at its next look.
        kept = self._anchor.load()
        if kept is not None and kept.trouble is not None:
            await self._anchor.change(lambda kept: replace(_held(kept), trouble=None))

    async def _watch(self, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            try:
                await self.review()
            except DomainError as error:
                log.info("look_failed", error=str(error))  # the database is away: /readyz says so
            except Exception:
                # The outermost edge of this task: it would end unseen, and a database set back would be written to.
                log.exception("look_broke")

    def _is_count_due(self) -> bool:
        now = self._signing_clock.monotonic()
        if self._counted_at is not None and now - self._counted_at < COUNT_SECONDS:
            return False
        self._counted_at = now
        return True


async def _count_rows(unit: UnitOfWork) -> Mapping[str, int]:
    return await unit.high_water.count_rows()


def _accepted(kept: KeptOutside | None, *, now: datetime, known: datetime | None) -> KeptOutside:
    number = 1 if kept is None or kept.acceptance is None else kept.acceptance.number + 1
    acceptance = TimeAcceptance(number=number, time=now, disregarded=max(now, known or now))
    mark = HighWaterMark(time=now) if kept is None else replace(kept.mark, time=now)
    return KeptOutside(mark=mark, acceptance=acceptance)


def _held(kept: KeptOutside | None) -> KeptOutside:
    if kept is None:
        raise ServiceRefusal(
            "unavailable",
            ServiceReason.ANCHOR_UNAVAILABLE,
            "high-water.json has gone from the keys folder",
            detail_zh="密钥目录中的 high-water.json 已不存在",
        )
    return kept


def _with_given_up(heads: Mapping[str, LogMark], given_up: Mapping[str, LogMark]) -> dict[str, LogMark]:
    """Put the logs that a recovery has given up beside those that are: of each the larger counts."""
    known = dict(heads)
    for origin, end in given_up.items():
        if origin not in known or known[origin].size <= end.size:
            known[origin] = end
    return known
