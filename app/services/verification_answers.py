"""From a judged question to what is answered, signed and kept."""

from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from app.domain.api_client import ApiClient, ClientKind
from app.domain.errors import DomainError, FieldError
from app.domain.guessing import Guess
from app.domain.ids import VerificationId, new_id, new_salt
from app.domain.license import License
from app.domain.policy import unknown_policy
from app.domain.verification import (
    MalformedQuestion,
    Question,
    VerificationRecord,
)
from app.services.answers import moment_json
from elicense.encoding import CHINA, JsonValue, b64url_encode, parse_rfc3339
from elicense.key_binding import ExpectedBinding
from elicense.policy import DEFAULT_POLICY, PRESETS, Policy
from elicense.problems import Reason, Text
from elicense.receipt import question_digest, receipt_statement, reference_digest
from elicense.records import quick_constructor
from elicense.report import RESULT_CODES, Lang, VerificationReport

NEXT_CHECK_MONTHS = 6
"""Platforms verify their merchants again at least every six months (E-Commerce Law, art. 27)."""

_POLICY_OF_KIND: Mapping[ClientKind, Policy] = {ClientKind.BANK: PRESETS["bank-strict"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedQuestion:
    """A question with the terms it is answered on; `at` is the past moment asked about, in UTC and whole seconds.

    `nonce_used`: the nonce of its key binding was used before by the same client. `posed_as` is what is judged in its
    place, in a rehearsal: digests and records are always of the question itself.
    """

    question: Question
    policy: Policy
    purpose: str
    client_id: str
    at: datetime | None = None
    nonce_used: bool = False
    posed_as: Question | None = None

    @property
    def posed(self) -> Question:
        """Return what is judged: the question itself, outside of rehearsals."""
        return self.posed_as or self.question

    def expected_binding(self) -> ExpectedBinding | None:
        """Return what the credential's key binding must answer; None where the question does not ask for one."""
        asked = self.question.key_binding
        if asked is None:
            return None
        return ExpectedBinding(nonce=asked.nonce, audience=asked.audience, used_before=self.nonce_used)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A judged question: its report, the license found (if one), and what only the caller gets: the salt.

    `found` are all licenses that fit the question: when one of them changes, the answer may be another. `guess` is
    what the question counts as where it asked for elements of one license.
    """

    id: VerificationId
    asked: AskedQuestion
    report: VerificationReport
    license: License | None
    found: tuple[License, ...]
    salt: bytes
    guess: Guess | None = None


_new_judged = quick_constructor(Judged)
_new_asked = quick_constructor(AskedQuestion)
_new_record = quick_constructor(VerificationRecord)


def accept(
    question: Question, client: ApiClient, *, now: datetime, policies: Mapping[str, Policy]
) -> AskedQuestion:
    """Decide the terms of a question; `policies` holds those that questions of this client name, by that name.

    Raises DomainError at_in_future, unknown_policy, purpose_not_allowed (also for unknown purposes); ValueError for
    an `at` that is no RFC 3339 time.
    """
    # Answers count whole seconds, `now` included: a fraction would make the caller's present a moment still to come.
    at = None if question.at is None else parse_rfc3339(question.at).replace(microsecond=0)
    if at is not None and at > now:
        raise _refusal("at_in_future", "/at", Text("不得晚于当前时刻", "must not be later than now"))
    policy = _POLICY_OF_KIND.get(client.kind, DEFAULT_POLICY)
    if question.policy is not None:
        if question.policy not in policies:
            raise unknown_policy()
        policy = policies[question.policy]
    purpose = question.purpose or client.default_purpose
    if purpose not in client.purposes:
        allowed = ", ".join(client.purposes)
        text = Text(f"该调用方许可的用途为 {allowed}", f"this client may verify for: {allowed}")
        raise _refusal("purpose_not_allowed", "/purpose", text)
    return _new_asked(
        question=question,
        policy=policy,
        purpose=purpose,
        client_id=client.id,
        at=at,
        nonce_used=False,
        posed_as=None,
    )


def question_json(question: Question) -> dict[str, JsonValue]:
    """Return the question as the receipt's digest covers it: the members that were asked, and no others."""
    asked: dict[str, JsonValue] = {}
    reference = question.license
    if reference is not None:
        named = {
            "identifier": reference.identifier,
            "number": reference.number,
            "holder_code": reference.holder_code,
            "type_code": reference.type_code,
        }
        asked["license"] = {name: value for name, value in named.items() if value is not None}
    if question.elements is not None:
        asked["elements"] = dict(question.elements)
    binding = question.key_binding
    if binding is not None:
        asked["key_binding"] = {"nonce": binding.nonce, "audience": binding.audience}
    for name, value in (
        ("credential", question.credential),
        ("code", question.code),
        ("purpose", question.purpose),
        ("reference", question.reference),
        ("policy", question.policy),
        ("at", question.at),
    ):
        if value is not None:
            asked[name] = value
    return asked


def make_judged(
    asked: AskedQuestion,
    report: VerificationReport,
    license: License | None,
    found: tuple[License, ...],
    *,
    guess: Guess | None = None,
) -> Judged:
    """Give a judged question its id and its salt."""
    return _new_judged(
        id=VerificationId(new_id()),
        asked=asked,
        report=report,
        license=license,
        found=found,
        salt=new_salt(),
        guess=guess,
    )


def statement_of(judged: Judged) -> dict[str, JsonValue]:
    """Return what the receipt states about a judged question: digests and outcomes, no personal data."""
    question = judged.asked.question
    reference = question.reference
    return receipt_statement(
        judged.report,
        question=question_digest(question_json(question), judged.salt),
        reference=reference_digest(reference, judged.salt) if reference is not None else None,
        purpose=judged.asked.purpose,
    )


def next_check_due(report: VerificationReport) -> datetime | None:
    """Return when the license must be verified again: six calendar months after a valid answer about now.

    The same civil day (+08:00) and hour of that month, or its last day; any fixed number of days would at times be
    late, as would the day that UTC has before eight in the morning. None about a past moment: what held then verifies
    nobody now.
    """
    if not report or report.historical:
        return None
    return _months_later(report.verified_at)


@lru_cache(maxsize=256)
def _months_later(asked: datetime) -> datetime:
    here = asked.astimezone(CHINA)
    years, month = divmod(here.month - 1 + NEXT_CHECK_MONTHS, 12)
    last_day = monthrange(here.year + years, month + 1)[1]
    due = here.replace(year=here.year + years, month=month + 1, day=min(here.day, last_day))
    return due.astimezone(UTC)


def body_of(judged: Judged, *, token_env: str, lang: Lang = "zh") -> dict[str, object]:
    """Return the answer without its receipt, messages in `lang`: what the caller gets and what is kept."""
    due = next_check_due(judged.report)
    shown = judged.report.to_json(lang)
    if judged.asked.question.credential is None:
        shown["file_result_code"] = None  # a rehearsal judges a file of its own where the caller showed none
    return {
        "id": judged.id,
        **shown,
        "env": token_env,
        "next_check_due": moment_json(due),
        "reference": judged.asked.question.reference,
        "purpose": judged.asked.purpose,
    }


def salt_text(judged: Judged) -> str:
    """Return the salt that opens the receipt's digests, as it goes to the caller."""
    return b64url_encode(judged.salt)


def record_of(
    judged: Judged,
    *,
    client: ApiClient,
    answer: Mapping[str, object],
    batch_id: str | None,
    at: datetime,
) -> VerificationRecord:
    """Return the row kept: without the salt, so that what was asked cannot be guessed from the database, and without
    the values of disclosed elements, which are the holder's and not ours to keep. `at` is when it was answered.
    """
    report, question = judged.report, judged.asked.question
    return _new_record(
        id=judged.id,
        client_id=client.id,
        kind=kind_of(question),
        reference=question.reference,
        purpose=judged.asked.purpose,
        verdict=report.verdict.value,
        reason=report.reason.value,
        license_id=judged.license.id if judged.license is not None else None,
        verified_at=at,
        next_check_due=next_check_due(report),
        batch_id=batch_id,
        answer=without_elements(answer),
    )


def without_elements(answer: Mapping[str, object]) -> Mapping[str, object]:
    """Return an answer whose license shows its visible claims and no disclosed element."""
    shown = answer.get("license")
    if not isinstance(shown, Mapping):
        return answer
    return {**answer, "license": {**shown, "elements": {}}}


def kind_of(question: Question) -> str:
    """Return which of the three questions this is: credential, license or code."""
    if question.credential is not None:
        return "credential"
    return "license" if question.license is not None else "code"


def malformed_body(item: MalformedQuestion, *, lang: Lang) -> dict[str, object]:
    """Return the result of a batch item that is no question, told in `lang`; it never fails the others."""
    return {
        "id": None,
        "verdict": "invalid",
        "reason": "malformed",
        "result_code": RESULT_CODES[Reason.MALFORMED],
        "file_result_code": None,
        "errors": [{"pointer": error.pointer, "detail": error.in_language(lang)} for error in item.errors],
    }


def accept_item(
    item: Question | MalformedQuestion, client: ApiClient, *, now: datetime, policies: Mapping[str, Policy]
) -> AskedQuestion | MalformedQuestion:
    """Decide the terms of a batch item; refused terms make it malformed."""
    if isinstance(item, MalformedQuestion):
        return item
    try:
        return accept(item, client, now=now, policies=policies)
    except DomainError as error:
        return MalformedQuestion(errors=error.errors)


def summary_of(outcomes: Sequence[Judged | MalformedQuestion]) -> dict[str, int]:
    """Count the verdicts of a batch; an item that is no question counts as invalid."""
    summary = {"total": len(outcomes), "valid": 0, "invalid": 0, "indeterminate": 0}
    for outcome in outcomes:
        verdict = outcome.report.verdict.value if isinstance(outcome, Judged) else "invalid"
        summary[verdict] += 1
    return summary


def proof_of(
    index: int, statement: dict[str, JsonValue], path: Sequence[bytes], encode: Callable[[bytes], str]
) -> dict[str, object]:
    """Return what joins the result of a batch item to the receipt."""
    return {"index": index, "path": [encode(node) for node in path], "statement": statement}


MALFORMED_STATEMENT: dict[str, JsonValue] = {"question": None, "verdict": "invalid", "reason": "malformed"}
"""What a batch's receipt states about an item that is no question."""


def _refusal(code: str, pointer: str, text: Text) -> DomainError:
    return DomainError(code, text.en, errors=[FieldError(pointer, text.en, text.zh)])
