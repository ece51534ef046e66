"""Hold every promise to issue against the version it became, or against having become none."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from app.log_ports import AuditRow, AuditSnapshot
from app.services.log_audit_licenses import FURTHER, ISSUE
from app.services.log_audit_report import NOBODY, About, Expected, Findings
from app.services.log_audit_trust import parsed
from elicense.credential import Credential, parse_credential
from elicense.encoding import sha256_hex, to_unix

OPEN: Final = "open"
DONE: Final = "done"
VOIDED: Final = "voided"
_TABLE: Final = "intents"
_BATCH: Final = 200
_UNSIGNED: Final = "AA"
_COPIED: Final = ("status_list_id", "status_index", "kid", "issued_at")
_LICENSE: Final = frozenset(
    (
        *("id", "identifier", "version", "state", "type_code", "type_name", "number", "authority_code"),
        *("authority_name", "holder_code", "holder_code_type", "holder_name", "area_code", "issue_date"),
        *("valid_from", "valid_until", "elements", "created_at", "updated_at", "row_version"),
        *("source_digest", "revocation", "holder_key"),
    )
)


_REPLACES: Final = frozenset(
    (
        *("row_version", "state", "identifier", "version", "status_list_id", "status_index"),
        *("signing_input_sha256", "action", "reason_code", "reason", "changed"),
    )
)


async def unkept_promises(
    snapshot: AuditSnapshot, findings: Findings
) -> tuple[Mapping[str, list[AuditRow]], Mapping[str, list[AuditRow]]]:
    """Return the open and the given-up promises by license: few at any time, unlike those that were kept."""
    found: dict[str, dict[str, list[AuditRow]]] = {OPEN: {}, VOIDED: {}}
    for state, by_license in found.items():
        async for row in snapshot.rows(_TABLE, order=("identifier",), equal={"state": state}):
            # What is wrong with the others is said when all promises are checked.
            if _is_whole(row) and isinstance(row["license"]["id"], str):
                by_license.setdefault(row["license"]["id"], []).append(row)
    return found[OPEN], found[VOIDED]


async def check_promises(snapshot: AuditSnapshot, findings: Findings, *, now: datetime) -> None:
    """Check all promises, some at a time."""
    batch: list[AuditRow] = []
    async for row in snapshot.rows(_TABLE, order=("identifier",)):
        batch.append(row)
        if len(batch) == _BATCH:
            await _check_batch(snapshot, batch, findings, now=now)
            batch = []
    if batch:
        await _check_batch(snapshot, batch, findings, now=now)


async def _check_batch(
    snapshot: AuditSnapshot, batch: Sequence[AuditRow], findings: Findings, *, now: datetime
) -> None:
    named = [row["identifier"] for row in batch]
    versions = await _by(
        "identifier", snapshot.rows("license_versions", any_of=("identifier", named), order=("identifier",))
    )
    ids = sorted({row["license_id"] for row in versions.values()})
    history: dict[tuple[str, str], AuditRow] = {}
    former: dict[tuple[str, str], AuditRow] = {}
    if ids:
        async for row in snapshot.rows("license_history", any_of=("license_id", ids)):
            if row["action"] == ISSUE or row["action"] in FURTHER:
                history[row["license_id"], row["version"]] = row
        async for row in snapshot.rows("license_versions", any_of=("license_id", ids)):
            former[row["license_id"], row["identifier"]] = row
    for row in batch:
        about = About(identifier=row["identifier"])
        version = versions.get(row["identifier"])
        findings.count(_TABLE)
        if version is not None:
            about = About(version["license_id"], row["identifier"])
        if not findings.readable(row, about, _TABLE) or not _has_shape(row, about, findings):
            continue
        _check_state(row, version, about, findings, now=now)
        _check_promised(row, about, findings)
        if version is not None and row["state"] == DONE:
            made = history.get((version["license_id"], version["version"]))
            _check_kept(row, version, made, former, about, findings)


def _is_license(stored: Mapping[str, Any]) -> bool:
    # Promises made before files could name the holder's key have no such member.
    return stored.keys() == _LICENSE or stored.keys() == _LICENSE - {"holder_key"}


def _is_whole(row: AuditRow) -> bool:
    return isinstance(row["license"], dict) and _is_license(row["license"])


def _has_shape(row: AuditRow, about: About, findings: Findings) -> bool:
    replaces = row["replaces"]
    fits = replaces is None or (isinstance(replaces, dict) and replaces.keys() == _REPLACES)
    findings.require(fits, about, f"{_TABLE}.replaces", Expected.PROMISE)
    return findings.require(_is_whole(row), about, f"{_TABLE}.license", Expected.PROMISE) and fits


async def _by(name: str, rows: AsyncIterator[AuditRow]) -> dict[str, AuditRow]:
    return {row[name]: row async for row in rows}


def _check_state(
    row: AuditRow, version: AuditRow | None, about: About, findings: Findings, *, now: datetime
) -> None:
    """An open promise is young; a kept one has its version, and only that one."""
    if row["state"] == OPEN and version is None:
        findings.wait(f"{_TABLE}.state", row["identifier"], since=row["issued_at"], now=now)
        return
    known = row["state"] in (DONE, VOIDED)
    if version is None and row["state"] == DONE:
        # Whether the version went or the identifier here was altered, one of the two names the other no more.
        findings.fault(about, f"{_TABLE}.identifier", Expected.VERSION)
        return
    right = known and (version is not None) == (row["state"] == DONE)
    findings.require(right, about, f"{_TABLE}.state", Expected.VERSION)


def _check_promised(row: AuditRow, about: About, findings: Findings) -> None:
    """Hold a promise against the very bytes it promises to sign: they say all that it says."""
    credential = _promised(row)
    if credential is None:
        # Which of the two was altered shows where the version or the log says something else than the bytes.
        for column in ("signing_input", "disclosures"):
            findings.fault(about, f"{_TABLE}.{column}", Expected.PROMISE)
        return
    claims, replaces = credential.claims, row["replaces"]
    wanted = {
        "identifier": claims.license.identifier,
        "kid": credential.kid,
        "status_index": claims.status_index,
        "predecessor_id": row["license"].get("id") if replaces is not None else None,
    }
    findings.compare(row, wanted, about, _TABLE, Expected.PROMISE)
    listed = claims.status_uri.endswith(f"/v1/status-lists/{row['status_list_id']}")
    findings.require(listed, about, f"{_TABLE}.status_list_id", Expected.PROMISE)
    at = to_unix(row["issued_at"]) == to_unix(claims.issued_at)
    findings.require(at, about, f"{_TABLE}.issued_at", Expected.PROMISE)
    right = _license_is_right(row, credential)
    findings.require(right, about, f"{_TABLE}.license", Expected.PROMISE)


def _promised(row: AuditRow) -> Credential | None:
    """Read what was to be signed as the credential it was to become, with no signature of worth."""
    try:
        whole = "~".join((f"{row['signing_input'].decode('ascii')}.{_UNSIGNED}", *row["disclosures"], ""))
    except (TypeError, UnicodeDecodeError):
        return None
    credential = parsed(parse_credential, whole)
    return credential if credential is not None and credential.undisclosed_count == 0 else None


def _check_kept(
    row: AuditRow,
    version: AuditRow,
    made: AuditRow | None,
    former: Mapping[tuple[str, str], AuditRow],
    about: About,
    findings: Findings,
) -> None:
    findings.compare(row, {name: version[name] for name in _COPIED}, about, _TABLE, Expected.VERSION)
    signed = sha256_hex(row["signing_input"]) == version["signing_input_sha256"]
    findings.require(signed, about, f"{_TABLE}.signing_input", Expected.VERSION)
    shown = version["credential"].split("~")[1:-1]
    findings.compare(row, {"disclosures": shown}, about, _TABLE, Expected.VERSION)
    if made is None:
        return
    findings.compare(row, {"actor": made["actor"]}, about, _TABLE, Expected.HISTORY)
    named = row["license"].get("id") == version["license_id"]
    findings.require(named, about, f"{_TABLE}.license", Expected.VERSION)
    replaces = row["replaces"]
    if made["action"] == ISSUE:
        findings.require(replaces is None, about, f"{_TABLE}.replaces", Expected.HISTORY)
        return
    before = former.get((version["license_id"], str(made["details"].get("previous"))))
    right = before is not None and replaces == _replaced(made, before)
    findings.require(right, about, f"{_TABLE}.replaces", Expected.HISTORY)


def _license_is_right(row: AuditRow, credential: Credential) -> bool:
    """Hold the promised license, as it was to be stored, against what was to be signed and what it was to replace."""
    claims, stored = credential.claims.license, row["license"]
    until, replaces = claims.valid_until, row["replaces"] or {"state": "active", "row_version": 0}
    wanted: dict[str, Any] = {
        "identifier": claims.identifier,
        "version": claims.version,
        "state": replaces["state"],
        "type_code": claims.type_code,
        "type_name": claims.type_name,
        "number": claims.number,
        "authority_code": claims.authority_code,
        "authority_name": claims.authority_name,
        "holder_code": claims.holder.code,
        "holder_code_type": claims.holder.code_type,
        "holder_name": claims.holder.name,
        "area_code": claims.area_code,
        "issue_date": claims.issue_date.isoformat(),
        "valid_from": claims.valid_from.isoformat(),
        "valid_until": None if until is None else until.isoformat(),
        "elements": dict(credential.elements),
        "row_version": replaces["row_version"] + 1,
        "updated_at": row["issued_at"].isoformat(),
    }
    if credential.cnf is not None or "holder_key" in stored:
        wanted["holder_key"] = None if credential.cnf is None else credential.cnf["jwk"]
    # Not compared: when the license began (its entry tells) and which row of a file it came from.
    return _is_license(stored) and all(stored.get(name) == value for name, value in wanted.items())


def _replaced(made: AuditRow, before: AuditRow) -> Mapping[str, object]:
    changed = made["details"].get("changed")
    return {
        "row_version": made["row_version"] - 1,
        "state": made["from_state"],
        "identifier": before["identifier"],
        "version": before["version"],
        "status_list_id": before["status_list_id"],
        "status_index": before["status_index"],
        "signing_input_sha256": before["signing_input_sha256"],
        "action": made["action"],
        "reason_code": made["reason_code"],
        "reason": made["reason"],
        "changed": changed.split(" ") if changed else [],
    }


def check_number_of_promise(
    rows: Sequence[AuditRow], promised: Sequence[AuditRow], license_id: str, findings: Findings
) -> None:
    """A number without a license is held by an open promise alone."""
    for row in rows:
        held = any(
            (one["license"].get("type_code"), one["license"].get("number"))
            == (row["type_code"], row["number"])
            for one in promised
        )
        about = About(license_id) if not held else NOBODY
        findings.require(held, about, "license_numbers.license_id", Expected.NUMBER)
