"""Policies: presets, durations, and the one upper bound on the age of a status."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from elicense.policy import (
    DEFAULT_POLICY,
    PRESETS,
    parse_duration,
    policy_by_name,
    with_max_status_age,
)


def test_the_presets_are_the_three_documented_ones() -> None:
    assert {name: preset.max_status_age for name, preset in PRESETS.items()} == {
        "platform-default": timedelta(hours=24),
        "bank-strict": timedelta(hours=24),
        "public-basic": timedelta(days=7),
    }
    assert all(preset.require_freshness for preset in PRESETS.values())
    assert policy_by_name("bank-strict").id == "bank-strict"


def test_an_unknown_policy_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match="platform-default"):
        policy_by_name("lenient")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
    ],
)
def test_durations_are_digits_and_one_unit(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "24", "h", "-1h", "1.5h", "24 h", "24H", "1w", "1h30m", "２４h", "9999999999d"]
)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize("age", [timedelta(0), timedelta(days=7, seconds=1), timedelta(days=-1)])
def test_a_status_age_outside_seven_days_is_refused(age: timedelta) -> None:
    with pytest.raises(ValueError, match="7 days"):
        with_max_status_age(DEFAULT_POLICY, age)


@pytest.mark.parametrize(
    "changes",
    [
        {"leeway": timedelta(seconds=-1)},
        {"leeway": timedelta(hours=1, seconds=1)},
        {"leeway": timedelta(seconds=86399999999999)},
        {"leeway": timedelta(seconds=1, microseconds=1)},
        {"max_status_age": timedelta(microseconds=1)},
        {"max_status_age": timedelta(seconds=1.5)},
        {"id": ""},
        {"version": -1},
        {"required_elements": ("address", "")},
        {"types": ("",)},
        {"areas": ("",)},
    ],
)
def test_a_policy_that_cannot_be_meant_or_written_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        replace(DEFAULT_POLICY, **changes)


def test_the_edges_of_a_policy_are_allowed() -> None:
    for leeway in (timedelta(0), timedelta(hours=1)):
        edge = replace(DEFAULT_POLICY, leeway=leeway, max_status_age=timedelta(seconds=1), version=0)
        assert edge.to_json()["leeway"] == leeway.total_seconds()


def test_seven_days_are_allowed_and_change_the_digest_but_not_the_name() -> None:
    weekend = with_max_status_age(DEFAULT_POLICY, timedelta(days=7))
    assert weekend.id == DEFAULT_POLICY.id
    assert weekend.sha256 != DEFAULT_POLICY.sha256
    assert replace(weekend, max_status_age=timedelta(hours=24)).sha256 == DEFAULT_POLICY.sha256
