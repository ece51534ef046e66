"""The rules of issuing: what is refused, with which code, and where the errors point."""

from dataclasses import replace
from datetime import date

import pytest

from app.domain.authority import AuthorityStatus, ElementKind
from app.domain.directory import Directory
from app.domain.errors import DomainError
from app.domain.holder_codes import other_code_problem
from app.domain.issuing_rules import judge_new_license
from app.domain.license import Holder, NewLicense
from tests.installation import (
    AREA,
    AUTHORITY,
    BUSINESS_LICENSE,
    FOOD_TYPE,
    HOLDER,
    OTHER_AREA,
    OTHER_AUTHORITY,
    test_plan,
)

TODAY = date(2026, 3, 4)
GOOD = NewLicense(
    type_code=BUSINESS_LICENSE,
    number="N-1",
    holder=HOLDER,
    area_code=AREA,
    issue_date=TODAY,
    valid_from=TODAY,
    valid_until=None,
    elements={"address": "示例路1号"},
    authority_code=AUTHORITY,
)


def directory() -> Directory:
    plan = test_plan()
    return Directory(
        revision=1,
        areas={area.code: area for area in plan.areas},
        license_types={item.code: item for item in plan.license_types},
        authorities={item.code: item for item in plan.authorities},
    )


def refused(**changes: object) -> DomainError:
    with pytest.raises(DomainError) as caught:
        judge_new_license(replace(GOOD, **changes), directory(), today=TODAY)  # type: ignore[arg-type]
    return caught.value


def test_a_good_license_passes_and_its_holder_code_is_put_into_normal_form() -> None:
    spaced = Holder(code=f" {HOLDER.code[:8].lower()}-{HOLDER.code[8:]} ", code_type="001", name=HOLDER.name)
    assert judge_new_license(replace(GOOD, holder=spaced), directory(), today=TODAY) == GOOD


@pytest.mark.parametrize(
    ("changes", "code", "pointers"),
    [
        ({"type_code": "11100000MB0143028R999"}, "unknown_type", ["/type_code"]),
        ({"area_code": "999999"}, "unknown_area", ["/area_code"]),
        (
            {"holder": Holder(code="914403002311457880", code_type="001", name="x")},
            "invalid_uscc",
            ["/holder/code"],
        ),
        (
            {"holder": Holder(code="110101199003070011", code_type="111", name="x")},
            "holder_not_supported",
            None,
        ),
        ({"holder": replace(HOLDER, name="")}, "invalid_request", ["/holder/name"]),
        ({"holder": replace(HOLDER, name="a\u202eb")}, "invalid_request", ["/holder/name"]),
        ({"number": "a\x00b"}, "invalid_request", ["/number"]),
        ({"number": "n" * 101}, "invalid_request", ["/number"]),
        ({"valid_until": date(2026, 3, 3)}, "invalid_dates", ["/valid_until"]),
        (
            {"valid_from": date(1950, 1, 1), "valid_until": date(1969, 12, 31)},
            "invalid_dates",
            ["/valid_until"],
        ),
        ({"valid_from": date(2031, 1, 1)}, "invalid_dates", ["/valid_from"]),
        ({"issue_date": date(1, 1, 1)}, "invalid_dates", ["/issue_date"]),
        ({"elements": {"unknown/one": "x"}}, "invalid_elements", ["/elements/unknown~1one"]),
        ({"elements": {"address": "line\nbreak"}}, "invalid_elements", ["/elements/address"]),
        ({"elements": {"address": ""}}, "invalid_elements", ["/elements/address"]),
        ({"elements": {"address": "x" * 4001}}, "invalid_elements", ["/elements/address"]),
        ({"type_code": FOOD_TYPE, "elements": {}}, "invalid_elements", ["/elements/premises"]),
        ({"area_code": OTHER_AREA}, "not_authorized_to_issue", []),
        (
            {"authority_code": OTHER_AUTHORITY, "type_code": FOOD_TYPE, "elements": {"premises": "x"}},
            "not_authorized_to_issue",
            [],
        ),
        ({"authority_code": "11320000MB1234567A"}, "not_authorized_to_issue", []),
    ],
)
def test_each_broken_rule_has_its_code_and_pointer(
    changes: dict[str, object], code: str, pointers: list[str] | None
) -> None:
    error = refused(**changes)
    assert error.code == code
    if pointers is not None:
        assert [found.pointer for found in error.errors] == pointers


def test_other_organisations_are_holders_with_any_code() -> None:
    holder = Holder(code="合作社-1", code_type="099", name="示例合作社")
    assert judge_new_license(replace(GOOD, holder=holder), directory(), today=TODAY).holder == holder


@pytest.mark.parametrize(
    "code", ["合作社-1", "320100123456789", "MA0T00011", "52A1", "110105194912310021234"]
)
def test_what_only_resembles_another_kind_of_code_is_one_of_another_organisation(code: str) -> None:
    assert other_code_problem(code) is None


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("11010519491231002X", "citizen"),
        ("110105 19491231 002x", "citizen"),
        ("110105194912310021", "social credit code"),
        (HOLDER.code, "001"),
        (HOLDER.code.lower(), "001"),
        (f"{HOLDER.code[:8]}-{HOLDER.code[8:]}", "001"),
        (HOLDER.code[:17] + ("0" if HOLDER.code[17] != "0" else "1"), "Position 18"),
    ],
)
def test_persons_and_social_credit_codes_do_not_pass_as_other_organisations(code: str, told: str) -> None:
    error = refused(holder=Holder(code=code, code_type="099", name="示例"))
    assert error.code == "holder_not_supported"
    assert [found.pointer for found in error.errors] == ["/holder/code"]
    assert told in error.errors[0].detail


def dated(text: str) -> dict[str, object]:
    """Return a food license of a type whose premises are a date, so that a date element is judged."""
    return {"type_code": FOOD_TYPE, "elements": {"premises": text}}


def dated_directory() -> Directory:
    held = directory()
    food = held.license_types[FOOD_TYPE]
    as_date = replace(food, elements=tuple(replace(one, kind=ElementKind.DATE) for one in food.elements))
    return replace(held, license_types={**held.license_types, FOOD_TYPE: as_date})


@pytest.mark.parametrize(
    ("given", "held"),
    [
        ("2024-02-29", "2024-02-29"),
        ("2024年2月9日", "2024-02-09"),
        ("2024/2/9", "2024-02-09"),
        ("二〇二四年二月九日", "2024-02-09"),
        ("２０２４．０２．０９", "2024-02-09"),
        ("长期", "长期"),
        ("9999-12-31", "9999-12-31"),
    ],
)
def test_a_date_element_is_held_one_way(given: str, held: str) -> None:
    new = replace(GOOD, **dated(given))  # type: ignore[arg-type]
    assert judge_new_license(new, dated_directory(), today=TODAY).elements == {"premises": held}


@pytest.mark.parametrize(
    "text",
    ["2024年02月30日或昨天", "2024-13-45", "2024-02-30", "2023-02-29", "0000-01-01", "八十年代", "2" * 100],
)
def test_a_date_element_that_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(DomainError, match="invalid_elements") as caught:
        judge_new_license(replace(GOOD, **dated(text)), dated_directory(), today=TODAY)  # type: ignore[arg-type]
    assert [found.pointer for found in caught.value.errors] == ["/elements/premises"]


def test_an_authority_that_is_not_active_issues_nothing() -> None:
    held = directory()
    ended = replace(held.authorities[AUTHORITY], status=AuthorityStatus.ENDED)
    with pytest.raises(DomainError, match="not_authorized_to_issue"):
        judge_new_license(GOOD, replace(held, authorities={AUTHORITY: ended}), today=TODAY)


def test_scopes_hold_only_between_their_days() -> None:
    held = directory()
    scopes = tuple(
        replace(scope, valid_until=date(2026, 3, 4)) for scope in held.authorities[AUTHORITY].scopes
    )
    limited = replace(held, authorities={AUTHORITY: replace(held.authorities[AUTHORITY], scopes=scopes)})
    judge_new_license(GOOD, limited, today=date(2026, 3, 4))
    with pytest.raises(DomainError, match="not_authorized_to_issue"):
        judge_new_license(GOOD, limited, today=date(2026, 3, 5))
