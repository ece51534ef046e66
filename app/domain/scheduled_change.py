"""A change of a license that was ordered ahead of its time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from app.domain.errors import DomainError
from app.domain.order import Order

LICENSE_ENDED = "license_ended"
"""The outcome of what was cancelled because its license came to an end."""

CANCELLED = "cancelled"
"""The outcome of what somebody cancelled."""

DONE = "ok"
"""The outcome of what was done."""


class ChangeStatus(StrEnum):
    """A scheduled change waits until it is done, cancelled by somebody, or failed because it was not allowed."""

    SCHEDULED = "scheduled"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledChange:
    """An order with the moment from which it has effect.

    `ordered_by` is the client whose call it stands on; when the two-person rule applied, that is who approved it, and
    `proposal_id` and `proposed_by` name the rest. `outcome` tells how it ended: `ok`, `license_ended`, or the code of
    the refusal. `fence` is the fencing token of the worker that holds the lease until `lease_until`; a write that
    shows an older one is refused.
    """

    id: str
    authority_code: str
    order: Order
    effective_at: datetime
    status: ChangeStatus
    ordered_by: str
    ordered_at: datetime
    request_id: str
    lease_until: datetime
    fence: int
    proposal_id: str | None = None
    proposed_by: str | None = None
    ended_at: datetime | None = None
    ended_by: str | None = None
    end_reason: str | None = None
    outcome: str | None = None

    @property
    def approved_by(self) -> str | None:
        """Return who approved it, None where no second person was needed."""
        return None if self.proposal_id is None else self.ordered_by

    def details(self) -> Mapping[str, str]:
        """Return what the history says beside actor, times and reasons once this is done."""
        named = {
            "scheduled_change": self.id,
            "proposal": self.proposal_id,
            "proposed_by": self.proposed_by,
            "approved_by": self.approved_by,
        }
        return {name: value for name, value in named.items() if value is not None}

    def ended(
        self,
        status: ChangeStatus,
        *,
        at: datetime,
        outcome: str,
        by: str | None = None,
        reason: str | None = None,
    ) -> "ScheduledChange":
        """Return it as it stands once it has ended. Raises DomainError `already_decided` if it has already."""
        if self.status is not ChangeStatus.SCHEDULED:
            raise DomainError("already_decided", f"this change is {self.status.value} already")
        return replace(self, status=status, ended_at=at, ended_by=by, end_reason=reason, outcome=outcome)
