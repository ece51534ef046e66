"""Work that is cancelled anywhere in its transaction: nothing acknowledged is lost, no connection is left unusable."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from app.adapters.db import SqlStore
from app.adapters.db.engine import open_transactions
from app.adapters.db.transactions import Link, Transactions
from app.domain.ids import new_id
from app.ports import UnitOfWork
from app.services.journal_rows import make_audit
from tests.builders import NOON

pytestmark = pytest.mark.anyio

AT_ONCE = 8


class Forgetful:
    """Broken twin: it keeps the connections whose work was cut off."""

    def __init__(self, database_url: str) -> None:
        self._inner = open_transactions(database_url, pool_size=2)
        self._left_open: list[AbstractAsyncContextManager[Link]] = []

    @asynccontextmanager
    async def transaction(self, *, write: bool) -> AsyncIterator[Link]:
        entered = self._inner.transaction(write=write)
        link = await entered.__aenter__()
        try:
            yield link
        except asyncio.CancelledError:
            self._left_open.append(entered)
            raise
        except BaseException as error:
            await entered.__aexit__(type(error), error, error.__traceback__)
            raise
        else:
            await entered.__aexit__(None, None, None)

    async def close(self) -> None:
        for entered in self._left_open:
            await entered.__aexit__(None, None, None)
        await self._inner.close()


async def _cut_off_at_random(
    store: SqlStore, *, seed: int, rounds: int, seconds: float
) -> tuple[set[str], list[BaseException]]:
    """Write audit rows from many tasks and cancel half of them; return what was acknowledged, and what else ended.

    Raises TimeoutError where a round takes longer than `seconds`.
    """
    chance = random.Random(seed)
    acknowledged: set[str] = set()
    ended: list[BaseException] = []

    async def write() -> None:
        subject = new_id()

        async def work(unit: UnitOfWork) -> None:
            await unit.journal.last_event_seq()
            await unit.journal.add_audit([make_audit(action="test", subject=subject, actor="test", at=NOON)])
            await asyncio.sleep(0)
            await unit.directory.revision()

        await store.write(work)
        acknowledged.add(subject)

    async def one_round(cuts: Sequence[float]) -> None:
        tasks = [asyncio.create_task(write()) for _ in range(AT_ONCE)]
        for task, cut in zip(chance.sample(tasks, len(cuts)), cuts, strict=True):
            asyncio.get_running_loop().call_later(cut, task.cancel)
        async with asyncio.timeout(seconds):
            ended.extend(
                one for one in await asyncio.gather(*tasks, return_exceptions=True) if one is not None
            )

    await one_round([])  # connects
    began = asyncio.get_running_loop().time()
    await one_round([])
    whole = asyncio.get_running_loop().time() - began  # the cuts fall while work is under way, on any machine
    for _ in range(rounds):
        await one_round([chance.random() * whole for _ in range(AT_ONCE // 2)])
    return acknowledged, ended


async def _check(transactions: Transactions, *, rounds: int, seconds: float) -> list[str]:
    store = SqlStore(transactions)
    faults = []
    try:
        acknowledged, ended = await _cut_off_at_random(store, seed=7, rounds=rounds, seconds=seconds)
    except TimeoutError:
        return ["no connection is left to work with"]
    faults += [repr(one) for one in ended if not isinstance(one, asyncio.CancelledError)]
    kept: set[str] = set()
    cursor: str | None = None
    while True:
        entries, cursor = await store.read(
            lambda unit, at=cursor: unit.journal.audit_page(cursor=at, limit=200)
        )  # type: ignore[misc]
        kept.update(entry.subject for entry in entries)
        if cursor is None:
            break
    faults += [f"lost: {subject}" for subject in acknowledged - kept]
    if not acknowledged or not ended:
        faults.append("nothing was cut off, or everything")
    return faults


async def test_work_cut_off_anywhere_loses_nothing_acknowledged_and_leaves_every_connection_usable(
    store: SqlStore, database_url: str
) -> None:
    transactions = open_transactions(database_url, pool_size=2)
    try:
        assert await _check(transactions, rounds=25, seconds=20) == []
    finally:
        await transactions.close()


async def test_the_check_finds_connections_that_are_not_given_back(
    store: SqlStore, database_url: str
) -> None:
    transactions = Forgetful(database_url)
    try:
        # The driver itself gives up some of the connections that were cut off: it takes rounds until none is left.
        assert await _check(transactions, rounds=2_000, seconds=2) == ["no connection is left to work with"]
    finally:
        await transactions.close()
