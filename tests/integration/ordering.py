"""Ordering in tests: types that need two persons, clients of one authority, and a clock set to a moment."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.api_client import ClientKind
from app.domain.authority import SetupPlan
from app.domain.license import HistoryEntry
from app.domain.order import Order
from app.domain.proposal import Proposal
from app.domain.scheduled_change import ScheduledChange
from app.services.orders import Ordered
from tests.installation import AUTHORITY, BUSINESS_LICENSE, Installation, idempotent


async def need_two_persons(installation: Installation, *actions: str) -> None:
    """Let the business license ask for a second person, as `setup apply` does."""
    directory = await installation.services.directory.snapshot()
    kind = replace(directory.license_types[BUSINESS_LICENSE], two_person=actions)
    await installation.services.directory.apply(SetupPlan(license_types=(kind,)), dry_run=False, actor="test")


async def add_colleague(installation: Installation, role: str = "colleague") -> str:
    """Make another client of the first authority; return its id."""
    made = await installation.services.api_clients.create(
        name=role, kind=ClientKind.AUTHORITY, authority_code=AUTHORITY, actor="test"
    )
    installation.keys[role] = made.secret
    return made.client.id


async def client_id(installation: Installation, role: str) -> str:
    """Return the id of a role's client."""
    return (await installation.caller(role)).client.id


async def order(
    installation: Installation,
    action: str,
    license_id: str,
    *,
    effective_at: datetime | None = None,
    role: str = "authority",
    key: str | None = None,
) -> Ordered:
    """Order an action as a department does."""
    caller = await installation.caller(role)
    path = f"/v1/licenses/{license_id}/{action}"
    return await installation.services.orders.order(
        Order(action=action, license_id=license_id, reason_code="inspection", reason="现场检查"),
        effective_at=effective_at,
        caller=caller,
        call=idempotent(key, path=path, client_id=caller.client.id) if key else None,
    )


async def schedule(
    installation: Installation, action: str, license_id: str, *, seconds: float, role: str = "authority"
) -> ScheduledChange:
    """Order an action so many seconds ahead."""
    at = installation.clock.now() + timedelta(seconds=seconds)
    ordered = await order(installation, action, license_id, effective_at=at, role=role)
    assert ordered.scheduled_change is not None, ordered
    return ordered.scheduled_change


async def propose(
    installation: Installation, action: str, license_id: str, *, seconds: float | None = None
) -> Proposal:
    """Order an action of a type that needs two persons."""
    at = None if seconds is None else installation.clock.now() + timedelta(seconds=seconds)
    ordered = await order(installation, action, license_id, effective_at=at)
    assert ordered.proposal is not None, ordered
    return ordered.proposal


async def approve(
    installation: Installation, proposal_id: str, *, role: str = "colleague", key: str | None = None
) -> Proposal:
    """Approve a proposal."""
    caller = await installation.caller(role)
    path = f"/v1/proposals/{proposal_id}/approve"
    approved = await installation.services.proposals.approve(
        proposal_id,
        caller=caller,
        call=idempotent(key, path=path, client_id=caller.client.id) if key else None,
    )
    assert approved.proposal is not None
    return approved.proposal


async def scheduled_now(installation: Installation, change: ScheduledChange) -> ScheduledChange:
    """Return a scheduled change as it stands."""
    return await installation.services.scheduled_changes.get(
        change.id, caller=await installation.caller("authority")
    )


async def proposal_now(installation: Installation, proposal: Proposal) -> Proposal:
    """Return a proposal as it stands."""
    return await installation.services.proposals.get(
        proposal.id, caller=await installation.caller("authority")
    )


async def state_of(installation: Installation, license_id: str) -> str:
    """Return the stored state of a license."""
    license = await installation.services.store.read(lambda unit: unit.licenses.get(license_id))
    assert license is not None
    return license.state.value


async def history_of(installation: Installation, license_id: str) -> list[HistoryEntry]:
    """Return a license's history after its issuance."""
    return list(await installation.services.store.read(lambda unit: unit.licenses.history(license_id)))[1:]


async def audit_of(installation: Installation, *subjects: str) -> list[tuple[str, str, str]]:
    """Return (action, actor, outcome) of what was done to these subjects, sorted: ids of one moment have no order."""
    entries, _ = await installation.services.store.read(
        lambda unit: unit.journal.audit_page(cursor=None, limit=200)
    )
    return sorted(
        (entry.action, entry.actor, entry.outcome) for entry in entries if entry.subject in subjects
    )


def set_clock(installation: Installation, moment: datetime) -> None:
    """Put the clock at a moment; it runs on from there."""
    installation.clock.advance(seconds=(moment - installation.clock.now()).total_seconds())


def body_of(answer: Any) -> dict[str, Any]:
    """Parse the body of a stored answer."""
    document: dict[str, Any] = json.loads(answer.body)
    return document


def utc(*parts: int) -> datetime:
    """Make a moment in UTC."""
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]
