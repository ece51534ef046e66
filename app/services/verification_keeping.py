"""Keep answers: records, audit entry, log leaf and wrong guesses in one transaction, before anything is answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.errors import ConcurrentChange, DomainError
from app.domain.events import AuditEntry, LogLeaf
from app.domain.guessing import Guess, GuessingLimited
from app.domain.verification import VerificationRecord
from app.ports import IdempotentCall, Store, StoredAnswer, UnitOfWork
from app.services import idempotency
from app.services.answers import verification_answer
from app.services.grouped import Grouped
from app.services.guessing import GuessingService
from app.services.verification_answers import Judged
from elicense.report import Lang

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRows:
    """The rows of one answer: its verifications, the audit entry and log leaf that go with them, and its guesses."""

    records: Sequence[VerificationRecord]
    audit: AuditEntry
    leaf: LogLeaf
    guesses: Sequence[Guess]


async def add_rows(unit: UnitOfWork, answers: Sequence[AnswerRows]) -> None:
    """Store the rows of answers in the caller's transaction."""
    await unit.verifications.add_many([record for kept in answers for record in kept.records])
    await unit.journal.add_audit([kept.audit for kept in answers])
    await unit.journal.add_leaves([kept.leaf for kept in answers])


def guesses_of(judged: Sequence[Judged]) -> Sequence[Guess]:
    """Return what the budgets of judged questions have a say in."""
    return [item.guess for item in judged if item.guess is not None and item.guess.counts]


def _in_one_order(group: Sequence[AnswerRows]) -> Sequence[int]:
    """Return the places of answers with guesses by what they count first: processes must not wait for each other."""
    first = {
        place: min((guess.client_id, guess.subject) for guess in kept.guesses)
        for place, kept in enumerate(group)
        if kept.guesses
    }
    return sorted(first, key=first.__getitem__)


class AnswerKeeper:
    """Keeps answers that were judged in a transaction before: in groups, but for those of calls with a key."""

    def __init__(self, store: Store, guessing: GuessingService) -> None:
        self._store = store
        self._guessing = guessing
        self._keeping = Grouped(self._keep_group)

    async def keep(
        self,
        kept: AnswerRows,
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
            await add_rows(unit, [kept])
            return None

        stored = False
        try:
            for _ in range(_ATTEMPTS):
                try:
                    repeated = await self._store.write(work)
                except ConcurrentChange:
                    continue  # another call with the same key was faster: look at its answer
                stored = repeated is None
                return repeated
        finally:
            self._guessing.settle(kept.guesses, stored=stored)
        raise DomainError("idempotency_in_progress", "calls with this key follow each other too fast")

    def drop(self, guesses: Sequence[Guess]) -> None:
        """Say that the answers these guesses belong to are not given."""
        self._guessing.settle(guesses, stored=False)

    async def _keep_group(self, group: Sequence[AnswerRows]) -> Sequence[int | None]:
        """Keep answers together; those that would be a wrong guess too many are not kept, and not given."""

        async def work(unit: UnitOfWork) -> Sequence[int | None]:
            refused: list[int | None] = [None] * len(group)
            for place in _in_one_order(group):
                kept = group[place]
                refused[place] = await self._guessing.count(unit, kept.guesses, at=kept.audit.at)
            good = [kept for kept, seconds in zip(group, refused, strict=True) if seconds is None]
            await add_rows(unit, good)
            return refused

        refused: Sequence[int | None] = [0] * len(group)
        try:
            refused = await self._store.write(work)
        finally:
            for kept, seconds in zip(group, refused, strict=True):
                self._guessing.settle(kept.guesses, stored=seconds is None)
        return refused
