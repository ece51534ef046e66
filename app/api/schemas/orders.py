"""What departments send and get about previews, scheduled changes and proposals."""

from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from app.api.schemas.answers import Answer, TextAnswer
from app.api.schemas.fields import Cursor, Limit, ReasonText, StrictModel
from app.domain.license import State
from app.domain.order import ORDERS

ActionName = Annotated[str, StringConstraints(pattern=f"^({'|'.join(ORDERS)})$")]
"""The name of something that can be ordered."""

ScheduledStatus = Literal["scheduled", "done", "cancelled", "failed"]
ProposalStatusName = Literal["open", "approved", "rejected", "outdated", "expired"]


class PreviewQuery(StrictModel):
    """Which action to look ahead at."""

    action: ActionName


class ScheduledQuery(StrictModel):
    """Which scheduled changes to list; all of them when no status is given."""

    status: ScheduledStatus | None = None
    cursor: Cursor | None = None
    limit: Limit = 50


class ProposalQuery(StrictModel):
    """Which proposals to list; all of them when no status is given."""

    status: ProposalStatusName | None = None
    cursor: Cursor | None = None
    limit: Limit = 50


class ApprovalBody(StrictModel):
    """Nothing is said with an approval: it is given to exactly what was proposed, or not at all."""


class EndingBody(StrictModel):
    """Why a proposal is rejected or a scheduled change cancelled; need not be said."""

    reason: ReasonText | None = None


class VersionEffectAnswer(Answer):
    """What would happen to one version and to its entry in the published status list."""

    version: str
    identifier: str
    from_state: State
    to_state: State
    status_list: str
    status_index: int
    from_value: int
    to_value: int


class DependantAnswer(Answer):
    """How many of one kind hang on the license; never who."""

    kind: str
    count: int
    text: TextAnswer


class PreviewAnswer(Answer):
    """What an action would touch now. `two_person`: it would be proposed, not done."""

    license_id: str
    identifier: str
    action: str
    from_state: State
    to_state: State
    two_person: bool
    versions: list[VersionEffectAnswer]
    dependants: list[DependantAnswer]
    as_of: str


class OrderAnswer(Answer):
    """An action on a license, with its reasons. `arguments` holds what only some actions take."""

    id: str
    license_id: str
    action: str
    reason_code: str
    reason: str
    arguments: dict[str, Any]


class ScheduledChangeAnswer(OrderAnswer):
    """A change ordered ahead of its time.

    `ordered_by` is the client whose call it stands on; with the two-person rule that is who approved it. `outcome`
    tells how it ended: `ok`, `cancelled`, `license_ended`, or the code of the refusal.
    """

    kind: Literal["scheduled_change"]
    effective_at: str
    status: ScheduledStatus
    ordered_by: str
    ordered_at: str
    proposal_id: str | None
    proposed_by: str | None
    approved_by: str | None
    ended_by: str | None
    ended_at: str | None
    end_reason: str | None
    outcome: str | None


class ScheduledChangePage(Answer):
    """One page of scheduled changes, by the time from which they have effect."""

    data: list[ScheduledChangeAnswer]
    next_cursor: str | None


class ProposalAnswer(OrderAnswer):
    """An order that waits for a second person, or did. Approved with `effective_at`, it is `scheduled_change_id`."""

    kind: Literal["proposal"]
    effective_at: str | None
    status: ProposalStatusName
    proposed_by: str
    proposed_at: str
    expires_at: str
    decided_by: str | None
    decided_at: str | None
    decision_reason: str | None
    scheduled_change_id: str | None


class ProposalPage(Answer):
    """One page of proposals, oldest first."""

    data: list[ProposalAnswer]
    next_cursor: str | None
