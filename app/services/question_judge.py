"""Gather and judge one question: the register's live answer, then the core's pure judge."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.domain.directory import Directory
from app.domain.license import License
from app.domain.purpose import PURPOSES
from app.domain.verification import LicenseReference
from app.ports import UnitOfWork
from app.services.guessing import GuessingService, GuessLedger
from app.services.past_lists import PastLists
from app.services.purpose_elements import AskedElements, cover
from app.services.question_guess import settle, skipped_policy, spent_report, weigh, with_caution, withhold
from app.services.verification_answers import AskedQuestion, Judged, make_judged
from app.services.verification_evidence import (
    UNKNOWN,
    LookedUp,
    PastMoment,
    ask_register,
    find_licenses,
    find_then,
    look_up,
    tell_past,
)
from elicense.by_reference import choose_license, verify_license
from elicense.checks import not_compared
from elicense.credential import Credential
from elicense.evidence import Evidence, RegisterEvidence, TrustEvidence
from elicense.log_proof import LogProof
from elicense.problems import FormatError, Reason
from elicense.reading import SignatureMemo
from elicense.report import (
    SKIPPED,
    Check,
    CheckId,
    Outcome,
    VerificationReport,
    decide,
)
from elicense.stapled import take_apart
from elicense.verify import verify_credential

_AT_A_STRETCH = 20
"""Questions judged before other callers of the process have their turn; each thousand asked characters count as one."""
_READ_AHEAD = 4096  # several batches at once, each read whole before its first question is judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The evidence all questions of one call share: time and trust, and what the license types declare.

    `true_time` is when this happens, and dates what is signed and kept. In a rehearsal `now` may stand ahead of it, and
    the register count as read earlier (`read_at`). `late_since` is the moment by which a scheduled change that still
    waits is late, None where none is.
    """

    now: datetime
    trust: TrustEvidence
    directory: Directory
    true_time: datetime
    read_at: datetime | None = None
    late_since: datetime | None = None

    @property
    def as_of(self) -> datetime:
        """Return when the register counts as read."""
        return self.read_at or self.now


@dataclass(frozen=True, slots=True)
class _File:
    """What a question about a file holds: the token, the log proof that came with it, the token's reading if any."""

    token: str | bytes
    proof: LogProof | None
    credential: Credential | None


_NO_FILE = _File("", None, None)


class QuestionJudge:
    """Answers the three questions from the register and the trust list."""

    def __init__(
        self, *, issuer_url: str, env: str, guessing: GuessingService, memo_size: int = 20_000
    ) -> None:
        self._issuer_url = issuer_url
        self._guessing = guessing
        self._env = env
        self._lists = PastLists()
        # Remembers only that a signature was good; status, time and scope are judged anew each time.
        self._memo = SignatureMemo(memo_size, ahead=_READ_AHEAD)

    async def judge(
        self, unit: UnitOfWork, questions: Sequence[tuple[AskedQuestion, Moment]]
    ) -> Sequence[Judged]:
        """Answer questions in their order from one snapshot of the register; never raises for what was asked."""
        files = [self._take_apart(asked) for asked, _ in questions]
        identifiers = {
            file.credential.claims.license.identifier for file in files if file.credential is not None
        }
        references = [
            asked.posed.license
            for asked, moment in questions
            if asked.posed.license is not None and self._past(asked, moment) is None
        ]
        ledger = self._guessing.ledger(unit, (asked.client_id for asked, _ in questions))
        try:
            event_seq = await unit.journal.last_event_seq()
            late = (moment.late_since for _, moment in questions if moment.late_since is not None)
            looked_up = await look_up(unit, identifiers, references, late_since=max(late, default=None))
            await looked_up.pasts.read_ahead(self._licenses_asked(questions, files, looked_up))
            return await self._judge_each(unit, questions, files, looked_up, event_seq, ledger)
        except BaseException:
            ledger.withdraw()
            raise

    async def _judge_each(
        self,
        unit: UnitOfWork,
        questions: Sequence[tuple[AskedQuestion, Moment]],
        files: Sequence["_File"],
        looked_up: LookedUp,
        event_seq: int,
        ledger: GuessLedger,
    ) -> Sequence[Judged]:
        judged, effort = [], 0
        for (asked, moment), file in zip(questions, files, strict=True):
            if asked.posed.license is not None:
                reference = asked.posed.license
                judged.append(
                    await self._judge_reference(unit, asked, reference, looked_up, moment, event_seq, ledger)
                )
            elif asked.posed.credential is not None:
                judged.append(
                    await self._judge_credential(unit, asked, file, looked_up, moment, event_seq, ledger)
                )
            else:
                judged.append(make_judged(asked, self._unknown_code(asked, moment), None, ()))
            effort += _effort(asked.posed.elements)
            if effort >= _AT_A_STRETCH:
                effort = 0
                await asyncio.sleep(0)
        return judged

    def _licenses_asked(
        self,
        questions: Sequence[tuple[AskedQuestion, Moment]],
        files: Sequence["_File"],
        looked_up: LookedUp,
    ) -> Iterator[tuple[License, bool]]:
        """Give the licenses that questions about the present are about, and whether their elements are asked."""
        for (asked, moment), file in zip(questions, files, strict=True):
            if self._past(asked, moment) is None:
                for license in looked_up.licenses_of(file.credential, asked.posed.license):
                    yield license, _is_compared(asked)

    def _take_apart(self, asked: AskedQuestion) -> "_File":
        if asked.posed.credential is None:
            return _NO_FILE
        token, proof = take_apart(asked.posed.credential)
        try:
            return _File(token, proof, self._memo.read_ahead(token).credential)
        except FormatError:
            return _File(token, proof, None)  # the judge reads it again and says what is wrong with it

    async def _judge_credential(
        self,
        unit: UnitOfWork,
        asked: AskedQuestion,
        file: "_File",
        looked_up: LookedUp,
        moment: Moment,
        event_seq: int,
        ledger: GuessLedger,
    ) -> Judged:
        answer, credential = UNKNOWN, file.credential
        if credential is not None:
            answer = await ask_register(
                unit,
                looked_up.by_identifier.get(credential.claims.license.identifier),
                credential,
                issuer_url=self._issuer_url,
                as_of=moment.as_of,
                event_seq=event_seq,
                compared=_is_compared(asked),
                pasts=looked_up.pasts,
                past=self._past(asked, moment),
                placed=_is_compromised(credential, moment.trust),
                late=looked_up.late,
            )
        elements = _cover(asked, moment, None if credential is None else credential.claims.license.type_code)
        register, license = answer.register, answer.license
        guess = await weigh(asked, license, ledger, salt=self._issuer_url, now=moment.true_time)
        is_spent = guess is not None and guess.seconds_left is not None
        if is_spent:
            register = withhold(register)
        elif asked.question.elements and license is not None:
            register = _declare(register, license, moment)
        evidence = Evidence(now=moment.now, trust=moment.trust, status=answer.status, register=register)
        report = verify_credential(
            file.token,
            evidence=evidence,
            policy=asked.policy,
            at=asked.at,
            elements=elements.covered,
            memo=self._memo,
            proof=file.proof,
            binding=asked.expected_binding(),
        )
        if is_spent:
            report = with_caution(report)
        found = () if license is None else (license,)
        guess = settle(guess, report.elements, ledger)
        return make_judged(asked, elements.tell(report), license, found, guess=guess)

    async def _judge_reference(
        self,
        unit: UnitOfWork,
        asked: AskedQuestion,
        reference: LicenseReference,
        looked_up: LookedUp,
        moment: Moment,
        event_seq: int,
        ledger: GuessLedger,
    ) -> Judged:
        past_moment = self._past(asked, moment)
        if past_moment is None:
            found = await find_licenses(unit, reference, looked_up, moment.directory)
        else:
            found = await find_then(unit, reference, past_moment, moment.directory)
        facts = [fact for _, fact in found]
        chosen = choose_license(facts, asked.at or moment.now)
        license = next((held for held, fact in found if fact is chosen), None)
        if chosen is not None and license is not None:
            told = chosen
            if past_moment is None:
                past = await looked_up.pasts.of(license, compared=_is_compared(asked))
                told = tell_past(chosen, past)
            facts = [told if fact is chosen else fact for fact in facts]
        guess = None
        if license is not None or not found:
            guess = await weigh(asked, license, ledger, salt=self._issuer_url, now=moment.true_time)
        if guess is not None and guess.seconds_left is not None:
            spent = spent_report(asked, env=self._env, now=moment.now, trust=moment.trust.reference)
            return make_judged(asked, spent, None, (), guess=guess)
        elements = _cover(asked, moment, reference.type_code if license is None else license.type_code)
        report = verify_license(
            facts,
            now=moment.now,
            as_of=moment.as_of,
            event_seq=event_seq,
            env=self._env,
            policy=asked.policy,
            at=asked.at,
            elements=elements.covered,
            trust=moment.trust.reference,
        )
        guess = settle(guess, report.elements, ledger)
        found_licenses = tuple(held for held, _ in found)
        return make_judged(asked, elements.tell(report), license, found_licenses, guess=guess)

    def _past(self, asked: AskedQuestion, moment: Moment) -> PastMoment | None:
        if asked.at is None or asked.at >= moment.now:
            return None
        return PastMoment(at=asked.at, trust=moment.trust, lists=self._lists)

    def _unknown_code(self, asked: AskedQuestion, moment: Moment) -> VerificationReport:
        """No presentation code is known yet: nothing else about the question can be told."""
        checks = (
            Check(CheckId.HOLDER_BINDING, Outcome.FAILED, Reason.CODE_UNKNOWN),
            *(SKIPPED[check_id] for check_id in (CheckId.REGISTER, CheckId.STATUS, CheckId.DATES)),
            *(SKIPPED[check_id] for check_id in (CheckId.ELEMENTS, CheckId.CLOCK)),
            *skipped_policy(asked.policy),
        )
        verdict, reason = decide(checks)
        return VerificationReport(
            verdict=verdict,
            reason=reason,
            checks=checks,
            env=self._env,
            evaluated_at=asked.at or moment.now,
            verified_at=moment.now,
            policy=asked.policy,
            elements=not_compared(asked.question.elements),
            trust=moment.trust.reference,
        )


def _is_compared(asked: AskedQuestion) -> bool:
    """Tell whether values of the license matter: those asked, and where a file is shown those its policy requires."""
    required = asked.posed.credential is not None and asked.policy.required_elements
    return bool(asked.question.elements or required)


def _effort(elements: Mapping[str, str] | None) -> int:
    return 1 if not elements else 1 + sum(map(len, elements.values())) // 1000


def _cover(asked: AskedQuestion, moment: Moment, type_code: str | None) -> AskedElements:
    return cover(
        asked.question.elements,
        purpose=PURPOSES[asked.purpose],
        license_type=moment.directory.license_types.get(type_code or ""),
    )


def _is_compromised(credential: Credential, trust: TrustEvidence) -> bool:
    authority = trust.trust_list.authority_by_issuer(credential.claims.issuer)
    entry = authority.key(credential.kid) if authority is not None else None
    return entry is not None and entry.compromised is not None


def _declare(register: RegisterEvidence, license: License, moment: Moment) -> RegisterEvidence:
    """Let the register's values be compared by the kinds that the license's type declares."""
    if register.elements is None:
        return register
    kinds = moment.directory.kinds(license.type_code)
    return replace(register, elements=replace(register.elements, kinds=kinds))
