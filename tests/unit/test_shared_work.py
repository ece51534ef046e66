"""Work that is done once for all who ask for it meanwhile."""

import asyncio
import gc

import pytest

from app.services.shared_work import SharedWork

pytestmark = pytest.mark.anyio


class Work:
    """Returns how often it was begun, once it is let go; fails where it is told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.begun = 0
        self.fails = fails
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        await self.go.wait()
        if self.fails:
            raise ValueError("no result")
        return self.begun


async def ask(shared: SharedWork[str, int], work: Work, times: int = 1) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(shared.result("a", work)) for _ in range(times)]
    await asyncio.sleep(0)
    return tasks


async def test_all_who_ask_meanwhile_share_one_result_and_the_next_gets_a_new_one() -> None:
    shared: SharedWork[str, int] = SharedWork()
    work = Work()
    asked = await ask(shared, work, 20)
    assert (len(shared), "a" in shared, "b" in shared) == (1, True, False)
    work.go.set()
    assert await asyncio.gather(*asked) == [1] * 20
    assert len(shared) == 0
    assert await shared.result("a", work) == 2


async def test_different_keys_do_not_wait_for_one_another() -> None:
    shared: SharedWork[str, int] = SharedWork()
    (asked,) = await ask(shared, held := Work())
    (other := Work()).go.set()
    assert await shared.result("b", other) == 1
    held.go.set()
    assert await asked == 1


async def test_a_caller_that_goes_away_takes_nothing_from_the_others() -> None:
    shared: SharedWork[str, int] = SharedWork()
    first, second = await ask(shared, work := Work(), 2)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.go.set()
    assert (await second, work.begun) == (1, 1)


async def test_a_failure_is_everybodys_and_the_next_tries_again() -> None:
    shared: SharedWork[str, int] = SharedWork()
    asked = await ask(shared, work := Work(fails=True), 3)
    work.go.set()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(one) for one in found] == ["no result"] * 3
    work.fails = False
    assert await shared.result("a", work) == 2


async def test_a_failure_that_nobody_waits_for_is_no_stray_error() -> None:
    stray: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: stray.append(context))
    shared: SharedWork[str, int] = SharedWork()
    (asked,) = await ask(shared, work := Work(fails=True))
    asked.cancel()
    work.go.set()
    await asyncio.gather(asked, return_exceptions=True)
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(shared) == 0
    del asked
    gc.collect()
    assert stray == []
