"""The calls about orders: what is sent for actions on licenses, and which answers count as theirs."""

from datetime import date, datetime
from functools import partial
from typing import Literal, TypeAlias

from elicense.client._call import Call, get, post
from elicense.client._models import Json, License, Page, page_of
from elicense.client._order_models import (
    ApprovalPendingError,
    Preview,
    Proposal,
    ScheduledChange,
    ordered_of,
    preview_of,
    proposal_of,
    scheduled_change_of,
)
from elicense.client._protocol import rfc3339
from elicense.client.errors import APIResponseError

Moment: TypeAlias = datetime | date | str
"""From when an order has effect: a moment with its zone, or a civil day for its 00:00 at +08:00."""

RevocationKind: TypeAlias = Literal["penalty", "annulled"]

Ordered: TypeAlias = License | ScheduledChange | Proposal


def order(
    action: str,
    license_id: str,
    *,
    reason_code: str,
    reason: str,
    effective_at: Moment | None,
    allow_proposal: bool,
    idempotency_key: str | None,
    kind: RevocationKind | None = None,
) -> Call[Ordered]:
    """Order an action; its answer raises ApprovalPendingError for a proposal that nobody allowed."""
    body: dict[str, object] = {"reason_code": reason_code, "reason": reason}
    if effective_at is not None:
        # A datetime is a date too, and the one that needs its zone told.
        moment = rfc3339(effective_at) if isinstance(effective_at, datetime) else str(effective_at)
        body["effective_at"] = moment
    if kind is not None:
        body["kind"] = kind
    read = partial(_ordered, later=effective_at is not None, allow_proposal=allow_proposal)
    return post(["v1", "licenses", license_id, action], body, read, idempotency_key=idempotency_key)


def preview(license_id: str, *, action: str) -> Call[Preview]:
    """Look ahead at what an action would touch."""
    return get(["v1", "licenses", license_id, "preview"], preview_of, query={"action": action})


def scheduled(
    license_id: str, *, status: str | None, cursor: str | None, limit: int | None = None
) -> Call[Page[ScheduledChange]]:
    """Fetch one page of what was scheduled for a license."""
    path = ["v1", "licenses", license_id, "scheduled"]
    query = {"status": status, "cursor": cursor, "limit": limit}
    return get(path, lambda page: page_of(page, scheduled_change_of), query=query)


def scheduled_change(change_id: str) -> Call[ScheduledChange]:
    """Fetch one scheduled change."""
    return get(["v1", "scheduled-changes", change_id], scheduled_change_of)


def scheduled_changes(
    *, status: str | None, cursor: str | None, limit: int | None = None
) -> Call[Page[ScheduledChange]]:
    """Fetch one page of scheduled changes."""
    query = {"status": status, "cursor": cursor, "limit": limit}
    return get(["v1", "scheduled-changes"], lambda page: page_of(page, scheduled_change_of), query=query)


def cancel_change(
    change_id: str, *, reason: str | None, idempotency_key: str | None
) -> Call[ScheduledChange]:
    """Cancel a scheduled change; the answer raises ApprovalPendingError where that takes two persons."""
    path = ["v1", "scheduled-changes", change_id, "cancel"]
    body = {} if reason is None else {"reason": reason}
    return post(path, body, _cancelled, idempotency_key=idempotency_key)


def proposal(proposal_id: str) -> Call[Proposal]:
    """Fetch one proposal."""
    return get(["v1", "proposals", proposal_id], proposal_of)


def proposals(*, status: str | None, cursor: str | None, limit: int | None = None) -> Call[Page[Proposal]]:
    """Fetch one page of proposals."""
    query = {"status": status, "cursor": cursor, "limit": limit}
    return get(["v1", "proposals"], lambda page: page_of(page, proposal_of), query=query)


def approve(proposal_id: str, *, idempotency_key: str | None) -> Call[Proposal]:
    """Approve a proposal."""
    path = ["v1", "proposals", proposal_id, "approve"]
    return post(path, {}, proposal_of, idempotency_key=idempotency_key)


def reject(proposal_id: str, *, reason: str | None, idempotency_key: str | None) -> Call[Proposal]:
    """Reject a proposal."""
    path = ["v1", "proposals", proposal_id, "reject"]
    body = {} if reason is None else {"reason": reason}
    return post(path, body, proposal_of, idempotency_key=idempotency_key)


def _cancelled(answer: Json) -> ScheduledChange:
    ordered = ordered_of(answer)
    if isinstance(ordered, Proposal):
        raise ApprovalPendingError(ordered)
    if isinstance(ordered, License):
        raise APIResponseError("the answer is not of the kind that was asked for")
    return ordered


def _ordered(answer: Json, *, later: bool, allow_proposal: bool) -> Ordered:
    ordered = ordered_of(answer)
    if isinstance(ordered, Proposal) and not (later or allow_proposal):
        raise ApprovalPendingError(ordered)
    if isinstance(ordered, License) is later and not isinstance(ordered, Proposal):
        raise APIResponseError("the answer is not of the kind that was asked for")
    return ordered
