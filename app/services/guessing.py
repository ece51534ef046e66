"""Count wrong guesses: before anything is compared, and in the very transaction that keeps the answer.

The count lives in the database, so that all processes share it. An answer that would be one too many is not given:
however many connections guess at once, no more wrong answers about one license come out than the budget allows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from app.domain.api_client import Caller
from app.domain.guessing import Guess, Guesses, GuessingAlarm, GuessingTerms, whole_minutes
from app.domain.ids import new_id
from app.ports import Clock, Store, UnitOfWork
from app.services.guesses_in_flight import GuessesInFlight
from app.services.journal_rows import make_audit
from app.services.sweeping import sweep_all

log = structlog.get_logger()


class GuessLedger:
    """What is known of budgets while one group of questions is judged: the stored counts and the guesses of now.

    Make it before the unit of work reads anything: then nothing falls between what it shows and what is in flight.
    """

    def __init__(
        self,
        unit: UnitOfWork,
        terms: GuessingTerms,
        flight: GuessesInFlight,
        client_ids: Iterable[str],
        *,
        at: datetime,
    ) -> None:
        self._unit = unit
        self._terms = terms
        self._flight = flight
        self._client_ids = frozenset(client_ids)
        self._at = at
        self._turn = flight.turn
        self._near: frozenset[str] | None = None
        self._wrong: list[Guess] = []

    async def weigh(self, guess: Guess, *, now: datetime) -> Guess:
        """Return a guess with `seconds_left` where its budget is spent, and `watched` where it may soon be.

        Compare and `note` at once after this, before anything else of this process can have its turn.
        """
        near = await self._near_budget()
        if guess.client_id not in near and not self._unseen(guess):
            return guess
        held = await self._unit.guessing.get(guess.client_id, guess.subject)
        counted = 0 if held is None else held.counted(self._terms, now=now)
        budget = self._terms.budget if held is None else held.budget(self._terms, now=now)
        if counted + self._unseen(guess) < budget:
            return replace(guess, watched=True)
        left = whole_minutes(self._terms.window) if held is None else held.seconds_left(self._terms, now=now)
        return replace(guess, seconds_left=left)

    def note(self, guess: Guess) -> None:
        """Remember a wrong guess, which the database does not know yet."""
        self._flight.note(guess, at=self._at)
        self._wrong.append(guess)

    def withdraw(self) -> None:
        """Forget the guesses noted here: the group is not answered, and may be judged again."""
        for guess in self._wrong:
            self._flight.withdrawn(guess)

    def _unseen(self, guess: Guess) -> int:
        return self._flight.unseen(guess, since=self._turn)

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
        self._flight = GuessesInFlight()

    def ledger(self, unit: UnitOfWork, client_ids: Iterable[str]) -> GuessLedger:
        """Begin to judge a group of questions of these clients, in a unit of work that has not read anything yet."""
        return GuessLedger(unit, self._terms, self._flight, client_ids, at=self._clock.now())

    async def count(self, unit: UnitOfWork, guesses: Iterable[Guess], *, at: datetime) -> int | None:
        """Count the wrong ones in the caller's transaction, or none of them; call `settle` after it.

        Returns None when they are counted, else after how many seconds guessing may go on: others guessed meanwhile,
        and the answers they belong to must not be given. Nor is a right answer given once the budget is spent: it
        would tell which of many guesses, all asked at once, was the right one.
        """
        by_key: dict[tuple[str, str], list[Guess]] = {}
        for guess in guesses:
            by_key.setdefault((guess.client_id, guess.subject), []).append(guess)
        counted: list[tuple[Guess, int]] = []
        # In one order: two transactions that count the same ones must not wait for each other.
        for key in sorted(by_key):
            one, times = by_key[key][0], sum(guess.wrong for guess in by_key[key])
            # Adding none locks the row all the same: what another transaction adds is seen, or asks to try again.
            held = await self._unit_add(unit, one, times, at)
            if times:
                counted.append((one, times))
            if held.wrong + (times == 0) > held.budget(self._terms, now=at):
                for earlier, given in counted:
                    await self._unit_add(unit, earlier, -given, at)
                return held.seconds_left(self._terms, now=at)
        for one, _ in counted:
            await self._watch(unit, one, at)
        return None

    def settle(self, guesses: Iterable[Guess], *, stored: bool) -> None:
        """Say what became of guesses after their transaction: counted there, or their answers not given."""
        for guess in guesses:
            if guess.wrong and stored:
                self._flight.stored(guess)
            elif guess.wrong:
                self._flight.withdrawn(guess)

    async def sweep(self) -> int:
        """Delete counts that say nothing any more; return how many."""
        now = self._clock.now()
        before = now - self._terms.window
        return await sweep_all(
            self._store, lambda unit, limit: unit.guessing.sweep(now=now, before=before, limit=limit)
        )

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
