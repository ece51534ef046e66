"""When a license is to be verified again: six months on the calendar of those who must do it, never a day late."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from app.services.verification_answers import next_check_due
from elicense.by_reference import LicenseFacts, verify_license
from elicense.encoding import CHINA
from elicense.policy import DEFAULT_POLICY
from elicense.report import VerificationReport


def valid_at(now: datetime) -> VerificationReport:
    facts = LicenseFacts(
        identifier="1", state="active", valid_from=date(2020, 1, 1), valid_until=None, elements={}
    )
    return verify_license(
        [facts], now=now, as_of=now, event_seq=1, env="test", policy=DEFAULT_POLICY, at=None
    )


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ((2026, 3, 4, 12), (2026, 9, 4, 12)),
        ((2026, 8, 31, 12), (2027, 2, 28, 12)),
        ((2027, 8, 31, 12), (2028, 2, 29, 12)),
        # Before eight in the morning UTC still has the day before: its six months end in the next month.
        ((2026, 8, 31, 2), (2027, 2, 28, 2)),
        ((2026, 3, 31, 1), (2026, 9, 30, 1)),
        ((2026, 5, 1, 0), (2026, 11, 1, 0)),
        ((2026, 7, 1, 7), (2027, 1, 1, 7)),
    ],
)
def test_the_next_check_is_due_six_months_later_in_civil_days(
    asked: tuple[int, ...], due: tuple[int, ...]
) -> None:
    report = valid_at(datetime(*asked, tzinfo=CHINA).astimezone(UTC))  # type: ignore[arg-type,misc]
    found = next_check_due(report)
    assert found == datetime(*due, tzinfo=CHINA) and found.tzinfo is UTC  # type: ignore[arg-type,misc]


def test_only_a_valid_answer_about_now_is_due_again() -> None:
    report = valid_at(datetime(2026, 3, 4, tzinfo=UTC))
    assert next_check_due(replace(report, evaluated_at=datetime(2026, 3, 3, tzinfo=UTC))) is None
    assert (
        next_check_due(
            verify_license(
                [],
                now=report.verified_at,
                as_of=report.verified_at,
                event_seq=1,
                env="test",
                policy=DEFAULT_POLICY,
            )
        )
        is None
    )
