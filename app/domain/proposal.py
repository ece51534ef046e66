"""The two-person rule: what one client proposes another client of the same authority approves or rejects."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.errors import DomainError
from app.domain.order import Order

LIFETIME = timedelta(days=7)


class ProposalStatus(StrEnum):
    """Open until decided. `outdated`: its license has changed since. `expired` is computed, never stored."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    OUTDATED = "outdated"
    EXPIRED = "expired"


_CLOSED = {
    ProposalStatus.APPROVED: "already_decided",
    ProposalStatus.REJECTED: "already_decided",
    ProposalStatus.OUTDATED: "proposal_outdated",
    ProposalStatus.EXPIRED: "proposal_expired",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An order that waits for a second person.

    `row_version` is the license's when it was proposed: whoever approves decides about exactly that license.
    `effective_at` None means at once on approval; else approval schedules it, as `scheduled_change_id`. `status` is
    what is stored; `status_at` counts the clock in.
    """

    id: str
    authority_code: str
    order: Order
    effective_at: datetime | None
    row_version: int
    status: ProposalStatus
    proposed_by: str
    proposed_at: datetime
    expires_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    decision_reason: str | None = None
    scheduled_change_id: str | None = None

    def status_at(self, now: datetime) -> ProposalStatus:
        """Return the status people see at a moment."""
        if self.status is ProposalStatus.OPEN and now >= self.expires_at:
            return ProposalStatus.EXPIRED
        return self.status

    def details(self, *, approved_by: str) -> Mapping[str, str]:
        """Return what the history says of both persons."""
        return {"proposal": self.id, "proposed_by": self.proposed_by, "approved_by": approved_by}

    def approved(self, *, by: str, at: datetime, scheduled_change_id: str | None = None) -> "Proposal":
        """Return it approved. Raises DomainError own_proposal, already_decided, proposal_expired, proposal_outdated."""
        if by == self.proposed_by:
            raise DomainError(
                "own_proposal", "another client of the authority must approve what this one proposed"
            )
        self._require_open(at)
        return replace(
            self,
            status=ProposalStatus.APPROVED,
            decided_by=by,
            decided_at=at,
            scheduled_change_id=scheduled_change_id,
        )

    def rejected(self, *, by: str, at: datetime, reason: str | None) -> "Proposal":
        """Return it rejected; who proposed it may take it back so. Raises as `approved`, own_proposal excepted."""
        self._require_open(at)
        return replace(
            self, status=ProposalStatus.REJECTED, decided_by=by, decided_at=at, decision_reason=reason
        )

    def _require_open(self, at: datetime) -> None:
        status = self.status_at(at)
        if status is not ProposalStatus.OPEN:
            raise DomainError(_CLOSED[status], f"this proposal is {status.value}")


def expiry(*, proposed_at: datetime, effective_at: datetime | None) -> datetime:
    """Return when a proposal runs out: after seven days, or at the moment it was to have effect if that is sooner."""
    latest = proposed_at + LIFETIME
    return latest if effective_at is None else min(latest, effective_at)
