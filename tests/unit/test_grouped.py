"""Grouping: company only for those who come while a group is under way, and an answer only after one's own."""

import asyncio
from collections.abc import Sequence

import pytest

from app.services.grouped import Grouped

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
