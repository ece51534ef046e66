"""Open promises to issue: numbers held, fences, leases."""

import asyncio
from dataclasses import replace

import pytest

from app.adapters.db import SqlStore
from app.domain.errors import ConcurrentChange, NumberTaken
from app.domain.license import Intent, IntentState
from app.ports import UnitOfWork
from tests.builders import NOON, TYPE_CODE, make_intent, make_license, make_row, minutes

pytestmark = pytest.mark.anyio


async def _stored(store: SqlStore, *intents: Intent) -> None:
    await store.write(lambda unit: unit.intents.add_many(intents))


async def test_an_intent_comes_back_as_it_was_stored(store: SqlStore) -> None:
    intent = replace(make_intent(make_license(), index=3), idempotency_id="row-1")
    await _stored(store, intent)
    assert await store.read(lambda unit: unit.intents.get(intent.id)) == intent
    assert await store.read(lambda unit: unit.intents.get("unknown")) is None


async def test_an_open_intent_holds_its_number_against_intents_and_licenses(store: SqlStore) -> None:
    intent = make_intent(make_license("N-1"), index=0)
    await _stored(store, intent)
    with pytest.raises(NumberTaken):
        await _stored(store, make_intent(make_license("N-1"), index=1))
    with pytest.raises(NumberTaken):
        await store.write(lambda unit: unit.licenses.add_many([make_row(make_license("N-1"), index=2)]))
    held = await store.read(
        lambda unit: unit.intents.held_numbers(type_code=TYPE_CODE, numbers=["N-1", "N-2"])
    )
    assert held == {"N-1"}


async def test_an_intent_becomes_its_own_license_and_keeps_the_number(store: SqlStore) -> None:
    intent = make_intent(make_license("N-1"), index=0)
    await _stored(store, intent)

    async def finish(unit: UnitOfWork) -> None:
        await unit.licenses.add_many([make_row(intent.license, index=0)])
        await unit.intents.finish_many([intent])

    await store.write(finish)
    done = await store.read(lambda unit: unit.intents.get(intent.id))
    assert done == replace(intent, state=IntentState.DONE)
    with pytest.raises(NumberTaken):
        await _stored(store, make_intent(make_license("N-1"), index=1))


async def test_a_voided_intent_frees_its_number_and_burns_its_identifier(store: SqlStore) -> None:
    intent = make_intent(make_license("N-1"), index=0)
    await _stored(store, intent)
    await store.write(lambda unit: unit.intents.void(intent))
    voided = await store.read(lambda unit: unit.intents.get(intent.id))
    assert voided is not None
    assert voided.state is IntentState.VOIDED
    await _stored(store, make_intent(make_license("N-1"), index=1))
    reused = make_license("N-2", identifier=intent.license.identifier)
    with pytest.raises(Exception, match="identifier"):
        await _stored(store, make_intent(reused, index=2))


@pytest.mark.parametrize("write", ["finish", "void"])
async def test_an_older_fence_or_a_closed_intent_is_refused(store: SqlStore, write: str) -> None:
    stale = make_intent(make_license(), index=0, lease_until=NOON)
    await _stored(store, stale)
    claimed = await store.write(
        lambda unit: unit.intents.claim_expired(now=NOON, lease_until=NOON + minutes(1), limit=1)
    )

    async def leave(intent: Intent) -> None:
        if write == "void":
            await store.write(lambda unit: unit.intents.void(intent))
        else:
            await store.write(lambda unit: unit.intents.finish_many([intent]))

    with pytest.raises(ConcurrentChange):
        await leave(stale)
    await leave(claimed[0])
    with pytest.raises(ConcurrentChange):
        await leave(claimed[0])


async def test_finishing_many_is_all_or_nothing(store: SqlStore) -> None:
    intents = [make_intent(make_license(f"N-{n}"), index=n) for n in range(1200)]
    await _stored(store, *intents)
    with pytest.raises(ConcurrentChange):
        await store.write(
            lambda unit: unit.intents.finish_many([*intents, replace(intents[0], id="unknown")])
        )
    still = await store.read(lambda unit: unit.intents.get(intents[0].id))
    assert still is not None
    assert still.state is IntentState.OPEN
    await store.write(lambda unit: unit.intents.finish_many(intents))
    await store.write(lambda unit: unit.intents.finish_many([]))
    done = await store.read(lambda unit: unit.intents.get(intents[-1].id))
    assert done is not None
    assert done.state is IntentState.DONE


async def test_only_expired_open_intents_are_claimed_oldest_first(store: SqlStore) -> None:
    old = make_intent(make_license("old"), index=0, lease_until=NOON - minutes(5))
    due = make_intent(make_license("due"), index=1, lease_until=NOON)
    running = make_intent(make_license("running"), index=2, lease_until=NOON + minutes(1))
    done = make_intent(make_license("done"), index=3, lease_until=NOON - minutes(9))
    await _stored(store, old, due, running, done)
    await store.write(lambda unit: unit.intents.finish_many([done]))
    until = NOON + minutes(2)

    async def claim(unit: UnitOfWork) -> list[Intent]:
        return list(await unit.intents.claim_expired(now=NOON, lease_until=until, limit=1))

    assert await store.write(claim) == [replace(old, fence=2, lease_until=until)]
    assert await store.write(claim) == [replace(due, fence=2, lease_until=until)]
    assert await store.write(claim) == []


async def test_two_claimers_never_get_the_same_intent(store: SqlStore, another_store: SqlStore) -> None:
    intents = [make_intent(make_license(f"N-{n}"), index=n) for n in range(40)]
    await _stored(store, *intents)

    async def claim(on: SqlStore) -> list[str]:
        taken = await on.write(
            lambda unit: unit.intents.claim_expired(now=NOON, lease_until=NOON + minutes(1), limit=5)
        )
        return [intent.id for intent in taken]

    rounds = await asyncio.gather(*(claim((store, another_store)[n % 2]) for n in range(10)))
    taken = [intent_id for ids in rounds for intent_id in ids]
    assert len(taken) == len(set(taken))
    for _ in range(10):
        taken += await claim(store)
    assert sorted(taken) == sorted(intent.id for intent in intents)


async def test_of_many_intents_for_one_number_one_is_kept(store: SqlStore, another_store: SqlStore) -> None:
    async def attempt(who: int) -> bool:
        intent = make_intent(make_license("N-1"), index=who)
        try:
            await _stored((store, another_store)[who % 2], intent)
        except NumberTaken:
            return False
        return True

    assert sum(await asyncio.gather(*(attempt(who) for who in range(12)))) == 1
