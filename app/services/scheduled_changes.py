"""Changes ordered ahead of their time: ordered, read, cancelled. `due_changes` performs them when their time comes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from app.domain.api_client import Caller
from app.domain.errors import DomainError, NotFound
from app.domain.ids import new_id
from app.domain.license import License
from app.domain.order import Order, require_effective_at
from app.domain.proposal import Proposal
from app.domain.scheduled_change import CANCELLED, ChangeStatus, ScheduledChange
from app.ports import IdempotentCall, Store, StoredAnswer, UnitOfWork
from app.services.attempts import write_or_repeat
from app.services.audit import add_audit
from app.services.order_answers import ended_answer, scheduled_answer
from app.services.performing import Performers, is_own, performer_of, require_own
from app.services.signing_clock import SigningClock
from app.services.write_guard import WriteGuard

MOST_WAITING = 100
"""How many changes may wait for one license: its future stays a page that people can read."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """The scheduled change as it stands, or the answer a repeated call got the first time: exactly one of them."""

    change: ScheduledChange | None = None
    replayed: StoredAnswer | None = None


class ScheduledChangeService:
    """What departments do about changes that have not come to pass yet."""

    def __init__(
        self, *, store: Store, signing_clock: SigningClock, guard: WriteGuard, performers: Performers
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._guard = guard
        self._performers = performers

    async def schedule(
        self, order: Order, *, effective_at: datetime, caller: Caller, call: IdempotentCall | None
    ) -> Scheduled:
        """Order a change ahead of its time; a worker performs it within seconds of `effective_at`.

        Raises NotFound for another authority's license, DomainError invalid_effective_at, state_conflict when it
        will not be allowed then as far as can be told now, conflict when too many wait already, and the refusals of
        the idempotency key.
        """

        async def work(unit: UnitOfWork, at: datetime) -> tuple[ScheduledChange, StoredAnswer]:
            license = require_own(await unit.licenses.snapshot(order.license_id), caller).license
            change = await self.add_in(
                unit, order, license=license, effective_at=effective_at, caller=caller, at=at
            )
            return change, scheduled_answer(change)

        return await self._write(work, call=call)

    async def add_in(
        self,
        unit: UnitOfWork,
        order: Order,
        *,
        license: License,
        effective_at: datetime,
        caller: Caller,
        at: datetime,
        proposal: Proposal | None = None,
    ) -> ScheduledChange:
        """Store a change inside the caller's transaction. Raises as `schedule`."""
        moment = await self.require_possible(unit, order, license=license, effective_at=effective_at, at=at)
        if await unit.scheduled_changes.count_waiting(license.id) >= MOST_WAITING:
            raise DomainError("conflict", f"{MOST_WAITING} changes wait for this license already")
        change = ScheduledChange(
            id=new_id(),
            authority_code=license.authority_code,
            order=order,
            effective_at=moment,
            status=ChangeStatus.SCHEDULED,
            ordered_by=caller.client.id,
            ordered_at=at,
            request_id=caller.request_id,
            lease_until=at,
            fence=0,
            proposal_id=None if proposal is None else proposal.id,
            proposed_by=None if proposal is None else proposal.proposed_by,
        )
        await unit.scheduled_changes.add(change)
        on_license = (f"license.{order.action}.schedule", order.license_id)
        await add_audit(unit, ("scheduled_change.create", change.id), on_license, caller=caller, at=at)
        return change

    async def require_possible(
        self, unit: UnitOfWork, order: Order, *, license: License, effective_at: datetime, at: datetime
    ) -> datetime:
        """Return the moment in whole seconds if the order can be given now for then.

        Judged on the state the license will have come to by what is scheduled before; what will not be allowed
        itself is passed over. Raises DomainError invalid_effective_at, state_conflict.
        """
        moment = require_effective_at(effective_at, now=at)
        state = license.state
        for earlier in await unit.scheduled_changes.waiting_of(license.id):
            if earlier.effective_at > moment:
                break
            try:
                performer = performer_of(earlier.order.action, self._performers)
                state = performer.next_state(earlier.order, state)
            except DomainError:
                continue  # it will fail by name when its time comes, and change nothing
        performer_of(order.action, self._performers).next_state(order, state)
        return moment

    async def get(self, change_id: str, *, caller: Caller) -> ScheduledChange:
        """Return one change. Raises NotFound for one that does not exist or is another authority's."""
        return await self._store.read(lambda unit: _read_own(unit, change_id, caller))

    async def list(
        self,
        *,
        caller: Caller,
        license_id: str | None = None,
        status: ChangeStatus | None = None,
        cursor: str | None,
        limit: int,
    ) -> tuple[Sequence[ScheduledChange], str | None]:
        """Return one page of the caller's authority's changes by time of effect, and the cursor of the next.

        Raises DomainError `invalid_request` for a cursor that is not ours.
        """
        authority_code = caller.client.authority_code or ""
        return await self._store.read(
            lambda unit: unit.scheduled_changes.page(
                authority_code=authority_code,
                license_id=license_id,
                status=status,
                cursor=cursor,
                limit=limit,
            )
        )

    async def cancel(
        self, change_id: str, *, reason: str | None, caller: Caller, call: IdempotentCall | None
    ) -> Scheduled:
        """Cancel what has not been done yet, also what is being done at this moment if it is not finished.

        Any client of the authority may. Raises NotFound as `get`, DomainError already_decided, and the refusals of
        the idempotency key; ValueError for what two persons ordered (`OrderService.cancel_scheduled` knows the way).
        """

        async def work(unit: UnitOfWork, at: datetime) -> tuple[ScheduledChange, StoredAnswer]:
            held = await _read_own(unit, change_id, caller)
            if held.proposal_id is not None:
                raise ValueError("what two persons scheduled is not cancelled by one")
            ended = held.ended(
                ChangeStatus.CANCELLED, at=at, outcome=CANCELLED, by=caller.client.id, reason=reason
            )
            await unit.scheduled_changes.end(ended)
            await add_audit(unit, ("scheduled_change.cancel", change_id), caller=caller, at=at)
            return ended, ended_answer(ended)

        return await self._write(work, call=call)

    async def _write(
        self,
        work: Callable[[UnitOfWork, datetime], Awaitable[tuple[ScheduledChange, StoredAnswer]]],
        *,
        call: IdempotentCall | None,
    ) -> Scheduled:
        self._guard.require_writable()
        written = await write_or_repeat(self._store, self._signing_clock, work, call=call)
        if isinstance(written, StoredAnswer):
            return Scheduled(replayed=written)
        log.info("scheduled_change_stored", change=written.id, status=written.status.value)
        return Scheduled(change=written)


async def _read_own(unit: UnitOfWork, change_id: str, caller: Caller) -> ScheduledChange:
    found = await unit.scheduled_changes.get(change_id)
    if found is None or not is_own(found.authority_code, caller):
        raise NotFound("scheduled change")
    return found
