"""Hold what the history names against its rows: successors, scheduled orders, approved proposals."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from app.log_ports import AuditRow
from app.services.log_audit_licenses import Group, Life
from app.services.log_audit_report import Expected, Findings

OwnerOf = Callable[[str], Awaitable[str | None]]
_SUCCESSORS: Final = "license_successors"


async def check_successors(group: Group, life: Life, findings: Findings, owner_of: OwnerOf) -> None:
    """Every succession of the history has its successors, in the order named, and no other is stored."""
    about = life.about
    wanted: dict[tuple[int, int], Mapping[str, object]] = {}
    for row in life.history:
        if row["action"] == "succession":
            for position, name in enumerate(str(row["details"].get("successors", "")).split(" ")):
                wanted[row["row_version"], position] = {
                    "relation": row["details"].get("relation"),
                    "successor_id": await owner_of(name),
                }
    rest: list[AuditRow] = []
    for row in group.of(_SUCCESSORS):
        findings.count(_SUCCESSORS)
        named = wanted.pop((row["row_version"], row["position"]), None)
        if named is None:
            rest.append(row)
        else:
            findings.compare(row, named, about, _SUCCESSORS, Expected.HISTORY)
    if not rest and wanted:
        findings.fault(about, f"{_SUCCESSORS}.license_id", Expected.HISTORY)
    for row in rest:
        # In the place of the one that is missing: which of the two numbers was altered shows in the other one.
        near = next((key for key in wanted if key[0] == row["row_version"]), None)
        findings.fault(about, f"{_SUCCESSORS}.{'position' if near else 'row_version'}", Expected.HISTORY)


def check_orders(group: Group, life: Life, findings: Findings) -> None:
    """A change that was scheduled or proposed is the one that was ordered."""
    for row in life.history:
        details = row["details"]
        _check_order(row, details.get("scheduled_change"), group, "scheduled_changes", life, findings)
        _check_order(row, details.get("proposal"), group, "proposals", life, findings)


def _check_order(
    row: AuditRow, named: str | None, group: Group, table: str, life: Life, findings: Findings
) -> None:
    if named is None:
        return
    found = next((one for one in group.of(table) if one["id"] == named), None)
    if found is None:
        for column in ("id", "license_id"):
            findings.fault(life.about, f"{table}.{column}", Expected.HISTORY)
        return
    findings.count(table)
    if not findings.readable(found, life.about, table):
        return
    wanted = {name: row[name] for name in ("action", "reason_code", "reason")}
    if table == "scheduled_changes":
        wanted["effective_at"] = row["effective_at"]
    findings.compare(found, wanted, life.about, table, Expected.HISTORY)
