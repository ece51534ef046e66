"""Further versions, what their promises hold, and successions, as both databases keep them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.adapters.db import SqlStore
from app.domain.errors import ConcurrentChange, NumberTaken
from app.domain.license import (
    Action,
    Intent,
    IntentState,
    License,
    LicenseVersion,
    Replacement,
    RevocationKind,
    State,
)
from app.domain.succession import Relation, Succession
from app.ports import UnitOfWork
from tests.builders import NOON, make_entry, make_intent, make_license, make_row, make_version, minutes

pytestmark = pytest.mark.anyio


def next_of(of: License, *, version: str = "002") -> License:
    parts = of.identifier.split(".")
    return replace(
        of,
        identifier=".".join([*parts[:-2], version, "Y"]),
        version=version,
        holder=replace(of.holder, name="新名称"),
        elements={"address": "演示路2号"},
        updated_at=NOON + minutes(5),
        row_version=of.row_version + 1,
        source_digest="ef" * 32,
    )


def replacing(of: License, version: LicenseVersion, **changes: object) -> Replacement:
    made = Replacement(
        row_version=of.row_version,
        state=of.state,
        identifier=of.identifier,
        version=of.version,
        status_list_id=version.status_list_id,
        status_index=version.status_index,
        signing_input_sha256=version.signing_input_sha256,
        action=Action.AMEND,
        reason_code="change_of_address",
        reason="住所变更\n第二行",
        changed=("address", "holder_name"),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def promise(of: License, *, index: int, version: str = "002") -> Intent:
    made = make_intent(next_of(of, version=version), index=index)
    return replace(made, replaces=replacing(of, make_version(of, index=0)))


async def stored(store: SqlStore, number: str = "N-1", *, index: int = 0) -> License:
    license_ = make_license(number)
    await store.write(lambda unit: unit.licenses.add_many([make_row(license_, index=index)]))
    return license_


async def add_version(store: SqlStore, before: License, *, index: int = 1, **expected: object) -> bool:
    after = next_of(before)
    return await store.write(
        lambda unit: unit.licenses.add_version(
            after,
            make_version(after, index=index),
            make_entry(after, action="amend"),
            expected=replacing(before, make_version(before, index=0), **expected),
        )
    )


async def test_a_further_version_is_current_and_the_one_before_superseded(store: SqlStore) -> None:
    before = await stored(store)
    assert await add_version(store, before)
    after = next_of(before)

    async def read(unit: UnitOfWork) -> None:
        assert await unit.licenses.get(before.id) == after
        old, new = await unit.licenses.versions(before.id)
        assert old == replace(make_version(before, index=0), state=State.SUPERSEDED)
        assert new == make_version(after, index=1)
        assert [await unit.licenses.version(before.id, one) for one in ("001", "002")] == [old, new]
        assert await unit.licenses.version(before.id, "003") is None
        assert await unit.licenses.version("unknown", "001") is None
        assert [entry.action for entry in await unit.licenses.history(before.id)] == ["issue", "amend"]
        for identifier, version in ((before.identifier, "001"), (after.identifier, "002")):
            found = await unit.licenses.by_identifier(identifier)
            assert found is not None
            assert (found[0].license, found[0].version, found[1].version) == (after, new, version)
        assert (await unit.licenses.snapshots([before.id, "unknown"])).keys() == {before.id}

    await store.read(read)


async def test_earlier_versions_are_found_at_once_and_without_their_files(
    store: SqlStore, statements: list[tuple[str, object]]
) -> None:
    before = [await stored(store, f"N-{n}", index=2 * n) for n in range(20)]
    for n, license_ in enumerate(before):
        assert await add_version(store, license_, index=2 * n + 1)
    names = [license_.identifier for license_ in before]

    async def asked(some: Sequence[str]) -> Sequence[str]:
        del statements[:]
        found = await store.read(lambda unit: unit.licenses.by_identifiers(some))
        assert {name: (found[name][0].license, found[name][1].version) for name in some} == {
            license_.identifier: (next_of(license_), "001") for license_ in before[: len(some)]
        }
        return [sql for sql, _ in statements]

    one, all_ = await asked(names[:1]), await asked(names)
    assert len(all_) == len(one)
    assert not any("credential" in sql for sql in all_)


@pytest.mark.parametrize("expected", [{"row_version": 2}, {"state": State.SUSPENDED}])
async def test_a_changed_predecessor_gets_no_further_version(
    store: SqlStore, expected: dict[str, object]
) -> None:
    before = await stored(store)
    assert not await add_version(store, before, **expected)

    async def read(unit: UnitOfWork) -> None:
        assert await unit.licenses.get(before.id) == before
        assert await unit.licenses.versions(before.id) == [make_version(before, index=0)]
        assert len(await unit.licenses.history(before.id)) == 1

    await store.read(read)


async def test_of_a_revocation_and_a_further_version_at_once_the_license_ends_in_both_orders(
    store: SqlStore, another_store: SqlStore
) -> None:
    for round_ in range(10):
        before = await stored(store, f"N-{round_}", index=2 * round_)

        async def revoke(of: License = before) -> None:
            async def work(unit: UnitOfWork) -> None:
                now = await unit.licenses.get(of.id)
                assert now is not None
                await unit.licenses.change_state(
                    license_id=of.id,
                    expected_row_version=now.row_version,
                    state=State.REVOKED,
                    at=NOON,
                    entry=make_entry(now, action="revoke", to_state=State.REVOKED),
                    revocation=RevocationKind.ANNULLED,
                )

            while True:
                try:
                    return await another_store.write(work)
                except ConcurrentChange:
                    continue

        made, _ = await asyncio.gather(add_version(store, before, index=2 * round_ + 1), revoke())
        license_ = await store.read(lambda unit, of=before: unit.licenses.get(of.id))
        versions = await store.read(lambda unit, of=before: unit.licenses.versions(of.id))
        assert license_ is not None
        assert (license_.state, license_.revocation) == (State.REVOKED, RevocationKind.ANNULLED)
        assert [version.state for version in versions] == (
            [State.SUPERSEDED, State.REVOKED] if made else [State.REVOKED]
        )


async def test_a_promise_of_a_further_version_comes_back_as_it_was_stored(store: SqlStore) -> None:
    intent = promise(await stored(store), index=1)
    await store.write(lambda unit: unit.intents.add_many([intent]))
    assert await store.read(lambda unit: unit.intents.get(intent.id)) == intent


async def test_one_further_version_is_promised_at_a_time(store: SqlStore, another_store: SqlStore) -> None:
    before = await stored(store)

    async def attempt(who: int) -> bool:
        # The same identifier or another one: either way the second comes too late.
        intent = promise(before, index=1 + who, version=f"{2 + who % 2:03d}")
        on = (store, another_store)[who % 2]
        try:
            await on.write(lambda unit: unit.intents.add_many([intent]))
        except ConcurrentChange:
            return False
        return True

    assert sum(await asyncio.gather(*(attempt(who) for who in range(8)))) == 1


async def test_a_voided_further_version_frees_no_number_and_stays_known(store: SqlStore) -> None:
    before = await stored(store)
    intent = promise(before, index=1)
    await store.write(lambda unit: unit.intents.add_many([intent]))
    await store.write(lambda unit: unit.intents.void(intent))
    with pytest.raises(NumberTaken):
        other = make_intent(make_license(before.number), index=5)
        await store.write(lambda unit: unit.intents.add_many([other]))
    again = promise(before, index=2, version="003")
    await store.write(lambda unit: unit.intents.add_many([again]))
    promised = await store.read(lambda unit: unit.intents.promised_versions([before.id, "unknown"]))
    assert promised == {before.id: {"002": IntentState.VOIDED, "003": IntentState.OPEN}}
    await store.write(lambda unit: unit.intents.finish_many([again]))
    promised = await store.read(lambda unit: unit.intents.promised_versions([before.id]))
    assert promised[before.id]["003"] is IntentState.DONE


async def test_even_a_first_promise_frees_no_number_that_a_license_holds(store: SqlStore) -> None:
    """Whatever called for it: while there is a license of that id, its number is not free."""
    before = await stored(store)
    claimed = make_intent(before, index=7)
    await store.write(lambda unit: unit.intents.add_many([claimed]))
    await store.write(lambda unit: unit.intents.void(claimed))
    held = await store.read(
        lambda unit: unit.intents.held_numbers(type_code=before.type_code, numbers=[before.number])
    )
    assert held == {before.number}


async def test_of_several_successions_the_newest_counts_in_the_order_named(store: SqlStore) -> None:
    licenses = [make_license(f"N-{n}") for n in range(4)]
    rows = [make_row(license_, index=index) for index, license_ in enumerate(licenses)]
    await store.write(lambda unit: unit.licenses.add_many(rows))
    old, first, second, third = (license_.id for license_ in licenses)

    def record(row_version: int, *successors: str) -> Succession:
        return Succession(
            license_id=old,
            row_version=row_version,
            relation=Relation.SPLIT_TO,
            successors=tuple(successors),  # type: ignore[arg-type]
        )

    await store.write(lambda unit: unit.successions.add(record(2, second)))
    await store.write(lambda unit: unit.successions.add(record(3, third, first)))
    found = await store.read(lambda unit: unit.successions.of_many([old, first, "unknown"]))
    assert found == {old: record(3, third, first)}
