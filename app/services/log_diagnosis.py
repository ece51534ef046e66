"""Look at the transparency logs and name what is wrong: keys, leaves that wait, checkpoints, witnesses."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.domain.errors import DomainError
from app.domain.events import LogName
from app.domain.publication import ServiceKey
from app.domain.transparency_log import LogHead, PublishedCheckpoint
from app.ports import Clock, Store, UnitOfWork
from app.services.diagnosis import Finding
from app.services.key_register import WITNESS

WAITING_TOO_LONG: Final = timedelta(seconds=60)
UNSIGNED_TOO_LONG: Final = timedelta(minutes=2)
WITNESS_SILENT: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    name: LogName
    head: LogHead | None
    waiting_since: datetime | None
    served: PublishedCheckpoint | None
    witnessed: PublishedCheckpoint | None


async def diagnose_logs(*, store: Store, clock: Clock) -> list[Finding]:
    """Return every finding about the logs. Raises DomainError `unavailable` when the database is out of reach."""

    async def read(unit: UnitOfWork) -> tuple[list[_Log], Sequence[ServiceKey]]:
        return [await _read(unit, name) for name in LogName], await unit.keys.all()

    logs, keys = await store.read(read)
    now = clock.now()
    findings = []
    for one in logs:
        findings += _growth(one, now)
    witnesses = [key for key in keys if key.use == WITNESS and key.valid_from <= now < key.valid_until]
    return [*findings, _witness(logs[0], len(witnesses), now)]


async def require_signed(*, store: Store, clock: Clock) -> None:
    """Raise DomainError `unavailable` while a log grows and has not been signed for two minutes.

    A backlog is signed piece by piece: only where nothing was published either in that time is something wrong.
    """

    async def read(unit: UnitOfWork) -> list[tuple[str, datetime]]:
        stuck = []
        for name in LogName:
            head = await unit.transparency_log.open_head(name)
            since = None if head is None else await _unsigned_since(unit, head)
            if head is not None and since is not None:
                served = await unit.transparency_log.checkpoint(head.origin)
                stuck.append((head.origin, since if served is None else max(since, served.published_at)))
        return stuck

    now = clock.now()
    for origin, since in await store.read(read):
        if now - since > UNSIGNED_TOO_LONG:
            waited = _ago(now, since)
            raise DomainError(
                "unavailable", f"log {origin} was not signed for {waited} s: see the worker's log"
            )


async def _read(unit: UnitOfWork, name: LogName) -> _Log:
    head = await unit.transparency_log.open_head(name)
    return _Log(
        name=name,
        head=head,
        waiting_since=await _waiting_since(unit, name, head),
        served=await unit.transparency_log.checkpoint(head.origin) if head is not None else None,
        witnessed=await unit.transparency_log.last_witnessed(head.origin) if head is not None else None,
    )


async def _waiting_since(unit: UnitOfWork, name: LogName, head: LogHead | None) -> datetime | None:
    """Return when the oldest leaf was written that no published checkpoint covers, None when all are covered."""
    moments = [await unit.transparency_log.waiting_since(name)]
    if head is not None:
        moments.append(await _unsigned_since(unit, head))
    return min((moment for moment in moments if moment is not None), default=None)


async def _unsigned_since(unit: UnitOfWork, head: LogHead) -> datetime | None:
    """Return when the oldest leaf was written that has its place and that no published checkpoint covers."""
    if head.published_size >= head.size:
        return None
    unsigned = await unit.transparency_log.leaf_at(head.origin, head.published_size)
    return unsigned.recorded_at if unsigned is not None else None


def _growth(log: _Log, now: datetime) -> list[Finding]:
    head = log.head
    if head is None:
        text = f"{log.name.value}: no log key; run keys publish-trust-list."
        return [Finding(False, f"存证日志 {log.name.value}:没有密钥,请运行 keys publish-trust-list。", text)]
    waited = _seconds(now, log.waiting_since)
    late = log.waiting_since is not None and now - log.waiting_since > WAITING_TOO_LONG
    hint_zh, hint_en = ("(worker 是否在运行?)", " (is the worker running?)") if late else ("", "")
    served = log.served
    return [
        Finding(
            not late,
            f"存证日志 {head.origin}:{head.size} 条;最早待发布者已等 {waited} 秒{hint_zh}。",
            f"log {head.origin}: {head.size} entries; oldest waiting {waited} s{hint_en}.",
        ),
        Finding(
            served is not None or not late,
            f"检查点 {head.origin}:{served.size} 条,{_ago(now, served.published_at)} 秒前。"
            if served is not None
            else f"检查点 {head.origin}:尚无。",
            f"checkpoint {head.origin}: {served.size} entries, {_ago(now, served.published_at)} s ago."
            if served is not None
            else f"checkpoint {head.origin}: none yet.",
        ),
    ]


def _witness(public: _Log, registered: int, now: datetime) -> Finding:
    seen = public.witnessed
    moment = seen.witnessed_at if seen is not None else None
    if seen is None or moment is None:
        return Finding(
            registered == 0,
            f"日志见证方:已登记 {registered} 个,尚无联署。",
            f"log witnesses: {registered} registered, no cosignature yet.",
        )
    return Finding(
        registered == 0 or now - moment < WITNESS_SILENT,
        f"日志见证方:已登记 {registered} 个;最近联署 {seen.size} 条,{_ago(now, moment)} 秒前。",
        f"log witnesses: {registered} registered; last saw {seen.size} entries, {_ago(now, moment)} s ago.",
    )


def _ago(now: datetime, moment: datetime) -> int:
    return max(0, int((now - moment).total_seconds()))


def _seconds(now: datetime, since: datetime | None) -> int:
    return 0 if since is None else _ago(now, since)
