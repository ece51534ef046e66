"""What a date, an amount, an address or a scope is read as, and what is not read because it may mean two things."""

from itertools import combinations

import pytest

from elicense.element_kinds import ElementKind
from elicense.element_match import is_same_value
from elicense.element_numbers import fold_amount, fold_date
from elicense.elements import compare_element
from elicense.report import ElementOutcome


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("零元", "0"),
        ("零", "0"),
        ("五元", "5"),
        ("十元", "10"),
        ("十五元", "15"),
        ("二十元", "20"),
        ("3百元", "300"),
        ("5千元", "5000"),
        ("3十万元", "300000"),
        ("2千万元", "20000000"),
        ("十万元", "100000"),
        ("一百零五万元", "1050000"),
        ("一万零五元", "10005"),
        ("一亿零五元", "100000005"),
        ("100.5元", "100.5"),
        ("100.50元", "100.5"),
        ("0.50元", "0.5"),
        ("100.0元", "100"),
        ("零元五角", "0.5"),
        ("一百元五角", "100.5"),
        ("一百元零五分", "100.05"),
    ],
)
def test_an_amount_is_read_as_its_exact_value(written: str, amount: str) -> None:
    assert fold_amount(written) == f"{amount}CNY"


def test_amounts_that_differ_in_a_fraction_are_different() -> None:
    for one, other in combinations(("100", "100.5", "100.05", "100.55", "10.05"), 2):
        assert not is_same_value(one, other, ElementKind.AMOUNT)


@pytest.mark.parametrize(
    "written",
    [
        "人民币100美元",
        "USD100英镑",
        "100英镑元",
        "100瑞士法郎元",
        "100元五角",
        "一百五角",
        "一百五",
        "一千五",
        "一万五",
        "一百零",
        "100.",
        "五角",
        "",
    ],
)
def test_an_amount_that_may_mean_two_things_equals_only_itself(written: str) -> None:
    assert fold_amount(written) == written


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("二〇一九年十月二十日", "2019-10-20"),
        ("二〇一九年十二月三十一日", "2019-12-31"),
        ("二〇一九年一月十号", "2019-01-10"),
        ("9999年12月31日", "长期"),
        ("99991231", "长期"),
    ],
)
def test_a_date_is_read_as_its_day(written: str, day: str) -> None:
    assert fold_date(written) == day


@pytest.mark.parametrize(
    "written",
    [
        "二〇一九年十三月六日",
        "二〇一九年十十月一日",
        "二〇一九年一月十十日",
        "二〇一九年二月三十日",
        "2019年13月6日",
        "2019/5-6",
        "20190230",
    ],
)
def test_a_date_that_no_calendar_has_equals_only_itself(written: str) -> None:
    assert fold_date(written) == written


@pytest.mark.parametrize(
    ("asked", "held", "area_code"),
    [
        ("江苏省南京市鼓楼区中山路2号", "鼓楼区中山路2号", ""),
        ("江苏省南京市鼓楼区中山路2号", "鼓楼区中山路2号", "000000"),
        ("福建福州市鼓楼区中山路2号", "福建省福州市鼓楼区中山路2号", "320106"),
    ],
    ids=["no area", "an area of no province", "an address outside the license's own area"],
)
def test_an_address_is_held_against_the_area_only_where_that_says_the_province(
    asked: str, held: str, area_code: str
) -> None:
    outcome = compare_element(asked, held, kind=ElementKind.ADDRESS, area_code=area_code)
    assert outcome is ElementOutcome.MATCH_NORMALIZED


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("食品、服装批发;药品零售", "食品服装批发;药品零售"),
        ("许可项目:一般项目:食品销售", "一般项目:食品销售"),
        ("一般项目:食品销售;许可项目:", "一般项目:食品销售"),
    ],
    ids=["a comma left out", "an empty heading in front", "an empty heading behind"],
)
def test_a_scope_that_lacks_a_part_is_another_one(one: str, other: str) -> None:
    assert not is_same_value(one, other, ElementKind.SCOPE)
    assert not is_same_value(other, one, ElementKind.SCOPE)
