"""Orders: actions on licenses at once, from a later moment on, or by two persons; and what was accepted of them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Literal, Protocol, TypeAlias, overload

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


class Calls(Protocol):
    """What these resources need of the client."""

    def _get(self, path: Sequence[str], *, query: Mapping[str, str | int | None] | None = None) -> Json: ...

    def _post(
        self, path: Sequence[str], body: Mapping[str, object], *, idempotency_key: str | None
    ) -> Json: ...


class LicenseActions:
    """Actions on the licenses of the calling authority.

    Called as ever, an action answers the changed license. Where the license's type asks for a second person nothing
    has changed yet: then ApprovalPendingError is raised, whose `proposal` waits for another client; nobody shall take
    a proposal for a revocation. Say `allow_proposal=True` to be given the proposal instead. With `effective_at` the
    answer is a scheduled change, or a proposal of one.
    """

    def __init__(self, client: Calls) -> None:
        self._client = client

    def preview(self, license_id: str, *, action: str) -> Preview:
        """Look ahead at what an action would touch; nothing changes, and the look is audited.

        Raises StateConflictError when the action is not allowed now.
        """
        path = ["v1", "licenses", license_id, "preview"]
        return preview_of(self._client._get(path, query={"action": action}))

    def scheduled(
        self, license_id: str, *, status: str | None = None, cursor: str | None = None
    ) -> Page[ScheduledChange]:
        """Fetch what was ever scheduled for a license, by the time from which it has effect."""
        path = ["v1", "licenses", license_id, "scheduled"]
        query = {"status": status, "cursor": cursor}
        return page_of(self._client._get(path, query=query), scheduled_change_of)

    @overload
    def suspend(
        self, license_id: str, *, reason_code: str, reason: str, idempotency_key: str | None = None
    ) -> License: ...

    @overload
    def suspend(
        self,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        effective_at: Moment,
        idempotency_key: str | None = None,
    ) -> ScheduledChange | Proposal: ...

    @overload
    def suspend(
        self,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        effective_at: Moment | None = None,
        allow_proposal: Literal[True],
        idempotency_key: str | None = None,
    ) -> Ordered: ...

    def suspend(
        self,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        effective_at: Moment | None = None,
        allow_proposal: bool = False,
        idempotency_key: str | None = None,
    ) -> Ordered:
        """Suspend an active license. Raises StateConflictError in any other state."""
        body = _body(reason_code, reason, effective_at)
        return self._order("suspend", license_id, body, idempotency_key, allow_proposal=allow_proposal)

    @overload
    def resume(
        self, license_id: str, *, reason_code: str, reason: str, idempotency_key: str | None = None
    ) -> License: ...

    @overload
    def resume(
        self,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        effective_at: Moment,
        idempotency_key: str | None = None,
    ) -> ScheduledChange | Proposal: ...

    @overload
    def resume(
        self,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        effective_at: Moment | None = None,
        allow_proposal: Literal[True],
        idempotency_key: str | None = None,
    ) -> Ordered: ...

    def resume(
        self,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        effective_at: Moment | None = None,
        allow_proposal: bool = False,
        idempotency_key: str | None = None,
    ) -> Ordered:
        """Lift a suspension. Raises StateConflictError in any other state."""
        body = _body(reason_code, reason, effective_at)
        return self._order("resume", license_id, body, idempotency_key, allow_proposal=allow_proposal)

    @overload
    def revoke(
        self,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        kind: RevocationKind | None = None,
        idempotency_key: str | None = None,
    ) -> License: ...

    @overload
    def revoke(
        self,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        kind: RevocationKind | None = None,
        effective_at: Moment,
        idempotency_key: str | None = None,
    ) -> ScheduledChange | Proposal: ...

    @overload
    def revoke(
        self,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        kind: RevocationKind | None = None,
        effective_at: Moment | None = None,
        allow_proposal: Literal[True],
        idempotency_key: str | None = None,
    ) -> Ordered: ...

    def revoke(
        self,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        kind: RevocationKind | None = None,
        effective_at: Moment | None = None,
        allow_proposal: bool = False,
        idempotency_key: str | None = None,
    ) -> Ordered:
        """Revoke for good, by the authority: as a penalty (吊销), or `annulled` (撤销), void from its beginning.

        Raises StateConflictError for a license that has ended.
        """
        body = _body(reason_code, reason, effective_at)
        if kind is not None:
            body = {**body, "kind": kind}
        return self._order("revoke", license_id, body, idempotency_key, allow_proposal=allow_proposal)

    @overload
    def cancel(
        self, license_id: str, *, reason_code: str, reason: str, idempotency_key: str | None = None
    ) -> License: ...

    @overload
    def cancel(
        self,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        effective_at: Moment,
        idempotency_key: str | None = None,
    ) -> ScheduledChange | Proposal: ...

    @overload
    def cancel(
        self,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        effective_at: Moment | None = None,
        allow_proposal: Literal[True],
        idempotency_key: str | None = None,
    ) -> Ordered: ...

    def cancel(
        self,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        effective_at: Moment | None = None,
        allow_proposal: bool = False,
        idempotency_key: str | None = None,
    ) -> Ordered:
        """Cancel for good, by the holder's wish. Raises StateConflictError for a license that has ended."""
        body = _body(reason_code, reason, effective_at)
        return self._order("cancel", license_id, body, idempotency_key, allow_proposal=allow_proposal)

    def _order(
        self,
        action: str,
        license_id: str,
        body: Mapping[str, object],
        idempotency_key: str | None,
        *,
        allow_proposal: bool,
    ) -> Ordered:
        path = ["v1", "licenses", license_id, action]
        ordered = ordered_of(self._client._post(path, body, idempotency_key=idempotency_key))
        later = "effective_at" in body
        if isinstance(ordered, Proposal) and not (later or allow_proposal):
            raise ApprovalPendingError(ordered)
        if isinstance(ordered, License) is later and not isinstance(ordered, Proposal):
            raise APIResponseError("the answer is not of the kind that was asked for")
        return ordered


class ScheduledChanges:
    """Changes that the calling authority ordered ahead of their time."""

    def __init__(self, client: Calls) -> None:
        self._client = client

    def get(self, change_id: str) -> ScheduledChange:
        """Fetch one scheduled change. Raises NotFoundError also for another authority's."""
        return scheduled_change_of(self._client._get(["v1", "scheduled-changes", change_id]))

    def list(
        self, *, status: str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> Page[ScheduledChange]:
        """Fetch one page by time of effect; pass `next_cursor` as `cursor` for the following one."""
        query = {"status": status, "cursor": cursor, "limit": limit}
        return page_of(self._client._get(["v1", "scheduled-changes"], query=query), scheduled_change_of)

    def cancel(
        self, change_id: str, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> ScheduledChange:
        """Cancel a change that has not been done. Raises AlreadyDecidedError for one that has ended."""
        path = ["v1", "scheduled-changes", change_id, "cancel"]
        body = {} if reason is None else {"reason": reason}
        return scheduled_change_of(self._client._post(path, body, idempotency_key=idempotency_key))


class Proposals:
    """The two-person rule: what clients of the calling authority proposed."""

    def __init__(self, client: Calls) -> None:
        self._client = client

    def get(self, proposal_id: str) -> Proposal:
        """Fetch one proposal. Raises NotFoundError also for another authority's."""
        return proposal_of(self._client._get(["v1", "proposals", proposal_id]))

    def list(
        self, *, status: str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> Page[Proposal]:
        """Fetch one page, oldest first; pass `next_cursor` as `cursor` for the following one."""
        query = {"status": status, "cursor": cursor, "limit": limit}
        return page_of(self._client._get(["v1", "proposals"], query=query), proposal_of)

    def iterate(self, *, status: str | None = None) -> Iterator[Proposal]:
        """Go through all pages of `list`, fetching as needed."""
        cursor: str | None = None
        while True:
            page = self.list(status=status, cursor=cursor)
            yield from page
            cursor = page.next_cursor
            if cursor is None:
                return

    def approve(self, proposal_id: str, *, idempotency_key: str | None = None) -> Proposal:
        """Approve what another client proposed; the license has changed (or the change is scheduled) on return.

        Raises OwnProposalError for what this client proposed itself, AlreadyDecidedError, ProposalExpiredError, and
        ProposalOutdatedError when the license has changed since.
        """
        path = ["v1", "proposals", proposal_id, "approve"]
        return proposal_of(self._client._post(path, {}, idempotency_key=idempotency_key))

    def reject(
        self, proposal_id: str, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> Proposal:
        """Reject a proposal, or take back one's own. Raises as `approve`, OwnProposalError excepted."""
        path = ["v1", "proposals", proposal_id, "reject"]
        body = {} if reason is None else {"reason": reason}
        return proposal_of(self._client._post(path, body, idempotency_key=idempotency_key))


def _body(reason_code: str, reason: str, effective_at: Moment | None) -> Mapping[str, object]:
    body: dict[str, object] = {"reason_code": reason_code, "reason": reason}
    if effective_at is not None:
        # A datetime is a date too, and the one that needs its zone told.
        moment = rfc3339(effective_at) if isinstance(effective_at, datetime) else str(effective_at)
        body["effective_at"] = moment
    return body
