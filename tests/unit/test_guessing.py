"""The budget of wrong guesses: when a window ends, what is lowered, and under what a guess is counted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.guessing import Guesses, GuessingTerms, license_subject, reference_subject, whole_minutes
from app.domain.verification import LicenseReference
from app.settings import SettingsError, load_settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TERMS = GuessingTerms()
HELD = Guesses(client_id="c", subject="s", started_at=NOON, wrong=20)


def test_twenty_wrong_guesses_an_hour_are_borne_unless_set_otherwise(tmp_path: Path) -> None:
    assert (TERMS.budget, TERMS.lowered, TERMS.alarm, TERMS.window) == (20, 5, 60, timedelta(hours=1))
    assert load_settings(tmp_path, environ={}).guessing == TERMS
    environ = {
        "ELICENSE_GUESS_BUDGET": "3",
        "ELICENSE_GUESS_BUDGET_LOWERED": "1",
        "ELICENSE_GUESS_ALARM": "9",
    }
    assert load_settings(tmp_path, environ=environ).guessing == GuessingTerms(budget=3, lowered=1, alarm=9)
    with pytest.raises(SettingsError, match="GUESS_BUDGET"):
        load_settings(tmp_path, environ={"ELICENSE_GUESS_BUDGET": "0"})


def test_guesses_count_for_an_hour_from_the_first() -> None:
    assert HELD.counted(TERMS, now=NOON + timedelta(minutes=59, seconds=59)) == 20
    assert HELD.counted(TERMS, now=NOON + timedelta(hours=1)) == 0
    assert HELD.seconds_left(TERMS, now=NOON + timedelta(minutes=30)) == 1800
    # A clock set back must not keep a caller out for longer than the window.
    assert HELD.seconds_left(TERMS, now=NOON - timedelta(days=1)) == 3600


def test_what_a_clock_wrote_that_was_ahead_counts_for_nothing_once_it_is_set_right() -> None:
    held = replace(HELD, lowered_until=NOON + timedelta(hours=24))
    assert held.counted(TERMS, now=NOON - timedelta(minutes=2)) == 20, "within what clocks may differ"
    assert held.budget(TERMS, now=NOON - timedelta(minutes=2)) == 5
    assert held.counted(TERMS, now=NOON - timedelta(minutes=3)) == 0
    assert held.budget(TERMS, now=NOON - timedelta(minutes=3)) == 20


def test_a_lowered_budget_ends_by_itself_and_never_raises_one() -> None:
    lowered = replace(HELD, lowered_until=NOON + timedelta(hours=24))
    assert lowered.budget(TERMS, now=NOON) == 5
    assert lowered.budget(TERMS, now=NOON + timedelta(hours=24)) == 20
    assert lowered.budget(GuessingTerms(budget=3), now=NOON) == 3


@pytest.mark.parametrize(("span", "seconds"), [(0, 60), (-5, 60), (1, 60), (60, 60), (61, 120), (3599, 3600)])
def test_what_is_left_is_told_in_whole_minutes(span: int, seconds: int) -> None:
    assert whole_minutes(timedelta(seconds=span)) == seconds


def test_a_missing_license_counts_as_one_however_its_number_is_written() -> None:
    written = [LicenseReference(number=number, type_code="T") for number in ("AB-1", "ab1", "\uff21\uff22 1")]
    assert len({reference_subject(reference, salt="x") for reference in written}) == 1
    others = {
        reference_subject(LicenseReference(number="AB1", type_code="U"), salt="x"),
        reference_subject(LicenseReference(holder_code="AB1", type_code="T"), salt="x"),
        reference_subject(LicenseReference(identifier="AB1"), salt="x"),
        reference_subject(written[0], salt="y"),
        reference_subject(written[0], salt="x"),
        license_subject("AB1", salt="x"),
    }
    assert len(others) == 6
    assert {len(subject) for subject in others} == {64}
