"""Weigh a question that asks for elements against the budget of wrong guesses, and say what becomes of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from app.domain.guessing import Guess, license_subject, reference_subject
from app.domain.license import License
from app.services.guessing import GuessLedger
from app.services.verification_answers import AskedQuestion
from elicense.checks import not_compared
from elicense.evidence import RegisterEvidence
from elicense.policy import Policy
from elicense.problems import Reason, Text
from elicense.records import quick_constructor
from elicense.report import (
    NOT_ASKED,
    SKIPPED,
    Caution,
    Check,
    CheckId,
    ElementOutcome,
    ElementResult,
    Outcome,
    TrustReference,
    VerificationReport,
    decide,
)

WRONG = frozenset({ElementOutcome.MISMATCH, ElementOutcome.NOT_ON_LICENSE, ElementOutcome.FORMER_VALUE})
"""What counts as a wrong guess; of one question, however many elements it asks for, it counts once."""

_SPENT = Text(
    "对该证照的错误比对次数已达上限,本次未与登记信息比对。",
    "Too many wrong values were asked about this license; nothing was compared with the register this time.",
)
SPENT = Caution("guess_budget_spent", _SPENT)
"""Beside an answer whose elements were not compared with the register because the caller's budget was spent."""

_new_guess = quick_constructor(Guess)
_SPENT_CHECK = Check(CheckId.ELEMENTS, Outcome.CANNOT_TELL, Reason.INCOMPLETE, text=_SPENT)


async def weigh(
    asked: AskedQuestion, license: License | None, ledger: GuessLedger, *, salt: str, now: datetime
) -> Guess | None:
    """Return what a question counts as, with `seconds_left` where its budget is spent; None where it guesses nothing.

    A `license` that was not found is weighed like one that was. Call it right before anything is compared: what is
    awaited in between lets others of this process guess.
    """
    question = asked.question
    if not question.elements:
        return None
    if license is not None:
        subject = license_subject(license.id, salt=salt)
    elif question.license is not None:
        subject = reference_subject(question.license, salt=salt)
    else:
        return None
    guess = _new_guess(
        client_id=asked.client_id,
        subject=subject,
        license_id=None if license is None else license.id,
        authority_code=None if license is None else license.authority_code,
        by_credential=question.license is None,
        wrong=False,
        seconds_left=None,
        watched=False,
    )
    return await ledger.weigh(guess, now=now)


def settle(guess: Guess | None, results: Sequence[ElementResult], ledger: GuessLedger) -> Guess | None:
    """Mark a guess as wrong where the answer says so, or where there was no license to compare with."""
    if guess is None or guess.seconds_left is not None:
        return guess
    if guess.license_id is not None and not any(result.outcome in WRONG for result in results):
        return guess
    wrong = replace(guess, wrong=True)
    ledger.note(wrong)
    return wrong


def withhold(register: RegisterEvidence) -> RegisterEvidence:
    """Leave the register's values out: a credential is still judged, by the elements that it shows itself.

    What a file discloses its caller has in hand: comparing with that tells nothing new.
    """
    return replace(register, elements=None)


def with_caution(report: VerificationReport) -> VerificationReport:
    """Say beside a report why its elements were not compared."""
    return replace(report, cautions=(*report.cautions, SPENT))


def skipped_policy(policy: Policy) -> tuple[Check, ...]:
    """Return the check of a policy's types and areas, skipped; none where the policy restricts neither."""
    return (SKIPPED[CheckId.POLICY],) if policy.restricts else ()


def spent_report(
    asked: AskedQuestion, *, env: str, now: datetime, trust: TrustReference
) -> VerificationReport:
    """Answer a question by reference whose budget is spent: the same whether there is such a license or not.

    It lists the checks of any question by reference, those that were not made as skipped.
    """
    checks = (
        *(SKIPPED[check_id] for check_id in (CheckId.REGISTER, CheckId.STATUS, CheckId.DATES)),
        _SPENT_CHECK,
        *skipped_policy(asked.policy),
        NOT_ASKED[CheckId.HOLDER_BINDING],
        SKIPPED[CheckId.CLOCK],
    )
    verdict, reason = decide(checks)
    return VerificationReport(
        verdict=verdict,
        reason=reason,
        checks=checks,
        env=env,
        evaluated_at=asked.at or now,
        verified_at=now,
        policy=asked.policy,
        elements=not_compared(asked.question.elements),
        trust=trust,
        cautions=(SPENT,),
    )
