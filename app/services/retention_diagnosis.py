"""Look at what is kept of verifications and name the purposes whose retention is not carried out."""

from app.ports import Clock, Store
from app.services.diagnosis import Finding
from app.services.retention import PurposeKeeping, keeping


async def diagnose_retention(*, store: Store, clock: Clock) -> list[Finding]:
    """Return a finding for each purpose. Raises DomainError `unavailable` when the database is out of reach."""
    return [_finding(one) for one in await keeping(store=store, clock=clock)]


def _finding(one: PurposeKeeping) -> Finding:
    oldest = "-" if one.oldest is None else one.oldest.date().isoformat()
    late_zh, late_en = (
        ("(应清除而未清除,worker 是否在运行?)", " (purge overdue: is the worker running?)")
        if one.behind
        else ("", "")
    )
    return Finding(
        not one.behind,
        f"用途 {one.code}:保存核验 {one.count} 条,最早 {oldest},保存期 {one.retention_days} 天{late_zh}。",
        f"purpose {one.code}: {one.count} verifications kept, oldest {oldest}, for {one.retention_days} days{late_en}.",
    )
