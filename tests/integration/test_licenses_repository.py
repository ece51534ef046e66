"""Licenses, versions and history, on both databases."""

import asyncio
from dataclasses import fields, replace
from datetime import date, timedelta

import pytest

from app.adapters.db import SqlStore
from app.domain.errors import ConcurrentChange, DomainError, NumberTaken
from app.domain.license import Holder, IssuedVersion, License, LicenseFilter, State
from app.ports import FoundLicense, LicenseSnapshot, UnitOfWork
from tests.builders import NOON, TODAY, TYPE_CODE, make_entry, make_license, make_row, make_version, minutes

pytestmark = pytest.mark.anyio


def _without_credential(version: IssuedVersion) -> dict[str, object]:
    """Return a version's values; those found by the many come without the credential's bytes."""
    return {field.name: getattr(version, field.name) for field in fields(IssuedVersion)}


def _recognized(found: FoundLicense) -> tuple[License, dict[str, object]]:
    return found.license, _without_credential(found.version)


async def _stored(store: SqlStore, *licenses: License) -> None:
    rows = [make_row(license_, index=index) for index, license_ in enumerate(licenses)]
    await store.write(lambda unit: unit.licenses.add_many(rows))


async def _change(store: SqlStore, license_: License, state: State, *, expected: int = 1) -> None:
    await store.write(
        lambda unit: unit.licenses.change_state(
            license_id=license_.id,
            expected_row_version=expected,
            state=state,
            at=NOON + minutes(1),
            entry=make_entry(license_, action="change", to_state=state),
        )
    )


async def test_a_license_comes_back_as_it_was_stored(store: SqlStore) -> None:
    license_ = make_license(valid_until=date(2099, 12, 31), source_digest="cd" * 32)
    version, entry = make_version(license_, index=7), make_entry(license_)
    await store.write(lambda unit: unit.licenses.add_many([(license_, version, entry)]))

    async def read(unit: UnitOfWork) -> None:
        assert await unit.licenses.get(license_.id) == license_
        assert await unit.licenses.snapshot(license_.id) == LicenseSnapshot(license=license_, version=version)
        assert await unit.licenses.versions(license_.id) == [version]
        assert await unit.licenses.history(license_.id) == [entry]
        assert list(((await unit.licenses.get(license_.id)) or license_).elements) == list(license_.elements)

    await store.read(read)


async def test_an_unknown_license_is_none_everywhere(store: SqlStore) -> None:
    async def read(unit: UnitOfWork) -> None:
        assert await unit.licenses.get("no-such-id") is None
        assert await unit.licenses.snapshot("no-such-id") is None
        assert await unit.licenses.by_identifier("no-such-identifier") is None
        assert await unit.licenses.versions("no-such-id") == []
        assert await unit.licenses.history("no-such-id") == []
        assert await unit.licenses.find(number="none", type_code=TYPE_CODE) == []
        assert await unit.licenses.by_numbers(type_code=TYPE_CODE, numbers=["none"]) == {}
        assert await unit.licenses.by_numbers(type_code=TYPE_CODE, numbers=[]) == {}

    await store.read(read)


async def test_an_identifier_leads_to_the_license_and_the_version_it_names(store: SqlStore) -> None:
    license_ = make_license()
    await _stored(store, license_)
    found = await store.read(lambda unit: unit.licenses.by_identifier(license_.identifier))
    assert found is not None
    snapshot, named = found
    assert snapshot.license == license_
    assert named == snapshot.version == make_version(license_, index=0)


async def test_find_by_number_needs_the_right_type(store: SqlStore) -> None:
    license_ = make_license("N-1")
    await _stored(store, license_, make_license("N-2"))
    found = await store.read(lambda unit: unit.licenses.find(number="N-1", type_code=TYPE_CODE))
    assert [snapshot.license for snapshot in found] == [license_]
    assert await store.read(lambda unit: unit.licenses.find(number="N-1", type_code="other")) == []


async def test_many_are_found_by_number_as_each_is_alone(store: SqlStore) -> None:
    await _stored(store, make_license("N-1"), make_license("N-2", state=State.REVOKED))

    async def read(unit: UnitOfWork) -> None:
        asked = ["N-1", "nobody's", "N-2", *(f"M-{n}" for n in range(1500))]
        found = await unit.licenses.find_by_numbers(asked, type_code=TYPE_CODE)
        assert {number: [_recognized(one) for one in some] for number, some in found.items()} == {
            number: [_recognized(one) for one in await unit.licenses.find(number=number, type_code=TYPE_CODE)]
            for number in ("N-1", "N-2")
        }
        assert await unit.licenses.find_by_numbers(["N-1"], type_code="other") == {}
        assert await unit.licenses.find_by_numbers([], type_code=TYPE_CODE) == {}

    await store.read(read)


async def test_many_are_found_by_identifier_as_each_is_alone(store: SqlStore) -> None:
    some = [make_license("N-1"), make_license("N-2")]
    await _stored(store, *some)

    async def read(unit: UnitOfWork) -> None:
        names = [license_.identifier for license_ in some]
        found = await unit.licenses.by_identifiers([names[0], "nobody's", names[1]])
        assert found.keys() == set(names)
        for name in names:
            alone = await unit.licenses.by_identifier(name)
            assert alone is not None
            current, version = found[name]
            assert _recognized(current) == _recognized(alone[0])
            assert _without_credential(version) == _without_credential(alone[1])

    await store.read(read)


async def test_find_by_holder_gives_live_ones_first_and_no_more_than_the_limit(store: SqlStore) -> None:
    ended = [make_license(f"E-{n}", state=State.REVOKED) for n in range(2)]
    live = [make_license(f"L-{n}", state=state) for n, state in enumerate((State.ACTIVE, State.SUSPENDED))]
    await _stored(store, ended[0], live[0], ended[1], live[1])
    code = ended[0].holder.code
    found = await store.read(lambda unit: unit.licenses.find(holder_code=code, type_code=TYPE_CODE))
    assert {s.license.id for s in found[:2]} == {license_.id for license_ in live}
    assert {s.license.id for s in found[2:]} == {license_.id for license_ in ended}
    few = await store.read(lambda unit: unit.licenses.find(holder_code=code, type_code=TYPE_CODE, limit=3))
    assert few == found[:3]


async def test_find_by_number_and_holder_needs_both_to_fit(store: SqlStore) -> None:
    license_ = make_license("N-1")
    await _stored(store, license_)

    async def read(unit: UnitOfWork) -> None:
        right = await unit.licenses.find(number="N-1", holder_code=license_.holder.code, type_code=TYPE_CODE)
        assert len(right) == 1
        assert await unit.licenses.find(number="N-1", holder_code="other", type_code=TYPE_CODE) == []
        with pytest.raises(ValueError, match="number or a holder"):
            await unit.licenses.find(type_code=TYPE_CODE)

    await store.read(read)


async def test_by_numbers_finds_those_that_exist_among_thousands(store: SqlStore) -> None:
    licenses = [make_license(f"N-{n}") for n in range(3)]
    await _stored(store, *licenses)
    asked = [f"N-{n}" for n in range(2500)]
    found = await store.read(lambda unit: unit.licenses.by_numbers(type_code=TYPE_CODE, numbers=asked))
    assert found == {license_.number: license_ for license_ in licenses}


async def test_a_number_is_taken_for_ever_within_its_type(store: SqlStore) -> None:
    first = make_license("N-1")
    await _stored(store, first)
    await _change(store, first, State.REVOKED)
    with pytest.raises(NumberTaken):
        await store.write(lambda unit: unit.licenses.add_many([make_row(make_license("N-1"), index=1)]))
    other_type = make_license("N-1", type_code="11320000000000000X001")
    await store.write(lambda unit: unit.licenses.add_many([make_row(other_type, index=2)]))


async def test_a_chunk_with_one_taken_number_stores_nothing(store: SqlStore) -> None:
    await _stored(store, make_license("N-1"))
    rows = [make_row(make_license(f"N-{n}"), index=10 + n) for n in range(3)]
    with pytest.raises(NumberTaken):
        await store.write(lambda unit: unit.licenses.add_many(rows))
    assert await store.read(lambda unit: unit.licenses.get(rows[0][0].id)) is None
    assert await store.read(lambda unit: unit.licenses.get(rows[2][0].id)) is None


async def test_two_equal_numbers_in_one_chunk_are_refused(store: SqlStore) -> None:
    rows = [make_row(make_license("N-1"), index=index) for index in range(2)]
    with pytest.raises(NumberTaken):
        await store.write(lambda unit: unit.licenses.add_many(rows))


@pytest.mark.parametrize("same", ["identifier", "index"])
async def test_identifier_and_status_index_are_never_used_twice(store: SqlStore, same: str) -> None:
    first, second = make_license("N-1"), make_license("N-2")
    await _stored(store, first)
    if same == "identifier":
        second = replace(second, identifier=first.identifier)
    row = make_row(second, index=1 if same == "identifier" else 0)
    with pytest.raises(DomainError) as refused:
        await store.write(lambda unit: unit.licenses.add_many([row]))
    assert refused.value.code == "conflict"


async def test_of_many_who_want_one_number_one_gets_it(store: SqlStore, another_store: SqlStore) -> None:
    wanted = [[make_license(f"N-{n}") for n in range(5)] for _ in range(8)]

    async def attempt(who: int) -> bool:
        on = (store, another_store)[who % 2]
        # Each in another order: nobody may wait for somebody who waits for him.
        mine = wanted[who][who % 5 :] + wanted[who][: who % 5]
        rows = [make_row(license_, index=who * 5 + n) for n, license_ in enumerate(mine)]
        try:
            await on.write(lambda unit: unit.licenses.add_many(rows))
        except NumberTaken:
            return False
        return True

    outcomes = await asyncio.gather(*(attempt(who) for who in range(8)))
    assert outcomes.count(True) == 1
    winner = wanted[outcomes.index(True)]
    numbers = [license_.number for license_ in winner]
    found = await store.read(lambda unit: unit.licenses.by_numbers(type_code=TYPE_CODE, numbers=numbers))
    assert {license_.id for license_ in found.values()} == {license_.id for license_ in winner}


async def test_a_change_of_state_moves_license_version_and_history_together(store: SqlStore) -> None:
    license_ = make_license()
    await _stored(store, license_)
    await _change(store, license_, State.SUSPENDED)
    await _change(store, license_, State.REVOKED, expected=2)

    async def read(unit: UnitOfWork) -> None:
        snapshot = await unit.licenses.snapshot(license_.id)
        assert snapshot is not None
        assert snapshot.license == replace(
            license_, state=State.REVOKED, row_version=3, updated_at=NOON + minutes(1)
        )
        assert snapshot.version.state is State.REVOKED
        told = await unit.licenses.history(license_.id)
        assert [entry.to_state for entry in told] == ["active", "suspended", "revoked"]
        assert told[1].reason == "现场检查不合格"

    await store.read(read)


async def test_a_change_from_an_outdated_row_changes_nothing(store: SqlStore) -> None:
    license_ = make_license()
    await _stored(store, license_)
    await _change(store, license_, State.SUSPENDED)
    with pytest.raises(ConcurrentChange):
        await _change(store, license_, State.REVOKED, expected=1)
    with pytest.raises(ConcurrentChange):
        await _change(store, make_license("unknown"), State.REVOKED)
    after = await store.read(lambda unit: unit.licenses.snapshot(license_.id))
    assert after is not None
    assert (after.license.state, after.version.state) == (State.SUSPENDED, State.SUSPENDED)
    assert len(await store.read(lambda unit: unit.licenses.history(license_.id))) == 2


async def test_of_two_concurrent_changes_one_wins_and_one_is_told(
    store: SqlStore, another_store: SqlStore
) -> None:
    license_ = make_license()
    await _stored(store, license_)
    outcomes = await asyncio.gather(
        _change(store, license_, State.SUSPENDED),
        _change(another_store, license_, State.REVOKED),
        return_exceptions=True,
    )
    assert sorted(type(outcome) for outcome in outcomes if outcome is not None) == [ConcurrentChange]
    assert len(await store.read(lambda unit: unit.licenses.history(license_.id))) == 2


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("active", {"long", "last-day", "first-day"}),
        ("expired", {"expired", "expired-before-it-began"}),
        ("not_yet_valid", {"future"}),
        ("suspended", {"suspended"}),
        ("revoked", {"revoked"}),
        ("cancelled", set()),
    ],
)
async def test_the_status_filter_says_in_sql_what_the_value_says(
    store: SqlStore, status: str, expected: set[str]
) -> None:
    yesterday, tomorrow = date(2026, 3, 3), date(2026, 3, 5)
    licenses = [
        make_license("long"),
        make_license("last-day", valid_until=TODAY),
        make_license("first-day", valid_from=TODAY),
        make_license("expired", valid_until=yesterday),
        make_license("expired-before-it-began", valid_from=tomorrow, valid_until=yesterday),
        make_license("future", valid_from=tomorrow),
        make_license("suspended", state=State.SUSPENDED, valid_until=yesterday),
        make_license("revoked", state=State.REVOKED, valid_from=tomorrow),
    ]
    await _stored(store, *licenses)
    where = LicenseFilter(status=status, today=TODAY)
    shown, following = await store.read(lambda unit: unit.licenses.page(where, cursor=None, limit=50))
    assert following is None
    assert {license_.number for license_ in shown} == expected
    assert {license_.number for license_ in licenses if license_.status_on(TODAY) == status} == expected


async def test_a_status_nobody_knows_is_refused(store: SqlStore) -> None:
    with pytest.raises(DomainError) as refused:
        where = LicenseFilter(status="lost", today=TODAY)
        await store.read(lambda unit: unit.licenses.page(where, cursor=None, limit=5))
    assert refused.value.code == "invalid_request"


async def test_pages_show_each_license_once_whatever_is_added_meanwhile(store: SqlStore) -> None:
    licenses = [make_license(f"N-{n}") for n in range(7)]
    await _stored(store, *licenses)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        asked = cursor
        shown, cursor = await store.read(
            lambda unit, asked=asked: unit.licenses.page(LicenseFilter(), cursor=asked, limit=3)
        )
        seen += [license_.number for license_ in shown]
        if len(seen) == 3:
            await store.write(lambda unit: unit.licenses.add_many([make_row(make_license("late"), index=99)]))
    assert len(seen) == len(set(seen))
    assert {f"N-{n}" for n in range(7)} <= set(seen)


async def test_a_page_that_ends_exactly_has_no_next(store: SqlStore) -> None:
    await _stored(store, *(make_license(f"N-{n}") for n in range(3)))
    shown, following = await store.read(
        lambda unit: unit.licenses.page(LicenseFilter(), cursor=None, limit=3)
    )
    assert (len(shown), following) == (3, None)


@pytest.mark.parametrize("part", ["authority_code", "holder_code", "type_code", "number", "identifier"])
async def test_every_part_of_a_filter_narrows(store: SqlStore, part: str) -> None:
    wanted, other = make_license("N-1"), make_license("N-2", type_code="T-2", authority_code="A-2")
    other = replace(other, holder=replace(other.holder, code="H-2"))
    await _stored(store, wanted, other)
    value = wanted.holder.code if part == "holder_code" else getattr(wanted, part)
    where = LicenseFilter(**{part: value})
    shown, _ = await store.read(lambda unit: unit.licenses.page(where, cursor=None, limit=5))
    assert shown == [wanted]


@pytest.mark.parametrize(
    "cursor", ["x", "eyJhIjoxfQ", "WyJsaWNlbnNlcyJd", "=", "ünsinn", "WyJhdWRpdCIsImEiXQ", "A" * 2000]
)
async def test_a_cursor_that_is_not_ours_is_refused(store: SqlStore, cursor: str) -> None:
    with pytest.raises(DomainError) as refused:
        await store.read(lambda unit: unit.licenses.page(LicenseFilter(), cursor=cursor, limit=5))
    assert refused.value.code == "invalid_request"


async def test_a_holder_s_live_licenses_are_counted_by_authority(store: SqlStore) -> None:
    live = [
        make_license("a"),
        make_license("b", state=State.SUSPENDED),
        make_license("c", valid_until=TODAY),
        make_license("d", authority_code="another"),
        make_license("e", valid_from=TODAY + timedelta(days=9)),
    ]
    others = [
        make_license("f", state=State.REVOKED),
        make_license("g", valid_until=TODAY - timedelta(days=1)),
        make_license("h", holder=Holder(code="someone else", code_type="099", name="x")),
    ]
    rows = [make_row(one, index=place) for place, one in enumerate([*live, *others])]
    await store.write(lambda unit: unit.licenses.add_many(rows))
    holder = live[0].holder.code
    counted = await store.read(lambda unit: unit.licenses.count_live(holder, today=TODAY, besides=live[0].id))
    assert counted == {live[0].authority_code: 3, "another": 1}
    assert await store.read(lambda unit: unit.licenses.count_live("x", today=TODAY, besides="")) == {}
