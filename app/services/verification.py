"""Verify: gather frozen evidence → judge purely → sign the receipt → store answer and audit at once → answer.

A refused license is a successful answer; only a bad request raises. No audit, no answer: what is returned here was
committed together with its audit entry and with the leaf that its receipt is logged by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TypeAlias

from app.domain.api_client import ApiClient, Caller
from app.domain.errors import DomainError, NotFound
from app.domain.guessing import GuessingLimited
from app.domain.ids import new_id
from app.domain.verification import MalformedQuestion, Question, VerificationRecord
from app.ports import IdempotentCall, Store, StoredAnswer, UnitOfWork
from app.services.directory import DirectoryService
from app.services.grouped import Grouped, together_or_apart
from app.services.guessing import GuessingService
from app.services.journal_rows import make_audit
from app.services.late_changes import LateChanges
from app.services.log_leaves import make_receipt_leaf
from app.services.moments import Moments
from app.services.policies import PolicyService
from app.services.presentation_nonces import PresentationNonceService
from app.services.question_judge import Moment, QuestionJudge
from app.services.receipts import ReceiptPen, ReceiptService
from app.services.rehearsal import Rehearsal
from app.services.signing_clock import SigningClock
from app.services.trust_list import TrustListService
from app.services.verification_answers import (
    MALFORMED_STATEMENT,
    AskedQuestion,
    Judged,
    accept,
    accept_item,
    body_of,
    malformed_body,
    proof_of,
    record_of,
    salt_text,
    statement_of,
    summary_of,
)
from app.services.verification_keeping import AnswerKeeper, AnswerRows, add_rows, guesses_of
from app.services.write_guard import WriteGuard
from elicense.encoding import b64url_encode
from elicense.policy import Policy
from elicense.records import quick_constructor
from elicense.report import Lang

_ATTEMPTS = 5
_OF_ONE_QUESTION = frozenset({"internal", "invalid_request"})

_Posed: TypeAlias = tuple[AskedQuestion | MalformedQuestion, Moment]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationAnswer:
    """The answer to one question: its record and body, or the answer a repeated call got the first time."""

    record: VerificationRecord | None = None
    body: dict[str, object] | None = None
    replayed: StoredAnswer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAnswer:
    """The answers to a batch, or what a repeated call got the first time."""

    body: dict[str, object] | None = None
    replayed: StoredAnswer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """A question on its terms, at its moment, and who asks it in which language."""

    asked: AskedQuestion
    moment: Moment
    caller: Caller
    lang: Lang


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """An answer as it is given, and its rows; `is_kept` says that they are committed when this is seen."""

    judged: Judged
    body: dict[str, object]
    kept: AnswerRows
    is_kept: bool


_new_asking = quick_constructor(_Asking)
_new_written = quick_constructor(_Written)
_new_rows = quick_constructor(AnswerRows)


class VerificationService:
    """Answers relying parties."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        trust_list: TrustListService,
        directory: DirectoryService,
        receipts: ReceiptService,
        judge: QuestionJudge,
        guessing: GuessingService,
        nonces: PresentationNonceService,
        policies: PolicyService,
        guard: WriteGuard,
        env: str,
        rehearsal: Rehearsal | None = None,
    ) -> None:
        """Answer from these; only a sandbox has a `rehearsal`."""
        self._store = store
        self._moments = Moments(
            signing_clock=signing_clock,
            trust_list=trust_list,
            directory=directory,
            late_changes=LateChanges(store=store, signing_clock=signing_clock),
            guard=guard,
            rehearsal=rehearsal,
        )
        self._receipts = receipts
        self._judge = judge
        self._nonces = nonces
        self._policies = policies
        self._env = env
        self._rehearsal = rehearsal
        self._answering = Grouped(self._answer_group)
        self._keeper = AnswerKeeper(store, guessing)

    async def verify(
        self, question: Question, *, caller: Caller, call: IdempotentCall | None, lang: Lang = "zh"
    ) -> VerificationAnswer:
        """Answer one question with a signed receipt, messages in `lang`; stored and audited before this returns.

        Raises DomainError at_in_future, unknown_policy, purpose_not_allowed,
        idempotency_mismatch, idempotency_in_progress, unavailable (no trust list, no receipt key, clock, database),
        read_only; GuessingLimited when too many wrong values were asked about this license.
        """
        moment = await self._moments.take_for(caller.client.id)
        policies = await self._policies_of([question], caller.client)
        asked = accept(question, caller.client, now=moment.now, policies=policies)
        if self._rehearsal is not None:
            (staged,) = await self._rehearsal.stage([asked], moment, client_id=caller.client.id)
            asked, moment = staged
        if question.key_binding is not None:
            (asked,) = await self._nonces.use_up(
                [asked], client_id=caller.client.id, call=call, now=moment.true_time
            )
        asking = _new_asking(asked=asked, moment=moment, caller=caller, lang=lang)
        for _ in range(_ATTEMPTS):
            try:
                return await self._verify(asking, call=call)
            except GuessingLimited as error:
                if question.credential is None:
                    raise
                overtaken = error  # a credential is never refused: judged again, by what it discloses itself
        raise overtaken

    async def _verify(self, asking: _Asking, *, call: IdempotentCall | None) -> VerificationAnswer:
        if call is None and asking.asked.at is None:
            written = await self._answering.add(asking)
        else:  # archived lists, and answers to repeat, take their time: nobody else waits for them
            (judged,), moment = await self._judge_group([(asking.asked, asking.moment)], asking.moment)
            pen = await self._receipts.pen(now=moment.true_time)
            written = self._write(judged, asking, moment, pen)
        if isinstance(written, Exception):
            raise written
        if not written.is_kept:
            replayed = await self._keeper.keep(
                written.kept,
                [written.judged],
                body=written.body,
                lang=asking.lang,
                call=call,
                at=written.kept.audit.at,
            )
            if replayed is not None:
                return VerificationAnswer(replayed=replayed)
        (record,) = written.kept.records
        return VerificationAnswer(record=record, body=written.body)

    async def _answer_group(self, group: Sequence[_Asking]) -> Sequence[_Written | Exception]:
        """Answer questions together, or each by itself where one of them meets a row that cannot be read."""
        return await together_or_apart(self._answer_together, group, concerns_all=_concerns_all)

    async def _answer_together(self, group: Sequence[_Asking]) -> Sequence[_Written | Exception]:
        """Judge questions and keep their answers in one transaction: what is answered is what it reads and commits.

        However long they waited for it, they are judged at the moment it begins, unless a rehearsal has moved theirs.
        Answers that count as a wrong guess are left to be kept by themselves: they can meet the guesses of others and
        have to be counted again, for which no other question waits.
        """
        taken = await self._moments.take()
        pen_then = await self._receipts.pen(now=taken.true_time)

        async def work(unit: UnitOfWork) -> Sequence[_Written | Exception]:
            now, pen = taken, pen_then
            if not self._moments.is_current(taken):
                # Read on other connections, which only one group at a time does from inside a transaction.
                now = await self._moments.take()
                pen = await self._receipts.pen(now=now.true_time)
            moments = [one.moment if self._rehearsal is not None else now for one in group]
            posed = [(one.asked, moment) for one, moment in zip(group, moments, strict=True)]
            outcomes = await self._judge.judge(unit, posed)
            answers = [
                self._write_apart(judged, asking, moment, pen)
                for judged, asking, moment in zip(outcomes, group, moments, strict=True)
            ]
            try:
                await add_rows(
                    unit, [one.kept for one in answers if isinstance(one, _Written) and one.is_kept]
                )
            except BaseException:
                self._keeper.drop(guesses_of(outcomes))  # they are judged again, and guess again
                raise
            return answers

        return await self._store.write(work)

    def _write_apart(
        self, judged: Judged, asking: _Asking, moment: Moment, pen: ReceiptPen
    ) -> _Written | Exception:
        """Write one answer of a group; what goes wrong with it is raised to its own caller, and stops no other."""
        try:
            return self._write(judged, asking, moment, pen, in_group=True)
        except Exception as error:  # noqa: BLE001  # raised by `_verify`
            return error

    def _write(
        self, judged: Judged, asking: _Asking, moment: Moment, pen: ReceiptPen, *, in_group: bool = False
    ) -> _Written:
        """Write the answer, its receipt and its rows. Raises GuessingLimited where the budget is spent.

        Where `in_group`, the rows are kept with those of the others, but for wrong guesses.
        """
        spent = _spent(judged)
        if spent is not None:
            raise GuessingLimited(spent)
        client, at = asking.caller.client, moment.true_time
        receipt = pen.sign(statement_of(judged), receipt_id=judged.id, audience=client.id, now=at)
        kept = {**body_of(judged, token_env=self._env, lang=asking.lang), "receipt": receipt}
        record = record_of(judged, client=client, answer=kept, batch_id=None, at=at)
        audit = make_audit(
            action="verification.create",
            subject=record.id,
            actor=client.id,
            at=at,
            outcome=f"{record.verdict}:{record.reason}",
            request_id=asking.caller.request_id,
        )
        leaf = make_receipt_leaf(receipt, receipt_id=record.id, env=self._env, at=at)
        guesses = guesses_of((judged,))
        return _new_written(
            judged=judged,
            body={**kept, "question_salt": salt_text(judged)},
            kept=_new_rows(records=(record,), audit=audit, leaf=leaf, guesses=guesses),
            is_kept=in_group and not guesses,
        )

    async def batch(
        self,
        items: Sequence[Question | MalformedQuestion],
        *,
        caller: Caller,
        call: IdempotentCall | None,
        lang: Lang = "zh",
    ) -> BatchAnswer:
        """Answer many questions in their order under one receipt; an item of wrong shape never fails the others.

        Each result carries its `statement`, `index` and Merkle `path` for the receipt. Raises DomainError too_large
        beyond the client's limit, invalid_request for no items, else as `verify`, except that terms refused for one
        item make that item malformed, and an item whose budget of wrong guesses is spent is not compared.
        """
        limit = caller.client.batch_limit
        if len(items) > limit:
            raise DomainError("too_large", f"a batch of this client holds at most {limit} questions")
        if not items:
            raise DomainError("invalid_request", "a batch holds at least one question")
        moment = await self._moments.take_for(caller.client.id)
        questions = [item for item in items if isinstance(item, Question)]
        policies = await self._policies_of(questions, caller.client)
        accepted = [accept_item(item, caller.client, now=moment.now, policies=policies) for item in items]
        posed = await self._stage(accepted, moment, client=caller.client)
        accepted = await self._nonces.use_up(
            [item for item, _ in posed], client_id=caller.client.id, call=call, now=moment.true_time
        )
        posed = [(item, judged_at) for item, (_, judged_at) in zip(accepted, posed, strict=True)]
        for _ in range(_ATTEMPTS):
            try:
                return await self._batch(posed, moment, caller=caller, call=call, lang=lang)
            except GuessingLimited as error:
                overtaken = (
                    error  # this caller guessed elsewhere meanwhile: judged again, those guesses count
                )
        raise overtaken

    async def _batch(
        self,
        items: Sequence[_Posed],
        moment: Moment,
        *,
        caller: Caller,
        call: IdempotentCall | None,
        lang: Lang,
    ) -> BatchAnswer:
        outcomes, moment = await self._judge_all(items, moment)
        batch_id = new_id()
        summary = summary_of(outcomes)
        statements = [
            statement_of(outcome) if isinstance(outcome, Judged) else MALFORMED_STATEMENT
            for outcome in outcomes
        ]
        pen = await self._receipts.pen(now=moment.true_time)
        receipt = pen.sign_batch(
            statements, receipt_id=batch_id, audience=caller.client.id, now=moment.true_time, summary=summary
        )
        encode = cache(b64url_encode)  # most nodes stand on many paths
        results: list[dict[str, object]] = []
        records: list[VerificationRecord] = []
        for index, (outcome, statement, path) in enumerate(
            zip(outcomes, statements, receipt.paths, strict=True)
        ):
            proof = proof_of(index, statement, path, encode)
            if isinstance(outcome, MalformedQuestion):
                results.append({**malformed_body(outcome, lang=lang), **proof})
                continue
            kept = {**body_of(outcome, token_env=self._env, lang=lang), **proof}
            results.append({**kept, "question_salt": salt_text(outcome)})
            stored = {**kept, "receipt": receipt.token}
            records.append(
                record_of(
                    outcome, client=caller.client, answer=stored, batch_id=batch_id, at=moment.true_time
                )
            )
        body: dict[str, object] = {
            "id": batch_id,
            "results": results,
            "summary": summary,
            "receipt": receipt.token,
        }
        audit = make_audit(
            action="verification.batch",
            subject=batch_id,
            actor=caller.client.id,
            at=moment.true_time,
            outcome=f"items:{len(items)}",
            request_id=caller.request_id,
        )
        judged = [outcome for outcome in outcomes if isinstance(outcome, Judged)]
        leaf = make_receipt_leaf(receipt.token, receipt_id=batch_id, env=self._env, at=moment.true_time)
        kept_rows = AnswerRows(records=records, audit=audit, leaf=leaf, guesses=guesses_of(judged))
        replayed = await self._keeper.keep(
            kept_rows, judged, body=body, lang=lang, call=call, at=moment.true_time
        )
        if replayed is not None:
            return BatchAnswer(replayed=replayed)
        return BatchAnswer(body=body)

    async def get(self, verification_id: str, *, caller: Caller) -> VerificationRecord:
        """Return one of the caller's own verifications. Raises NotFound for any other."""
        client_id = caller.client.id
        found = await self._store.read(
            lambda unit: unit.verifications.get(verification_id, client_id=client_id)
        )
        if found is None:
            raise NotFound("verification")
        return found

    async def list(
        self,
        *,
        caller: Caller,
        reference: str | None,
        due_before: datetime | None,
        cursor: str | None,
        limit: int,
    ) -> tuple[Sequence[VerificationRecord], str | None]:
        """Return one page of the caller's own verifications and the next page's cursor, None at the end."""
        return await self._store.read(
            lambda unit: unit.verifications.page(
                client_id=caller.client.id,
                reference=reference,
                due_before=due_before,
                cursor=cursor,
                limit=limit,
            )
        )

    async def _policies_of(self, questions: Sequence[Question], client: ApiClient) -> Mapping[str, Policy]:
        named = {question.policy for question in questions if question.policy is not None}
        return await self._policies.resolve(named, client_id=client.id) if named else {}

    async def _stage(
        self, items: Sequence[AskedQuestion | MalformedQuestion], moment: Moment, *, client: ApiClient
    ) -> Sequence[_Posed]:
        if self._rehearsal is None:
            return [(item, moment) for item in items]
        return await self._rehearsal.stage(items, moment, client_id=client.id)

    async def _judge_all(
        self, items: Sequence[_Posed], moment: Moment
    ) -> tuple[Sequence[Judged | MalformedQuestion], Moment]:
        questions = [(item, posed_at) for item, posed_at in items if isinstance(item, AskedQuestion)]
        outcomes, moment = await self._judge_group(questions, moment)
        judged = iter(outcomes)
        return [item if isinstance(item, MalformedQuestion) else next(judged) for item, _ in items], moment

    async def _judge_group(
        self, group: Sequence[tuple[AskedQuestion, Moment]], taken: Moment
    ) -> tuple[Sequence[Judged], Moment]:
        """Judge questions in one snapshot, at a moment taken before or, if that took long, anew; return which it was.

        Raises DomainError `unavailable` when it takes long every time.
        """

        async def work(unit: UnitOfWork) -> Sequence[Judged] | None:
            return await self._judge.judge(unit, group) if self._moments.is_current(taken) else None

        for _ in range(_ATTEMPTS):
            judged = await self._store.read(work)
            if judged is not None:
                return judged, taken
            taken = await self._moments.take()
            group = [(asked, taken) for asked, _ in group]
        raise DomainError("unavailable", "the database is too busy to answer this now")


def _concerns_all(error: Exception) -> bool:
    return isinstance(error, DomainError) and error.code not in _OF_ONE_QUESTION


def _spent(judged: Judged) -> int | None:
    """Return when a question by reference may be asked again whose budget was spent, None for all others.

    One by credential always has its answer, without elements.
    """
    guess = judged.guess
    return None if guess is None or guess.by_credential else guess.seconds_left
