"""Orders: actions on licenses at once, from a later moment on, or by two persons; and what was accepted of them."""

from collections.abc import Iterator
from typing import Literal, overload

from elicense.client import _order_calls as calls
from elicense.client._call import Caller, each
from elicense.client._models import License, Page
from elicense.client._order_calls import Moment, Ordered, RevocationKind
from elicense.client._order_models import Preview, Proposal, ScheduledChange


class LicenseActions:
    """Actions on the licenses of the calling authority.

    Called as ever, an action answers the changed license. Where the license's type asks for a second person nothing
    has changed yet: then ApprovalPendingError is raised, whose `proposal` waits for another client; nobody shall take
    a proposal for a revocation. Say `allow_proposal=True` to be given the proposal instead. With `effective_at` the
    answer is a scheduled change, or a proposal of one.
    """

    def __init__(self, client: Caller) -> None:
        self._client = client

    def preview(self, license_id: str, *, action: str) -> Preview:
        """Look ahead at what an action would touch; nothing changes, and the look is audited.

        Raises StateConflictError when the action is not allowed now.
        """
        return self._client._run(calls.preview(license_id, action=action))

    def scheduled(
        self,
        license_id: str,
        *,
        status: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[ScheduledChange]:
        """Fetch one page of what was ever scheduled for a license, by the time from which it has effect."""
        return self._client._run(calls.scheduled(license_id, status=status, cursor=cursor, limit=limit))

    def iterate_scheduled(self, license_id: str, *, status: str | None = None) -> Iterator[ScheduledChange]:
        """Go through all pages of `scheduled`, fetching as needed."""
        yield from each(
            self._client, lambda cursor: calls.scheduled(license_id, status=status, cursor=cursor)
        )

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
        return self._client._run(
            calls.order(
                "suspend",
                license_id,
                reason_code=reason_code,
                reason=reason,
                effective_at=effective_at,
                allow_proposal=allow_proposal,
                idempotency_key=idempotency_key,
            )
        )

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
        return self._client._run(
            calls.order(
                "resume",
                license_id,
                reason_code=reason_code,
                reason=reason,
                effective_at=effective_at,
                allow_proposal=allow_proposal,
                idempotency_key=idempotency_key,
            )
        )

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
        return self._client._run(
            calls.order(
                "revoke",
                license_id,
                reason_code=reason_code,
                reason=reason,
                kind=kind,
                effective_at=effective_at,
                allow_proposal=allow_proposal,
                idempotency_key=idempotency_key,
            )
        )

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
        return self._client._run(
            calls.order(
                "cancel",
                license_id,
                reason_code=reason_code,
                reason=reason,
                effective_at=effective_at,
                allow_proposal=allow_proposal,
                idempotency_key=idempotency_key,
            )
        )


class ScheduledChanges:
    """Changes that the calling authority ordered ahead of their time."""

    def __init__(self, client: Caller) -> None:
        self._client = client

    def get(self, change_id: str) -> ScheduledChange:
        """Fetch one scheduled change. Raises NotFoundError also for another authority's."""
        return self._client._run(calls.scheduled_change(change_id))

    def list(
        self, *, status: str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> Page[ScheduledChange]:
        """Fetch one page by time of effect; pass `next_cursor` as `cursor` for the following one."""
        return self._client._run(calls.scheduled_changes(status=status, cursor=cursor, limit=limit))

    def iterate(self, *, status: str | None = None) -> Iterator[ScheduledChange]:
        """Go through all pages of `list`, fetching as needed."""
        yield from each(self._client, lambda cursor: calls.scheduled_changes(status=status, cursor=cursor))

    def cancel(
        self, change_id: str, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> ScheduledChange:
        """Cancel a change that has not been done.

        Raises AlreadyDecidedError for one that has ended, ApprovalPendingError for one that two persons scheduled:
        cancelling it waits as the error's `proposal` until another client of the authority approves.
        """
        return self._client._run(
            calls.cancel_change(change_id, reason=reason, idempotency_key=idempotency_key)
        )


class Proposals:
    """The two-person rule: what clients of the calling authority proposed."""

    def __init__(self, client: Caller) -> None:
        self._client = client

    def get(self, proposal_id: str) -> Proposal:
        """Fetch one proposal. Raises NotFoundError also for another authority's."""
        return self._client._run(calls.proposal(proposal_id))

    def list(
        self, *, status: str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> Page[Proposal]:
        """Fetch one page, oldest first; pass `next_cursor` as `cursor` for the following one."""
        return self._client._run(calls.proposals(status=status, cursor=cursor, limit=limit))

    def iterate(self, *, status: str | None = None) -> Iterator[Proposal]:
        """Go through all pages of `list`, fetching as needed."""
        yield from each(self._client, lambda cursor: calls.proposals(status=status, cursor=cursor))

    def approve(self, proposal_id: str, *, idempotency_key: str | None = None) -> Proposal:
        """Approve what another client proposed; the license has changed (or the change is scheduled) on return.

        Raises OwnProposalError for what this client proposed itself, AlreadyDecidedError, ProposalExpiredError, and
        ProposalOutdatedError when the license has changed since.
        """
        return self._client._run(calls.approve(proposal_id, idempotency_key=idempotency_key))

    def reject(
        self, proposal_id: str, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> Proposal:
        """Reject a proposal, or take back one's own. Raises as `approve`, OwnProposalError excepted."""
        return self._client._run(calls.reject(proposal_id, reason=reason, idempotency_key=idempotency_key))
