"""Values held for a second: never older than that for anybody, whatever the reading takes and the clock is set to."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.services.recent import Recent

pytestmark = pytest.mark.anyio


class ManualClock:
    """A clock that stands until time is let pass, and may be set."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 11, 24, 4, tzinfo=UTC)
        self.seconds = 100.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds


class Database:
    """A stored value, and reads of it that wait until they are let go."""

    def __init__(self) -> None:
        self.value = "old"
        self.reads = 0
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def read(self, held: str | None) -> str:
        self.reads += 1
        value = self.value
        await self.let_go.wait()
        return value


def recent_of(database: Database) -> tuple[Recent[str], ManualClock]:
    clock = ManualClock()
    return Recent(clock, database.read), clock


async def waiting(recent: Recent[str]) -> "asyncio.Task[str]":
    task = asyncio.create_task(recent.get())
    await asyncio.sleep(0)
    return task


async def test_a_value_is_read_once_a_second() -> None:
    database = Database()
    recent, clock = recent_of(database)
    assert [await recent.get() for _ in range(3)] == ["old"] * 3
    database.value = "new"
    clock.advance(0.9)
    assert (await recent.get(), database.reads) == ("old", 1)
    clock.advance(0.1)
    assert (await recent.get(), database.reads) == ("new", 2)


async def test_who_asks_long_after_a_slow_read_began_gets_what_is_read_since() -> None:
    database = Database()
    recent, clock = recent_of(database)
    database.let_go.clear()
    first = await waiting(recent)
    database.value = "new"
    clock.advance(3)
    late = [await waiting(recent) for _ in range(4)]
    clock.advance(0.5)
    database.let_go.set()
    assert await first == "old"
    assert await asyncio.gather(*late) == ["new"] * 4
    assert database.reads == 2, "one read for all that came before it began"


async def test_slow_reads_are_not_repeated_for_each_of_those_who_wait() -> None:
    clock = ManualClock()
    reads = 0

    async def slow(held: int | None) -> int:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0)
        clock.advance(5)
        return reads

    recent: Recent[int] = Recent(clock, slow)
    assert await asyncio.gather(*(recent.get() for _ in range(10))) == [1] * 10


async def test_what_was_being_read_when_it_was_to_be_forgotten_is_not_held() -> None:
    database = Database()
    recent, _ = recent_of(database)
    database.let_go.clear()
    before = await waiting(recent)
    database.value = "new"
    recent.forget()
    after = await waiting(recent)
    database.let_go.set()
    assert [await before, await after, await recent.get()] == ["old", "new", "new"]


async def test_a_clock_that_is_set_makes_no_value_younger() -> None:
    database = Database()
    recent, clock = recent_of(database)
    await recent.get()
    database.value = "new"
    clock.advance(2.5)
    clock.wall -= timedelta(seconds=2.5)
    assert await recent.get() == "new"
