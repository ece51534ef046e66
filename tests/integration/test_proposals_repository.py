"""Orders that wait for a second person: decided once, expired by the clock, outdated by a change of their license."""

import asyncio
from dataclasses import replace

import pytest

from app.adapters.db import SqlStore
from app.domain.errors import ConcurrentChange, DomainError
from app.domain.license import License
from app.domain.proposal import Proposal, ProposalStatus
from app.ports import UnitOfWork
from tests.builders import AUTHORITY_CODE, NOON, make_license, make_order, make_proposal, make_row, minutes

pytestmark = pytest.mark.anyio


async def _license(store: SqlStore, number: str = "N-1", index: int = 0) -> License:
    made = make_license(number)
    await store.write(lambda unit: unit.licenses.add_many([make_row(made, index=index)]))
    return made


async def _add(store: SqlStore, *proposals: Proposal) -> None:
    async def work(unit: UnitOfWork) -> None:
        for proposal in proposals:
            await unit.proposals.add(proposal)

    await store.write(work)


async def _get(store: SqlStore, proposal: Proposal) -> Proposal:
    found = await store.read(lambda unit: unit.proposals.get(proposal.id))
    assert found is not None
    return found


async def test_a_proposal_comes_back_as_it_was_stored(store: SqlStore) -> None:
    license = await _license(store)
    plain = make_proposal(license)
    whole = make_proposal(
        license,
        order=make_order(license, action="amend", elements={"address": None}),
        effective_at=NOON + minutes(60),
        row_version=7,
        status=ProposalStatus.APPROVED,
        decided_by="client-2",
        decided_at=NOON + minutes(1),
        decision_reason="同意",
        scheduled_change_id="change-1",
    )
    await _add(store, plain, whole)
    assert await _get(store, plain) == plain
    assert await _get(store, whole) == whole
    assert await store.read(lambda unit: unit.proposals.get("unknown")) is None


async def test_of_many_decisions_at_once_one_counts(store: SqlStore, another_store: SqlStore) -> None:
    proposal = make_proposal(await _license(store))
    await _add(store, proposal)

    async def decide(who: int) -> bool:
        decided = (
            proposal.approved(by=f"second-{who}", at=NOON)
            if who % 2
            else proposal.rejected(by=f"second-{who}", at=NOON, reason=None)
        )
        try:
            await (store, another_store)[who % 2].write(lambda unit: unit.proposals.decide(decided))
        except ConcurrentChange:
            return False
        return True

    assert sum(await asyncio.gather(*(decide(who) for who in range(8)))) == 1
    assert (await _get(store, proposal)).status in (ProposalStatus.APPROVED, ProposalStatus.REJECTED)


async def test_a_change_of_the_license_outdates_what_is_open(store: SqlStore) -> None:
    license, other = await _license(store), await _license(store, "N-2", 1)
    open_, expired, rejected, others = (
        make_proposal(license),
        make_proposal(license, expires_at=NOON),
        make_proposal(license, status=ProposalStatus.REJECTED),
        make_proposal(other),
    )
    await _add(store, open_, expired, rejected, others)
    assert await store.read(lambda unit: unit.proposals.count_open(license.id, now=NOON)) == 1
    outdated = await store.write(
        lambda unit: unit.proposals.outdate_open(license.id, at=NOON + minutes(1), by="client-9")
    )
    assert outdated == sorted([open_.id, expired.id])
    kept = await _get(store, open_)
    assert (kept.status, kept.decided_by) == (ProposalStatus.OUTDATED, "client-9")
    assert (await _get(store, rejected), await _get(store, others)) == (rejected, others)
    with pytest.raises(ConcurrentChange):
        await store.write(lambda unit: unit.proposals.decide(open_.approved(by="x", at=NOON)))


async def test_lists_show_the_status_of_the_moment(store: SqlStore) -> None:
    license = await _license(store)
    proposals = [make_proposal(license, expires_at=NOON + minutes(n)) for n in range(5)]
    decided = replace(make_proposal(license), status=ProposalStatus.APPROVED)
    await _add(store, *proposals, decided, make_proposal(license, authority_code="another"))

    async def pages(status: ProposalStatus | None) -> list[str]:
        seen: list[str] = []
        cursor = None
        while True:
            shown, cursor = await store.read(
                lambda unit: unit.proposals.page(
                    authority_code=AUTHORITY_CODE,
                    status=status,
                    now=NOON + minutes(2),
                    cursor=cursor,  # noqa: B023
                    limit=2,
                )
            )
            seen += [proposal.id for proposal in shown]
            if cursor is None:
                return seen

    ids = [proposal.id for proposal in proposals]
    assert sorted(await pages(ProposalStatus.EXPIRED)) == sorted(ids[:3])
    assert sorted(await pages(ProposalStatus.OPEN)) == sorted(ids[3:])
    assert await pages(ProposalStatus.APPROVED) == [decided.id]
    assert await pages(ProposalStatus.OUTDATED) == []
    assert await pages(None) == sorted([*ids, decided.id])
    with pytest.raises(DomainError, match="invalid_request"):
        await store.read(
            lambda unit: unit.proposals.page(
                authority_code=AUTHORITY_CODE, status=None, now=NOON, cursor="x", limit=2
            )
        )
