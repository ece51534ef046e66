"""How proposals, scheduled changes and previews look in JSON, and the answers that are kept to be repeated.

`kind` tells an accepted order (202) apart from a changed license, which has none.
"""

from collections.abc import Mapping
from datetime import datetime

from app.domain.order import Order
from app.domain.proposal import Proposal
from app.domain.scheduled_change import ScheduledChange
from app.ports import StoredAnswer
from app.services.answers import JSON, moment_json
from elicense.encoding import dump_json, rfc3339

ACCEPTED = 202


def scheduled_change_json(change: ScheduledChange) -> dict[str, object]:
    """Return a scheduled change as the API shows it."""
    return {
        "kind": "scheduled_change",
        "id": change.id,
        **_order_json(change.order),
        "effective_at": rfc3339(change.effective_at),
        "status": change.status.value,
        "ordered_by": change.ordered_by,
        "ordered_at": rfc3339(change.ordered_at),
        "proposal_id": change.proposal_id,
        "proposed_by": change.proposed_by,
        "approved_by": change.approved_by,
        "ended_by": change.ended_by,
        "ended_at": moment_json(change.ended_at),
        "end_reason": change.end_reason,
        "outcome": change.outcome,
    }


def proposal_json(proposal: Proposal, *, now: datetime) -> dict[str, object]:
    """Return a proposal as the API shows it at a moment: one that nobody decided in time is expired."""
    return {
        "kind": "proposal",
        "id": proposal.id,
        **_order_json(proposal.order),
        "effective_at": moment_json(proposal.effective_at),
        "status": proposal.status_at(now).value,
        "proposed_by": proposal.proposed_by,
        "proposed_at": rfc3339(proposal.proposed_at),
        "expires_at": rfc3339(proposal.expires_at),
        "decided_by": proposal.decided_by,
        "decided_at": moment_json(proposal.decided_at),
        "decision_reason": proposal.decision_reason,
        "scheduled_change_id": proposal.scheduled_change_id,
    }


def scheduled_answer(change: ScheduledChange) -> StoredAnswer:
    """Return the answer to an order that was scheduled: 202, where it is, and what it is."""
    return _accepted(f"/v1/scheduled-changes/{change.id}", scheduled_change_json(change))


def proposed_answer(proposal: Proposal, *, now: datetime) -> StoredAnswer:
    """Return the answer to an order that needs a second person: 202, where the proposal is, and what it is."""
    return _accepted(f"/v1/proposals/{proposal.id}", proposal_json(proposal, now=now))


def ended_answer(change: ScheduledChange) -> StoredAnswer:
    """Return the answer to a cancellation: the change as it stands."""
    return _plain(scheduled_change_json(change))


def decided_answer(proposal: Proposal, *, now: datetime) -> StoredAnswer:
    """Return the answer to an approval or rejection: the proposal as it stands."""
    return _plain(proposal_json(proposal, now=now))


def _order_json(order: Order) -> dict[str, object]:
    return {
        "license_id": order.license_id,
        "action": order.action,
        "reason_code": order.reason_code,
        "reason": order.reason,
        "arguments": dict(order.arguments),
    }


def _accepted(location: str, value: Mapping[str, object]) -> StoredAnswer:
    headers = {"Location": location, "Content-Type": JSON}
    return StoredAnswer(status=ACCEPTED, headers=headers, body=dump_json(value))


def _plain(body: Mapping[str, object]) -> StoredAnswer:
    return StoredAnswer(status=200, headers={"Content-Type": JSON}, body=dump_json(body))
