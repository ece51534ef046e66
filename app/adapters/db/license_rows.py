"""Rows and JSON of licenses, versions and history, turned into values by hand and back."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row

from app.domain.ids import LicenseId
from app.domain.license import HistoryEntry, Holder, License, LicenseVersion, State


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
    }


def license_from_row(row: Row[Any]) -> License:
    """Make a license from its row."""
    return License(
        id=LicenseId(row.id),
        identifier=row.identifier,
        version=row.version,
        state=State(row.state),
        type_code=row.type_code,
        type_name=row.type_name,
        number=row.number,
        authority_code=row.authority_code,
        authority_name=row.authority_name,
        holder=Holder(code=row.holder_code, code_type=row.holder_code_type, name=row.holder_name),
        area_code=row.area_code,
        issue_date=row.issue_date,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        elements=row.elements,
        created_at=row.created_at,
        updated_at=row.updated_at,
        row_version=row.row_version,
        source_digest=row.source_digest,
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
    return License(**{**rest, "holder": holder, "id": LicenseId(rest["id"]), "state": State(rest["state"])})


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


def version_from_row(row: Row[Any]) -> LicenseVersion:
    """Make a version from a row whose columns of it are labelled `v_…`."""
    return LicenseVersion(
        license_id=LicenseId(row.v_license_id),
        version=row.v_version,
        identifier=row.v_identifier,
        credential=row.v_credential,
        signing_input_sha256=row.v_signing_input_sha256,
        status_list_id=row.v_status_list_id,
        status_index=row.v_status_index,
        kid=row.v_kid,
        issued_at=row.v_issued_at,
        state=State(row.v_state),
        env=row.v_env,
    )


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
