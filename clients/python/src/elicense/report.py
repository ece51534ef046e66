"""The report: every named check with its outcome, and the verdict that follows from them.

Three verdicts, as in ETSI EN 319 102-1: valid, invalid, indeterminate ("cannot tell", never shown as valid).
Valid means that every required check passed; a skipped check never counts as passed. Which reason leads is
decided here, in one place, by the precedence of `elicense.problems`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from functools import cache, lru_cache
from operator import attrgetter
from types import MappingProxyType
from typing import Literal, Protocol

from elicense.claims import Holder, LicenseClaims
from elicense.cn import parse_identifier
from elicense.encoding import JsonValue
from elicense.encoding import rfc3339 as rfc3339
from elicense.evidence_ages import (
    EvidenceAge,
    ListTimes,
    checkpoint_ages,
    proof_age,
    status_age,
    trust_ages,
)
from elicense.pickling import reduce_record
from elicense.policy import Policy
from elicense.problems import INDETERMINATE, PRECEDENCE, REASONS, FormatError, Reason, Text
from elicense.references import LogPlace as LogPlace
from elicense.references import StatusSource as StatusSource
from elicense.references import TrustReference as TrustReference
from elicense.result_codes import RESULT_CODES as RESULT_CODES

Lang = Literal["zh", "en"]


class Verdict(StrEnum):
    """Answer a verification: in force, not in force (or not genuine), or cannot tell."""

    VALID = "valid"
    INVALID = "invalid"
    INDETERMINATE = "indeterminate"


class Outcome(StrEnum):
    """Say what became of one check."""

    PASSED = "passed"
    FAILED = "failed"
    CANNOT_TELL = "cannot_tell"
    SKIPPED = "skipped"


class ElementOutcome(StrEnum):
    """Say how an asked value relates to the license's."""

    MATCH = "match"
    MATCH_NORMALIZED = "match_normalized"
    FORMER_VALUE = "former_value"
    MISMATCH = "mismatch"
    NOT_ON_LICENSE = "not_on_license"
    CANNOT_TELL = "cannot_tell"


class CheckId(StrEnum):
    """Name the checks, in the order of the judge's plan; `policy` only where a policy restricts types or areas."""

    FORMAT = "format"
    TRUST = "trust"
    ISSUER = "issuer"
    SIGNATURE = "signature"
    KEY = "key"
    CLAIMS = "claims"
    SCOPE = "scope"
    REGISTER = "register"
    STATUS = "status"
    DATES = "dates"
    ELEMENTS = "elements"
    HOLDER_BINDING = "holder_binding"
    LOG_PROOF = "log_proof"
    ALGORITHM = "algorithm"
    CLOCK = "clock"
    POLICY = "policy"


CHECK_TITLES: Mapping[CheckId, Text] = MappingProxyType(
    {
        CheckId.FORMAT: Text("文件格式", "Format"),
        CheckId.TRUST: Text("信任列表", "Trust list"),
        CheckId.ISSUER: Text("颁发机构", "Issuing authority"),
        CheckId.SIGNATURE: Text("签名", "Signature"),
        CheckId.KEY: Text("签名密钥", "Signing key"),
        CheckId.CLAIMS: Text("内容一致性", "Consistency of the claims"),
        CheckId.SCOPE: Text("颁发权限", "Authority to issue"),
        CheckId.REGISTER: Text("登记记录", "Entry in the register"),
        CheckId.STATUS: Text("证照状态", "Status"),
        CheckId.DATES: Text("有效期", "Dates"),
        CheckId.ELEMENTS: Text("信息比对", "Elements"),
        CheckId.HOLDER_BINDING: Text("持证主体身份", "Holder binding"),
        CheckId.LOG_PROOF: Text("存证日志证明", "Log proof"),
        CheckId.ALGORITHM: Text("签名算法期限", "Life of the algorithm"),
        CheckId.CLOCK: Text("系统时钟", "Clock"),
        CheckId.POLICY: Text("策略接受范围", "Types and areas of the policy"),
    }
)

_OUTCOME_TEXT: Mapping[Outcome, Text] = MappingProxyType(
    {
        Outcome.PASSED: Text("通过", "passed"),
        Outcome.SKIPPED: Text("未检查", "not checked"),
        Outcome.FAILED: Text("未通过", "failed"),
        Outcome.CANNOT_TELL: Text("无法判断", "cannot tell"),
    }
)


@dataclass(frozen=True, slots=True)
class Check:
    """Record one check: its outcome, the reason code it speaks for, and whether the verdict needs it.

    `text` replaces the sentence of the reason or the outcome where the evidence allows a more exact one; `detail` is
    English for developers and holds no secret and no element value.
    """

    id: CheckId
    outcome: Outcome
    code: Reason = Reason.OK
    required: bool = True
    text: Text | None = None
    detail: str = ""
    is_open: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Note whether this check keeps a verdict from being valid: required, and not passed."""
        object.__setattr__(self, "is_open", self.required and self.outcome is not Outcome.PASSED)

    def message(self, lang: Lang = "zh") -> str:
        """Say the outcome in one sentence for people."""
        if self.text is None and self.outcome in (Outcome.PASSED, Outcome.SKIPPED):
            separator = ":" if lang == "zh" else ": "
            title = CHECK_TITLES[self.id].in_language(lang)
            return f"{title}{separator}{_OUTCOME_TEXT[self.outcome].in_language(lang)}"
        return (self.text or REASONS[self.code].text).in_language(lang)

    def to_json(self, lang: Lang = "zh") -> dict[str, JsonValue]:
        """Give the check as the API shows it; `detail` only where there is one."""
        shown: dict[str, JsonValue] = {
            "id": self.id.value,
            "outcome": self.outcome.value,
            "code": self.code.value,
            "message": self.message(lang),
        }
        if self.detail:
            shown["detail"] = self.detail
        return shown


PASSED: Mapping[CheckId, Check] = MappingProxyType({id_: Check(id_, Outcome.PASSED) for id_ in CheckId})
"""The passed check of each kind; shared, since it holds nothing of the case."""

SKIPPED: Mapping[CheckId, Check] = MappingProxyType({id_: Check(id_, Outcome.SKIPPED) for id_ in CheckId})
"""A required check that an earlier failure made pointless: never counts as passed."""

NOT_ASKED: Mapping[CheckId, Check] = MappingProxyType(
    {id_: Check(id_, Outcome.SKIPPED, required=False) for id_ in CheckId}
)
"""A check that neither the policy nor the question asks for: listed, and without weight."""


@dataclass(frozen=True, slots=True)
class ElementResult:
    """Answer one asked element; the held value itself is never part of it."""

    name: str
    outcome: ElementOutcome
    changed_on: date | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Give the result as the API shows it; `changed_on` only beside `former_value`."""
        shown: dict[str, JsonValue] = {"name": self.name, "outcome": self.outcome.value}
        if self.changed_on is not None:
            shown["changed_on"] = self.changed_on.isoformat()
        return shown


@dataclass(frozen=True, slots=True)
class Caution:
    """Warn about something that does not decide the verdict."""

    code: str
    text: Text

    def to_json(self, lang: Lang = "zh") -> dict[str, JsonValue]:
        """Give the warning as the API shows it."""
        return {"code": self.code, "message": self.text.in_language(lang)}


WRONG_CHECK_CHARACTER = Caution(
    "identifier_check_character",
    Text("电子证照标识的校验位不正确。", "The check character of the license identifier is wrong."),
)
"""Real identifiers with a wrong check character circulate: a warning, not a refusal."""


@dataclass(frozen=True, slots=True)
class ShownLicense:
    """Hold what a verified credential discloses; the JSON is built only when somebody looks."""

    claims: LicenseClaims
    elements: Mapping[str, str]
    authority_name: str

    __reduce__ = reduce_record

    def to_json(self) -> dict[str, JsonValue]:
        """Join the visible claims and the disclosed elements; the authority's name is the trust list's."""
        return {
            **self.claims.to_json(),
            "authority_name": self.authority_name,
            "elements": dict(self.elements),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """Report one verification: verdict, leading reason, every check, and the evidence it rests on.

    True as a boolean only for `valid`. `evaluated_at` is the moment the license was judged for, `verified_at` that of
    the verification. `superseded_by` is the identifier that took this one's place, if it is one; `successors` are those
    of other licenses. `log` is the credential's place in the log, where it was shown. Valid speaks of the license,
    not of who shows it.
    """

    verdict: Verdict
    reason: Reason
    checks: tuple[Check, ...]
    env: str | None
    evaluated_at: datetime
    verified_at: datetime
    policy: Policy
    elements: tuple[ElementResult, ...] = ()
    shown: ShownLicense | None = None
    superseded_by: str | None = None
    successors: tuple[str, ...] = ()
    status: StatusSource | None = None
    trust: TrustReference | None = None
    cautions: tuple[Caution, ...] = ()
    candidates: int | None = None
    log: LogPlace | None = None

    def __bool__(self) -> bool:
        """Answer whether the verdict is valid."""
        return self.verdict is Verdict.VALID

    @property
    def about_file(self) -> bool:
        """Tell whether a credential was judged (its format is then the first check), not a question by reference."""
        return bool(self.checks) and self.checks[0].id is CheckId.FORMAT

    @property
    def historical(self) -> bool:
        """Tell whether a past moment was judged: the answer says what held then, not what holds now."""
        return self.evaluated_at < self.verified_at

    @property
    def license(self) -> Mapping[str, JsonValue] | None:
        """Show the claims a verified credential discloses; None by reference or after a broken signature."""
        return self.shown.to_json() if self.shown is not None else None

    @property
    def holder(self) -> Holder | None:
        """Name the holder whom a verified credential discloses; None where `license` is."""
        return self.shown.claims.holder if self.shown is not None else None

    @property
    def warnings(self) -> tuple[Caution, ...]:
        """List what does not decide the verdict, a wrong check character of the identifier among it."""
        if self.shown is None or _check_character_is_right(self.shown.claims.identifier):
            return self.cautions
        return (*self.cautions, WRONG_CHECK_CHARACTER)

    @property
    def status_as_of(self) -> datetime | None:
        """Tell when the status was read from the register; None when no status was had."""
        return self.status.as_of if self.status is not None else None

    @property
    def status_source(self) -> Mapping[str, JsonValue] | None:
        """Name the source of the status; None when no status was had."""
        return self.status.to_json() if self.status is not None else None

    @property
    def trust_list(self) -> Mapping[str, JsonValue] | None:
        """Name the trust list used; None without one."""
        return self.trust.to_json() if self.trust is not None else None

    @property
    def result_code(self) -> int | None:
        """Give the information check of GB/T 36906, 0-6; None when it cannot be told."""
        return RESULT_CODES[self.reason]

    @property
    def file_result_code(self) -> int | None:
        """Give the file check of GB/T 36906: 0 passed, 1 signature failed, 2 file failed.

        None by reference, and when the signature could not be looked at.
        """
        return _file_result_code(self.checks) if self.about_file else None

    def evidence_ages(self) -> list[EvidenceAge]:
        """List how old each piece of evidence was and what it therefore cannot claim; nothing for online answers."""
        times = self.trust.times if self.trust is not None else None
        if times is None:
            return []
        ages = trust_ages(times, self.verified_at)
        status, log = self.status, self.log
        if status is not None and status.kind == "list":
            read = ListTimes(
                as_of=status.as_of, max_age=self.policy.max_status_age, expires_at=status.expires_at
            )
            ages.append(status_age(read, self.verified_at, at=self.evaluated_at))
        ages.extend(checkpoint_ages(times, self.verified_at))
        if log is not None and log.size is not None:
            ages.append(proof_age(size=log.size, seen_at=log.seen_at, now=self.verified_at))
        return ages

    def check(self, check_id: CheckId) -> Check:
        """Find one check by its name; every check is always listed."""
        return next(check for check in self.checks if check.id is check_id)

    def reason_text(self, lang: Lang = "zh") -> str:
        """Say the leading reason in one sentence for people."""
        for check in self.checks:
            if check.code is self.reason and check.text is not None:
                return check.text.in_language(lang)
        return REASONS[self.reason].text.in_language(lang)

    def to_json(self, lang: Lang = "zh") -> dict[str, JsonValue]:
        """Give the report in the shape of the API's answer, with texts in one language."""
        policy: dict[str, JsonValue] = {
            "id": self.policy.id,
            "version": self.policy.version,
            "sha256": self.policy.sha256,
        }
        as_of = self.status_as_of
        shown: dict[str, JsonValue] = {
            "fmt": REPORT_FMT,
            "verdict": self.verdict.value,
            "reason": self.reason.value,
            "message": self.reason_text(lang),
            "action": REASONS[self.reason].action.in_language(lang),
            "result_code": self.result_code,
            "file_result_code": self.file_result_code,
            "env": self.env,
            "checks": _show_checks(self.checks, lang),
            "elements": [element.to_json() for element in self.elements],
            "license": self.shown.to_json() if self.shown is not None else None,
            "superseded_by": self.superseded_by,
            "verified_at": rfc3339(self.verified_at),
            "evaluated_at": rfc3339(self.evaluated_at),
            "historical": self.historical,
            "status_as_of": rfc3339(as_of) if as_of is not None else None,
            "status_source": self.status.to_json() if self.status is not None else None,
            "policy": policy,
            "trust_list": self.trust.to_json() if self.trust is not None else None,
            "log": self.log.to_json() if self.log is not None else None,
            "warnings": [warning.to_json(lang) for warning in self.warnings],
        }
        if self.successors:
            shown["successors"] = list(self.successors)
        if self.candidates is not None:
            shown["candidates"] = self.candidates
        ages = self.evidence_ages()
        if ages:
            shown["evidence_ages"] = [age.to_json(lang) for age in ages]
        return shown


def _show_checks(checks: Iterable[Check], lang: Lang) -> list[JsonValue]:
    often = _tell_often(lang)
    return [
        told.copy() if (told := often.get(id(check))) is not None else check.to_json(lang) for check in checks
    ]


@cache
def _tell_often(lang: Lang) -> Mapping[int, dict[str, JsonValue]]:
    # Most checks of most reports are the shared ones, which live as long as the process: told once in each language.
    shared = (PASSED, SKIPPED, NOT_ASKED)
    return {id(check): check.to_json(lang) for checks in shared for check in checks.values()}


REPORT_FMT = 1
_FILE_FAILED = (CheckId.FORMAT, CheckId.CLAIMS, CheckId.REGISTER)
_SIGNATURE_FAILED = (CheckId.ISSUER, CheckId.SIGNATURE, CheckId.KEY, CheckId.SCOPE)
_FAILED, _SIGNATURE = Outcome.FAILED, CheckId.SIGNATURE
_is_open = attrgetter("is_open")
_VALID = (Verdict.VALID, Reason.OK)


class Judged(Protocol):
    """What a verdict needs to know of a check, of a credential or of a receipt."""

    @property
    def code(self) -> Reason: ...
    @property
    def is_open(self) -> bool: ...


def decide(checks: Iterable[Judged]) -> tuple[Verdict, Reason]:
    """Derive the verdict and the leading reason from the checks.

    Of all required checks that did not pass, the code of the highest precedence leads. A required check that
    was only skipped, with nothing failed to explain it, is `incomplete`: skipped is never passed.
    """
    open_checks = list(filter(_is_open, checks))
    if not open_checks:
        return _VALID
    codes = {check.code for check in open_checks} - {Reason.OK}
    leading = min(codes, key=PRECEDENCE.__getitem__, default=Reason.INCOMPLETE)
    return (Verdict.INDETERMINATE if leading in INDETERMINATE else Verdict.INVALID), leading


def verdict_of(reason: Reason) -> Verdict:
    """Return the verdict that a leading reason gives."""
    if reason is Reason.OK:
        return Verdict.VALID
    return Verdict.INDETERMINATE if reason in INDETERMINATE else Verdict.INVALID


@lru_cache(maxsize=4096)
def _check_character_is_right(identifier: str) -> bool:
    try:
        return parse_identifier(identifier).check_is_right
    except FormatError:
        return False


def _file_result_code(checks: tuple[Check, ...]) -> int | None:
    failed = {check.id for check in checks if check.outcome is _FAILED}
    if failed:
        if not failed.isdisjoint(_FILE_FAILED):
            return 2
        if not failed.isdisjoint(_SIGNATURE_FAILED):
            return 1
    signature = next(check for check in checks if check.id is _SIGNATURE)
    return 0 if signature.outcome is Outcome.PASSED else None
