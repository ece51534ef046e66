"""The rows that go with every change of a license: log leaf, outbox event, history and audit entry."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.domain.events import AuditEntry, Event, LogLeaf, LogName
from app.domain.ids import new_id, new_salt
from app.domain.license import HistoryEntry, License
from elicense.encoding import b64url_encode
from elicense.log_entry import EntryKind, LicenseEvent, change_digest, issuance_digest, license_entry
from elicense.records import quick_constructor

ISSUED = "issued"

_new_entry = quick_constructor(AuditEntry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of one version of one license: `kind` as in events (`issued`, `suspended`, `voided`, …).

    `license` is as it stands afterwards, `entry` the history entry of the change. `status_index` is the version's
    entry in the list `status_list_id`, and `signing_input_sha256` (hex) recognizes its credential. `identifier` and
    `version` name the version where it is not the license's current one.
    """

    kind: str
    license: License
    entry: HistoryEntry
    env: str
    signing_input_sha256: str
    status_list_id: str
    status_index: int
    identifier: str | None = None
    version: str | None = None
    to_state: str | None = None
    row_version: int | None = None

    def event(self) -> LicenseEvent:
        """Return the whole change as the log commits to it."""
        license, entry = self.license, self.entry
        return LicenseEvent(
            env=self.env,
            kind=self.kind,
            license_id=license.id,
            identifier=self.identifier or license.identifier,
            version=self.version or license.version,
            row_version=license.row_version if self.row_version is None else self.row_version,
            from_state=entry.from_state,
            to_state=self.to_state or entry.to_state,
            actor=entry.actor,
            recorded_at=entry.recorded_at,
            effective_at=entry.effective_at,
            reason_code=entry.reason_code,
            reason=entry.reason,
            signing_input_sha256=self.signing_input_sha256,
            status_list=self.status_list_id,
            status_index=self.status_index,
            details=entry.details,
        )


def make_leaf(change: Change) -> LogLeaf:
    """Make the log leaf of a change: its entry holds a salted digest and no personal data."""
    salt, event = new_salt(), change.event()
    if change.kind == ISSUED:
        kind = EntryKind.ISSUANCE
        digest = issuance_digest(
            signing_input_sha256=change.signing_input_sha256, event_sha256=event.sha256, salt=salt
        )
    else:
        kind = EntryKind.CHANGE
        digest = change_digest(event_sha256=event.sha256, salt=salt)
    return LogLeaf(
        id=new_id(),
        log=LogName.REGISTER,
        kind=kind.value,
        subject=event.license_id,
        identifier=event.identifier,
        entry=license_entry(env=change.env, kind=kind, digest=digest),
        event_sha256=event.sha256,
        salt=b64url_encode(salt),
        recorded_at=event.recorded_at,
    )


def make_event(change: Change) -> Event:
    """Make the outbox event of a change; it names the license and carries no element and no holder."""
    event = change.event()
    return Event(
        id=new_id(),
        kind=f"license.{change.kind}",
        license_id=event.license_id,
        type_code=change.license.type_code,
        occurred_at=event.recorded_at,
        payload={
            "identifier": event.identifier,
            "version": event.version,
            "state": event.to_state,
            "authority_code": change.license.authority_code,
            "area_code": change.license.area_code,
        },
    )


def make_audit(
    *,
    action: str,
    subject: str,
    actor: str,
    at: datetime,
    outcome: str = "ok",
    request_id: str | None = None,
) -> AuditEntry:
    """Make an audit entry: who did what to which subject (ids only), with what outcome."""
    return _new_entry(
        id=new_id(),
        at=at,
        actor=actor,
        action=action,
        subject=subject,
        outcome=outcome,
        request_id=request_id,
    )


def make_history(
    license: License,
    *,
    action: str,
    from_state: str | None,
    actor: str,
    at: datetime,
    reason_code: str | None = None,
    reason: str | None = None,
    to_state: str | None = None,
    effective_at: datetime | None = None,
    details: Mapping[str, str] | None = None,
) -> HistoryEntry:
    """Make the history entry of a change; `license` is as it stands afterwards.

    It takes effect at once unless `effective_at` says otherwise; `to_state` is the license's own unless given.
    """
    return HistoryEntry(
        id=new_id(),
        license_id=license.id,
        version=license.version,
        action=action,
        from_state=from_state,
        to_state=to_state or license.state.value,
        actor=actor,
        recorded_at=at,
        effective_at=at if effective_at is None else effective_at,
        reason_code=reason_code,
        reason=reason,
        details=dict(details or {}),
    )
