"""Answers about orders as frozen values: previews, scheduled changes, proposals."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from elicense.client._models import (
    Json,
    License,
    _integer,
    _maybe_object,
    _maybe_text,
    _moment,
    _object,
    _objects,
    _optional,
    _text,
    license_of,
)
from elicense.client.errors import APIResponseError, ElicenseError


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledChange:
    """A change of a license that was ordered ahead of its time.

    `status` is scheduled, done, cancelled or failed; `outcome` tells how it ended: `ok`, `cancelled`,
    `license_ended`, or the code of the refusal. `approved_by` and `proposed_by` are set under the two-person rule.
    """

    id: str
    license_id: str
    action: str
    effective_at: datetime
    status: str
    reason_code: str
    reason: str
    arguments: Mapping[str, object]
    ordered_by: str
    ordered_at: datetime
    proposal_id: str | None
    proposed_by: str | None
    approved_by: str | None
    ended_by: str | None
    ended_at: datetime | None
    end_reason: str | None
    outcome: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An order that waits for another client of the authority, or did.

    `status` is open, approved, rejected, outdated (the license has changed since) or expired. `effective_at` None
    means at once on approval; else approval schedules it, as `scheduled_change_id`.
    """

    id: str
    license_id: str
    action: str
    effective_at: datetime | None
    status: str
    reason_code: str
    reason: str
    arguments: Mapping[str, object]
    proposed_by: str
    proposed_at: datetime
    expires_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None
    scheduled_change_id: str | None


class ApprovalPendingError(ElicenseError):
    """Say that nothing has changed yet: the license's type asks for a second person, and `proposal` waits for one."""

    def __init__(self, proposal: Proposal) -> None:
        super().__init__(f"proposal {proposal.id} waits for another client of the authority")
        self.proposal = proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionEffect:
    """What an action would do to one version and to its entry in the published status list."""

    version: str
    identifier: str
    from_state: str
    to_state: str
    status_list: str
    status_index: int
    from_value: int
    to_value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependant:
    """How many of one kind hang on a license, with the sentence for people in both languages."""

    kind: str
    count: int
    text_zh: str
    text_en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an action would touch now. `two_person`: it would be proposed to a second person, not done."""

    license_id: str
    identifier: str
    action: str
    from_state: str
    to_state: str
    two_person: bool
    versions: tuple[VersionEffect, ...]
    dependants: tuple[Dependant, ...]
    as_of: datetime


def scheduled_change_of(value: Json) -> ScheduledChange:
    """Read a scheduled change. Raises APIResponseError for a missing or wrongly typed member."""
    return ScheduledChange(
        id=_text(value, "id"),
        license_id=_text(value, "license_id"),
        action=_text(value, "action"),
        effective_at=_moment(_text(value, "effective_at")),
        status=_text(value, "status"),
        reason_code=_text(value, "reason_code"),
        reason=_text(value, "reason"),
        arguments=_maybe_object(value, "arguments") or {},
        ordered_by=_text(value, "ordered_by"),
        ordered_at=_moment(_text(value, "ordered_at")),
        proposal_id=_maybe_text(value, "proposal_id"),
        proposed_by=_maybe_text(value, "proposed_by"),
        approved_by=_maybe_text(value, "approved_by"),
        ended_by=_maybe_text(value, "ended_by"),
        ended_at=_optional(_moment, _maybe_text(value, "ended_at")),
        end_reason=_maybe_text(value, "end_reason"),
        outcome=_maybe_text(value, "outcome"),
    )


def proposal_of(value: Json) -> Proposal:
    """Read a proposal. Raises APIResponseError as `scheduled_change_of`."""
    return Proposal(
        id=_text(value, "id"),
        license_id=_text(value, "license_id"),
        action=_text(value, "action"),
        effective_at=_optional(_moment, _maybe_text(value, "effective_at")),
        status=_text(value, "status"),
        reason_code=_text(value, "reason_code"),
        reason=_text(value, "reason"),
        arguments=_maybe_object(value, "arguments") or {},
        proposed_by=_text(value, "proposed_by"),
        proposed_at=_moment(_text(value, "proposed_at")),
        expires_at=_moment(_text(value, "expires_at")),
        decided_by=_maybe_text(value, "decided_by"),
        decided_at=_optional(_moment, _maybe_text(value, "decided_at")),
        decision_reason=_maybe_text(value, "decision_reason"),
        scheduled_change_id=_maybe_text(value, "scheduled_change_id"),
    )


def changed_of(value: Json) -> License:
    """Read the license that was changed at once.

    Raises ApprovalPendingError for a proposal, APIResponseError for anything else.
    """
    ordered = ordered_of(value)
    if isinstance(ordered, Proposal):
        raise ApprovalPendingError(ordered)
    if isinstance(ordered, ScheduledChange):
        raise APIResponseError("the answer is not of the kind that was asked for")
    return ordered


def ordered_of(value: Json) -> License | ScheduledChange | Proposal:
    """Read what an action was answered with: `kind` tells what was accepted, a changed license has none.

    Raises APIResponseError as `scheduled_change_of`, and for a kind this version does not know.
    """
    kind = value.get("kind")
    if kind is None:
        return license_of(value)
    if kind == "scheduled_change":
        return scheduled_change_of(value)
    if kind == "proposal":
        return proposal_of(value)
    raise APIResponseError("the answer is of a kind this version does not know")


def preview_of(value: Json) -> Preview:
    """Read a preview. Raises APIResponseError as `scheduled_change_of`."""
    return Preview(
        license_id=_text(value, "license_id"),
        identifier=_text(value, "identifier"),
        action=_text(value, "action"),
        from_state=_text(value, "from_state"),
        to_state=_text(value, "to_state"),
        two_person=_flag(value, "two_person"),
        versions=tuple(_effect_of(item) for item in _objects(value, "versions")),
        dependants=tuple(_dependant_of(item) for item in _objects(value, "dependants")),
        as_of=_moment(_text(value, "as_of")),
    )


def _effect_of(value: Json) -> VersionEffect:
    return VersionEffect(
        version=_text(value, "version"),
        identifier=_text(value, "identifier"),
        from_state=_text(value, "from_state"),
        to_state=_text(value, "to_state"),
        status_list=_text(value, "status_list"),
        status_index=_integer(value, "status_index"),
        from_value=_integer(value, "from_value"),
        to_value=_integer(value, "to_value"),
    )


def _dependant_of(value: Json) -> Dependant:
    text = _object(value, "text")
    return Dependant(
        kind=_text(value, "kind"),
        count=_integer(value, "count"),
        text_zh=_text(text, "zh"),
        text_en=_text(text, "en"),
    )


def _flag(value: Json, name: str) -> bool:
    found = value.get(name)
    if not isinstance(found, bool):
        raise APIResponseError(f"the answer lacks {name}")
    return found
