"""Retention: verifications past the time their purpose keeps them are removed, in small batches.

What goes is the kept answer with its reference: who asked for which case, and what was told. What stays is evidence
without a person in it: the audit row (who verified when, with what outcome) and the receipt's leaf in the log, a
salted digest. The caller's own copy of the receipt is judged by these as before. A crash between two batches costs
nothing: what is due is found again by its time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.domain.purpose import PURPOSES
from app.ports import Clock, KeptVerifications, Store, UnitOfWork
from app.services.journal_rows import make_audit
from app.services.signing_clock import SigningClock
from app.services.sweeping import Progress
from app.services.write_guard import WriteGuard

BATCH: Final = 500
MOST_A_TURN: Final = 20
"""Batches removed in one turn of the worker, so that whoever waits to write is not kept waiting for long."""

BEHIND: Final = timedelta(days=2)
_ACTOR: Final = "retention"

log = structlog.get_logger()


class RetentionService:
    """Removes what is past its retention. Any number of workers may run it."""

    def __init__(self, *, store: Store, signing_clock: SigningClock, guard: WriteGuard) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._guard = guard

    async def purge(self) -> int:
        """Take one turn; return how many verifications it removed. Raises as `take_turn`."""
        removed, _ = await self._purge()
        return removed

    async def take_turn(self) -> Progress:
        """Remove what is due, at most 10,000 verifications; say whether more may be due.

        A province asks millions of questions a day, and each day as many run out: whoever repeats a full turn only
        after a long pause is behind for ever.

        Raises ServiceRefusal while the service is read-only or its clock cannot be relied on: a clock that stands
        ahead must not end what has to be kept.
        """
        _, batches = await self._purge()
        return Progress.DONE if batches < MOST_A_TURN else Progress.MORE

    async def _purge(self) -> tuple[int, int]:
        """Remove in one turn what is due; return how many verifications, and in how many batches."""
        self._guard.require_writable()
        now = self._signing_clock.signing_time()
        removed, batches = 0, 0
        for client_id, purpose in await self._due(now):
            before = now - PURPOSES[purpose].retention
            while batches < MOST_A_TURN:
                gone = await self._remove(client_id, purpose, before=before, at=now)
                removed, batches = removed + gone, batches + 1
                if gone < BATCH:
                    break
        if removed:
            log.info("verifications_purged", count=removed)
        return removed, batches

    async def _due(self, now: datetime) -> Sequence[tuple[str, str]]:
        """Find the clients and purposes with something due: most turns find nothing, and nothing is written then."""

        async def read(unit: UnitOfWork) -> list[tuple[str, str]]:
            return [
                (held.client.id, purpose.code)
                for held in await unit.api_clients.all()
                for purpose in PURPOSES.values()
                if await unit.verifications.is_kept_before(
                    held.client.id, purpose.code, before=now - purpose.retention
                )
            ]

        return await self._store.read(read)

    async def _remove(self, client_id: str, purpose: str, *, before: datetime, at: datetime) -> int:
        async def work(unit: UnitOfWork) -> int:
            gone = await unit.verifications.remove_before(client_id, purpose, before=before, limit=BATCH)
            if gone:
                entry = make_audit(
                    action="verification.purge",
                    subject=client_id,
                    actor=_ACTOR,
                    at=at,
                    outcome=f"{purpose}:{gone}",
                )
                await unit.journal.add_audit([entry])
            return gone

        return await self._store.write(work)


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeKeeping:
    """What is kept for one purpose: how many verifications, of when the oldest is, whether its end is overdue."""

    code: str
    retention_days: int
    count: int
    oldest: datetime | None
    behind: bool


async def keeping(*, store: Store, clock: Clock) -> Sequence[PurposeKeeping]:
    """Return what is kept for each purpose. Behind is a purge that has been due for more than two days."""
    kept: Mapping[str, KeptVerifications] = await store.read(
        lambda unit: unit.verifications.kept_by_purpose()
    )
    now = clock.now()
    found = []
    for purpose in PURPOSES.values():
        held = kept.get(purpose.code)
        oldest = None if held is None else held.oldest
        behind = oldest is not None and now - oldest > purpose.retention + BEHIND
        found.append(
            PurposeKeeping(
                code=purpose.code,
                retention_days=purpose.retention_days,
                count=0 if held is None else held.count,
                oldest=oldest,
                behind=behind,
            )
        )
    return found
