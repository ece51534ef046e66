"""Look at an installation and name what is wrong with it: trust documents, keys, publications."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.domain.directory import Directory
from app.domain.publication import (
    DocumentKind,
    ServiceKey,
    SignedDocument,
    StatusListRow,
    StatusListVersion,
)
from app.domain.standing import Standing
from app.ports import Clock, Store, UnitOfWork
from app.services.directory import DirectoryService
from elicense.report import rfc3339
from elicense.service_reasons import SERVICE_REASONS, ServiceReason

TRUST_LIST_WARNING: Final = timedelta(days=14)
PUBLICATION_DELAY: Final = timedelta(minutes=65)
KEY_WARNING: Final = timedelta(days=30)
SCHEDULE_DELAY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at, in both languages."""

    good: bool
    zh: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    keys: Sequence[ServiceKey]
    lost: frozenset[str]
    root: SignedDocument | None
    trust_list: SignedDocument | None
    freshness: SignedDocument | None
    lists: Sequence[StatusListRow]
    served: Sequence[StatusListVersion]
    overdue: bool


async def diagnose(
    *, store: Store, clock: Clock, directory: DirectoryService, standing: Standing, production: bool
) -> list[Finding]:
    """Return every finding, good and bad. Raises DomainError `unavailable` when the database is out of reach."""

    now = clock.now()

    async def read(work: UnitOfWork) -> _Facts:
        return _Facts(
            keys=await work.keys.all(),
            lost=frozenset(one.kid for one in await work.keys.compromises()),
            root=await work.documents.latest(DocumentKind.TRUST_ROOT),
            trust_list=await work.documents.latest(DocumentKind.TRUST_LIST),
            freshness=await work.documents.latest(DocumentKind.FRESHNESS),
            lists=await work.status.lists(),
            served=await work.status.all_served(),
            overdue=await work.scheduled_changes.is_overdue(now - SCHEDULE_DELAY),
        )

    facts = await store.read(read)
    return [
        *_clock(standing, production=production),
        *_anchor(standing),
        *_documents(facts, now),
        *_keys(facts, await directory.snapshot(), now),
        *_status_lists(facts, now),
        _scheduled(overdue=facts.overdue),
    ]


def _clock(standing: Standing, *, production: bool) -> list[Finding]:
    wrong = standing.wrong_clock(production=production, starting=True)
    shown = rfc3339(standing.clock.shown)
    if wrong is None:
        findings = [Finding(True, f"时钟 {shown},与已知时间相符。", f"clock {shown}, fits what is known.")]
    else:
        advice = SERVICE_REASONS[wrong.reason].action
        findings = [
            Finding(
                False,
                f"{wrong.zh} [{wrong.reason.value}]。{advice.zh}",
                f"{wrong.en} [{wrong.reason.value}]. {advice.en}",
            )
        ]
    trouble = None if standing.outside is None else standing.outside.trouble
    if trouble is not None:
        reason = ServiceReason.CLOCK_UNRELIABLE
        advice, since = SERVICE_REASONS[reason].action, rfc3339(trouble.expected)
        findings.append(
            Finding(
                False,
                f"运行中的进程发现时钟自 {since} 起跳变 {trouble.deviation:+d} 秒 [{reason.value}]。{advice.zh}",
                f"a running process found the clock moved by {trouble.deviation:+d} seconds at {since} "
                f"[{reason.value}]. {advice.en}",
            )
        )
    return findings


def _anchor(standing: Standing) -> list[Finding]:
    """Hold the database against what is kept outside it."""
    outside = standing.outside
    if outside is None:
        return [
            Finding(
                standing.inside is None,
                "密钥目录中没有库外记录 high-water.json(worker 运行后生成)。",
                "there is no high-water.json in the keys folder (the worker makes it).",
            )
        ]
    restriction = standing.rollback()
    if restriction is None:
        kept = rfc3339(outside.mark.time)
        return [
            Finding(
                True,
                f"库外记录截至 {kept},数据库无缺失。",
                f"memory outside the database as of {kept}: nothing is missing.",
            )
        ]
    reason = ServiceReason.ROLLBACK_DETECTED
    advice = SERVICE_REASONS[reason].action
    findings = [
        Finding(
            False,
            f"{restriction.zh} [{reason.value}]。{advice.zh}",
            f"{restriction.en} [{reason.value}]. {advice.en}",
        )
    ]
    return findings + [Finding(False, f"{one.zh}。", f"{one.en}.") for one in standing.missing]


def _documents(facts: _Facts, now: datetime) -> list[Finding]:
    documents = (
        ("信任根", "trust root", facts.root, timedelta(days=90)),
        ("信任列表", "trust list", facts.trust_list, TRUST_LIST_WARNING),
        ("新鲜度声明", "freshness statement", facts.freshness, timedelta(days=1)),
    )
    findings = []
    for zh, en, document, warning in documents:
        if document is None:
            findings.append(
                Finding(False, f"{zh}:没有,请运行 elicense keys init。", f"{en}: none; run keys init.")
            )
            continue
        left = (document.expires_at - now).days
        good = document.expires_at - now > warning
        findings.append(
            Finding(
                good,
                f"{zh} {document.sequence}:还有 {left} 天到期。",
                f"{en} {document.sequence}: {left} days left.",
            )
        )
    return findings


def _keys(facts: _Facts, directory: Directory, now: datetime) -> list[Finding]:
    sound = [key for key in facts.keys if key.kid not in facts.lost]
    usable = [key for key in sound if key.in_window(now)]
    findings = []
    for use in ("status", "receipt", "freshness"):
        good = any(key.use == use for key in usable)
        findings.append(Finding(good, f"{use} 密钥{'可用' if good else '缺失'}。", f"{use} key {_is(good)}."))
    signing = {key.authority_code for key in usable if key.use == "credential"}
    without = sorted(
        code for code, one in directory.authorities.items() if one.scopes and code not in signing
    )
    findings.append(
        Finding(
            not without,
            f"没有签名密钥的颁发机构:{len(without)} 个{' ' + ' '.join(without[:5]) if without else ''}。",
            f"authorities without a signing key: {len(without)}.",
        )
    )
    ending = [key for key in usable if key.valid_until - now < KEY_WARNING and not _is_followed(key, sound)]
    findings.append(
        Finding(
            not ending, f"30 天内到期的密钥:{len(ending)} 个。", f"keys ending within 30 days: {len(ending)}."
        )
    )
    return findings


def _is_followed(key: ServiceKey, sound: Sequence[ServiceKey]) -> bool:
    """Tell whether a key's successor is registered already: then its end is no trouble."""
    return any(
        (one.use, one.authority_code, one.origin) == (key.use, key.authority_code, key.origin)
        and one.valid_from <= key.valid_until < one.valid_until
        for one in sound
    )


def _is(good: bool) -> str:
    return "present" if good else "missing"


def _status_lists(facts: _Facts, now: datetime) -> list[Finding]:
    served = {one.list_id: one for one in facts.served}
    missing = [row.id for row in facts.lists if row.id not in served]
    old = [one for one in facts.served if now - one.issued_at > PUBLICATION_DELAY]
    return [
        Finding(
            not missing,
            f"未发布的状态列表:{len(missing)} 个。",
            f"status lists not published: {len(missing)}.",
        ),
        Finding(
            not old,
            f"超过 65 分钟未更新的状态列表:{len(old)} 个{'(worker 是否在运行?)' if old else ''}。",
            f"status lists older than 65 minutes: {len(old)}{' (is the worker running?)' if old else ''}.",
        ),
    ]


def _scheduled(*, overdue: bool) -> Finding:
    if overdue:
        return Finding(
            False,
            "有预定变更逾期一分钟以上未执行(worker 是否在运行?)。",
            "scheduled changes are overdue by more than a minute (is the worker running?).",
        )
    return Finding(True, "没有逾期的预定变更。", "no scheduled change is overdue.")
