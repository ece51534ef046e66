"""What the reasons mean where a receipt is checked.

A receipt is checked for whether the service gave an answer, a license for whether it is in force. Both name their
reasons from the one list, but the sentences of the one would mislead about the other: `ok` of a receipt says nothing
good about the license.
"""

from collections.abc import Mapping
from types import MappingProxyType

from elicense.problems import REASONS, Reason, Text

RECEIPT_TEXTS: Mapping[Reason, Text] = MappingProxyType(
    {
        Reason.OK: Text(
            "回执成立,只说明服务作出过该答复,不说明证照现在有效。",
            "The receipt holds: the service gave this answer. It says nothing about whether the license is valid now.",
        ),
        Reason.MALFORMED: Text(
            "文件不是回执或含回执的答复,或回执不属于信任列表所述的环境和出具方。",
            "The file is no receipt and no answer that holds one, or the receipt is of another environment or issuer "
            "than those of the trust list.",
        ),
        Reason.UNSUPPORTED_ALGORITHM: Text(
            "回执使用了不受支持的签名算法。", "The receipt uses a signature algorithm that is not supported."
        ),
        Reason.SIGNATURE_INVALID: Text(
            "回执不是由信任列表中签署时有效的回执密钥签署,或签署后被改动。",
            "The receipt was not signed by a receipt key of the trust list that was valid then, or was altered since.",
        ),
        Reason.KEY_COMPROMISED: Text(
            "回执的签名密钥已被宣布泄露,没有日志表明回执早于泄露。",
            "The key of the receipt has been declared compromised, and no log shows the receipt to be older.",
        ),
        Reason.TRUST_UNAVAILABLE: Text(
            "缺少可用的信任列表,无法判断回执是否成立。",
            "No usable trust list is at hand; cannot tell whether the receipt holds.",
        ),
        Reason.TRUST_STALE: Text(
            "信任列表已过期或无从确认为最新,无法判断回执是否成立。",
            "The trust list is out of date, or nothing shows it to be current; cannot tell whether the receipt holds.",
        ),
        Reason.MISMATCH: Text(
            "随附的答复或问题与回执所述不一致。",
            "What stands beside the receipt, the answer or the question, is not what the receipt states.",
        ),
        Reason.LOG_PROOF_MISSING: Text(
            "缺少可采信的存证日志证明,无法判断回执是否成立。",
            "A log proof of the receipt that counts is missing; cannot tell whether the receipt holds.",
        ),
        Reason.LOG_PROOF_FAILED: Text(
            "随附的存证日志证明对此回执不成立。", "The log proof given does not hold for this receipt."
        ),
        Reason.CLOCK_UNRELIABLE: Text(
            "本机时钟早于回执或信任文件的签署时间,无法判断回执是否成立。",
            "The clock of this machine is behind the receipt or the trust documents; cannot tell whether the receipt "
            "holds.",
        ),
    }
)
"""Every reason that a check of a receipt can give."""


def receipt_text(reason: Reason) -> Text:
    """Return what a reason says about a receipt; that of the one list for a reason that speaks of no receipt."""
    return RECEIPT_TEXTS.get(reason, REASONS[reason].text)
