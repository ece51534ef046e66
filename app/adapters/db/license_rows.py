"""Rows and JSON of licenses, versions and history, turned into values by hand and back."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row

from app.adapters.db.session import flat_values
from app.domain.ids import LicenseId
from app.domain.license import (
    Action,
    HistoryEntry,
    Holder,
    IssuedVersion,
    License,
    LicenseVersion,
    Replacement,
    RevocationKind,
    State,
)
from elicense.records import quick_constructor


def license_values(license_: License) -> dict[str, Any]:
    """Return the columns of a license."""
    return {
        "id": license_.id,
        "identifier": license_.identifier,
        "version": license_.version,
        "state": license_.state.value,
        "type_code": license_.type_code,
        "type_name": license_.type_name,
        "number": license_.number,
        "authority_code": license_.authority_code,
        "authority_name": license_.authority_name,
        "holder_code": license_.holder.code,
        "holder_code_type": license_.holder.code_type,
        "holder_name": license_.holder.name,
        "area_code": license_.area_code,
        "issue_date": license_.issue_date,
        "valid_from": license_.valid_from,
        "valid_until": license_.valid_until,
        "elements": dict(license_.elements),
        "created_at": license_.created_at,
        "updated_at": license_.updated_at,
        "row_version": license_.row_version,
        "source_digest": license_.source_digest,
        "revocation": None if license_.revocation is None else license_.revocation.value,
        "holder_key": None if license_.holder_key is None else dict(license_.holder_key),
    }


_new_license = quick_constructor(License)
_new_holder = quick_constructor(Holder)
_new_issued = quick_constructor(IssuedVersion)
_STATES = {state.value: state for state in State}


def license_from_row(row: Row[Any]) -> License:
    """Make a license from its row."""
    return _new_license(
        id=row.id,
        identifier=row.identifier,
        version=row.version,
        state=_STATES[row.state],
        type_code=row.type_code,
        type_name=row.type_name,
        number=row.number,
        authority_code=row.authority_code,
        authority_name=row.authority_name,
        holder=_new_holder(code=row.holder_code, code_type=row.holder_code_type, name=row.holder_name),
        area_code=row.area_code,
        issue_date=row.issue_date,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        elements=row.elements,
        created_at=row.created_at,
        updated_at=row.updated_at,
        row_version=row.row_version,
        source_digest=row.source_digest,
        revocation=None if row.revocation is None else RevocationKind(row.revocation),
        holder_key=row.holder_key,
    )


def license_to_json(license_: License) -> dict[str, Any]:
    """Return a license as a JSON object, for an intent."""
    values = license_values(license_)
    for name in ("issue_date", "valid_from", "valid_until", "created_at", "updated_at"):
        values[name] = None if values[name] is None else values[name].isoformat()
    return values


def license_from_json(values: Mapping[str, Any]) -> License:
    """Make a license from what `license_to_json` gave."""
    rest = dict(values)
    holder = Holder(
        code=rest.pop("holder_code"), code_type=rest.pop("holder_code_type"), name=rest.pop("holder_name")
    )
    for name in ("issue_date", "valid_from", "valid_until"):
        rest[name] = None if rest[name] is None else date.fromisoformat(rest[name])
    for name in ("created_at", "updated_at"):
        rest[name] = datetime.fromisoformat(rest[name])
    # Absent in promises made before kinds of revocation were kept; a promised version was never revoked anyway.
    kind = rest.get("revocation")
    rest["revocation"] = None if kind is None else RevocationKind(kind)
    return License(**{**rest, "holder": holder, "id": LicenseId(rest["id"]), "state": State(rest["state"])})


def replacement_to_json(replaces: Replacement | None) -> dict[str, Any] | None:
    """Return what a promised version replaces as a JSON object; None for a first version."""
    if replaces is None:
        return None
    return {
        "row_version": replaces.row_version,
        "state": replaces.state.value,
        "identifier": replaces.identifier,
        "version": replaces.version,
        "status_list_id": replaces.status_list_id,
        "status_index": replaces.status_index,
        "signing_input_sha256": replaces.signing_input_sha256,
        "action": replaces.action.value,
        "reason_code": replaces.reason_code,
        "reason": replaces.reason,
        "changed": list(replaces.changed),
    }


def replacement_from_json(values: Mapping[str, Any] | None) -> Replacement | None:
    """Make what `replacement_to_json` took."""
    if values is None:
        return None
    rest = {
        "state": State(values["state"]),
        "action": Action(values["action"]),
        "changed": tuple(values["changed"]),
    }
    return Replacement(**{**values, **rest})


def version_values(version: LicenseVersion) -> dict[str, Any]:
    """Return the columns of a version."""
    return {
        "license_id": version.license_id,
        "version": version.version,
        "identifier": version.identifier,
        "credential": version.credential,
        "signing_input_sha256": version.signing_input_sha256,
        "status_list_id": version.status_list_id,
        "status_index": version.status_index,
        "kid": version.kid,
        "issued_at": version.issued_at,
        "state": version.state.value,
        "env": version.env,
    }


def issued_version_from_row(row: Row[Any]) -> IssuedVersion:
    """Make what recognizes a version from a row whose columns of it are labeled `v_…`."""
    return _new_issued(
        license_id=row.v_license_id,
        version=row.v_version,
        identifier=row.v_identifier,
        signing_input_sha256=row.v_signing_input_sha256,
        status_list_id=row.v_status_list_id,
        status_index=row.v_status_index,
        kid=row.v_kid,
        issued_at=row.v_issued_at,
        state=_STATES[row.v_state],
        env=row.v_env,
    )


def version_from_row(row: Row[Any]) -> LicenseVersion:
    """Make a version from a row whose columns of it are labeled `v_…`, its credential among them."""
    return LicenseVersion(**flat_values(issued_version_from_row(row)), credential=row.v_credential)


def history_values(entry: HistoryEntry, *, row_version: int) -> dict[str, Any]:
    """Return the columns of a history entry; `row_version` is the license's after the change."""
    return {
        "license_id": entry.license_id,
        "row_version": row_version,
        "id": entry.id,
        "version": entry.version,
        "action": entry.action,
        "from_state": entry.from_state,
        "to_state": entry.to_state,
        "actor": entry.actor,
        "recorded_at": entry.recorded_at,
        "effective_at": entry.effective_at,
        "reason_code": entry.reason_code,
        "reason": entry.reason,
        "details": dict(entry.details),
    }


def history_from_row(row: Row[Any]) -> HistoryEntry:
    """Make a history entry from its row."""
    return HistoryEntry(
        id=row.id,
        license_id=LicenseId(row.license_id),
        version=row.version,
        action=row.action,
        from_state=row.from_state,
        to_state=row.to_state,
        actor=row.actor,
        recorded_at=row.recorded_at,
        effective_at=row.effective_at,
        reason_code=row.reason_code,
        reason=row.reason,
        details=row.details,
    )
