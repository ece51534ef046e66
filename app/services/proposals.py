"""The two-person rule: propose, approve by another client of the same authority, or reject.

Approval does what was proposed in its own transaction: the license never changes without its approval being stored,
and no approval is stored without its change. Two approvals at once meet at the proposal's row; one of them counts.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from app.domain.api_client import Caller
from app.domain.errors import DomainError, NotFound
from app.domain.ids import new_id
from app.domain.license import License
from app.domain.order import Order
from app.domain.proposal import Proposal, ProposalStatus, expiry
from app.ports import IdempotentCall, Store, StoredAnswer, UnitOfWork
from app.services.attempts import write_or_repeat
from app.services.audit import add_audit
from app.services.order_answers import decided_answer, proposed_answer
from app.services.performing import Performers, Together, is_own, performer_of, require_own
from app.services.scheduled_changes import ScheduledChangeService
from app.services.signing_clock import SigningClock
from app.services.write_guard import WriteGuard

Possible = Callable[[UnitOfWork, datetime], Awaitable[None]]
"""Asks in the transaction of a proposal whether what is ordered is possible now, and raises why not."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """The proposal as it stands, or the answer a repeated call got the first time: exactly one of them."""

    proposal: Proposal | None = None
    replayed: StoredAnswer | None = None


class ProposalService:
    """Orders that wait for a second person."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        guard: WriteGuard,
        performers: Performers,
        scheduled: ScheduledChangeService,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._guard = guard
        self._performers = performers
        self._scheduled = scheduled

    async def propose(
        self,
        order: Order,
        *,
        effective_at: datetime | None,
        caller: Caller,
        call: IdempotentCall | None,
        possible: Possible | None = None,
    ) -> Proposed:
        """Store an order for a second person; nothing happens to the license.

        `possible` is asked in the same transaction and raises what speaks against the order now. Raises NotFound for
        another authority's license, DomainError invalid_effective_at, state_conflict when it is not allowed now (or
        will not be then), and the refusals of the idempotency key.
        """

        async def work(unit: UnitOfWork, at: datetime) -> tuple[Proposal, StoredAnswer]:
            license = require_own(await unit.licenses.snapshot(order.license_id), caller).license
            moment = None
            if possible is not None:
                await possible(unit, at)
            if effective_at is None:
                performer_of(order.action, self._performers).next_state(order, license.state)
            else:
                moment = await self._scheduled.require_possible(
                    unit, order, license=license, effective_at=effective_at, at=at
                )
            proposal = Proposal(
                id=new_id(),
                authority_code=license.authority_code,
                order=order,
                effective_at=moment,
                row_version=license.row_version,
                status=ProposalStatus.OPEN,
                proposed_by=caller.client.id,
                proposed_at=at,
                expires_at=expiry(proposed_at=at, effective_at=moment),
            )
            await unit.proposals.add(proposal)
            on_license = (f"license.{order.action}.propose", order.license_id)
            await add_audit(unit, ("proposal.create", proposal.id), on_license, caller=caller, at=at)
            return proposal, proposed_answer(proposal, now=at)

        return await self._write(work, call=call)

    async def approve(self, proposal_id: str, *, caller: Caller, call: IdempotentCall | None) -> Proposed:
        """Approve what another client of the authority proposed; it is done, or scheduled, with the approval.

        Raises NotFound for another authority's proposal, DomainError own_proposal, already_decided,
        proposal_expired, proposal_outdated when the license has changed since, what the action itself refuses, and
        the refusals of the idempotency key.
        """
        proposal = await self.get(proposal_id, caller=caller)
        if proposal.effective_at is not None:
            return await self._approve_for_later(proposal_id, caller=caller, call=call)
        approved = proposal

        async def joined(unit: UnitOfWork, license: License, at: datetime) -> StoredAnswer:
            nonlocal approved
            held = await _read_own(unit, proposal_id, caller)
            approved = held.approved(by=caller.client.id, at=at)
            await _require_same(unit, held, license)
            await unit.proposals.decide(approved)
            await add_audit(unit, ("proposal.approve", proposal_id), caller=caller, at=at)
            return decided_answer(approved, now=at)

        together = Together(joined=joined, details=proposal.details(approved_by=caller.client.id))
        performer = performer_of(proposal.order.action, self._performers)
        changed = await performer.perform(proposal.order, caller=caller, call=call, together=together)
        if changed.replayed is not None:
            return Proposed(replayed=changed.replayed)
        log.info("proposal_approved", proposal=proposal_id, license=proposal.order.license_id)
        return Proposed(proposal=approved)

    async def _approve_for_later(
        self, proposal_id: str, *, caller: Caller, call: IdempotentCall | None
    ) -> Proposed:
        async def work(unit: UnitOfWork, at: datetime) -> tuple[Proposal, StoredAnswer]:
            held = await _read_own(unit, proposal_id, caller)
            held.approved(by=caller.client.id, at=at)  # refuses before anything is stored
            license = require_own(await unit.licenses.snapshot(held.order.license_id), caller).license
            await _require_same(unit, held, license)
            assert held.effective_at is not None
            change = await self._scheduled.add_in(
                unit,
                held.order,
                license=license,
                effective_at=held.effective_at,
                caller=caller,
                at=at,
                proposal=held,
            )
            approved = held.approved(by=caller.client.id, at=at, scheduled_change_id=change.id)
            await unit.proposals.decide(approved)
            await add_audit(unit, ("proposal.approve", proposal_id), caller=caller, at=at)
            return approved, decided_answer(approved, now=at)

        return await self._write(work, call=call)

    async def reject(
        self, proposal_id: str, *, reason: str | None, caller: Caller, call: IdempotentCall | None
    ) -> Proposed:
        """Reject a proposal, or take back one's own. Raises as `approve`, own_proposal excepted."""

        async def work(unit: UnitOfWork, at: datetime) -> tuple[Proposal, StoredAnswer]:
            held = await _read_own(unit, proposal_id, caller)
            rejected = held.rejected(by=caller.client.id, at=at, reason=reason)
            await unit.proposals.decide(rejected)
            await add_audit(unit, ("proposal.reject", proposal_id), caller=caller, at=at)
            return rejected, decided_answer(rejected, now=at)

        return await self._write(work, call=call)

    async def get(self, proposal_id: str, *, caller: Caller) -> Proposal:
        """Return one proposal. Raises NotFound for one that does not exist or is another authority's."""
        return await self._store.read(lambda unit: _read_own(unit, proposal_id, caller))

    async def list(
        self, *, caller: Caller, status: ProposalStatus | None, now: datetime, cursor: str | None, limit: int
    ) -> tuple[Sequence[Proposal], str | None]:
        """Return one page of the caller's authority's proposals, and the cursor of the next.

        `status` is what people see at `now`. Raises DomainError `invalid_request` for a cursor that is not ours.
        """
        authority_code = caller.client.authority_code or ""
        return await self._store.read(
            lambda unit: unit.proposals.page(
                authority_code=authority_code, status=status, now=now, cursor=cursor, limit=limit
            )
        )

    async def _write(
        self,
        work: Callable[[UnitOfWork, datetime], Awaitable[tuple[Proposal, StoredAnswer]]],
        *,
        call: IdempotentCall | None,
    ) -> Proposed:
        self._guard.require_writable()
        written = await write_or_repeat(self._store, self._signing_clock, work, call=call)
        if isinstance(written, StoredAnswer):
            return Proposed(replayed=written)
        log.info("proposal_stored", proposal=written.id, status=written.status.value)
        return Proposed(proposal=written)


async def _read_own(unit: UnitOfWork, proposal_id: str, caller: Caller) -> Proposal:
    found = await unit.proposals.get(proposal_id)
    if found is None or not is_own(found.authority_code, caller):
        raise NotFound("proposal")
    return found


async def _require_same(unit: UnitOfWork, proposal: Proposal, license: License) -> None:
    """Refuse what was proposed about another state of the license, or by a client that has been revoked since."""
    if license.row_version != proposal.row_version:
        raise DomainError("proposal_outdated", "the license has changed since this was proposed")
    proposer = await unit.api_clients.get(proposal.proposed_by)
    if proposer is None or proposer.revoked_at is not None:
        raise DomainError("proposal_outdated", "the client that proposed this has been revoked")
