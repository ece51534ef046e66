"""Changes ordered ahead of their time: claimed in their order, under a fence, each by one."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from app.adapters.db import SqlStore
from app.domain.errors import ConcurrentChange, DomainError
from app.domain.license import License
from app.domain.scheduled_change import ChangeStatus, ScheduledChange
from app.ports import UnitOfWork
from tests.builders import AUTHORITY_CODE, NOON, make_license, make_order, make_row, make_scheduled, minutes

pytestmark = pytest.mark.anyio

LEASE = minutes(1)


async def _licenses(store: SqlStore, count: int) -> list[License]:
    made = [make_license(f"N-{number}") for number in range(count)]
    await store.write(
        lambda unit: unit.licenses.add_many([make_row(one, index=place) for place, one in enumerate(made)])
    )
    return made


async def _add(store: SqlStore, *changes: ScheduledChange) -> None:
    async def work(unit: UnitOfWork) -> None:
        for change in changes:
            await unit.scheduled_changes.add(change)

    await store.write(work)


async def _claim(store: SqlStore, now: datetime = NOON, *, limit: int = 100) -> Sequence[ScheduledChange]:
    return await store.write(
        lambda unit: unit.scheduled_changes.claim_due(now=now, lease_until=now + LEASE, limit=limit)
    )


async def _get(store: SqlStore, change: ScheduledChange) -> ScheduledChange:
    found = await store.read(lambda unit: unit.scheduled_changes.get(change.id))
    assert found is not None
    return found


async def test_a_change_comes_back_as_it_was_stored(store: SqlStore) -> None:
    (license,) = await _licenses(store, 1)
    plain = make_scheduled(license)
    whole = make_scheduled(
        license,
        order=make_order(license, action="amend", elements={"地址": None, "z": "\u2028"}, numbers=[1, 2]),
        status=ChangeStatus.CANCELLED,
        proposal_id="proposal-1",
        proposed_by="client-2",
        ended_at=NOON + minutes(3),
        ended_by="client-3",
        end_reason="不再需要",
        outcome="cancelled",
    )
    await _add(store, plain, whole)
    assert await _get(store, plain) == plain
    assert await _get(store, whole) == whole
    assert await store.read(lambda unit: unit.scheduled_changes.get("unknown")) is None


async def test_what_is_due_and_free_is_claimed_the_longest_due_first(store: SqlStore) -> None:
    licenses = await _licenses(store, 6)
    late, due, coming, held, done, free_again = (
        make_scheduled(licenses[0], effective_at=NOON - minutes(9)),
        make_scheduled(licenses[1], effective_at=NOON),
        make_scheduled(licenses[2], effective_at=NOON + minutes(1)),
        make_scheduled(licenses[3], lease_until=NOON + minutes(1), fence=1),
        make_scheduled(licenses[4], status=ChangeStatus.DONE),
        make_scheduled(licenses[5], effective_at=NOON - minutes(5), lease_until=NOON, fence=3),
    )
    assert not await store.read(lambda unit: unit.scheduled_changes.is_due(NOON))
    await _add(store, due, coming, held, done, free_again, late)
    assert await store.read(lambda unit: unit.scheduled_changes.is_due(NOON))
    until = NOON + LEASE
    assert await _claim(store) == [
        replace(late, fence=1, lease_until=until),
        replace(free_again, fence=4, lease_until=until),
        replace(due, fence=1, lease_until=until),
    ]
    assert not await store.read(lambda unit: unit.scheduled_changes.is_due(NOON))
    assert await _claim(store) == []


async def test_of_one_license_the_later_change_waits_for_the_earlier_one(store: SqlStore) -> None:
    (license,) = await _licenses(store, 1)
    second = make_scheduled(license, action="resume", effective_at=NOON - minutes(1))
    first = make_scheduled(license, effective_at=NOON - minutes(2))
    await _add(store, second, first)
    (claimed,) = await _claim(store)
    assert claimed.id == first.id
    assert await _claim(store) == []  # held by somebody, and not done yet
    await store.write(
        lambda unit: unit.scheduled_changes.end(claimed.ended(ChangeStatus.DONE, at=NOON, outcome="ok"))
    )
    assert [one.id for one in await _claim(store)] == [second.id]


async def test_two_claimers_never_get_the_same_change(store: SqlStore, another_store: SqlStore) -> None:
    changes = [make_scheduled(license) for license in await _licenses(store, 40)]
    await _add(store, *changes)
    rounds = await asyncio.gather(*(_claim((store, another_store)[n % 2], limit=5) for n in range(10)))
    taken = [change.id for some in rounds for change in some]
    assert len(taken) == len(set(taken))
    for _ in range(10):
        taken += [change.id for change in await _claim(store, limit=5)]
    assert sorted(taken) == sorted(change.id for change in changes)


async def test_an_older_fence_or_an_ended_change_is_refused(store: SqlStore) -> None:
    (license,) = await _licenses(store, 1)
    stale = make_scheduled(license)
    await _add(store, stale)
    (claimed,) = await _claim(store)

    async def end(change: ScheduledChange) -> None:
        ended = change.ended(ChangeStatus.FAILED, at=NOON, outcome="state_conflict")
        await store.write(lambda unit: unit.scheduled_changes.end(ended))

    with pytest.raises(ConcurrentChange):
        await end(stale)
    await end(claimed)
    with pytest.raises(ConcurrentChange):
        await end(claimed)
    kept = await _get(store, stale)
    assert (kept.status, kept.outcome) == (ChangeStatus.FAILED, "state_conflict")
    with pytest.raises(DomainError, match="already_decided"):
        kept.ended(ChangeStatus.DONE, at=NOON, outcome="ok")


async def test_what_waits_for_a_license_is_counted_and_cancelled_whoever_holds_it(store: SqlStore) -> None:
    license, other = await _licenses(store, 2)
    free, held, done, others = (
        make_scheduled(license, effective_at=NOON + minutes(2)),
        make_scheduled(license, lease_until=NOON + minutes(1), fence=1),
        make_scheduled(license, status=ChangeStatus.DONE, outcome="ok"),
        make_scheduled(other),
    )
    await _add(store, free, held, done, others)
    waiting = await store.read(lambda unit: unit.scheduled_changes.waiting_of(license.id))
    assert waiting == [held, free]
    assert await store.read(lambda unit: unit.scheduled_changes.count_waiting(license.id)) == 2
    cancelled = await store.write(
        lambda unit: unit.scheduled_changes.cancel_waiting(
            license.id, at=NOON, by="client-9", outcome="license_ended"
        )
    )
    assert cancelled == sorted([free.id, held.id])
    for change in (free, held):
        kept = await _get(store, change)
        assert (kept.status, kept.ended_by, kept.outcome) == (
            ChangeStatus.CANCELLED,
            "client-9",
            "license_ended",
        )
    assert (await _get(store, done), await _get(store, others)) == (done, others)


async def test_lists_are_paged_by_the_time_of_effect(store: SqlStore) -> None:
    license, other = await _licenses(store, 2)
    changes = [make_scheduled((license, other)[n % 2], effective_at=NOON + minutes(n // 3)) for n in range(9)]
    failed = make_scheduled(license, status=ChangeStatus.FAILED, effective_at=NOON - minutes(1))
    strange = make_scheduled(license, authority_code="another")
    await _add(store, *reversed(changes), failed, strange)

    async def pages(**where: object) -> list[str]:
        options: dict[str, object] = {"license_id": None, "status": None, **where}
        seen: list[str] = []
        cursor = None
        while True:
            shown, cursor = await store.read(
                lambda unit: unit.scheduled_changes.page(
                    authority_code=AUTHORITY_CODE,
                    cursor=cursor,  # noqa: B023
                    limit=2,
                    **options,  # type: ignore[arg-type]
                )
            )
            seen += [change.id for change in shown]
            if cursor is None:
                return seen

    in_order = [one.id for one in sorted(changes, key=lambda one: (one.effective_at, one.id))]
    assert await pages() == [failed.id, *in_order]
    assert await pages(status=ChangeStatus.SCHEDULED) == in_order
    assert await pages(license_id=other.id) == [
        one for one in in_order if one in {change.id for change in changes[1::2]}
    ]
    assert await pages(license_id="unknown") == []


@pytest.mark.parametrize(
    "cursor", ["x", "WyJzY2hlZHVsZWQtY2hhbmdlcyIsIngiLCJ5Il0", "WyJwcm9wb3NhbHMiLCJ4Il0"]
)
async def test_a_cursor_of_another_list_is_refused(store: SqlStore, cursor: str) -> None:
    with pytest.raises(DomainError, match="invalid_request"):
        await store.read(
            lambda unit: unit.scheduled_changes.page(
                authority_code=AUTHORITY_CODE, license_id=None, status=None, cursor=cursor, limit=2
            )
        )
