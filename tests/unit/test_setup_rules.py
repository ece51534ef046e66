"""Definitions: what would make a later issue fail, or read falsely, is refused when it is applied."""

from dataclasses import replace
from datetime import date

import pytest

from app.domain.authority import Area, Authority, ElementDefinition, IssuingScope, LicenseType, SetupPlan
from app.domain.directory import Directory
from app.domain.setup_rules import plan_problems

EMPTY = Directory(revision=0, areas={}, license_types={}, authorities={})
AREA = Area(code="320100", name="南京市")
ADDRESS = ElementDefinition(name="address", label="住所", label_en="address")
TYPE = LicenseType(
    code="11100000MB0143028R001",
    name="营业执照",
    name_en="Business license",
    defining_authority="11100000MB0143028R",
    elements=(ADDRESS,),
    description="一行\n又一行\n",
)
SCOPE = IssuingScope(type_code=TYPE.code, areas=("3201",), valid_from=date(2026, 1, 1))
AUTHORITY = Authority(code="A", name="南京市样例局", level="city", area_code=AREA.code, scopes=(SCOPE,))


def problems(
    *, area: Area = AREA, kind: LicenseType = TYPE, authorities: tuple[Authority, ...] = (AUTHORITY,)
) -> list[str]:
    plan = SetupPlan(areas=(area,), license_types=(kind,), authorities=authorities)
    found = plan_problems(plan, EMPTY)
    assert all(one.detail and one.detail_zh for one in found)
    return [one.pointer for one in found]


def test_good_definitions_have_no_problem() -> None:
    assert problems() == []


@pytest.mark.parametrize("name", ["营业\n执照", "营业\u202e执照", "x" * 30_000, "\x00x", " ", " 营业执照"])
def test_names_that_cannot_be_signed_are_refused(name: str) -> None:
    of_type = f"/license_types/{TYPE.code}"
    assert problems(area=replace(AREA, name=name)) == ["/areas/320100/name"]
    assert problems(kind=replace(TYPE, name=name)) == [f"{of_type}/name"]
    assert problems(kind=replace(TYPE, name_en=name)) == [f"{of_type}/name_en"]
    labelled = replace(TYPE, elements=(replace(ADDRESS, label=name, label_en=name),))
    assert problems(kind=labelled) == [
        f"{of_type}/elements/address/label",
        f"{of_type}/elements/address/label_en",
    ]
    assert problems(authorities=(replace(AUTHORITY, name=name),)) == ["/authorities/A/name"]


@pytest.mark.parametrize("text", ["\x00x", "x\u202ey", "x" * 30_000])
def test_a_description_may_have_lines_and_nothing_that_hides(text: str) -> None:
    assert problems(kind=replace(TYPE, description=text)) == [f"/license_types/{TYPE.code}/description"]


def test_an_element_is_defined_once() -> None:
    assert problems(kind=replace(TYPE, elements=(ADDRESS, ADDRESS))) == [
        f"/license_types/{TYPE.code}/elements/address"
    ]


def test_a_scope_does_not_end_before_it_begins() -> None:
    ends = replace(AUTHORITY, scopes=(replace(SCOPE, valid_until=date(2026, 1, 1)),))
    assert problems(authorities=(ends,)) == []
    ended = replace(AUTHORITY, scopes=(replace(SCOPE, valid_until=date(2025, 12, 31)),))
    assert problems(authorities=(ended,)) == [f"/authorities/A/scopes/{TYPE.code}"]


def test_references_lead_somewhere() -> None:
    lost = replace(AUTHORITY, area_code="320999", parent="B", scopes=(replace(SCOPE, type_code="T"),))
    assert problems(authorities=(lost,)) == [
        "/authorities/A/area_code",
        "/authorities/A/parent",
        "/authorities/A/scopes",
    ]


def test_parents_do_not_lead_in_a_circle_through_what_is_there_already_either() -> None:
    assert problems(authorities=(replace(AUTHORITY, parent="A"),)) == ["/authorities/A/parent"]
    below = replace(AUTHORITY, code="B", parent="A")
    assert problems(authorities=(AUTHORITY, below)) == []
    held = Directory(
        revision=1, areas={AREA.code: AREA}, license_types={TYPE.code: TYPE}, authorities={"B": below}
    )
    plan = SetupPlan(authorities=(replace(AUTHORITY, parent="B"),))
    assert [one.pointer for one in plan_problems(plan, held)] == ["/authorities/A/parent"]


def test_who_stands_below_a_circle_is_not_part_of_it() -> None:
    first, second = replace(AUTHORITY, code="B", parent="C"), replace(AUTHORITY, code="C", parent="B")
    below = replace(AUTHORITY, parent="B")
    assert problems(authorities=(below, first, second)) == ["/authorities/B/parent", "/authorities/C/parent"]
