"""Keeping answers: wrong guesses of a group are counted in one order, and each answer hears of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.guessing import Guess, GuessingLimited
from app.services.journal_rows import make_audit
from app.services.log_leaves import make_receipt_leaf
from app.services.verification_keeping import AnswerKeeper, AnswerRows

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)


class Counts:
    """The counting of guesses, which refuses some subjects: after as many seconds as they have letters."""

    def __init__(self, *refused: str) -> None:
        self.order: list[tuple[str, str]] = []
        self._refused = refused

    async def count(self, unit: Any, guesses: Sequence[Guess], *, at: datetime) -> int | None:
        self.order += [(guess.client_id, guess.subject) for guess in guesses]
        return next((len(guess.subject) for guess in guesses if guess.subject in self._refused), None)

    def settle(self, guesses: Sequence[Guess], *, stored: bool) -> None:
        """Take no notice."""


class Kept:
    """A store whose unit of work takes every row."""

    verifications: "Kept"
    journal: "Kept"

    def __init__(self) -> None:
        self.verifications = self.journal = self
        self.leaves = 0

    async def write(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        return await work(self)

    async def add_many(self, rows: Sequence[Any]) -> None: ...

    async def add_audit(self, rows: Sequence[Any]) -> None: ...

    async def add_leaves(self, rows: Sequence[Any]) -> None:
        self.leaves += len(rows)


def rows(*subjects: str) -> AnswerRows:
    guesses = [
        Guess(
            client_id="c",
            subject=subject,
            license_id=None,
            authority_code=None,
            by_credential=False,
            wrong=True,
        )
        for subject in subjects
    ]
    audit = make_audit(action="verification.create", subject="s", actor="c", at=NOON, outcome="x")
    leaf = make_receipt_leaf("token", receipt_id="r", env="test", at=NOON)
    return AnswerRows(records=(), audit=audit, leaf=leaf, guesses=guesses)


async def keep(keeper: AnswerKeeper, kept: AnswerRows) -> int | None:
    try:
        await keeper.keep(kept, (), body={}, lang="zh", call=None, at=NOON)
    except GuessingLimited as refusal:
        return refusal.seconds
    return None


async def test_two_processes_count_the_guesses_of_their_groups_in_the_same_order() -> None:
    orders = []
    for group in (("b", "d", "a", "c"), ("c", "a", "d", "b")):
        counts = Counts()
        keeper = AnswerKeeper(Kept(), counts)  # type: ignore[arg-type]
        await asyncio.gather(*(keep(keeper, rows(subject)) for subject in group), keep(keeper, rows()))
        orders.append(counts.order)
    assert orders == [[("c", subject) for subject in "abcd"]] * 2


async def test_each_answer_of_a_group_hears_what_became_of_its_own_guesses() -> None:
    store = Kept()
    keeper = AnswerKeeper(store, Counts("bb", "aaaa"))  # type: ignore[arg-type]
    group = [rows("ccc"), rows("bb"), rows(), rows("aaaa"), rows("a", "ddd")]
    assert await asyncio.gather(*(keep(keeper, one) for one in group)) == [None, 2, None, 4, None]
    assert store.leaves == 3
