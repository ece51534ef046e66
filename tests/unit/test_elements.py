"""Comparing elements: what counts as equal, and that no answer holds a value."""

from datetime import date

import pytest

from elicense.elements import FormerValue, HeldElements, compare_element, compare_elements, metadata_elements
from elicense.report import ElementOutcome
from tests.simulator import sample_license


@pytest.mark.parametrize(
    ("asked", "held", "outcome"),
    [
        ("演示(南京)贸易有限公司", "演示(南京)贸易有限公司", ElementOutcome.MATCH),
        ("演示\uff08南京\uff09贸易有限公司", "演示(南京)贸易有限公司", ElementOutcome.MATCH_NORMALIZED),
        ("演示【南京】贸易 有限公司 ", "演示(南京)贸易有限公司", ElementOutcome.MATCH_NORMALIZED),
        ("\uff21BC\uff11", "ABC1", ElementOutcome.MATCH_NORMALIZED),
        ("南京市\u3000玄武区", "南京市玄武区", ElementOutcome.MATCH_NORMALIZED),
        ("南京市\u200b玄武区", "南京市玄武区", ElementOutcome.MATCH_NORMALIZED),
        ("abc", "ABC", ElementOutcome.MISMATCH),
        ("演示贸易有限公司", "演示(南京)贸易有限公司", ElementOutcome.MISMATCH),
        ("", "演示", ElementOutcome.MISMATCH),
    ],
)
def test_values_are_compared_after_folding(asked: str, held: str, outcome: ElementOutcome) -> None:
    assert compare_element(asked, held) is outcome


def test_an_absent_element_is_not_on_the_license_only_when_all_elements_are_seen() -> None:
    assert compare_element("x", None) is ElementOutcome.NOT_ON_LICENSE
    assert compare_element("x", None, complete=False) is ElementOutcome.CANNOT_TELL


def test_a_former_value_names_the_day_of_the_latest_change_and_no_value() -> None:
    former = (FormerValue("旧地址 1 号", date(2020, 1, 1)), FormerValue("旧地址1号", date(2022, 3, 4)))
    held = HeldElements(values={"address": "新地址"}, complete=True, former={"address": former})
    (result,) = compare_elements({"address": "旧地址1号"}, held)
    assert result.to_json() == {"name": "address", "outcome": "former_value", "changed_on": "2022-03-04"}
    (current,) = compare_elements({"address": "新地址"}, held)
    assert current.outcome is ElementOutcome.MATCH


def test_of_several_former_values_the_day_is_that_of_the_one_that_was_asked() -> None:
    former = (FormerValue("东路1号", date(2020, 1, 1)), FormerValue("西路2号", date(2022, 3, 4)))
    held = HeldElements(values={"address": "新地址"}, complete=True, former={"address": former})
    days = [compare_elements({"address": asked}, held)[0].changed_on for asked in ("东路1号", "西路2号")]
    assert days == [date(2020, 1, 1), date(2022, 3, 4)]


def test_an_element_that_was_removed_was_right_before() -> None:
    former = {"address": (FormerValue("旧地址", date(2020, 1, 1)),)}
    held = HeldElements(values={}, complete=True, former=former)
    asked, other = compare_elements({"address": "旧 地址", "scope": "旧地址"}, held)
    assert asked.to_json() == {"name": "address", "outcome": "former_value", "changed_on": "2020-01-01"}
    assert other.outcome is ElementOutcome.NOT_ON_LICENSE
    (wrong,) = compare_elements({"address": "别处"}, held)
    assert wrong.outcome is ElementOutcome.NOT_ON_LICENSE


def test_every_asked_element_is_answered_in_the_order_asked() -> None:
    held = HeldElements(values={"a": "1", "b": "2"}, complete=True)
    results = compare_elements({"b": "9", "c": "3", "a": "1"}, held)
    assert [(result.name, result.outcome.value) for result in results] == [
        ("b", "mismatch"),
        ("c", "not_on_license"),
        ("a", "match"),
    ]


def test_every_visible_part_of_a_license_can_be_asked() -> None:
    claims = sample_license()
    names = set(claims.to_json()) - {"holder"} | {"holder_name", "holder_code"}
    assert set(metadata_elements(claims)) == names
    assert metadata_elements(claims)["identifier"] == claims.identifier
