"""Store a change of a license's state with all that accompanies it, in the transaction of whoever decided on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.domain.api_client import Caller
from app.domain.events import AuditEntry
from app.domain.license import STATUS_VALUE, Action, License, RevocationKind, State
from app.ports import LicenseSnapshot, UnitOfWork
from app.services.journal_rows import Change, make_audit, make_event, make_history, make_leaf
from app.services.pending_orders import settle_pending


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """What was decided about a license: the action, its `kind` as in events, and the state it leads to.

    The state may be the one before: then the published value stays. `revocation` belongs to a revocation alone.
    """

    action: Action
    kind: str
    state: State
    reason_code: str
    reason: str
    revocation: RevocationKind | None = None
    effective_at: datetime | None = None
    details: Mapping[str, str] = field(default_factory=dict)


async def store_state_change(
    unit: UnitOfWork, snapshot: LicenseSnapshot, decided: StateChange, *, caller: Caller, at: datetime
) -> License:
    """Store the change with all that accompanies it and settle what waits; return the license after.

    Raises ConcurrentChange as `put_state_change`.
    """
    audit = make_audit(
        action=f"license.{decided.action.value}",
        subject=snapshot.license.id,
        actor=caller.client.id,
        at=at,
        request_id=caller.request_id,
    )
    after = await put_state_change(unit, snapshot, decided, audit=audit)
    await settle_pending(unit, after, caller=caller, at=at)
    return after


async def put_state_change(
    unit: UnitOfWork, snapshot: LicenseSnapshot, decided: StateChange, *, audit: AuditEntry
) -> License:
    """Store state, history, published value, log leaf, event and audit together; return the license after.

    Who did it and when is said by `audit`. Raises ConcurrentChange when the license is no longer as in the snapshot.
    """
    before, version, at = snapshot.license, snapshot.version, audit.at
    after = replace(
        before,
        state=decided.state,
        updated_at=at,
        row_version=before.row_version + 1,
        revocation=decided.revocation,
    )
    entry = make_history(
        after,
        action=decided.action.value,
        from_state=before.state.value,
        actor=audit.actor,
        at=at,
        reason_code=decided.reason_code,
        reason=decided.reason,
        effective_at=decided.effective_at,
        details=decided.details,
    )
    await unit.licenses.change_state(
        license_id=before.id,
        expected_row_version=before.row_version,
        state=decided.state,
        at=at,
        entry=entry,
        revocation=decided.revocation,
    )
    if decided.state is not before.state:
        place = (version.status_list_id, version.status_index)
        await unit.status.set_values([(*place, STATUS_VALUE[decided.state])])
    change = Change(
        kind=decided.kind,
        license=after,
        entry=entry,
        env=version.env,
        signing_input_sha256=version.signing_input_sha256,
        status_list_id=version.status_list_id,
        status_index=version.status_index,
    )
    await unit.journal.add_leaves([make_leaf(change)])
    await unit.journal.add_events([make_event(change)])
    await unit.journal.add_audit([audit])
    return after
