"""Verify: gather frozen evidence → judge purely → sign the receipt → store answer and audit at once → answer.

A refused license is a successful answer; only a bad request raises. No audit, no answer: what is returned here was
committed together with its audit entry and with the leaf that its receipt is logged by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from app.domain.api_client import ApiClient, Caller
from app.domain.errors import ConcurrentChange, DomainError, NotFound
from app.domain.events import AuditEntry, LogLeaf
from app.domain.guessing import Guess, GuessingLimited
from app.domain.ids import new_id
from app.domain.verification import MalformedQuestion, Question, VerificationRecord
from app.ports import IdempotentCall, Store, StoredAnswer, UnitOfWork
from app.services import idempotency
from app.services.answers import verification_answer
from app.services.directory import DirectoryService
from app.services.grouped import Grouped
from app.services.guessing import GuessingService
from app.services.journal_rows import make_audit
from app.services.log_leaves import make_receipt_leaf
from app.services.policies import PolicyService
from app.services.presentation_nonces import PresentationNonceService
from app.services.question_judge import Moment, QuestionJudge
from app.services.receipts import ReceiptService
from app.services.rehearsal import Rehearsal
from app.services.signing_clock import SigningClock
from app.services.trust_list import TrustListService
from app.services.verification_answers import (
    MALFORMED_STATEMENT,
    AskedQuestion,
    Judged,
    accept,
    body_of,
    malformed_body,
    record_of,
    salt_text,
    statement_of,
)
from app.services.write_guard import WriteGuard
from elicense.encoding import JsonValue, b64url_encode
from elicense.policy import Policy
from elicense.report import Lang

_ATTEMPTS = 5

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
class _Kept:
    """The rows of one answer: its verifications, the audit entry and log leaf that go with them, and its guesses."""

    records: Sequence[VerificationRecord]
    audit: AuditEntry
    leaf: LogLeaf
    guesses: Sequence[Guess]


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
        self._signing_clock = signing_clock
        self._trust_list = trust_list
        self._directory = directory
        self._receipts = receipts
        self._judge = judge
        self._guessing = guessing
        self._nonces = nonces
        self._policies = policies
        self._guard = guard
        self._env = env
        self._rehearsal = rehearsal
        self._judging = Grouped(self._judge_group)
        self._keeping = Grouped(self._keep_group)

    async def verify(
        self, question: Question, *, caller: Caller, call: IdempotentCall | None, lang: Lang = "zh"
    ) -> VerificationAnswer:
        """Answer one question with a signed receipt, messages in `lang`; stored and audited before this returns.

        Raises DomainError at_in_future, unknown_policy, purpose_not_allowed,
        idempotency_mismatch, idempotency_in_progress, unavailable (no trust list, no receipt key, clock, database),
        read_only; GuessingLimited when too many wrong values were asked about this license.
        """
        moment = await self._moment(caller.client)
        policies = await self._policies_of([question], caller.client)
        asked = accept(question, caller.client, now=moment.now, policies=policies)
        if self._rehearsal is not None:
            (staged,) = await self._rehearsal.stage([asked], moment, client_id=caller.client.id)
            asked, moment = staged
        if question.key_binding is not None:
            (asked,) = await self._nonces.use_up(
                [asked], client_id=caller.client.id, call=call, now=moment.true_time
            )
        for _ in range(_ATTEMPTS):
            try:
                return await self._verify(asked, moment, caller=caller, call=call, lang=lang)
            except GuessingLimited as error:
                if question.credential is None:
                    raise
                overtaken = error  # a credential is never refused: judged again, by what it discloses itself
        raise overtaken

    async def _verify(
        self,
        asked: AskedQuestion,
        moment: Moment,
        *,
        caller: Caller,
        call: IdempotentCall | None,
        lang: Lang,
    ) -> VerificationAnswer:
        judged = await self._judge_one(asked, moment)
        _require_budget(judged)
        receipt = await self._receipts.sign(
            statement_of(judged), receipt_id=judged.id, audience=caller.client.id, now=moment.true_time
        )
        kept = {**body_of(judged, token_env=self._env, lang=lang), "receipt": receipt}
        body = {**kept, "question_salt": salt_text(judged)}
        record = record_of(judged, client=caller.client, answer=kept, batch_id=None, at=moment.true_time)
        audit = make_audit(
            action="verification.create",
            subject=record.id,
            actor=caller.client.id,
            at=moment.true_time,
            outcome=f"{record.verdict}:{record.reason}",
            request_id=caller.request_id,
        )
        leaf = make_receipt_leaf(receipt, receipt_id=record.id, env=self._env, at=moment.true_time)
        kept_rows = _Kept(records=(record,), audit=audit, leaf=leaf, guesses=_guesses([judged]))
        replayed = await self._keep(kept_rows, [judged], body=body, lang=lang, call=call, at=moment.true_time)
        if replayed is not None:
            return VerificationAnswer(replayed=replayed)
        return VerificationAnswer(record=record, body=body)

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
        moment = await self._moment(caller.client)
        questions = [item for item in items if isinstance(item, Question)]
        policies = await self._policies_of(questions, caller.client)
        accepted = [_accept_item(item, caller.client, now=moment.now, policies=policies) for item in items]
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
        outcomes = await self._judge_all(items)
        batch_id = new_id()
        summary = _summary(outcomes)
        statements = [
            statement_of(outcome) if isinstance(outcome, Judged) else MALFORMED_STATEMENT
            for outcome in outcomes
        ]
        receipt = await self._receipts.sign_batch(
            statements, receipt_id=batch_id, audience=caller.client.id, now=moment.true_time, summary=summary
        )
        results: list[dict[str, object]] = []
        records: list[VerificationRecord] = []
        for index, (outcome, statement, path) in enumerate(
            zip(outcomes, statements, receipt.paths, strict=True)
        ):
            proof = _proof(index, statement, path)
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
        kept_rows = _Kept(records=records, audit=audit, leaf=leaf, guesses=_guesses(judged))
        replayed = await self._keep(kept_rows, judged, body=body, lang=lang, call=call, at=moment.true_time)
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

    async def _moment(self, client: ApiClient) -> Moment:
        # No audit, no answer; and a register that lost changes could call a revoked license valid.
        self._guard.require_writable()
        # Trust first, then the time, then the register: nothing judged is older than the time it is judged at.
        trust = await self._trust_list.evidence()
        directory = await self._directory.snapshot()
        now = self._signing_clock.signing_time()
        moment = Moment(now=now, trust=trust, directory=directory, true_time=now)
        return moment if self._rehearsal is None else await self._rehearsal.moved(moment, client_id=client.id)

    async def _judge_one(self, asked: AskedQuestion, moment: Moment) -> Judged:
        if asked.at is not None:  # archived lists take their time: nobody else waits for them
            return (await self._judge_group([(asked, moment)]))[0]
        return await self._judging.add((asked, moment))

    async def _policies_of(self, questions: Sequence[Question], client: ApiClient) -> Mapping[str, Policy]:
        named = {question.policy for question in questions if question.policy is not None}
        return await self._policies.resolve(named, client_id=client.id) if named else {}

    async def _stage(
        self, items: Sequence[AskedQuestion | MalformedQuestion], moment: Moment, *, client: ApiClient
    ) -> Sequence[_Posed]:
        if self._rehearsal is None:
            return [(item, moment) for item in items]
        return await self._rehearsal.stage(items, moment, client_id=client.id)

    async def _judge_all(self, items: Sequence[_Posed]) -> Sequence[Judged | MalformedQuestion]:
        questions = [(item, moment) for item, moment in items if isinstance(item, AskedQuestion)]
        judged = iter(await self._judge_group(questions))
        return [item if isinstance(item, MalformedQuestion) else next(judged) for item, _ in items]

    async def _judge_group(self, group: Sequence[tuple[AskedQuestion, Moment]]) -> Sequence[Judged]:
        async def work(unit: UnitOfWork) -> Sequence[Judged]:
            return await self._judge.judge(unit, group)

        return await self._store.read(work)

    async def _keep_group(self, group: Sequence[_Kept]) -> Sequence[int | None]:
        """Keep answers together; those that would be a wrong guess too many are not kept, and not given."""

        async def work(unit: UnitOfWork) -> Sequence[int | None]:
            refused = [
                await self._guessing.count(unit, kept.guesses, at=kept.audit.at) if kept.guesses else None
                for kept in group
            ]
            good = [kept for kept, seconds in zip(group, refused, strict=True) if seconds is None]
            await unit.verifications.add_many([record for kept in good for record in kept.records])
            await unit.journal.add_audit([kept.audit for kept in good])
            await unit.journal.add_leaves([kept.leaf for kept in good])
            return refused

        return await self._store.write(work)

    async def _keep(
        self,
        kept: _Kept,
        judged: Sequence[Judged],
        *,
        body: dict[str, object],
        lang: Lang,
        call: IdempotentCall | None,
        at: datetime,
    ) -> StoredAnswer | None:
        """Store records, audit entry and the repeatable answer in one transaction; return the one to repeat.

        Raises GuessingLimited, with nothing kept, when other guesses of this caller used the budget up meanwhile.
        """
        if call is None:
            seconds = await self._keeping.add(kept)
            if seconds is not None:
                raise GuessingLimited(seconds)
            return None
        repeatable = call
        bound_to = tuple({(license.id, license.row_version) for item in judged for license in item.found})

        async def work(unit: UnitOfWork) -> StoredAnswer | None:
            begun = await idempotency.begin(unit, repeatable, now=at)
            if isinstance(begun, StoredAnswer):
                return begun
            seconds = await self._guessing.count(unit, kept.guesses, at=at)
            if seconds is not None:
                raise GuessingLimited(seconds)
            await idempotency.finish(
                unit,
                begun,
                verification_answer(body, lang),
                expires_at=at + idempotency.KEPT_VERIFICATION,
                bound_to=bound_to,
            )
            await unit.verifications.add_many(kept.records)
            await unit.journal.add_audit([kept.audit])
            await unit.journal.add_leaves([kept.leaf])
            return None

        for _ in range(_ATTEMPTS):
            try:
                return await self._store.write(work)
            except ConcurrentChange:
                continue  # another call with the same key was faster: look at its answer
        raise DomainError("idempotency_in_progress", "calls with this key follow each other too fast")


def _accept_item(
    item: Question | MalformedQuestion, client: ApiClient, *, now: datetime, policies: Mapping[str, Policy]
) -> AskedQuestion | MalformedQuestion:
    if isinstance(item, MalformedQuestion):
        return item
    try:
        return accept(item, client, now=now, policies=policies)
    except DomainError as error:
        return MalformedQuestion(errors=error.errors)


def _require_budget(judged: Judged) -> None:
    """Refuse a question by reference whose budget was spent; one by credential has its answer, without elements."""
    guess = judged.guess
    if guess is not None and guess.seconds_left is not None and not guess.by_credential:
        raise GuessingLimited(guess.seconds_left)


def _guesses(judged: Sequence[Judged]) -> Sequence[Guess]:
    return [item.guess for item in judged if item.guess is not None and item.guess.wrong]


def _summary(outcomes: Sequence[Judged | MalformedQuestion]) -> dict[str, int]:
    summary = {"total": len(outcomes), "valid": 0, "invalid": 0, "indeterminate": 0}
    for outcome in outcomes:
        verdict = outcome.report.verdict.value if isinstance(outcome, Judged) else "invalid"
        summary[verdict] += 1
    return summary


def _proof(index: int, statement: dict[str, JsonValue], path: Sequence[bytes]) -> dict[str, object]:
    return {"index": index, "path": [b64url_encode(node) for node in path], "statement": statement}
