"""The rows that go with every change of a license: log leaf, outbox event, history and audit entry."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.events import AuditEntry, Event, LogLeaf
from app.domain.ids import new_id, new_salt
from app.domain.license import HistoryEntry, License
from elicense.encoding import b64url_encode, canonical_json, sha256_hex, to_unix

LEAF_FMT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of one license: `kind` as in events (`issued`, `suspended`, `voided`, …), who, when and why.

    `state` is what the license is in afterwards, `status_index` its entry in the list `status_list_id`, and
    `signing_input_sha256` (hex) recognises the credential of the version.
    """

    kind: str
    license: License
    state: str
    at: datetime
    env: str
    signing_input_sha256: str
    status_list_id: str
    status_index: int


def make_leaf(change: Change) -> LogLeaf:
    """Make the log leaf of a change: a salted digest of its canonical JSON (RFC 8785), no personal data."""
    salt = b64url_encode(new_salt())
    content = canonical_json(
        {
            "fmt": LEAF_FMT,
            "env": change.env,
            "kind": change.kind,
            "identifier": change.license.identifier,
            "state": change.state,
            "at": to_unix(change.at),
            "signing_input_sha256": change.signing_input_sha256,
            "status_list": change.status_list_id,
            "status_index": change.status_index,
            "salt": salt,
        }
    )
    return LogLeaf(
        id=new_id(),
        kind=change.kind,
        license_id=change.license.id,
        identifier=change.license.identifier,
        digest=sha256_hex(content),
        salt=salt,
        recorded_at=change.at,
    )


def make_event(change: Change) -> Event:
    """Make the outbox event of a change; it names the license and carries no element and no holder."""
    return Event(
        id=new_id(),
        kind=f"license.{change.kind}",
        license_id=change.license.id,
        type_code=change.license.type_code,
        occurred_at=change.at,
        payload={
            "identifier": change.license.identifier,
            "version": change.license.version,
            "state": change.state,
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
    return AuditEntry(
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
) -> HistoryEntry:
    """Make the history entry of a change; `license` is as it stands afterwards. Changes take effect at once."""
    return HistoryEntry(
        id=new_id(),
        license_id=license.id,
        version=license.version,
        action=action,
        from_state=from_state,
        to_state=license.state.value,
        actor=actor,
        recorded_at=at,
        effective_at=at,
        reason_code=reason_code,
        reason=reason,
    )
