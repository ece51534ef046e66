"""What the next version is to say: merging, periods, names of what changed, numbers of versions. Pure."""

from dataclasses import replace
from datetime import date

import pytest

from app.domain.amending import (
    Amendment,
    HolderChange,
    Renewal,
    amended,
    changed_names,
    content_of,
    next_version,
    renewed,
)
from app.domain.errors import DomainError
from app.domain.succession import MOST_SUCCESSORS, Relation, judge_successors
from tests.builders import make_license

TODAY = date(2026, 3, 4)
LICENSE = make_license(
    valid_from=date(2020, 1, 1),
    valid_until=date(2026, 12, 31),
    elements={"address": "一号", "scope": "零售"},
)


def test_elements_are_merged_and_none_removes() -> None:
    amendment = Amendment(elements={"address": "二号", "scope": None, "absent": None, "type": "有限公司"})
    assert amended(LICENSE, amendment).elements == {"address": "二号", "type": "有限公司"}
    assert LICENSE.elements == {"address": "一号", "scope": "零售"}


def test_what_is_not_named_stays() -> None:
    assert amended(LICENSE, Amendment()) == content_of(LICENSE)
    assert amended(LICENSE, Amendment(valid_until=None)).valid_until is None
    changed = amended(LICENSE, Amendment(holder=HolderChange(name="新名称"))).holder
    assert changed == replace(LICENSE.holder, name="新名称")


def test_names_of_what_changed_hold_no_value() -> None:
    after = amended(
        LICENSE,
        Amendment(
            elements={"address": "二号", "scope": None, "type": "有限公司"},
            holder=HolderChange(code="X", code_type="099", name="新名称"),
            valid_until=None,
            area_code="320500",
        ),
    )
    assert changed_names(LICENSE, after) == (
        "address",
        "area_code",
        "holder_code",
        "holder_code_type",
        "holder_name",
        "scope",
        "type",
        "valid_until",
    )
    assert changed_names(LICENSE, content_of(LICENSE)) == ()


@pytest.mark.parametrize(
    ("renewal", "period"),
    [
        (Renewal(valid_until=date(2031, 12, 31)), (date(2020, 1, 1), date(2031, 12, 31), TODAY)),
        (Renewal(valid_until=date(2026, 12, 31)), (date(2020, 1, 1), date(2026, 12, 31), TODAY)),
        (Renewal(valid_until=None, valid_from=TODAY), (TODAY, None, TODAY)),
        (
            Renewal(valid_until=None, issue_date=date(2026, 3, 1)),
            (date(2020, 1, 1), None, date(2026, 3, 1)),
        ),
    ],
)
def test_a_renewal_gives_the_new_period(renewal: Renewal, period: tuple[date, date | None, date]) -> None:
    content = renewed(LICENSE, renewal, today=TODAY)
    assert (content.valid_from, content.valid_until, content.issue_date) == period


def test_a_renewal_never_shortens_nor_opens_a_gap() -> None:
    long_term = replace(LICENSE, valid_until=None)
    for license_, renewal in (
        (LICENSE, Renewal(valid_until=date(2026, 12, 30))),
        (long_term, Renewal(valid_until=date(2099, 1, 1))),
        (LICENSE, Renewal(valid_until=None, valid_from=date(2026, 3, 5))),
    ):
        with pytest.raises(DomainError, match="invalid_dates"):
            renewed(license_, renewal, today=TODAY)
    over = replace(LICENSE, valid_until=date(2026, 3, 3))
    not_begun = replace(LICENSE, valid_from=date(2026, 4, 1))
    for license_ in (over, not_begun):
        later = Renewal(valid_until=None, valid_from=date(2026, 5, 1))
        assert renewed(license_, later, today=TODAY).valid_from == date(2026, 5, 1)


def test_a_version_follows_the_highest_one_ever_used() -> None:
    assert next_version(["001"]) == "002"
    assert next_version(["001", "003", "002"]) == "004"
    assert next_version(["998"]) == "999"
    with pytest.raises(DomainError, match="versions_exhausted"):
        next_version(["999", "002"])


@pytest.mark.parametrize(
    ("relation", "named"),
    [
        (Relation.MERGED_INTO, []),
        (Relation.MERGED_INTO, ["a", "b"]),
        (Relation.REPLACED_BY, ["a", "b"]),
        (Relation.SPLIT_TO, ["a", "a"]),
        (Relation.SPLIT_TO, [str(n) for n in range(MOST_SUCCESSORS + 1)]),
    ],
)
def test_the_number_of_successors_fits_the_relation(relation: Relation, named: list[str]) -> None:
    with pytest.raises(DomainError, match="invalid_succession"):
        judge_successors(relation, named)
    judge_successors(relation, ["a"])
