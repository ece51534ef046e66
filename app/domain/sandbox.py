"""The sandbox's magic codes: which holder stands for which scenario, and what an integrator may expect of it.

The codes are fixed for ever: integrators write them into their tests. Both check characters are right, and none belongs
to anybody (organisation codes MA0BX0…). Where a scenario is a state, a real license of the sandbox's register is in it;
only what no state can show (slowness, refusals, an old status, a broken file) is staged, in `services/rehearsal.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from elicense.problems import Reason, Text

CODE_TYPE: Final = "11100000MB0143028R001"
"""Every magic code is the holder of a business license."""

LONGEST_AHEAD: Final = timedelta(days=3653)
SLOW_SECONDS: Final = 3.0
RETRY_SECONDS: Final = 30
STALE_BY: Final = timedelta(days=30)


class Scenario(StrEnum):
    """What a magic code shows."""

    VALID = "valid"
    EXPIRED = "expired"
    EXPIRING = "expiring"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    MISMATCH = "mismatch"
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    STALE = "stale"
    SLOW = "slow"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE_ONCE = "unavailable_once"
    SIGNATURE_INVALID = "signature_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class MagicCode:
    """One scenario: its holder's code, the answer's HTTP status and, with 200, its reason; `text` explains it."""

    scenario: Scenario
    holder_code: str
    reason: Reason | None
    text: Text
    status: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxCaller:
    """What is remembered of one client: how far its clock stands ahead, how often it met `unavailable_once`."""

    client_id: str
    ahead_seconds: int = 0
    unavailable_turns: int = 0

    @property
    def ahead(self) -> timedelta:
        """Return how far this client's clock stands ahead of the true one."""
        return timedelta(seconds=self.ahead_seconds)


def _code(
    scenario: Scenario, holder_code: str, reason: Reason | None, zh: str, en: str, *, status: int = 200
) -> MagicCode:
    return MagicCode(
        scenario=scenario, holder_code=holder_code, reason=reason, text=Text(zh, en), status=status
    )


MAGIC_CODES: Final = (
    _code(
        Scenario.VALID,
        "91320106MA0BX0015C",
        Reason.OK,
        "有效的营业执照。",
        "A license in good standing.",
    ),
    _code(
        Scenario.EXPIRED,
        "91320106MA0BX00237",
        Reason.EXPIRED,
        "有效期已过。",
        "Its period is over.",
    ),
    _code(
        Scenario.EXPIRING,
        "91320106MA0BX00312",
        Reason.OK,
        "现在有效;将您的沙箱时钟拨到 valid_until 之后即为 expired。",
        "Valid now; move your sandbox clock past valid_until and it is expired.",
    ),
    _code(
        Scenario.SUSPENDED,
        "91320106MA0BX004XR",
        Reason.SUSPENDED,
        "检查期间暂停。",
        "Suspended during an inspection.",
    ),
    _code(
        Scenario.REVOKED,
        "91320106MA0BX0058R",
        Reason.REVOKED,
        "依法吊销。",
        "Revoked as a penalty.",
    ),
    _code(
        Scenario.CANCELLED,
        "91320106MA0BX0066L",
        Reason.CANCELLED,
        "持证主体申请注销。",
        "Cancelled at the holder's request.",
    ),
    _code(
        Scenario.SUPERSEDED,
        "91320106MA0BX0074F",
        Reason.SUPERSEDED,
        "变更后的旧版本。按主体代码询问时,沙箱就旧版本作答。",
        "The version before an amendment. Asked by holder code, the sandbox answers about that version.",
    ),
    _code(
        Scenario.MISMATCH,
        "91320106MA0BX0082A",
        Reason.MISMATCH,
        "证照有效,但所列要素与登记不符;请连同 elements 一并询问。",
        "The license is good, the listed elements are wrong: ask with them.",
    ),
    _code(
        Scenario.NOT_FOUND,
        "91320106MA0BX00905",
        Reason.NOT_FOUND,
        "没有这样的证照。",
        "There is no such license.",
    ),
    _code(
        Scenario.AMBIGUOUS,
        "91320106MA0BX0103T",
        Reason.AMBIGUOUS,
        "同一主体有两份有效证照,须给出编号。",
        "Two live licenses fit: name one by its number.",
    ),
    _code(
        Scenario.STALE,
        "91320106MA0BX0111M",
        Reason.STATUS_STALE,
        "状态取自三十天前,无法判断。",
        "The status is thirty days old: it cannot be told.",
    ),
    _code(
        Scenario.SLOW,
        "91320106MA0BX012XD",
        Reason.OK,
        "有效,但三秒后才作答:检查您的超时设置。",
        "Valid, answered after three seconds: try your timeouts.",
    ),
    _code(
        Scenario.RATE_LIMITED,
        "91320106MA0BX0138D",
        None,
        "一律回答 429 与 Retry-After。",
        "Always 429 with Retry-After.",
        status=429,
    ),
    _code(
        Scenario.UNAVAILABLE_ONCE,
        "91320106MA0BX01468",
        Reason.OK,
        "第一次回答 503 与 Retry-After,再问即有效;如此交替。",
        "503 with Retry-After first, valid when asked again; then anew.",
    ),
    _code(
        Scenario.SIGNATURE_INVALID,
        "91320106MA0BX01543",
        Reason.SIGNATURE_INVALID,
        "证照文件的签名已损坏;按代码询问时,沙箱核验的就是这份文件。",
        "The signature of its file is broken; asked by code, the sandbox judges that file.",
    ),
)

BY_HOLDER: Final[Mapping[str, MagicCode]] = MappingProxyType({code.holder_code: code for code in MAGIC_CODES})
BY_SCENARIO: Final[Mapping[Scenario, MagicCode]] = MappingProxyType(
    {code.scenario: code for code in MAGIC_CODES}
)


def break_signature(credential: str) -> str:
    """Return a credential whose issuer's signature no longer holds: one character of it is another, and canonical."""
    signed, tilde, rest = credential.partition("~")
    head, dot, signature = signed.rpartition(".")
    other = "B" if signature[:1] == "A" else "A"
    return f"{head}{dot}{other}{signature[1:]}{tilde}{rest}"
