"""Quotas over a store that hangs, fails or was written by a wrong clock: who waits, who is let in, and how soon."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from app.domain.api_client import ApiClient
from app.domain.errors import DomainError, TooManyCalls
from app.domain.plan import QuotaState
from app.services.quotas import QuotaService
from tests.installation import MovableClock
from tests.quota_clients import client

pytestmark = pytest.mark.anyio


class Kept:
    """A store, its unit of work and the plans in it: it keeps what one client has spent, and may be out of order."""

    def __init__(self) -> None:
        self.state: QuotaState | None = None
        self.fault: Callable[[], Awaitable[None]] | None = None
        self.writes = 0

    @property
    def plans(self) -> "Kept":
        return self

    async def spent(self, client_id: str) -> QuotaState | None:
        return self.state

    async def keep_spent(self, state: QuotaState) -> None:
        self.state = state

    async def write(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        self.writes += 1
        if self.fault is not None:
            await self.fault()
        return await work(self)


async def away() -> None:
    raise DomainError("unavailable", "away")


def service(kept: Kept, clock: MovableClock) -> QuotaService:
    return QuotaService(kept, clock)  # type: ignore[arg-type]


async def admitted(quotas: QuotaService, one: ApiClient, calls: int) -> int:
    count = 0
    for _ in range(calls):
        try:
            await quotas.take(one)
        except TooManyCalls:
            continue
        count += 1
    return count


@pytest.mark.parametrize("ahead", [timedelta(seconds=90), timedelta(hours=8), timedelta(days=400)])
async def test_a_clock_that_was_ahead_for_one_call_keeps_nobody_out_once_it_is_set_right(
    ahead: timedelta,
) -> None:
    kept, clock = Kept(), MovableClock()
    one = client(calls_per_minute=600, calls_per_day=100)
    clock.step(seconds=ahead.total_seconds())
    assert await admitted(service(kept, clock), one, 1) == 1
    clock.step(seconds=-ahead.total_seconds())
    restarted = service(kept, clock)
    await admitted(restarted, one, 1)
    clock.advance(seconds=2)
    assert await admitted(restarted, one, 5) == 5


async def test_a_database_that_failed_while_the_clock_was_ahead_is_asked_again_once_it_is_set_right() -> None:
    kept, clock = Kept(), MovableClock()
    quotas, one = service(kept, clock), client(calls_per_minute=600)
    clock.step(seconds=8 * 3600)
    kept.fault = away
    assert await admitted(quotas, one, 1) == 1
    kept.fault = None
    clock.step(seconds=-8 * 3600)
    await admitted(quotas, one, 2)
    assert kept.state is not None


async def test_of_two_machines_the_one_whose_clock_is_behind_gets_calls_and_both_share_the_day() -> None:
    kept, ahead, behind = Kept(), MovableClock(), MovableClock()
    ahead.step(seconds=4)
    machines = [service(kept, clock) for clock in (ahead, behind)]
    one = client(calls_per_minute=2000, burst=100, calls_per_day=150)
    counts = [0, 0]
    for _ in range(100):
        for index, quotas in enumerate(machines):
            counts[index] += await admitted(quotas, one, 1)
        ahead.advance(seconds=0.1)
        behind.advance(seconds=0.1)
    assert min(counts) >= 40
    assert sum(counts) <= 150


async def test_who_comes_while_a_database_is_long_in_failing_does_not_wait_for_it_as_long_again() -> None:
    kept, clock = Kept(), MovableClock()
    quotas, one = service(kept, clock), client(calls_per_minute=600)
    late: list[asyncio.Task[object]] = []

    async def long_in_failing() -> None:
        clock.advance(seconds=5)
        late.append(asyncio.create_task(quotas.take(one)))
        await asyncio.sleep(0)
        clock.advance(seconds=10)
        raise DomainError("unavailable", "too busy")

    kept.fault = long_in_failing
    await quotas.take(one)
    await asyncio.gather(*late)
    assert kept.writes == 1
    clock.advance(seconds=1)
    await quotas.take(one)
    assert kept.writes == 2, "asked again after the pause"


async def test_a_database_that_hangs_is_waited_for_a_moment_only_and_by_one_call() -> None:
    kept, clock = Kept(), MovableClock()
    ended = asyncio.Event()

    async def hangs() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.01)  # as a connection takes its time to be given back
            ended.set()

    kept.fault = hangs
    quotas = QuotaService(kept, clock, longest_wait_seconds=0.05)  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        await asyncio.gather(*(quotas.take(client(calls_per_minute=600)) for _ in range(5)))
        assert kept.writes == 1 and not ended.is_set(), "nobody waits for the end of it"
        await ended.wait()


async def test_a_lease_that_was_long_in_coming_lasts_from_when_it_was_counted() -> None:
    kept, clock = Kept(), MovableClock()

    async def slow() -> None:
        clock.advance(seconds=90)

    kept.fault = slow
    quotas, one = service(kept, clock), client(calls_per_minute=600)
    assert await admitted(quotas, one, 3) == 3
    assert kept.writes == 1
