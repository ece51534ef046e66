"""Find rows that are gone though others speak of them: listed keys, orders for later, the counter of events."""

from typing import Final

from app.log_ports import AuditRow, AuditSnapshot
from app.services.log_audit_lists import merged
from app.services.log_audit_report import NOBODY, About, Expected, Findings
from app.services.log_audit_trust import Trust

_KEYS: Final = "service_keys"
_CHANGES: Final = "scheduled_changes"
_ORDERED: Final = "scheduled_change.create"
_EVENT_COUNTER: Final = "events"


async def check_listed_keys(snapshot: AuditSnapshot, findings: Findings, trust: Trust) -> None:
    """Every key that a trust list has ever named is registered: keys end, they are never removed."""
    registered = {row["kid"] async for row in snapshot.rows(_KEYS, order=("kid",))}
    for kid in sorted(trust.kids() - registered):
        findings.fault(About(identifier=kid), f"{_KEYS}.kid", Expected.TRUST)


async def check_ordered_changes(snapshot: AuditSnapshot, findings: Findings) -> None:
    """Every change ordered for later is stored, and every stored one was ordered, once: none is ever removed."""
    streams = {
        _CHANGES: (snapshot.rows(_CHANGES, order=("id",)), ("id",)),
        "audit": (snapshot.rows("audit", order=("subject",), equal={"action": _ORDERED}), ("subject",)),
    }
    async for (change,), rows in merged(streams):
        stored, ordered = rows.get(_CHANGES, []), rows.get("audit", [])
        about = About(stored[0]["license_id"] if stored else None, change)
        findings.require(bool(stored), about, f"{_CHANGES}.id", Expected.AUDIT)
        findings.require(len(ordered) == 1, about, "audit.subject", Expected.AUDIT)


async def check_event_counter(
    snapshot: AuditSnapshot, findings: Findings, trust: Trust, *, last: int
) -> None:
    """The counter of events stands at the last number given; beyond it only after a recovery."""
    rows: list[AuditRow] = [row async for row in snapshot.rows("counters", equal={"name": _EVENT_COUNTER})]
    counted = rows[0]["value"] if rows else 0
    right = counted == last or (trust.recovered and counted > last)
    findings.require(right, NOBODY, "counters.value", Expected.GAP_FREE)
