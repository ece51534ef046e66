"""Count wrong guesses: before anything is compared, and in the very transaction that keeps the answer.

The count lives in the database, so that all processes share it. An answer that would be one too many is not given:
however many connections guess at once, no more wrong answers about one license come out than the budget allows.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import structlog

from app.domain.api_client import Caller
from app.domain.guessing import Guess, Guesses, GuessingAlarm, GuessingTerms, whole_minutes
from app.domain.ids import new_id
from app.ports import Clock, Store, UnitOfWork
from app.services.journal_rows import make_audit

log = structlog.get_logger()


class GuessLedger:
    """What is known of budgets while one group of questions is judged: the stored counts and the guesses of now."""

    def __init__(self, unit: UnitOfWork, terms: GuessingTerms, client_ids: Iterable[str]) -> None:
        self._unit = unit
        self._terms = terms
        self._client_ids = frozenset(client_ids)
        self._near: frozenset[str] | None = None
        self._wrong: Counter[tuple[str, str]] = Counter()

    async def seconds_left(self, guess: Guess, *, now: datetime) -> int | None:
        """Return None while the guesser has budget left, else after how many seconds it may guess again."""
        key = (guess.client_id, guess.subject)
        if self._wrong[key] == 0 and guess.client_id not in await self._near_budget():
            return None
        held = await self._unit.guessing.get(guess.client_id, guess.subject)
        counted = 0 if held is None else held.counted(self._terms, now=now)
        budget = self._terms.budget if held is None else held.budget(self._terms, now=now)
        if counted + self._wrong[key] < budget:
            return None
        return whole_minutes(self._terms.window) if held is None else held.seconds_left(self._terms, now=now)

    def note(self, guess: Guess) -> None:
        """Remember a wrong guess of this group, which the database does not know yet."""
        self._wrong[guess.client_id, guess.subject] += 1

    async def _near_budget(self) -> frozenset[str]:
        """Return whose guesses must be looked at one by one: most callers are nowhere near any budget."""
        if self._near is None:
            least = min(self._terms.lowered, self._terms.budget)
            self._near = await self._unit.guessing.near_budget(sorted(self._client_ids), least=least)
        return self._near


class GuessingService:
    """The budgets of wrong guesses, and the alarms when one license is guessed at by many."""

    def __init__(self, store: Store, clock: Clock, *, terms: GuessingTerms) -> None:
        self._store = store
        self._clock = clock
        self._terms = terms

    def ledger(self, unit: UnitOfWork, client_ids: Iterable[str]) -> GuessLedger:
        """Begin to judge a group of questions of these clients."""
        return GuessLedger(unit, self._terms, client_ids)

    async def count(self, unit: UnitOfWork, guesses: Iterable[Guess], *, at: datetime) -> int | None:
        """Count the wrong ones in the caller's transaction, or none of them.

        Returns None when they are counted, else after how many seconds guessing may go on: others guessed meanwhile,
        and the answers they belong to must not be given.
        """
        wrong: dict[tuple[str, str], list[Guess]] = {}
        for guess in guesses:
            if guess.wrong:
                wrong.setdefault((guess.client_id, guess.subject), []).append(guess)
        counted: list[tuple[Guess, int]] = []
        # In one order: two transactions that count the same ones must not wait for each other.
        for key in sorted(wrong):
            one, times = wrong[key][0], len(wrong[key])
            held = await self._unit_add(unit, one, times, at)
            counted.append((one, times))
            if held.wrong > held.budget(self._terms, now=at):
                for earlier, given in counted:
                    await self._unit_add(unit, earlier, -given, at)
                return held.seconds_left(self._terms, now=at)
        for one, _ in counted:
            await self._watch(unit, one, at)
        return None

    async def sweep(self) -> int:
        """Delete counts that say nothing any more; return how many."""

        async def work(unit: UnitOfWork) -> int:
            now = self._clock.now()
            return await unit.guessing.sweep(now=now, before=now - self._terms.window)

        return await self._store.write(work)

    async def alarms(
        self, *, caller: Caller, cursor: str | None, limit: int
    ) -> tuple[Sequence[GuessingAlarm], str | None]:
        """Return one page of the alarms about the licenses of the caller's authority, oldest first.

        Raises DomainError `invalid_request` for a cursor that is not ours.
        """
        code = caller.client.authority_code or ""
        return await self._store.read(
            lambda unit: unit.guessing.alarms(authority_code=code, cursor=cursor, limit=limit)
        )

    async def _unit_add(self, unit: UnitOfWork, guess: Guess, times: int, at: datetime) -> Guesses:
        return await unit.guessing.add(
            guess.client_id, guess.subject, times=times, at=at, before=at - self._terms.window
        )

    async def _watch(self, unit: UnitOfWork, guess: Guess, at: datetime) -> None:
        """Raise the alarm where the guesses of all callers about one license are too many."""
        since = at - self._terms.window
        total, callers = await unit.guessing.total(guess.subject, since=since)
        if total < self._terms.alarm:
            return
        await unit.guessing.lower(guess.subject, since=since, until=at + self._terms.lowered_for)
        if guess.license_id is None or guess.authority_code is None:
            return
        alarm = GuessingAlarm(
            id=new_id(),
            authority_code=guess.authority_code,
            license_id=guess.license_id,
            raised_at=at,
            wrong=total,
            callers=callers,
        )
        if await unit.guessing.raise_alarm(alarm, since=since):
            log.warning("guessing_alarm", license_id=alarm.license_id, wrong=total, callers=callers)
            await unit.journal.add_audit(
                [
                    make_audit(
                        action="verification.guessing_alarm",
                        subject=alarm.license_id,
                        actor="system",
                        at=at,
                        outcome=f"wrong:{total} callers:{callers}",
                    )
                ]
            )
