"""Which columns an audit cannot re-derive, or only in part, and why.

Every column of every table that is not named here is re-derived: one changed bit in it is found. A test holds this
list against the tables, and flips the bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from elicense.problems import Text


class Coverage(StrEnum):
    """Say how far a column is re-derived."""

    FULL = "full"
    PART = "part"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Limit:
    """Say why a column is not, or not fully, re-derived."""

    coverage: Coverage
    why: Text


def _none(zh: str, en: str) -> Limit:
    return Limit(Coverage.NONE, Text(zh, en))


def _part(zh: str, en: str) -> Limit:
    return Limit(Coverage.PART, Text(zh, en))


_RANDOM = _none("随机编号,他处不再出现", "a random id that nothing else repeats")
_DIRECTORY = _none("操作人录入的目录", "the directory as operators enter it")
_CLIENT = _none("操作人登记的调用方", "callers as operators register them")
_REPEAT = _none("供重复调用应答,到期删除", "answers to repeated calls, deleted when they expire")
_WORKING = _none("进行中的占用,不作证据", "who is at work on it now; evidence of nothing")
_ORDER = _none(
    "尚待执行或已了结的指令本身即为输入", "an order is input itself; only its effect can be checked"
)
_DONE_ORDER = _part("仅已执行的指令,与历史核对", "of orders carried out alone, against the history")
_COUNTED = _none("对未保存的提问的计数", "counts of questions that are not kept")
_ALLOWANCE = _none("短期的额度与令牌,到期删除", "what may be called for a while, deleted when it ends")
_BOOKS = _none("发布进度的记录", "how far publishing has come")
_OWN_TIME = _none("本登记库自己的记述,无签名", "the register's own word, signed nowhere")
_SECONDS = _part("签名只含整秒", "what is signed counts whole seconds")

EXCEPTIONS: Final[Mapping[str, Limit]] = MappingProxyType(
    {
        "installation.id": _none("常数", "a constant"),
        "installation.created_at": _OWN_TIME,
        "counters.*": _BOOKS,
        "areas.*": _DIRECTORY,
        "license_types.*": _DIRECTORY,
        "authorities.*": _DIRECTORY,
        "licenses.source_digest": _none(
            "导入文件行的摘要,文件不在库中", "digest of a row of a file kept elsewhere"
        ),
        "license_versions.issued_at": _SECONDS,
        "license_history.id": _RANDOM,
        "intents.id": _RANDOM,
        "intents.license": _part(
            "导入摘要与创建时间除外", "all but the digest of a file's row and the time it began"
        ),
        "intents.issued_at": _SECONDS,
        "intents.actor": _part("已履行的承诺", "of promises that were kept"),
        "intents.replaces": _part("已履行的承诺", "of promises that were kept"),
        "intents.lease_until": _WORKING,
        "intents.fence": _WORKING,
        "intents.idempotency_id": _REPEAT,
        "status_lists.allocated": _none(
            "预留数,只知不小于已用", "reserved ahead, never below what is in use"
        ),
        "status_lists.published_changes": _BOOKS,
        "status_marks.*": _BOOKS,
        "status_list_versions.issued_at": _SECONDS,
        "status_list_versions.expires_at": _SECONDS,
        "signed_documents.issued_at": _SECONDS,
        "signed_documents.expires_at": _SECONDS,
        "service_keys.uri": _none("私钥的存放处", "where the private key is kept"),
        "service_keys.valid_from": _SECONDS,
        "service_keys.valid_until": _SECONDS,
        "key_compromises.since": _SECONDS,
        "key_compromises.witnessed": _OWN_TIME,
        "key_compromises.declared_at": _OWN_TIME,
        "key_compromises.reason": _OWN_TIME,
        "api_clients.*": _CLIENT,
        "api_keys.*": _CLIENT,
        "plans.*": _CLIENT,
        "policies.*": _none("用证方自定的输入", "input, as relying parties make it"),
        "client_jwks.*": _CLIENT,
        "client_quotas.*": _ALLOWANCE,
        "access_tokens.*": _ALLOWANCE,
        "used_assertions.*": _ALLOWANCE,
        "presentation_nonces.*": _ALLOWANCE,
        "sandbox_callers.*": _none("沙箱调用方自定的时钟", "a clock that a sandbox's caller set for itself"),
        "request_log.*": _none(
            "供调用方查阅的记录,不作证据", "for callers to look things up in; evidence of nothing"
        ),
        "idempotency.*": _REPEAT,
        "verifications.kind": _none("问题本身不保存", "the question itself is not kept"),
        "verifications.license_id": _part("答复示出证照时", "where the answer shows the license"),
        "verifications.verified_at": _SECONDS,
        "verifications.next_check_due": _SECONDS,
        "verifications.answer": _part("回执及其所述", "the receipt and what it states"),
        "guesses.*": _COUNTED,
        "guessing_alarms.*": _COUNTED,
        "scheduled_changes.*": _ORDER,
        "scheduled_changes.id": _DONE_ORDER,
        "scheduled_changes.license_id": _DONE_ORDER,
        "scheduled_changes.action": _DONE_ORDER,
        "scheduled_changes.reason_code": _DONE_ORDER,
        "scheduled_changes.reason": _DONE_ORDER,
        "scheduled_changes.effective_at": _DONE_ORDER,
        "proposals.*": _ORDER,
        "proposals.id": _DONE_ORDER,
        "proposals.license_id": _DONE_ORDER,
        "proposals.action": _DONE_ORDER,
        "proposals.reason_code": _DONE_ORDER,
        "proposals.reason": _DONE_ORDER,
        "events.id": _RANDOM,
        "log_leaves.id": _part("回执与被引用的条目;其余随机", "of receipts and anchors; others are random"),
        "log_leaves.recorded_at": _part("文件的条目除外", "not of documents' entries"),
        "log_heads.row_version": _BOOKS,
        "log_checkpoints.published_at": _OWN_TIME,
        "log_cut_checkpoints.note": _part(
            "只核签名,所指部分已截去", "signatures alone: the rest was cut away"
        ),
        "log_cut_checkpoints.published_at": _OWN_TIME,
        "audit.id": _RANDOM,
        "audit.at": _part("变更与核验的记录", "of changes and verifications"),
        "audit.actor": _part("变更与核验的记录", "of changes and verifications"),
        "audit.action": _part("变更与核验的记录", "of changes and verifications"),
        "audit.subject": _part("变更与核验的记录", "of changes and verifications"),
        "audit.outcome": _part("变更与核验的记录", "of changes and verifications"),
        "audit.request_id": _OWN_TIME,
    }
)

UNSEEN: Final[Mapping[str, Text]] = MappingProxyType(
    {
        "audit": Text(
            "密钥、信任文件、调用方等操作的记录可能被删而不被发现",
            "entries about keys, trust documents and callers",
        ),
        "log_checkpoints": Text(
            "已被取代的检查点;联署由见证方自存",
            "checkpoints that a later one follows: witnesses keep what they cosigned",
        ),
        "scheduled_changes": Text(
            "待执行变更的时间与内容被改而不被发现",
            "the time and content of one that still waits, as altered by hand",
        ),
        "signed_documents": Text(
            "最新一份新鲜度声明;已失效超过一天者由 worker 清除",
            "the newest freshness statement; worker sweeps those that ended more than a day ago",
        ),
        "status_lists": Text(
            "已发布变更的计数本身;列表与各条状态不符即被发现",
            "the count of published changes by itself; a list that differs from its entries is found",
        ),
        "verifications": Text(
            "批量核验中的若干项:格式有误的项本不保存", "members of a batch: malformed items are never kept"
        ),
    }
)
"""Of which rows some may be removed or altered by hand without a fault, by table, and which."""
