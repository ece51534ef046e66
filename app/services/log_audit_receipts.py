"""Hold every verification against its signed receipt, its entry in the receipts' log and its audit entry."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from app.log_ports import AuditRow, AuditSnapshot
from app.services.log_audit_licenses import Group
from app.services.log_audit_report import About, Expected, Findings
from app.services.log_audit_trust import Trust, parsed
from elicense.encoding import b64url_decode, sha256_hex, to_unix
from elicense.jws import parse_compact
from elicense.log_entry import receipt_entry
from elicense.problems import FormatError
from elicense.receipt import MAX_RECEIPT_BYTES, RECEIPT_TYP, Receipt, covers_statement, parse_receipt
from elicense.report import rfc3339
from elicense.trust_entries import ServiceUse

_TABLE: Final = "verifications"
_CREATE, _BATCH, _PURGE = "verification.create", "verification.batch", "verification.purge"
SHORTEST_RETENTION: Final = timedelta(days=1095)
"""No purpose keeps a verification for less."""
OwnerOf = Callable[[str], Awaitable[str | None]]
"""Return the id of the license that a version's identifier names."""


async def last_purges(snapshot: AuditSnapshot) -> Mapping[str, datetime]:
    """Return when each client's verifications past their time were last removed."""
    purges: dict[str, datetime] = {}
    async for row in snapshot.rows("audit", equal={"action": _PURGE}):
        purges[row["subject"]] = max(row["at"], purges.get(row["subject"], row["at"]))
    return purges


async def check_verifications(
    group: Group, trust: Trust, findings: Findings, owner_of: OwnerOf, purged: Mapping[str, datetime]
) -> None:
    """Check the verifications under one receipt: a single one, or those of a batch.

    `purged` tells when a client's verifications were last removed for their age: older ones may be gone.
    """
    rows = [*group.of("singles"), *group.of("batches")]
    token: str | None = None
    receipt: Receipt | None = None
    for row in rows:
        findings.count(_TABLE)
        one = About(row["license_id"], row["id"])
        held = row["answer"].get("receipt") if isinstance(row["answer"], dict) else None
        receipt = _signed_receipt(held, trust)
        if receipt is None:
            findings.fault(one, f"{_TABLE}.answer", Expected.SIGNATURE)
            continue
        token = held
        await _check_row(row, receipt, one, findings, owner_of)
    _check_leaf(group, token, trust, findings)
    _check_entry(group, rows, receipt, findings, purged)


def _signed_receipt(token: Any, trust: Trust) -> Receipt | None:
    if not isinstance(token, str):
        return None
    jws = parsed(parse_compact, token, typ=RECEIPT_TYP, max_bytes=MAX_RECEIPT_BYTES)
    receipt = parsed(parse_receipt, token)
    if jws is None or receipt is None or not trust.is_signed(jws, ServiceUse.RECEIPT, receipt.issued_at):
        return None
    right = (receipt.env, receipt.issuer) == (trust.env, trust.issuer_url)
    return receipt if right else None


async def _check_row(
    row: AuditRow, receipt: Receipt, about: About, findings: Findings, owner_of: OwnerOf
) -> None:
    answer: Mapping[str, Any] = row["answer"]
    batch = receipt.batch is not None
    statement = answer.get("statement") if batch else receipt.payload
    if not isinstance(statement, Mapping) or (batch and not _is_covered(answer, receipt)):
        findings.fault(about, f"{_TABLE}.answer", Expected.RECEIPT)
        return
    wanted: dict[str, Any] = {
        "client_id": receipt.audience,
        "verdict": statement["verdict"],
        "reason": statement["reason"],
        "purpose": statement["purpose"],
        "batch_id": receipt.id if batch else None,
        "reference": answer.get("reference"),
        "id": answer.get("id") if batch else receipt.id,
    }
    findings.compare(row, wanted, about, _TABLE, Expected.RECEIPT)
    # The digest of the reference cannot be opened here: its salt went to the caller. That there is one can be seen.
    has_reference = (statement["reference"] is not None) == (row["reference"] is not None)
    findings.require(has_reference, about, f"{_TABLE}.reference", Expected.RECEIPT)
    repeated = {name: answer.get(name) for name in ("verdict", "reason", "purpose")}
    right = all(statement[name] == value for name, value in repeated.items())
    findings.require(right and answer.get("id") == wanted["id"], about, f"{_TABLE}.answer", Expected.RECEIPT)
    at = to_unix(row["verified_at"]) == to_unix(receipt.issued_at)
    findings.require(at, about, f"{_TABLE}.verified_at", Expected.RECEIPT)
    due = row["next_check_due"]
    said = None if due is None else rfc3339(due)
    findings.require(
        answer.get("next_check_due") == said, about, f"{_TABLE}.next_check_due", Expected.RECEIPT
    )
    shown = answer.get("license")
    identifier = shown.get("identifier") if isinstance(shown, Mapping) else None
    if isinstance(identifier, str):
        owner = await owner_of(identifier)
        if owner is not None:
            right = row["license_id"] in (owner, None)
            findings.require(right, About(owner, row["id"]), f"{_TABLE}.license_id", Expected.RECEIPT)


def _is_covered(answer: Mapping[str, Any], receipt: Receipt) -> bool:
    try:
        path = [b64url_decode(node) for node in answer["path"]]
        return covers_statement(receipt, answer["statement"], index=answer["index"], path=path)
    except (FormatError, KeyError, TypeError):
        return False


def _check_leaf(group: Group, token: str | None, trust: Trust, findings: Findings) -> None:
    table, about = "log_leaves", About(identifier=group.subject)
    leaves = group.of(table)
    findings.count(table, len(leaves))
    if not findings.require(len(leaves) == 1, about, f"{table}.subject", Expected.LEAF):
        return
    leaf = leaves[0]
    wanted = {"id": group.subject, "log": "receipts", "kind": "receipt", "identifier": None}
    findings.compare(leaf, wanted, about, table, Expected.LEAF)
    if token is not None:
        entry = receipt_entry(env=trust.env, receipt_sha256=sha256_hex(token.encode("ascii")))
        findings.compare(leaf, {"entry": entry}, about, table, Expected.LEAF)
    for entry_row in (row for row in group.of("audit") if row["action"] in (_CREATE, _BATCH)):
        findings.compare(leaf, {"recorded_at": entry_row["at"]}, about, table, Expected.LEAF)


def _check_entry(
    group: Group,
    rows: Sequence[AuditRow],
    receipt: Receipt | None,
    findings: Findings,
    purged: Mapping[str, datetime],
) -> None:
    table, about = "audit", About(identifier=group.subject)
    entries = [row for row in group.of(table) if row["action"] in (_CREATE, _BATCH)]
    findings.count(table, len(entries))
    if len(entries) != 1:
        for column in ("subject", "action"):
            findings.fault(about, f"{table}.{column}", Expected.AUDIT)
        return
    if not rows:
        # A batch of which every item was malformed keeps no verification; a single question always does.
        batch = entries[0]["action"] == _BATCH
        purge = purged.get(entries[0]["actor"])
        is_past = purge is not None and purge - entries[0]["at"] >= SHORTEST_RETENTION
        findings.require(batch or is_past, about, f"{_TABLE}.id", Expected.AUDIT)
        return
    row = rows[0]
    batch = receipt is not None and receipt.batch is not None
    wanted: dict[str, Any] = {"actor": row["client_id"], "action": _BATCH if batch else _CREATE}
    if receipt is not None and receipt.batch is not None:
        wanted["outcome"] = f"items:{receipt.batch.size}"
    else:
        wanted["outcome"] = f"{row['verdict']}:{row['reason']}"
    findings.compare(entries[0], wanted, about, table, Expected.AUDIT)
    at = to_unix(entries[0]["at"]) == to_unix(row["verified_at"])
    findings.require(at, about, f"{table}.at", Expected.AUDIT)
