"""Look at an installation and name what is wrong with it: trust documents, keys, publications."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.domain.directory import Directory
from app.domain.publication import (
    DocumentKind,
    PublishedStatusList,
    ServiceKey,
    SignedDocument,
    StatusListRow,
)
from app.ports import Clock, Store, UnitOfWork
from app.services.directory import DirectoryService

TRUST_LIST_WARNING: Final = timedelta(days=14)
PUBLICATION_DELAY: Final = timedelta(minutes=65)
KEY_WARNING: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at, in both languages."""

    good: bool
    zh: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    keys: Sequence[ServiceKey]
    root: SignedDocument | None
    trust_list: SignedDocument | None
    freshness: SignedDocument | None
    lists: Sequence[StatusListRow]
    served: Sequence[PublishedStatusList]


async def diagnose(*, store: Store, clock: Clock, directory: DirectoryService) -> list[Finding]:
    """Return every finding, good and bad. Raises DomainError `unavailable` when the database is out of reach."""

    async def read(work: UnitOfWork) -> _Facts:
        return _Facts(
            keys=await work.keys.all(),
            root=await work.documents.latest(DocumentKind.TRUST_ROOT),
            trust_list=await work.documents.latest(DocumentKind.TRUST_LIST),
            freshness=await work.documents.latest(DocumentKind.FRESHNESS),
            lists=await work.status.lists(),
            served=await work.status.all_served(),
        )

    facts = await store.read(read)
    now = clock.now()
    return [
        *_documents(facts, now),
        *_keys(facts, await directory.snapshot(), now),
        *_status_lists(facts, now),
    ]


def _documents(facts: _Facts, now: datetime) -> list[Finding]:
    documents = (
        ("信任根", "trust root", facts.root, timedelta(days=90)),
        ("信任列表", "trust list", facts.trust_list, TRUST_LIST_WARNING),
        ("时效声明", "freshness statement", facts.freshness, timedelta(days=1)),
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
    usable = [key for key in facts.keys if key.valid_from <= now < key.valid_until]
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
    ending = [key for key in usable if key.valid_until - now < KEY_WARNING]
    findings.append(
        Finding(
            not ending, f"30 天内到期的密钥:{len(ending)} 个。", f"keys ending within 30 days: {len(ending)}."
        )
    )
    return findings


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
