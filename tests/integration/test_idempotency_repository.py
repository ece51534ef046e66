"""Answers kept for repeated calls: one holder per key, one answer per call."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.db import SqlStore
from app.domain.errors import ConcurrentChange
from app.domain.ids import new_id
from app.ports import IdempotencyRow, IdempotentCall, StoredAnswer, UnitOfWork
from tests.builders import NOON, minutes

pytestmark = pytest.mark.anyio

CALL = IdempotentCall(client_id="c", method="POST", path="/v1/licenses", key="k 1", body_sha256="ab" * 32)
ANSWER = StoredAnswer(status=201, headers={"Location": "/v1/licenses/1"}, body=b"\x00{}\xff")


def _row(call: IdempotentCall = CALL) -> IdempotencyRow:
    return IdempotencyRow(
        id=new_id(),
        call=call,
        started_at=NOON,
        expires_at=NOON + minutes(60),
        answer=None,
    )


async def _add(store: SqlStore, row: IdempotencyRow) -> None:
    await store.write(lambda unit: unit.idempotency.add(row))


async def test_a_running_call_is_found_whatever_its_body(store: SqlStore) -> None:
    row = _row()
    await _add(store, row)
    assert await store.read(lambda unit: unit.idempotency.find(row.call)) == row
    other_body = replace(CALL, body_sha256="cd" * 32)
    assert await store.read(lambda unit: unit.idempotency.find(other_body)) == row
    for other in (replace(CALL, key="k 2"), replace(CALL, client_id="d"), replace(CALL, path="/v1/x")):
        assert await store.read(lambda unit, other=other: unit.idempotency.find(other)) is None


async def test_a_row_stored_with_its_answer_comes_back_whole(store: SqlStore) -> None:
    row = replace(_row(), answer=ANSWER, bound_to=(("license-1", 3), ("license-2", 1)))
    await _add(store, row)
    assert await store.read(lambda unit: unit.idempotency.find(row.call)) == row


async def test_a_held_key_is_refused_and_the_transaction_goes_on(store: SqlStore) -> None:
    first = _row()
    await _add(store, first)

    async def second(unit: UnitOfWork) -> IdempotencyRow | None:
        with pytest.raises(ConcurrentChange):
            await unit.idempotency.add(_row())
        return await unit.idempotency.find(CALL)

    assert await store.write(second) == first


async def test_of_many_parallel_calls_one_gets_the_key(store: SqlStore, another_store: SqlStore) -> None:
    async def attempt(who: int) -> bool:
        try:
            await _add((store, another_store)[who % 2], _row())
        except ConcurrentChange:
            return False
        return True

    assert sum(await asyncio.gather(*(attempt(who) for who in range(12)))) == 1


async def test_a_call_is_finished_once(store: SqlStore) -> None:
    row = _row()
    await _add(store, row)
    expires = NOON + minutes(10)

    async def finish(unit: UnitOfWork) -> None:
        await unit.idempotency.finish(row.id, ANSWER, expires_at=expires, bound_to=[("license-1", 2)])

    await store.write(finish)
    finished = replace(row, answer=ANSWER, expires_at=expires, bound_to=(("license-1", 2),))
    assert await store.read(lambda unit: unit.idempotency.find(CALL)) == finished
    with pytest.raises(ConcurrentChange):
        await store.write(finish)


async def test_a_call_of_the_version_before_is_found_with_the_lease_it_wrote(
    store: SqlStore, database_url: str
) -> None:
    row = _row()
    await _add(store, row)
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        assert (await connection.execute(text("SELECT lease_until FROM idempotency"))).scalars().all() == [
            None
        ]
        await connection.execute(
            text("UPDATE idempotency SET lease_until = '2026-01-01T00:00:00.000000+00:00'")
        )
    await engine.dispose()
    assert await store.read(lambda unit: unit.idempotency.find(CALL)) == row


async def test_a_removed_call_may_be_made_again(store: SqlStore) -> None:
    row = _row()
    await _add(store, row)
    await store.write(lambda unit: unit.idempotency.remove(row.id))
    await store.write(lambda unit: unit.idempotency.remove(row.id))
    await _add(store, _row())


async def test_sweeping_takes_finished_rows_past_their_end_only(store: SqlStore) -> None:
    running = _row(replace(CALL, key="running"))
    kept = replace(_row(replace(CALL, key="kept")), answer=ANSWER)
    over = replace(_row(replace(CALL, key="over")), answer=ANSWER, expires_at=NOON)
    for row in (replace(running, expires_at=NOON), kept, over):
        await _add(store, row)
    assert await store.write(lambda unit: unit.idempotency.sweep(now=NOON, limit=5)) == 1
    assert await store.read(lambda unit: unit.idempotency.find(over.call)) is None
    assert await store.read(lambda unit: unit.idempotency.find(kept.call)) == kept
    assert await store.read(lambda unit: unit.idempotency.find(running.call)) is not None
