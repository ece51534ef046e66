"""Grouping: company only for those who come while a group is under way, and an answer only after one's own."""

import asyncio
from collections.abc import Sequence

import pytest

from app.domain.errors import DomainError
from app.services.grouped import Grouped, together_or_apart

pytestmark = pytest.mark.anyio


class Runs:
    """Groups as they were carried out; each one waits until it is let go."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.let_go = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.groups.append(list(items))
        await self.let_go.wait()
        if 13 in items:
            raise ValueError("unlucky")
        return [item * 10 for item in items]


async def test_those_who_come_while_a_group_is_under_way_share_the_next_one() -> None:
    runs = Runs()
    grouped: Grouped[int, int] = Grouped(runs)
    first = asyncio.create_task(grouped.add(1))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(grouped.add(item)) for item in (2, 3, 4)]
    await asyncio.sleep(0.01)
    assert runs.groups == [[1]], "nobody joins a transaction that has begun"
    runs.let_go.set()
    assert await asyncio.gather(first, *others) == [10, 20, 30, 40]
    assert runs.groups == [[1], [2, 3, 4]]


async def test_a_group_has_a_largest_size() -> None:
    runs = Runs()
    runs.let_go.set()
    grouped: Grouped[int, int] = Grouped(runs, largest=4)
    assert await asyncio.gather(*(grouped.add(item) for item in range(10))) == [i * 10 for i in range(10)]
    assert [len(group) for group in runs.groups] == [4, 4, 2]


async def test_a_failure_reaches_its_whole_group_and_no_other() -> None:
    runs = Runs()
    runs.let_go.set()
    grouped: Grouped[int, int] = Grouped(runs)
    outcomes = await asyncio.gather(grouped.add(12), grouped.add(13), return_exceptions=True)
    assert [type(item) for item in outcomes] == [ValueError, ValueError]
    assert await grouped.add(1) == 10


async def test_a_caller_that_goes_away_stops_nobody() -> None:
    runs = Runs()
    grouped: Grouped[int, int] = Grouped(runs)
    leaving, staying = asyncio.create_task(grouped.add(1)), asyncio.create_task(grouped.add(2))
    await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.sleep(0)
    runs.let_go.set()
    assert await staying == 20
    assert leaving.cancelled()


async def test_when_all_have_gone_a_failure_is_nobodys() -> None:
    runs = Runs()
    grouped: Grouped[int, int] = Grouped(runs)
    leaving = asyncio.create_task(grouped.add(13))
    await asyncio.sleep(0.01)
    leaving.cancel()
    runs.let_go.set()
    assert await grouped.add(1) == 10


async def test_a_run_that_answers_too_few_fails_and_leaves_nobody_waiting() -> None:
    async def too_few(items: Sequence[int]) -> Sequence[int]:
        return list(items)[1:]

    grouped: Grouped[int, int] = Grouped(too_few)
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(grouped.add(1), grouped.add(2), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ValueError, ValueError]


async def test_a_run_that_is_stopped_stops_those_who_wait_for_it() -> None:
    async def stopped(items: Sequence[int]) -> Sequence[int]:
        raise asyncio.CancelledError

    grouped: Grouped[int, int] = Grouped(stopped)
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(grouped.add(1), grouped.add(2), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2


def is_domain_error(error: Exception) -> bool:
    return isinstance(error, DomainError)


async def test_a_group_stopped_before_its_first_step_leaves_nobody_waiting_and_the_next_one_is_carried_out() -> (
    None
):
    runs = Runs()
    runs.let_go.set()
    grouped: Grouped[int, int] = Grouped(runs)
    before = asyncio.all_tasks()
    waiting = [asyncio.create_task(grouped.add(item)) for item in (1, 2)]
    await asyncio.sleep(0)
    (group,) = asyncio.all_tasks() - before - set(waiting)
    group.cancel()
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2
        assert await grouped.add(3) == 30
    assert runs.groups == [[3]]


async def test_what_fails_together_through_one_item_is_carried_out_apart_and_that_one_alone_fails() -> None:
    runs = Runs()
    runs.let_go.set()
    outcomes = await together_or_apart(runs, [12, 13, 14], concerns_all=is_domain_error)
    assert [outcomes[0], outcomes[2]] == [120, 140]
    assert isinstance(outcomes[1], ValueError)
    assert runs.groups == [[12, 13, 14], [12], [13], [14]]


async def test_a_failure_that_concerns_all_is_met_once() -> None:
    runs: list[list[int]] = []

    async def run(items: Sequence[int]) -> Sequence[int]:
        runs.append(list(items))
        if len(items) == 3:
            raise ValueError("one of these")
        if items == [2]:
            raise DomainError("unavailable", "the database has gone")
        return items

    outcomes = await together_or_apart(run, [1, 2, 3], concerns_all=is_domain_error)
    assert outcomes[0] == 1
    assert [type(outcome) for outcome in outcomes[1:]] == [DomainError, DomainError]
    assert runs == [[1, 2, 3], [1], [2]]
    with pytest.raises(DomainError):
        await together_or_apart(run, [2], concerns_all=is_domain_error)
