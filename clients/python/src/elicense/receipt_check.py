"""Check a receipt as an auditor does: offline, from files, with one answer. Pure.

 1. Format: the token is a receipt.
 2. Trust: there is a trust list under the pinned root, and it is the current one.
 3. Log, where a proof is given: the receipt stands in the receipts' log, and that log's state in the public log.
 4. Signature: by a receipt key of the list, inside that key's window. The window may have ended since; a receipt of a
    key that was compromised since holds only where the log shows it to be older, and one of an algorithm that ended
    since only where a witness saw it in the log before.
 5. Answer: what stands beside the receipt says what the receipt states; results of a batch are all there and lie
    under its root. A file that says to hold results is never taken for a bare receipt.
 6. Question, where given: the receipt speaks of exactly this question.

Valid means that the service stated this, not that the license is in force today.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from elicense.encoding import JsonValue
from elicense.evidence import CLOCK_TOLERANCE, Evidence, TrustEvidence
from elicense.log_proof import ReceiptProof
from elicense.problems import INDETERMINATE, FormatError, Reason, Text
from elicense.receipt import (
    Receipt,
    check_receipt_anchor,
    check_receipt_inclusion,
    parse_receipt,
    require_algorithm,
    require_older,
    verify_receipt_signature,
)
from elicense.receipt_file import ReceiptFile, answers_to, find_difference, read_receipt_file
from elicense.receipt_texts import receipt_text
from elicense.report import Lang, LogPlace, Outcome, Verdict, decide, rfc3339
from elicense.signed_note import Checkpoint

RECEIPT_REPORT_FMT = 1

T = TypeVar("T")


class ReceiptCheckId(StrEnum):
    """Name the checks, in the order in which a report lists them."""

    FORMAT = "format"
    TRUST = "trust"
    SIGNATURE = "signature"
    ANSWER = "answer"
    QUESTION = "question"
    LOG_PROOF = "log_proof"
    ANCHOR = "anchor"


RECEIPT_CHECK_TITLES: Mapping[ReceiptCheckId, Text] = MappingProxyType(
    {
        ReceiptCheckId.FORMAT: Text("回执格式", "Format of the receipt"),
        ReceiptCheckId.TRUST: Text("信任列表", "Trust list"),
        ReceiptCheckId.SIGNATURE: Text("回执签名与签署时的密钥", "Signature, and its key when it was made"),
        ReceiptCheckId.ANSWER: Text("随附答复与回执一致", "The answer beside it says the same"),
        ReceiptCheckId.QUESTION: Text("回执针对所给的问题", "It speaks of the question given"),
        ReceiptCheckId.LOG_PROOF: Text("已记入回执日志", "It stands in the receipts' log"),
        ReceiptCheckId.ANCHOR: Text("回执日志已固定于存证日志", "That log is fixed in the public log"),
    }
)


@dataclass(frozen=True, slots=True)
class ReceiptCheck:
    """Record one check; `detail` is English for developers."""

    id: ReceiptCheckId
    outcome: Outcome
    code: Reason = Reason.OK
    required: bool = True
    detail: str = ""

    @property
    def is_open(self) -> bool:
        """Tell whether this check keeps the verdict from being valid: required, and not passed."""
        return self.required and self.outcome is not Outcome.PASSED

    def to_json(self, lang: Lang = "zh") -> dict[str, JsonValue]:
        """Give the check as JSON, its title in one language."""
        shown: dict[str, JsonValue] = {
            "id": self.id.value,
            "outcome": self.outcome.value,
            "code": self.code.value,
            "title": RECEIPT_CHECK_TITLES[self.id].in_language(lang),
        }
        return {**shown, "detail": self.detail} if self.detail else shown


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptReport:
    """Report what became of a receipt; true only when it holds.

    `receipt` is what it states, to be believed when the check of its signature passed; None when it is no receipt.
    """

    verdict: Verdict
    reason: Reason
    checks: tuple[ReceiptCheck, ...]
    receipt: Receipt | None
    results: int
    checked_at: datetime
    logged: Checkpoint | None = None
    anchored: Checkpoint | None = None

    def __bool__(self) -> bool:
        """Answer whether the receipt holds."""
        return self.verdict is Verdict.VALID

    def check(self, check_id: ReceiptCheckId) -> ReceiptCheck:
        """Find one check by its name; every check is always listed."""
        return next(check for check in self.checks if check.id is check_id)

    def to_json(self, lang: Lang = "zh") -> dict[str, JsonValue]:
        """Give the report as JSON; `states` is the receipt's own payload, null unless its signature holds.

        `message` says in one language what the reason means for the receipt, not for the license it speaks of.
        """
        holds = self.check(ReceiptCheckId.SIGNATURE).outcome is Outcome.PASSED
        stated = dict(self.receipt.payload) if self.receipt is not None and holds else None
        return {
            "fmt": RECEIPT_REPORT_FMT,
            "verdict": self.verdict.value,
            "reason": self.reason.value,
            "message": receipt_text(self.reason).in_language(lang),
            "checks": [check.to_json(lang) for check in self.checks],
            "checked_at": rfc3339(self.checked_at),
            "results": self.results,
            "logged": _checkpoint_json(self.logged),
            "anchored": _checkpoint_json(self.anchored),
            "states": stated,
        }


def check_receipt(
    file: ReceiptFile,
    *,
    evidence: Evidence,
    proof: ReceiptProof | None = None,
    question: Mapping[str, JsonValue] | None = None,
    salt: bytes | None = None,
) -> ReceiptReport:
    """Check a receipt, following the plan of this module. Whatever the file holds, the answer is a report.

    `evidence` comes from `gather_offline`. `question` is the request as it was sent (of a batch, with its `items`);
    `salt` opens its digest where the file holds no `question_salt`: ValueError when neither does.
    """
    case = _Case(file, evidence)
    # 1.
    receipt = case.run(ReceiptCheckId.FORMAT, lambda: parse_receipt(file.receipt))
    if receipt is None:
        return case.report(None)
    # 2.
    trust = evidence.trust
    case.run(ReceiptCheckId.TRUST, lambda: _require_current(evidence))
    if trust is None:
        return case.report(receipt)
    # 3.
    place = _check_log(case, proof, trust) if proof is not None else None
    # 4.
    if case.run(ReceiptCheckId.SIGNATURE, lambda: _verify(case, trust, place)) is None:
        return case.report(receipt)
    # 5. 6.
    if file.says_something:
        case.run(ReceiptCheckId.ANSWER, lambda: _require_same(file, receipt))
    if question is not None:
        case.run(ReceiptCheckId.QUESTION, lambda: _require_asked(file, receipt, question, salt))
    return case.report(receipt)


def check_receipt_bytes(
    data: bytes,
    *,
    evidence: Evidence,
    proof: ReceiptProof | None = None,
    question: Mapping[str, JsonValue] | None = None,
    salt: bytes | None = None,
) -> ReceiptReport:
    """Check a receipt as it lies in a file (`read_receipt_file`), as `check_receipt` does."""
    try:
        file = read_receipt_file(data)
    except FormatError as refusal:
        case = _Case(ReceiptFile(receipt=""), evidence)
        case.refuse(ReceiptCheckId.FORMAT, refusal)
        return case.report(None)
    return check_receipt(file, evidence=evidence, proof=proof, question=question, salt=salt)


def _check_log(case: "_Case", proof: ReceiptProof, trust: TrustEvidence) -> LogPlace | None:
    """Check both logs; return the place in the public one that fixes the receipt, None where it does not."""
    token, log, known = case.file.receipt, case.evidence.log, case.evidence.now
    # The public log takes the state of the receipts' log at least hourly: a receipt younger than that has no anchor
    # yet, which is said and does not make it bad.
    anchor = case.run(
        ReceiptCheckId.ANCHOR,
        lambda: check_receipt_anchor(proof, trust=trust, log=log, known=known),
        required=proof.anchor is not None,
    )
    place = case.run(
        ReceiptCheckId.LOG_PROOF,
        lambda: check_receipt_inclusion(
            token, proof, trust=trust, log=log, fixed=anchor is not None, known=known
        ),
    )
    if place is None:
        return None
    case.logged = proof.inclusion.claimed_checkpoint()
    if anchor is not None and proof.anchor is not None:
        case.anchored = proof.anchor.claimed_checkpoint()
    return anchor


class _Case:
    """Collect the checks of one receipt."""

    def __init__(self, file: ReceiptFile, evidence: Evidence) -> None:
        self.file = file
        self.evidence = evidence
        self.made: dict[ReceiptCheckId, ReceiptCheck] = {}
        self.logged: Checkpoint | None = None
        self.anchored: Checkpoint | None = None

    def run(self, check_id: ReceiptCheckId, work: Callable[[], T], *, required: bool = True) -> "T | None":
        """Do one check; what it refuses is recorded and None returned."""
        try:
            found = work()
        except FormatError as refusal:
            self.refuse(check_id, refusal, required=required)
            return None
        self.made[check_id] = ReceiptCheck(check_id, Outcome.PASSED)
        return found

    def refuse(self, check_id: ReceiptCheckId, refusal: FormatError, *, required: bool = True) -> None:
        """Record a check that did not pass."""
        outcome = Outcome.CANNOT_TELL if refusal.reason in INDETERMINATE else Outcome.FAILED
        self.made[check_id] = ReceiptCheck(check_id, outcome, refusal.reason, required, refusal.detail)

    def failed_in_log(self) -> bool:
        """Tell whether a log proof was given that does not hold."""
        made = (self.made.get(check_id) for check_id in (ReceiptCheckId.LOG_PROOF, ReceiptCheckId.ANCHOR))
        return any(check is not None and check.outcome is Outcome.FAILED for check in made)

    def report(self, receipt: Receipt | None) -> ReceiptReport:
        """End here; checks that were not made count as skipped, and what was not asked for has no weight."""
        checks = tuple(
            self.made.get(check_id, ReceiptCheck(check_id, Outcome.SKIPPED, required=False))
            for check_id in ReceiptCheckId
        )
        verdict, reason = decide(checks)
        return ReceiptReport(
            verdict=verdict,
            reason=reason,
            checks=checks,
            receipt=receipt,
            results=len(self.file.answers),
            checked_at=self.evidence.now,
            logged=self.logged,
            anchored=self.anchored,
        )


def _require_current(evidence: Evidence) -> bool:
    trust = evidence.trust
    if trust is None:
        part = evidence.trust_refused
        raise FormatError(
            part.reason if part else Reason.TRUST_UNAVAILABLE, part.detail if part else "no trust list"
        )
    if trust.freshness is None:
        detail = trust.refused.detail if trust.refused is not None else "no freshness"
        raise FormatError(Reason.TRUST_STALE, detail)
    ends = min(trust.root.expires, trust.trust_list.next_update, trust.freshness.expires_at)
    if evidence.now >= ends:
        raise FormatError(Reason.TRUST_STALE, f"the trust documents ended at {rfc3339(ends)}")
    if not evidence.clock_reliable or trust.latest - CLOCK_TOLERANCE > evidence.now:
        raise FormatError(Reason.CLOCK_UNRELIABLE, "the clock is behind what has been signed")
    return True


def _verify(case: "_Case", trust: TrustEvidence, place: LogPlace | None) -> Receipt:
    receipt, service = verify_receipt_signature(case.file.receipt, trust=trust)
    try:
        require_older(place, service.compromised, trust=trust)
    except FormatError as refusal:
        if refusal.reason is Reason.LOG_PROOF_MISSING and case.failed_in_log():
            # A proof that was given and does not hold is worse than none.
            raise FormatError(Reason.LOG_PROOF_FAILED, refusal.detail) from refusal
        raise
    require_algorithm(receipt, place, service.key.profile, known=max(trust.latest, case.evidence.now))
    if receipt.issued_at - CLOCK_TOLERANCE > case.evidence.now:
        raise FormatError(Reason.CLOCK_UNRELIABLE, "the receipt was signed later than the clock says it is")
    return receipt


def _require_same(file: ReceiptFile, receipt: Receipt) -> bool:
    difference = find_difference(file, receipt)
    if difference:
        raise FormatError(Reason.MISMATCH, difference)
    return True


def _require_asked(
    file: ReceiptFile, receipt: Receipt, question: Mapping[str, JsonValue], salt: bytes | None
) -> bool:
    if not answers_to(file, receipt, question, salt):
        raise FormatError(Reason.MISMATCH, "the receipt speaks of another question, or the salt is another's")
    return True


def _checkpoint_json(checkpoint: Checkpoint | None) -> JsonValue:
    if checkpoint is None:
        return None
    return {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}
