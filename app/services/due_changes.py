"""Performs scheduled changes when their time has come: each exactly once, whatever crashes in between.

Three steps. A worker claims what is due: a lease, a fencing token that grows, and of each license only the change
that comes first. It performs the order through the very service a department calls, and ends the scheduled change in
the same transaction, under its fence. A crash before that commit leaves a lease that runs out, and the next worker
begins again; a crash after it leaves nothing to do. A worker that was only slow shows an older fence and writes
nothing at all, the change of the license included.
"""

from datetime import datetime, timedelta

import structlog

from app.domain.api_client import Caller
from app.domain.errors import ConcurrentChange, DomainError
from app.domain.license import ENDED, License
from app.domain.scheduled_change import DONE, LICENSE_ENDED, ChangeStatus, ScheduledChange
from app.ports import Store, UnitOfWork
from app.services.journal_rows import make_audit
from app.services.one_of_many import concerns_one
from app.services.performing import Performers, Together
from app.services.signing_clock import SigningClock
from app.services.write_guard import WriteGuard

LEASE = timedelta(seconds=30)
_CLAIMED_AT_ONCE = 20

log = structlog.get_logger()


class LeaseLost(Exception):
    """Roll back what a worker does about a change that another one has taken over, or that somebody cancelled."""


class DueChangeService:
    """The worker's duty about scheduled changes."""

    def __init__(
        self, *, store: Store, signing_clock: SigningClock, guard: WriteGuard, performers: Performers
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._guard = guard
        self._performers = performers

    async def perform_due(self) -> int:
        """Perform everything whose time has come and that nobody else holds; return how many came to an end.

        One that breaks is logged and left to the next claim, as after a crash; the others do not wait for it.
        Raises DomainError `read_only`, and `unavailable` while the clock runs backwards: nothing may happen then.
        """
        self._guard.require_writable()
        ended = 0
        while claimed := await self._claim():
            for change in claimed:
                try:
                    ended += await self._perform(change)
                except Exception as error:
                    if not concerns_one(error):
                        raise
                    # A damaged row, or an order of a newer program. What waits behind it belongs to other people.
                    log.exception("scheduled_change_broke", change=change.id)
        return ended

    async def _claim(self) -> list[ScheduledChange]:
        now = self._signing_clock.signing_time()
        if not await self._store.read(lambda unit: unit.scheduled_changes.is_due(now)):
            return []  # asked every second: a write that finds nothing would still hold up other writers

        async def claim(unit: UnitOfWork) -> list[ScheduledChange]:
            taken = await unit.scheduled_changes.claim_due(
                now=now, lease_until=now + LEASE, limit=_CLAIMED_AT_ONCE
            )
            return list(taken)

        return await self._store.write(claim)

    async def _perform(self, change: ScheduledChange) -> bool:
        performer = self._performers.get(change.order.action)
        caller = await self._caller(change)
        if performer is None or caller is None:
            # Ordered by a newer program than this one, or by a client this database does not know: not ours to end.
            log.error("scheduled_change_not_understood", change=change.id, action=change.order.action)
            return False

        async def finish(unit: UnitOfWork, _license: License, at: datetime) -> None:
            await _end(unit, change.ended(ChangeStatus.DONE, at=at, outcome=DONE), at=at)

        together = Together(joined=finish, effective_at=change.effective_at, details=change.details())
        try:
            await performer.perform(change.order, caller=caller, call=None, together=together)
        except LeaseLost:
            log.info("scheduled_change_lost", change=change.id)
            return False
        except DomainError as refusal:
            if not concerns_one(refusal):
                # The database is busy or the clock stands: the lease runs out, and whoever is there tries again.
                log.warning("scheduled_change_not_done", change=change.id, code=refusal.code)
                return False
            return await self._refuse(change, refusal.code)
        log.info("scheduled_change_done", change=change.id, license=change.order.license_id)
        return True

    async def _caller(self, change: ScheduledChange) -> Caller | None:
        """Stand in for who ordered it. The order is the authority's: it stands when the client's key is gone."""
        client = await self._store.read(lambda unit: unit.api_clients.get(change.ordered_by))
        if client is None:
            return None
        return Caller(client=client, key_handle="", request_id=change.request_id)

    async def _refuse(self, change: ScheduledChange, code: str) -> bool:
        """Store why it could not be done. It is never tried again: what it was ordered for has passed."""
        at = self._signing_clock.signing_time()

        async def work(unit: UnitOfWork) -> str:
            license = await unit.licenses.get(change.order.license_id)
            if license is not None and license.state in ENDED:
                # Scheduled at the very moment the license ended, so that ending it did not see this one.
                ended = change.ended(ChangeStatus.CANCELLED, at=at, outcome=LICENSE_ENDED)
            else:
                ended = change.ended(ChangeStatus.FAILED, at=at, outcome=code)
            await _end(unit, ended, at=at)
            return ended.status.value

        try:
            status = await self._store.write(work)
        except LeaseLost:
            log.info("scheduled_change_lost", change=change.id)
            return False
        log.warning("scheduled_change_refused", change=change.id, status=status, code=code)
        return True


async def _end(unit: UnitOfWork, ended: ScheduledChange, *, at: datetime) -> None:
    """End a claimed change and say so in the audit. Raises LeaseLost when it is no longer this worker's to end."""
    try:
        await unit.scheduled_changes.end(ended)
    except ConcurrentChange:
        # Not ConcurrentChange: services would decide again, and there is nothing left to decide here.
        raise LeaseLost from None
    entry = make_audit(
        action="scheduled_change.perform",
        subject=ended.id,
        actor=ended.ordered_by,
        at=at,
        outcome=ended.outcome or "",
        request_id=ended.request_id,
    )
    await unit.journal.add_audit([entry])
