"""One number has one spelling: issued once however it is written, and found however it is asked."""

from pathlib import Path

import pytest

from app.adapters.db import SqlStore
from app.domain.import_batch import ImportMap, SourceRow
from app.domain.license import LicenseFilter
from app.domain.verification import LicenseReference
from app.services.import_rows import RowReader
from app.services.verification_evidence import look_up
from tests.builders import TYPE_CODE, make_license, make_row
from tests.installation import BUSINESS_LICENSE, test_plan, uscc
from tests.integration.http_service import assert_problem, license_body, open_http

pytestmark = pytest.mark.anyio

WIDE = "苏（2024）Ａ-１"
PLAIN = "苏(2024)A-1"


@pytest.mark.parametrize(
    ("stored", "spellings"),
    [
        (PLAIN, (WIDE, PLAIN, f"{PLAIN}\u200b", f"\ufeff{WIDE}")),
        (uscc(7), (uscc(7).lower(), uscc(7), f"{uscc(7)[:8]} {uscc(7)[8:]}", f"{uscc(7)[:8]}-{uscc(7)[8:]}")),
    ],
)
async def test_a_number_in_another_spelling_is_the_same_number(
    database_url: str, tmp_path: Path, stored: str, spellings: tuple[str, ...]
) -> None:
    async with open_http(database_url, tmp_path) as service:
        issued = await service.issue(number=spellings[0])
        assert issued["number"] == stored
        for spelling in spellings:
            again = await service.call(
                "authority", "POST", "/v1/licenses", json=license_body(service, number=spelling)
            )
            assert_problem(again, "number_taken")
            asked = await service.verify(license={"number": spelling, "type_code": BUSINESS_LICENSE})
            assert (asked["reason"], asked["verdict"]) == ("ok", "valid"), spelling
            listed = await service.call("authority", "GET", "/v1/licenses", params={"number": spelling})
            assert [one["id"] for one in listed.json()["data"]] == [issued["id"]], spelling


async def test_a_number_that_was_stored_in_another_spelling_is_found_as_it_is(store: SqlStore) -> None:
    old, new = make_license(WIDE), make_license(PLAIN)
    await store.write(lambda unit: unit.licenses.add_many([make_row(old, index=0), make_row(new, index=1)]))
    for spelling, found in ((WIDE, old), (PLAIN, new)):
        reference = LicenseReference(number=spelling, type_code=TYPE_CODE)
        held = await store.read(lambda unit, asked=reference: look_up(unit, [], [asked], late_since=None))
        assert [one.license.id for one in held.numbered(reference)] == [found.id]
    page, _ = await store.read(
        lambda unit: unit.licenses.page(LicenseFilter(number=WIDE), cursor=None, limit=5)
    )
    assert {one.id for one in page} == {old.id, new.id}


async def test_a_list_by_number_shows_no_license_of_another_number(store: SqlStore) -> None:
    small, capital = make_license("ab-1"), make_license("AB1")
    await store.write(
        lambda unit: unit.licenses.add_many([make_row(small, index=0), make_row(capital, index=1)])
    )
    for one in (small, capital):
        where = LicenseFilter(number=one.number)
        page, _ = await store.read(lambda unit, by=where: unit.licenses.page(by, cursor=None, limit=5))
        assert [found.id for found in page] == [one.id]


def test_a_file_names_a_number_as_a_caller_does() -> None:
    plan = test_plan()
    reader = RowReader(
        mapping=ImportMap(
            columns={"number": "n", "holder.code": "c", "holder.name": "h", "issue_date": "d"},
        ),
        headers=("n", "c", "h", "d"),
        authority=plan.authorities[0],
        license_type=plan.license_types[0],
        areas={area.code: area for area in plan.areas},
    )
    for given, held in ((f"{WIDE}\u200b", PLAIN), (uscc(7).lower(), uscc(7))):
        row = SourceRow(line=2, cells=(given, uscc(1), "示例公司", "2024-01-01"))
        assert reader.read(row).new.number == held
