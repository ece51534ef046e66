"""The ledger of wrong guesses by itself: all of a group counts or none of it, and what is in flight counts already."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.guessing import Guess, Guesses, GuessingTerms
from app.ports import Store, UnitOfWork
from app.services.guessing import GuessingService
from tests.builders import make_guess

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)
TERMS = GuessingTerms(budget=4, lowered=2, alarm=6)


class StandingClock:
    """A clock that stands at noon."""

    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def guessing(store: Store) -> GuessingService:
    return GuessingService(store, StandingClock(), terms=TERMS)


async def count(
    store: Store, guessing: GuessingService, guesses: Sequence[Guess], at: datetime = NOON
) -> int | None:
    return await store.write(lambda unit: guessing.count(unit, guesses, at=at))


async def held(store: Store, subject: str = "license", client_id: str = "platform") -> Guesses | None:
    return await store.read(lambda unit: unit.guessing.get(client_id, subject))


async def wrong_of(store: Store, subject: str = "license", client_id: str = "platform") -> int:
    found = await held(store, subject, client_id)
    return 0 if found is None else found.wrong


async def weighed(store: Store, guessing: GuessingService, asked: Guess, at: datetime = NOON) -> Guess:
    return await store.read(
        lambda unit: guessing.ledger(unit, [asked.client_id]).weigh(replace(asked, watched=False), now=at)
    )


async def test_the_budget_is_spent_to_its_last_guess_and_not_beyond(
    store: Store, guessing: GuessingService
) -> None:
    for number in range(1, 5):
        assert await count(store, guessing, [make_guess()]) is None
        assert await wrong_of(store) == number
    assert await count(store, guessing, [make_guess()]) == 3600
    assert await wrong_of(store) == 4


async def test_of_a_group_that_holds_one_guess_too_many_none_is_counted(
    store: Store, guessing: GuessingService
) -> None:
    assert await count(store, guessing, [make_guess("second")] * 4) is None
    for group in (
        [make_guess("first"), make_guess("second")],
        [make_guess("second"), make_guess("third"), make_guess("first")],
    ):
        assert await count(store, guessing, group) == 3600
        assert [await wrong_of(store, subject) for subject in ("first", "second", "third")] == [0, 4, 0]


async def test_a_right_answer_is_given_while_the_budget_lasts_and_costs_nothing(
    store: Store, guessing: GuessingService
) -> None:
    await count(store, guessing, [make_guess()] * 3)
    for _ in range(3):
        assert await count(store, guessing, [make_guess(wrong=False)]) is None
    assert await wrong_of(store) == 3
    await count(store, guessing, [make_guess()])
    assert await count(store, guessing, [make_guess(wrong=False)]) == 3600
    assert await wrong_of(store) == 4


async def test_the_window_ends_an_hour_after_the_first_guess_and_is_told_in_whole_minutes(
    store: Store, guessing: GuessingService
) -> None:
    await count(store, guessing, [make_guess()] * 4)
    waits = {0: 3600, 1: 3600, 60: 3540, 3541: 60, 3599: 60}
    for seconds, wait in waits.items():
        asked = await weighed(store, guessing, make_guess(wrong=False), NOON + timedelta(seconds=seconds))
        assert asked.seconds_left == wait, seconds
    free = await weighed(store, guessing, make_guess(wrong=False), NOON + timedelta(hours=1))
    assert (free.seconds_left, free.watched) == (None, True)


async def test_whoever_is_near_the_budget_is_watched_and_nobody_else(
    store: Store, guessing: GuessingService
) -> None:
    await count(store, guessing, [make_guess()])
    assert not (await weighed(store, guessing, make_guess(wrong=False))).watched
    await count(store, guessing, [make_guess()])
    assert (await weighed(store, guessing, make_guess(wrong=False))).watched
    assert not (await weighed(store, guessing, make_guess(client_id="bank", wrong=False))).watched


async def test_guesses_in_flight_count_before_they_are_stored_and_only_once_after(
    store: Store, guessing: GuessingService
) -> None:
    async def ask(times: int) -> list[int | None]:
        async def work(unit: object) -> list[int | None]:
            ledger = guessing.ledger(unit, ["platform"])  # type: ignore[arg-type]
            lefts = []
            for _ in range(times):
                asked = await ledger.weigh(replace(make_guess(), wrong=False), now=NOON)
                lefts.append(asked.seconds_left)
                if asked.seconds_left is None:
                    ledger.note(replace(asked, wrong=True))
            return lefts

        return await store.read(work)

    assert await ask(3) == [None] * 3
    assert await ask(2) == [None, 3600]
    # Two of the four are stored, one is not given after all: of the budget of four, three are used.
    await count(store, guessing, [make_guess()] * 2)
    guessing.settle([make_guess()] * 2, stored=True)
    assert (await weighed(store, guessing, make_guess(wrong=False))).seconds_left == 3600
    guessing.settle([make_guess()], stored=False)
    assert await ask(2) == [None, 3600]


async def test_whoever_reads_an_older_state_still_counts_what_was_stored_since(
    store: Store, guessing: GuessingService
) -> None:
    async def work(unit: UnitOfWork) -> Guess:
        ledger = guessing.ledger(unit, ["platform"])
        assert await unit.guessing.get("platform", "license") is None  # from here on it sees this state
        for _ in range(4):
            ledger.note(make_guess())
        await count(store, guessing, [make_guess()] * 4)
        guessing.settle([make_guess()] * 4, stored=True)
        return await ledger.weigh(make_guess(wrong=False), now=NOON)

    assert (await store.read(work)).seconds_left == 3600


async def test_a_group_that_is_not_answered_leaves_nothing_in_flight(
    store: Store, guessing: GuessingService
) -> None:
    async def work(unit: object) -> None:
        ledger = guessing.ledger(unit, ["platform"])  # type: ignore[arg-type]
        for _ in range(4):
            ledger.note(make_guess())
        assert (await ledger.weigh(make_guess(wrong=False), now=NOON)).seconds_left == 3600
        ledger.withdraw()

    await store.read(work)
    assert (await weighed(store, guessing, make_guess(wrong=False))).seconds_left is None


async def test_many_guessers_at_one_license_have_the_lower_budget_there_and_only_there(
    store: Store, guessing: GuessingService
) -> None:
    for client_id in ("platform", "bank"):
        assert await count(store, guessing, [make_guess(client_id=client_id)] * 3) is None
    assert (await weighed(store, guessing, make_guess(wrong=False))).seconds_left == 3600
    assert await count(store, guessing, [make_guess()]) == 3600
    assert await count(store, guessing, [make_guess("elsewhere")] * 4) is None
    # The window is over after an hour, the lower budget after a day.
    soon, later = NOON + timedelta(hours=2), NOON + timedelta(hours=24)
    assert await count(store, guessing, [make_guess()] * 2, soon) is None
    assert await count(store, guessing, [make_guess()], soon) is not None
    assert await count(store, guessing, [make_guess()] * 4, later) is None
