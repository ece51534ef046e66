"""The two-person rule: nothing changes before another client of the authority approves, and then exactly once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from app.domain.errors import DomainError, NotFound
from app.domain.ids import new_id
from app.domain.proposal import LIFETIME, Proposal, ProposalStatus
from app.domain.scheduled_change import ChangeStatus
from app.ports import Store, UnitOfWork
from tests.faults.twins import Proxy, Wrapped
from tests.installation import Installation, idempotent, open_again, open_installation, services_over
from tests.integration.ordering import (
    add_colleague,
    approve,
    audit_of,
    body_of,
    client_id,
    history_of,
    need_two_persons,
    order,
    proposal_now,
    propose,
    schedule,
    scheduled_now,
    state_of,
)
from tests.integration.test_scheduled_changes_service import signers_of

pytestmark = pytest.mark.anyio

T = TypeVar("T")


async def refused(attempt: Awaitable[object]) -> str:
    """Return the code an attempt is refused with."""
    with pytest.raises(DomainError) as refusal:
        await attempt
    return refusal.value.code


async def test_a_colleague_s_approval_does_what_was_proposed(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await need_two_persons(installation, "revoke")
        colleague = await add_colleague(installation)
        license = await installation.issue()
        credential = await installation.credential(license)
        proposal = await propose(installation, "revoke", license.id)
        proposer = await client_id(installation, "authority")
        assert (proposal.status, proposal.proposed_by) == (ProposalStatus.OPEN, proposer)
        assert proposal.expires_at - proposal.proposed_at == LIFETIME
        assert (await installation.ask(credential))["reason"] == "ok"
        assert await history_of(installation, license.id) == []

        approved = await approve(installation, proposal.id)
        assert (approved.status, approved.decided_by) == (ProposalStatus.APPROVED, colleague)
        assert await proposal_now(installation, proposal) == approved
        assert (await installation.ask(credential))["reason"] == "revoked"
        (entry,) = await history_of(installation, license.id)
        assert (entry.action, entry.actor, entry.reason) == ("revoke", colleague, "现场检查")
        assert entry.details == {
            "kind": "penalty",
            "proposal": proposal.id,
            "proposed_by": proposer,
            "approved_by": colleague,
        }
        assert await audit_of(installation, license.id, proposal.id) == [
            ("license.issue", "test", "ok"),
            ("license.revoke", colleague, "ok"),
            ("license.revoke.propose", proposer, "ok"),
            ("proposal.approve", colleague, "ok"),
            ("proposal.create", proposer, "ok"),
        ]


async def test_only_what_the_type_names_needs_a_second_person(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await need_two_persons(installation, "revoke", "cancel")
        license = await installation.issue()
        assert (await order(installation, "suspend", license.id)).license is not None
        for action in ("revoke", "cancel"):
            assert (await order(installation, action, license.id)).proposal is not None
        await need_two_persons(installation)
        assert (await order(installation, "revoke", license.id)).license is not None


async def test_the_same_client_is_no_second_person_with_whatever_key(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await need_two_persons(installation, "revoke")
        license = await installation.issue()
        proposal = await propose(installation, "revoke", license.id)
        rotated = await installation.services.api_clients.rotate("authority", actor="test")
        installation.keys["another key"] = rotated.secret
        for role in ("authority", "another key"):
            assert await refused(approve(installation, proposal.id, role=role)) == "own_proposal"
        assert (await proposal_now(installation, proposal)).status is ProposalStatus.OPEN
        assert await state_of(installation, license.id) == "active"


async def test_another_authority_s_proposal_looks_like_none(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await need_two_persons(installation, "revoke")
        service = installation.services.proposals
        license = await installation.issue()
        proposal = await propose(installation, "revoke", license.id)
        for role in ("other_authority", "holder", "platform", "operator"):
            caller = await installation.caller(role)
            for attempt in (
                service.get(proposal.id, caller=caller),
                service.approve(proposal.id, caller=caller, call=None),
                service.reject(proposal.id, reason=None, caller=caller, call=None),
            ):
                with pytest.raises(NotFound):
                    await attempt
        found, _ = await service.list(
            caller=await installation.caller("other_authority"),
            status=None,
            now=installation.clock.now(),
            cursor=None,
            limit=10,
        )
        assert found == []
        with pytest.raises(NotFound):
            await order(installation, "revoke", license.id, role="other_authority")


async def test_a_license_that_changed_meanwhile_is_not_what_was_proposed(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await need_two_persons(installation, "revoke")
        await add_colleague(installation)
        license = await installation.issue()
        proposal = await propose(installation, "revoke", license.id)
        await order(installation, "suspend", license.id)
        outdated = await proposal_now(installation, proposal)
        assert outdated.status is ProposalStatus.OUTDATED
        actor = await client_id(installation, "authority")
        assert ("proposal.outdate", actor, "ok") in await audit_of(installation, proposal.id)
        assert await refused(approve(installation, proposal.id)) == "proposal_outdated"
        assert await state_of(installation, license.id) == "suspended"
        again = await propose(installation, "revoke", license.id)
        assert (await approve(installation, again.id)).status is ProposalStatus.APPROVED


async def test_the_row_version_is_compared_even_where_nothing_outdated_the_proposal(
    database_url: str, tmp_path: Path
) -> None:
    """A proposal stored while its license was being changed by a transaction that could not see it."""
    async with open_installation(database_url, tmp_path) as installation:
        await need_two_persons(installation, "revoke")
        await add_colleague(installation)
        license = await installation.issue()
        proposal = await propose(installation, "revoke", license.id)
        await order(installation, "suspend", license.id)
        for effective_at in (None, installation.clock.now() + timedelta(hours=1)):
            unseen = replace(proposal, id=new_id(), effective_at=effective_at)
            await installation.services.store.write(lambda unit, one=unseen: unit.proposals.add(one))
            assert await refused(approve(installation, unseen.id)) == "proposal_outdated"
        assert await state_of(installation, license.id) == "suspended"


async def test_a_proposal_runs_out(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await need_two_persons(installation, "revoke")
        await add_colleague(installation)
        license = await installation.issue()
        later = await propose(installation, "revoke", license.id)
        soon = await propose(installation, "revoke", license.id, seconds=60)
        assert soon.expires_at == soon.effective_at
        installation.clock.advance(seconds=61)
        assert await refused(approve(installation, soon.id)) == "proposal_expired"
        installation.clock.advance(days=7)
        assert await refused(approve(installation, later.id)) == "proposal_expired"
        caller = await installation.caller("colleague")
        reject = installation.services.proposals.reject(later.id, reason=None, caller=caller, call=None)
        assert await refused(reject) == "proposal_expired"
        assert await state_of(installation, license.id) == "active"


async def test_what_was_rejected_or_taken_back_cannot_be_approved(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await need_two_persons(installation, "revoke")
        await add_colleague(installation)
        service = installation.services.proposals
        license = await installation.issue()
        for role in ("colleague", "authority"):
            proposal = await propose(installation, "revoke", license.id)
            caller = await installation.caller(role)
            rejected = (
                await service.reject(proposal.id, reason="证据不足", caller=caller, call=None)
            ).proposal
            assert rejected is not None
            assert (rejected.status, rejected.decided_by) == (ProposalStatus.REJECTED, caller.client.id)
            assert rejected.decision_reason == "证据不足"
            told = ("proposal.reject", caller.client.id, "ok")
            assert told in await audit_of(installation, proposal.id)
            assert await refused(approve(installation, proposal.id)) == "already_decided"
            again = service.reject(proposal.id, reason=None, caller=caller, call=None)
            assert await refused(again) == "already_decided"
        assert await state_of(installation, license.id) == "active"


async def test_a_revoked_client_s_proposal_finds_no_approval(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await need_two_persons(installation, "revoke")
        await add_colleague(installation)
        license = await installation.issue()
        proposals = [await propose(installation, "revoke", license.id, seconds=at) for at in (None, 3600)]
        await installation.services.api_clients.revoke("authority", actor="test")
        for proposal in proposals:
            assert await refused(approve(installation, proposal.id)) == "proposal_outdated"
        assert await state_of(installation, license.id) == "active"


async def test_of_many_approvals_at_once_one_counts(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        await need_two_persons(installation, "suspend")
        for role in ("colleague", "third"):
            await add_colleague(installation, role)
        license = await installation.issue()
        proposal = await propose(installation, "suspend", license.id)
        outcomes = await asyncio.gather(
            *(
                approve(each, proposal.id, role=role)
                for each in (installation, other)
                for role in ("colleague", "third") * 2
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(one, Proposal) for one in outcomes) == 1, outcomes
        codes = {one.code for one in outcomes if isinstance(one, DomainError)}
        assert codes == {"already_decided"}
        assert len(await history_of(installation, license.id)) == 1


async def test_an_approved_change_can_wait_for_its_time(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await need_two_persons(installation, "revoke")
        colleague = await add_colleague(installation)
        license = await installation.issue()
        proposal = await propose(installation, "revoke", license.id, seconds=3600)
        approved = await approve(installation, proposal.id)
        proposer = await client_id(installation, "authority")
        assert approved.scheduled_change_id is not None
        assert approved.decided_by is not None
        told = ("proposal.approve", approved.decided_by, "ok")
        assert told in await audit_of(installation, approved.id)
        assert await state_of(installation, license.id) == "active"
        change = await installation.services.scheduled_changes.get(
            approved.scheduled_change_id, caller=await installation.caller("authority")
        )
        assert change.effective_at == proposal.effective_at
        assert (change.ordered_by, change.approved_by, change.proposed_by, change.proposal_id) == (
            colleague,
            colleague,
            proposer,
            proposal.id,
        )
        installation.clock.advance(seconds=3601)
        assert await installation.services.due_changes.perform_due() == 1
        assert (await scheduled_now(installation, change)).status is ChangeStatus.DONE
        (entry,) = await history_of(installation, license.id)
        assert (entry.actor, entry.effective_at) == (colleague, proposal.effective_at)
        assert entry.details == {
            "kind": "penalty",
            "scheduled_change": change.id,
            "proposal": proposal.id,
            "proposed_by": proposer,
            "approved_by": colleague,
        }


async def test_what_is_not_allowed_is_not_even_proposed(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await need_two_persons(installation, "resume", "revoke")
        await add_colleague(installation)
        license = await installation.issue()
        assert await refused(propose(installation, "resume", license.id)) == "state_conflict"
        assert await refused(propose(installation, "resume", license.id, seconds=60)) == "state_conflict"
        assert (
            await refused(propose(installation, "revoke", license.id, seconds=-1)) == "invalid_effective_at"
        )
        await schedule(installation, "suspend", license.id, seconds=60)
        assert (await propose(installation, "resume", license.id, seconds=90)).effective_at is not None


async def test_repeated_calls_get_their_first_answers(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await need_two_persons(installation, "revoke")
        await add_colleague(installation)
        license = await installation.issue()
        first = await order(installation, "revoke", license.id, key="k")
        again = await order(installation, "revoke", license.id, key="k")
        assert first.proposal is not None and again.replayed is not None
        assert again.replayed.status == 202
        assert again.replayed.headers["Location"] == f"/v1/proposals/{first.proposal.id}"
        assert body_of(again.replayed)["id"] == first.proposal.id
        await approve(installation, first.proposal.id, key="k")
        caller = await installation.caller("colleague")
        call = idempotent("k", path=f"/v1/proposals/{first.proposal.id}/approve", client_id=caller.client.id)
        repeated = await installation.services.proposals.approve(first.proposal.id, caller=caller, call=call)
        assert repeated.replayed is not None
        assert body_of(repeated.replayed)["status"] == "approved"
        assert len(await history_of(installation, license.id)) == 1


class _NoEvents(Wrapped):
    """A store whose transactions fail after everything else of a change has been written."""

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        async def failing(unit: UnitOfWork) -> T:
            async def add_events(_events: object) -> None:
                raise DomainError("unavailable", "the disk is full")

            journal = Proxy(unit.journal, add_events=add_events)
            return await work(Proxy(unit, journal=journal))  # type: ignore[arg-type]

        return await self.inner.write(failing)


async def test_an_approval_is_never_stored_without_its_change(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await need_two_persons(installation, "revoke")
        await add_colleague(installation)
        license = await installation.issue()
        proposal = await propose(installation, "revoke", license.id)
        failing: Store = _NoEvents(installation.services.store)
        services = services_over(installation, failing, signers_of(installation))
        broken = Installation(services, installation.settings, installation.clock, installation.keys)
        assert await refused(approve(broken, proposal.id)) == "unavailable"
        assert (await proposal_now(installation, proposal)).status is ProposalStatus.OPEN
        assert await state_of(installation, license.id) == "active"
        await approve(installation, proposal.id)
        assert await state_of(installation, license.id) == "revoked"
