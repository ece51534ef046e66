"""The one list of reasons and problem codes, used by the service, the SDK and the documents.

A *reason* says what a verification answered; a *problem* says why a request was not answered. Every code has its text
in Chinese and English, who must act, and whether sending the same thing again can help. Why a row of an imported file
was not taken stands in `elicense.import_reasons`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from elicense.pickling import reduce_error


class Reason(StrEnum):
    """Name why a verification answered as it did; members stand in order of precedence."""

    OK = "ok"
    MALFORMED = "malformed"
    UNSUPPORTED_ALGORITHM = "unsupported_algorithm"
    SIGNATURE_INVALID = "signature_invalid"
    CLAIMS_INCONSISTENT = "claims_inconsistent"
    ISSUER_UNKNOWN = "issuer_unknown"
    ISSUER_NOT_AUTHORIZED = "issuer_not_authorized"
    KEY_NOT_VALID_AT_ISSUE = "key_not_valid_at_issue"
    KEY_COMPROMISED = "key_compromised"
    NOT_REGISTERED = "not_registered"
    TRUST_UNAVAILABLE = "trust_unavailable"
    TRUST_STALE = "trust_stale"
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    INCOMPLETE = "incomplete"
    MISMATCH = "mismatch"
    HOLDER_BINDING_FAILED = "holder_binding_failed"
    CODE_UNKNOWN = "code_unknown"
    CODE_USED = "code_used"
    CODE_EXPIRED = "code_expired"
    REVOKED = "revoked"
    CANCELLED = "cancelled"
    TRANSFERRED = "transferred"
    SUPERSEDED = "superseded"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    OUTSIDE_POLICY = "outside_policy"
    STATUS_UNAVAILABLE = "status_unavailable"
    STATUS_STALE = "status_stale"
    LOG_PROOF_MISSING = "log_proof_missing"
    LOG_PROOF_FAILED = "log_proof_failed"
    CLOCK_UNRELIABLE = "clock_unreliable"
    ALGORITHM_SUNSET = "algorithm_sunset"


PRECEDENCE: Mapping[Reason, int] = MappingProxyType({reason: rank for rank, reason in enumerate(Reason)})
"""Rank of each reason; of several, the one with the lowest rank above ok leads the report."""

INDETERMINATE: frozenset[Reason] = frozenset(
    {
        Reason.STATUS_UNAVAILABLE,
        Reason.STATUS_STALE,
        Reason.TRUST_UNAVAILABLE,
        Reason.TRUST_STALE,
        Reason.AMBIGUOUS,
        Reason.INCOMPLETE,
        Reason.LOG_PROOF_MISSING,
        Reason.CLOCK_UNRELIABLE,
        Reason.ALGORITHM_SUNSET,
    }
)
"""Reasons that mean "cannot tell"; every other reason but ok means invalid."""


class FormatError(ValueError):
    """Refuse bytes that are not what they claim to be.

    `reason` is the code a report shows. `detail` is English for developers and names places and
    rules only: never a secret and never the value of an element.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail

    __reduce__ = reduce_error


@dataclass(frozen=True, slots=True)
class Text:
    """Hold one sentence for people in both languages; Chinese comes first."""

    zh: str
    en: str

    def in_language(self, lang: Literal["zh", "en"]) -> str:
        """Return the sentence in one language."""
        return self.zh if lang == "zh" else self.en


@dataclass(frozen=True, slots=True)
class ReasonText:
    """Explain one reason: what it says, who must act and how, whether asking again can help."""

    text: Text
    action: Text
    retry: bool


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """Describe one kind of refused request (RFC 9457): its code, HTTP status and texts."""

    code: str
    status: int
    title: Text
    action: Text
    retry: bool


_NONE = Text("无需处理。", "Nothing to do.")
_HOLDER_REISSUE = Text(
    "持证主体应向颁发机构重新申领电子证照文件。",
    "The holder asks the issuing authority for a fresh credential.",
)
_HOLDER_CURRENT = Text(
    "请持证主体出示现行有效的证照。", "Ask the holder for the license that is in force now."
)
_REFUSE = Text(
    "不要采信;请持证主体联系颁发机构。", "Do not rely on it; the holder contacts the issuing authority."
)
_REPORT = Text(
    "不要采信;请将文件提交服务运营方调查。",
    "Do not rely on it; hand the file to the operator of the service for investigation.",
)
_UPDATE = Text(
    "离线核验的,请更新离线验证包(elicense trust update)后重试;在线核验的,请稍后重试。",
    "Offline: update the bundle (elicense trust update) and ask again. Online: ask again later.",
)
_HAND_OVER_AGAIN = Text(
    "请持证主体重新下载电子证照文件,完整、不经改动地提供。",
    "Ask the holder to fetch the file again and to hand it over whole and unchanged.",
)
_PRESENT_AGAIN = Text(
    "不要据此认定出示人就是持证主体;请给出新的随机数,由持证主体以其密钥重新出示。",
    "Do not take the presenter for the holder; give a new nonce and ask for a proof with the holder's key.",
)
_WITH_PROOF = Text(
    "请持证主体出示附有最新存证日志证明的文件,或改为联网核验。",
    "Ask the holder for the file together with a current log proof, or verify online.",
)
_RETRY_LATER = Text("请稍后重试。", "Ask again later.")


def _row(text_zh: str, text_en: str, action: Text, *, retry: bool = False) -> ReasonText:
    return ReasonText(text=Text(text_zh, text_en), action=action, retry=retry)


REASONS: Mapping[Reason, ReasonText] = MappingProxyType(
    {
        Reason.OK: _row("证照真实有效。", "The license is genuine and in force.", _NONE),
        Reason.MALFORMED: _row(
            "文件格式不正确,不是有效的电子证照文件。",
            "The file is not a well-formed credential.",
            _HAND_OVER_AGAIN,
        ),
        Reason.UNSUPPORTED_ALGORITHM: _row(
            "文件使用了不受支持的签名算法。",
            "The file uses a signature algorithm that is not supported.",
            _HOLDER_REISSUE,
        ),
        Reason.SIGNATURE_INVALID: _row(
            "签名验证未通过,文件可能被篡改。",
            "The signature does not verify; the file may have been altered.",
            _REPORT,
        ),
        Reason.CLAIMS_INCONSISTENT: _row(
            "文件内部信息相互矛盾。", "The file contradicts itself or its issuer's entry.", _REPORT
        ),
        Reason.ISSUER_UNKNOWN: _row(
            "颁发机构不在信任列表中。", "The issuing authority is not on the trust list.", _REFUSE
        ),
        Reason.ISSUER_NOT_AUTHORIZED: _row(
            "颁发机构无权在该区域颁发此类证照。",
            "The issuing authority may not issue this license type in this area.",
            _REFUSE,
        ),
        Reason.KEY_NOT_VALID_AT_ISSUE: _row(
            "签发时该签名密钥不在有效期内。",
            "The signing key was not valid at the time of signing.",
            _REFUSE,
        ),
        Reason.KEY_COMPROMISED: _row(
            "签名密钥已被宣布泄露。", "The signing key has been declared compromised.", _HOLDER_REISSUE
        ),
        Reason.NOT_REGISTERED: _row(
            "签名正确,但登记库从未签发过此文件。",
            "The signature is good, but the register never issued this file.",
            _REPORT,
        ),
        Reason.TRUST_UNAVAILABLE: _row(
            "缺少可用的信任列表,无法判断。",
            "No usable trust list is at hand; cannot tell.",
            _UPDATE,
            retry=True,
        ),
        Reason.TRUST_STALE: _row(
            "信任列表已过期,无法判断。", "The trust list is out of date; cannot tell.", _UPDATE, retry=True
        ),
        Reason.NOT_FOUND: _row(
            "查无此证照。",
            "No such license is known.",
            Text("请核对所填信息。", "Check what was entered."),
        ),
        Reason.AMBIGUOUS: _row(
            "有多个证照符合所填信息,无法判断。",
            "Several licenses fit what was asked; cannot tell.",
            Text("请提供证照标识或编号。", "Ask with the license identifier or number."),
        ),
        Reason.INCOMPLETE: _row(
            "信息不全,无法验证。",
            "The question lacks what the policy requires.",
            Text("请补充策略要求的要素。", "Add the elements the policy requires."),
        ),
        Reason.MISMATCH: _row(
            "所填信息与证照不一致。",
            "What was asked does not match the license.",
            Text("请持证主体核对并更正信息。", "The holder checks and corrects the information."),
        ),
        Reason.HOLDER_BINDING_FAILED: _row(
            "出示人未能证明其持证身份。", "The presenter did not prove to be the holder.", _PRESENT_AGAIN
        ),
        Reason.CODE_UNKNOWN: _row(
            "用证码不存在。",
            "The presentation code is not known.",
            Text("请持证主体重新出示用证码。", "Ask the holder to show a new code."),
        ),
        Reason.CODE_USED: _row(
            "用证码已被使用。",
            "The presentation code has been used.",
            Text("请持证主体重新出示用证码。", "Ask the holder to show a new code."),
        ),
        Reason.CODE_EXPIRED: _row(
            "用证码已过期。",
            "The presentation code has expired.",
            Text("请持证主体重新出示用证码。", "Ask the holder to show a new code."),
        ),
        Reason.REVOKED: _row(
            "证照已被吊销或撤销。", "The license has been revoked or annulled by its authority.", _REFUSE
        ),
        Reason.CANCELLED: _row("证照已注销。", "The license has been cancelled.", _HOLDER_CURRENT),
        Reason.TRANSFERRED: _row(
            "证照已迁出。", "The license has been transferred elsewhere.", _HOLDER_CURRENT
        ),
        Reason.SUPERSEDED: _row(
            "证照已变更或换发,此版本失效。",
            "A newer version or another license has taken this one's place; it no longer counts.",
            _HOLDER_CURRENT,
        ),
        Reason.SUSPENDED: _row("证照暂时失效。", "The license is suspended.", _REFUSE),
        Reason.EXPIRED: _row("证照已过有效期。", "The license has expired.", _HOLDER_CURRENT),
        Reason.NOT_YET_VALID: _row(
            "证照尚未生效。",
            "The license is not yet valid.",
            Text("请在生效日期后再核验。", "Verify again once its validity has begun."),
        ),
        Reason.OUTSIDE_POLICY: _row(
            "证照类型或区域不在用证方策略的接受范围内;证照本身不因此失效。",
            "The license's type or area is not among those the relying party's policy accepts; "
            "the license itself is not affected.",
            Text("请持证主体出示策略所接受的证照。", "Ask the holder for a license that the policy accepts."),
        ),
        Reason.STATUS_UNAVAILABLE: _row(
            "无法取得证照状态,无法判断。", "The status cannot be obtained; cannot tell.", _UPDATE, retry=True
        ),
        Reason.STATUS_STALE: _row(
            "证照状态信息过旧,无法判断。", "The status at hand is too old; cannot tell.", _UPDATE, retry=True
        ),
        Reason.LOG_PROOF_MISSING: _row(
            "缺少存证日志证明,无法判断。", "The log proof is missing; cannot tell.", _WITH_PROOF, retry=True
        ),
        Reason.LOG_PROOF_FAILED: _row("存证日志证明不成立。", "The log proof does not hold.", _REPORT),
        Reason.CLOCK_UNRELIABLE: _row(
            "本机时钟不可靠,无法判断。",
            "The clock of this machine cannot be relied on; cannot tell.",
            Text("用证方应校准系统时钟后重试。", "The relying party sets its clock and asks again."),
            retry=True,
        ),
        Reason.ALGORITHM_SUNSET: _row(
            "签名算法已过使用期限,无法判断。",
            "The signature algorithm is past its last date; cannot tell.",
            _HOLDER_REISSUE,
        ),
    }
)
"""Text, action and retry advice of every reason."""

_FIX = Text("调用方应更正请求。", "The caller corrects the request.")
_KEY = Text("调用方应使用有效的 API 密钥。", "The caller uses a valid API key.")
_ASK_OPERATOR = Text("请联系服务运营方。", "Contact the operator of the service.")
_READ_AGAIN = Text("请重新读取当前状态后再操作。", "Read the current state, then decide again.")


def _kind(
    code: str, status: int, zh: str, en: str, action: Text = _FIX, *, retry: bool = False
) -> tuple[str, ProblemKind]:
    return code, ProblemKind(code=code, status=status, title=Text(zh, en), action=action, retry=retry)


PROBLEMS: Mapping[str, ProblemKind] = MappingProxyType(
    dict(
        (
            _kind("not_json", 400, "请求体不是有效的 JSON", "The body is not valid JSON"),
            _kind("wrong_encoding", 400, "请求不是 UTF-8 编码", "The request is not UTF-8"),
            _kind("unauthenticated", 401, "未提供有效的身份凭据", "No valid credentials were sent", _KEY),
            _kind("key_expired", 401, "API 密钥已过期", "The API key has expired", _KEY),
            _kind("key_revoked", 401, "API 密钥已停用", "The API key has been revoked", _KEY),
            _kind(
                "wrong_environment",
                401,
                "API 密钥不属于本环境",
                "The API key belongs to another environment",
                _KEY,
            ),
            _kind(
                "address_not_allowed",
                403,
                "不允许从此地址调用",
                "The client may not call from this address",
                _ASK_OPERATOR,
            ),
            _kind("forbidden", 403, "密钥无此权限", "The key lacks the scope for this", _ASK_OPERATOR),
            _kind(
                "not_your_authority",
                403,
                "密钥不属于该颁发机构",
                "The key does not act for this issuing authority",
            ),
            _kind(
                "purpose_not_allowed",
                403,
                "该用途未获许可",
                "This purpose is not allowed for the caller",
                _ASK_OPERATOR,
            ),
            _kind(
                "not_authorized_to_issue",
                403,
                "颁发机构无权在该区域颁发此类证照",
                "The authority may not issue this license type in this area",
                _ASK_OPERATOR,
            ),
            _kind(
                "cosignature_refused", 403, "联署未被接受", "The cosignature does not count", _ASK_OPERATOR
            ),
            _kind("own_proposal", 403, "提议须由另一调用方批准", "Another client must approve this"),
            _kind("not_found", 404, "未找到", "Not found"),
            _kind("method_not_allowed", 405, "不支持该请求方法", "The method is not allowed here"),
            _kind("not_acceptable", 406, "无法提供所要求的格式", "The requested format is not offered"),
            _kind("number_taken", 409, "该证照编号已被使用", "The license number is taken", _READ_AGAIN),
            _kind(
                "state_conflict",
                409,
                "证照当前状态不允许此操作",
                "The license's state does not allow this",
                _READ_AGAIN,
            ),
            _kind(
                "no_change", 409, "证照内容与此相同,无可变更", "The license says this already", _READ_AGAIN
            ),
            _kind("versions_exhausted", 409, "证照版本号已用尽", "The license's version numbers are used up"),
            _kind(
                "idempotency_in_progress",
                409,
                "相同幂等键的请求仍在处理",
                "A request with this Idempotency-Key is still running",
                _RETRY_LATER,
                retry=True,
            ),
            _kind("not_logged_yet", 409, "尚未写入存证日志", "Not in the log yet", _RETRY_LATER, retry=True),
            _kind("conflict", 409, "与现有数据冲突", "This conflicts with what exists", _READ_AGAIN),
            _kind("already_decided", 409, "此事已有结果", "This has been decided already", _READ_AGAIN),
            _kind("proposal_expired", 409, "提议已过期", "The proposal has run out", _READ_AGAIN),
            _kind("proposal_outdated", 409, "提议后情况已变化", "The proposal is out of date", _READ_AGAIN),
            # Reserved: clients know it, and no operation answers it so far. So is `overloaded`.
            _kind(
                "precondition_failed", 412, "前提条件不成立", "The precondition does not hold", _READ_AGAIN
            ),
            _kind("too_large", 413, "请求过大", "The request is too large"),
            _kind("unsupported_media_type", 415, "不支持的内容类型", "The content type is not supported"),
            _kind("invalid_request", 422, "请求不符合要求", "The request does not have the required shape"),
            _kind(
                "invalid_uscc",
                422,
                "统一社会信用代码不正确",
                "The unified social credit code is not well-formed",
            ),
            _kind("unknown_type", 422, "未知的证照类型", "The license type is not known"),
            _kind("unknown_area", 422, "未知的区域代码", "The area code is not known"),
            _kind(
                "invalid_elements",
                422,
                "要素不符合证照类型的要求",
                "The elements do not fit the license type",
            ),
            _kind("invalid_dates", 422, "日期不正确", "The dates are not right"),
            _kind("invalid_succession", 422, "接续证照不正确", "The successors cannot be those"),
            _kind("invalid_effective_at", 422, "生效时刻不正确", "The time of effect is not allowed"),
            _kind(
                "holder_not_supported",
                422,
                "暂不支持该类持证主体",
                "This kind of holder is not supported; natural persons come later",
            ),
            _kind(
                "idempotency_key_invalid", 422, "幂等键格式不正确", "The Idempotency-Key is not well-formed"
            ),
            _kind(
                "idempotency_mismatch",
                422,
                "幂等键已用于不同的请求",
                "The Idempotency-Key was used for a different request",
            ),
            _kind("unknown_policy", 422, "未知的核验策略", "The policy is not known"),
            _kind("at_in_future", 422, "所问时刻尚未到来", "The moment asked about has not come yet"),
            _kind("rate_limited", 429, "请求过于频繁", "Too many requests", _RETRY_LATER, retry=True),
            _kind("internal", 500, "服务内部错误", "Internal error", _ASK_OPERATOR, retry=True),
            _kind(
                "unavailable",
                503,
                "服务暂不可用",
                "The service is unavailable for now",
                _RETRY_LATER,
                retry=True,
            ),
            _kind(
                "read_only",
                503,
                "服务处于只读状态",
                "The service is read-only for now",
                _RETRY_LATER,
                retry=True,
            ),
            _kind("overloaded", 503, "服务繁忙", "The service is overloaded", _RETRY_LATER, retry=True),
        )
    )
)
"""Every problem code with its HTTP status and texts, in the order of its status."""
