"""What a department orders about a license: done at once, scheduled, or proposed to a second person.

The license's type decides whether a second person is needed, the caller says when it is to have effect, and the
performer of the order's name knows what it does. A new action joins by one entry in `bootstrap`.
"""

from dataclasses import dataclass
from datetime import datetime

from app.domain.api_client import Caller
from app.domain.errors import NotFound
from app.domain.license import License
from app.domain.order import Order
from app.domain.proposal import Proposal
from app.domain.scheduled_change import CANCELLED, ChangeStatus, ScheduledChange
from app.ports import IdempotentCall, Store, StoredAnswer, UnitOfWork
from app.services.answers import changed_answer
from app.services.change_cancelling import cancelling_order
from app.services.directory import DirectoryService
from app.services.order_answers import proposed_answer, scheduled_answer
from app.services.performing import Performers, performer_of, require_own
from app.services.proposals import Possible, ProposalService
from app.services.scheduled_changes import ScheduledChangeService
from app.services.write_guard import WriteGuard
from elicense.encoding import civil_today


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """What an order led to: a changed license, something accepted for later, or a repeated answer. One of them."""

    license: License | None = None
    scheduled_change: ScheduledChange | None = None
    proposal: Proposal | None = None
    replayed: StoredAnswer | None = None


def ordered_answer(ordered: Ordered, *, now: datetime) -> StoredAnswer:
    """Return the answer to an order: the changed license (200), or what was accepted (202)."""
    if ordered.replayed is not None:
        return ordered.replayed
    if ordered.proposal is not None:
        return proposed_answer(ordered.proposal, now=now)
    if ordered.scheduled_change is not None:
        return scheduled_answer(ordered.scheduled_change)
    assert ordered.license is not None
    return changed_answer(ordered.license, civil_today(now))


class OrderService:
    """The one way for orders to come in."""

    def __init__(
        self,
        *,
        store: Store,
        guard: WriteGuard,
        directory: DirectoryService,
        performers: Performers,
        scheduled: ScheduledChangeService,
        proposals: ProposalService,
    ) -> None:
        self._store = store
        self._guard = guard
        self._directory = directory
        self._performers = performers
        self._scheduled = scheduled
        self._proposals = proposals

    @property
    def names(self) -> frozenset[str]:
        """Return the names of all orders that somebody here performs."""
        return frozenset(self._performers)

    async def order(
        self,
        order: Order,
        *,
        effective_at: datetime | None,
        caller: Caller,
        call: IdempotentCall | None,
        possible: Possible | None = None,
    ) -> Ordered:
        """Do what is ordered, or accept it for later or for a second person.

        `possible` is what only a proposal must be asked beforehand (see `ProposalService.propose`). A rule applied by
        `setup apply` counts within a second, since the directory may be that old. Raises NotFound for another
        authority's license, DomainError state_conflict, invalid_effective_at, conflict, whatever the action itself
        refuses, and the refusals of the idempotency key.
        """
        self._guard.require_writable()
        if await self.needs_second_person(order.action, order.license_id, caller=caller):
            proposed = await self._proposals.propose(
                order, effective_at=effective_at, caller=caller, call=call, possible=possible
            )
            return Ordered(proposal=proposed.proposal, replayed=proposed.replayed)
        if effective_at is not None:
            scheduled = await self._scheduled.schedule(
                order, effective_at=effective_at, caller=caller, call=call
            )
            return Ordered(scheduled_change=scheduled.change, replayed=scheduled.replayed)
        performer = performer_of(order.action, self._performers)
        changed = await performer.perform(order, caller=caller, call=call, together=None)
        return Ordered(license=changed.license, replayed=changed.replayed)

    async def cancel_scheduled(
        self, change: ScheduledChange, *, reason: str | None, caller: Caller, call: IdempotentCall | None
    ) -> Ordered:
        """Cancel a scheduled change of the caller's; what two persons scheduled is proposed to a second one.

        Raises NotFound as `ScheduledChangeService.get`, DomainError already_decided, and the refusals of the
        idempotency key.
        """
        if change.proposal_id is None:
            done = await self._scheduled.cancel(change.id, reason=reason, caller=caller, call=call)
            return Ordered(scheduled_change=done.change, replayed=done.replayed)
        self._guard.require_writable()

        async def possible(unit: UnitOfWork, at: datetime) -> None:
            held = await unit.scheduled_changes.get(change.id)
            if held is None:
                raise NotFound("scheduled change")
            held.ended(ChangeStatus.CANCELLED, at=at, outcome=CANCELLED)

        proposed = await self._proposals.propose(
            cancelling_order(change, reason=reason),
            effective_at=None,
            caller=caller,
            call=call,
            possible=possible,
        )
        return Ordered(proposal=proposed.proposal, replayed=proposed.replayed)

    async def needs_second_person(self, action: str, license_id: str, *, caller: Caller) -> bool:
        """Tell whether the license's type asks for two persons. Raises NotFound for another authority's license."""
        snapshot = require_own(
            await self._store.read(lambda unit: unit.licenses.snapshot(license_id)), caller
        )
        directory = await self._directory.snapshot()
        license_type = directory.license_types.get(snapshot.license.type_code)
        return license_type is not None and action in license_type.two_person
