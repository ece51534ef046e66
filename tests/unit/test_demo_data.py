"""The demonstration's invented data: well-formed, varied, stable, and plainly invented."""

from collections import Counter
from datetime import date

import pytest

from app.services.demo_changes import demo_amendment, demo_renewal
from app.services.demo_data import Fate, demo_licenses, demo_plan
from elicense.cn import uscc_problem

TODAY = date(2026, 11, 23)
LICENSES = list(demo_licenses(500, today=TODAY))
PLAN = demo_plan()


def test_every_code_has_both_check_characters_right() -> None:
    codes = {one.new.holder.code for one in LICENSES} | {one.code for one in PLAN.authorities}
    assert [code for code in codes if uscc_problem(code) is not None] == []


def test_every_code_is_an_invented_one() -> None:
    assert all(one.new.holder.code[8:12] == "MA0T" for one in LICENSES)
    assert all(one.code[8:12] == "MA0T" for one in PLAN.authorities)
    assert all("演示" in one.new.holder.name for one in LICENSES)
    assert all("演示" in one.name for one in PLAN.authorities)


def test_the_province_and_thirteen_cities_have_authorities_and_areas() -> None:
    assert len(PLAN.authorities) == 14 * 4
    assert len({one.code for one in PLAN.authorities}) == 14 * 4
    assert {one.area_code for one in PLAN.authorities if one.level == "city"} == {
        f"32{city:02d}00" for city in range(1, 14)
    }
    areas = {area.code for area in PLAN.areas}
    assert {one.area_code for one in PLAN.authorities} <= areas
    assert {one.new.area_code for one in LICENSES} <= areas


def test_types_without_a_known_national_code_are_named_as_demonstration_types() -> None:
    known = {"11100000MB0143028R001", "11100000000019713D008", "11100000000019713D074"}
    assert len(PLAN.license_types) >= 6
    for kind in PLAN.license_types:
        assert kind.demonstration == (kind.code not in known)
        assert ("演示" in kind.name) == kind.demonstration
        assert len(kind.code) == 21
        assert uscc_problem(kind.code[:18]) is None


def test_no_element_of_a_business_license_is_required() -> None:
    kind = next(one for one in PLAN.license_types if one.name == "营业执照")
    assert not any(element.required for element in kind.elements)


def test_each_license_is_one_its_authority_may_issue_with_known_elements() -> None:
    authorities = {one.code: one for one in PLAN.authorities}
    types = {one.code: one for one in PLAN.license_types}
    for one in LICENSES:
        new = one.new
        authority = authorities[new.authority_code]
        assert authority.may_issue(type_code=new.type_code, area_code=new.area_code, on=TODAY)
        for name, value in new.elements.items():
            definition = types[new.type_code].element(name)
            assert definition is not None
            assert 0 < len(value) <= definition.max_length


def test_numbers_are_unique_and_dates_in_order() -> None:
    keys = Counter((one.new.type_code, one.new.number) for one in LICENSES)
    assert max(keys.values()) == 1
    for one in LICENSES:
        assert one.new.valid_until is None or one.new.valid_from <= one.new.valid_until
        assert one.new.valid_from <= TODAY
        assert one.new.issue_date <= TODAY


def test_expired_licenses_have_ended_and_no_others() -> None:
    for one in LICENSES:
        ended = one.new.valid_until is not None and one.new.valid_until < TODAY
        assert ended == (one.fate is Fate.EXPIRED)


def test_the_data_is_varied_as_real_registers_are() -> None:
    kinds = Counter(one.new.holder.code[:2] for one in LICENSES)
    assert set(kinds) == {"91", "92", "93"}
    assert any("分公司" in one.new.holder.name for one in LICENSES)
    addresses = Counter(one.new.elements["address"].split("区")[-1] for one in LICENSES)
    assert addresses.most_common(1)[0][1] >= 10
    assert any(len(one.new.elements.get("business_scope", "")) > 800 for one in LICENSES)
    assert any(ord(character) > 0xFFFF for one in LICENSES for character in one.new.holder.name)
    assert any("龑" in one.new.elements["legal_representative"] for one in LICENSES)
    assert {one.new.valid_until is None for one in LICENSES} == {True, False}
    assert len({one.new.type_code for one in LICENSES}) == len(PLAN.license_types)
    fates = Counter(one.fate for one in LICENSES)
    assert all(0 < fates[fate] < 50 for fate in Fate if fate is not Fate.ACTIVE)


def test_twenty_licenses_hold_every_sample_fate_and_type() -> None:
    small = LICENSES[:20]
    assert {one.sample for one in small} - {None} == {
        "valid",
        "suspended",
        "revoked",
        "expired",
        "superseded",
    }
    assert {one.fate for one in small} == set(Fate)
    assert {one.new.type_code for one in small} == {kind.code for kind in PLAN.license_types}
    assert {one.new.authority_code for one in small if one.sample} == {small[0].new.authority_code}


def test_second_versions_say_something_else_and_are_plainly_invented() -> None:
    types = {one.code: one for one in PLAN.license_types}
    for one in LICENSES:
        if one.fate is Fate.AMENDED:
            amendment = demo_amendment(one.new)
            assert amendment == demo_amendment(one.new)
            for name, value in amendment.elements.items():
                definition = types[one.new.type_code].element(name)
                assert definition is not None and value is not None
                assert value != one.new.elements[name] and len(value) <= definition.max_length
            assert "演示" in str(amendment.elements["address"])
        elif one.fate is Fate.RENEWED:
            until = demo_renewal(one.new).valid_until
            assert one.new.valid_until is not None and until is not None and until > one.new.valid_until


def test_the_same_seed_gives_the_same_licenses_and_more_do_not_change_the_first() -> None:
    assert list(demo_licenses(50, today=TODAY)) == LICENSES[:50]
    assert list(demo_licenses(50, today=TODAY, seed="another")) != LICENSES[:50]


def test_numbers_do_not_depend_on_the_day() -> None:
    later = [one.new.number for one in demo_licenses(50, today=date(2027, 3, 1))]
    assert later == [one.new.number for one in LICENSES[:50]]


def test_a_count_outside_the_range_is_refused() -> None:
    with pytest.raises(ValueError, match="between"):
        demo_licenses(-1, today=TODAY)
