"""A further version takes over its predecessor's state: a list from before it cannot call it in force."""

from datetime import timedelta

import pytest

from elicense.policy import DEFAULT_POLICY
from elicense.problems import Reason
from elicense.report import Verdict, VerificationReport
from elicense.status_list import Status
from elicense.verify import verify_credential
from tests.simulator import NOW, Installation

READ_AT = NOW - timedelta(hours=2)
SECOND = timedelta(seconds=1)


@pytest.fixture
def installation() -> Installation:
    made = Installation()
    made.status_read_at = READ_AT
    return made


def judge(installation: Installation, token: str, *, minutes_ago: int = 0) -> VerificationReport:
    at = NOW - timedelta(minutes=minutes_ago) if minutes_ago else None
    return verify_credential(token, evidence=installation.evidence(), policy=DEFAULT_POLICY, at=at)


def test_a_list_older_than_a_further_version_cannot_tell_its_state(installation: Installation) -> None:
    renewed = installation.credential(version="002", signed_at=READ_AT + SECOND)
    for minutes_ago in (0, 30):
        report = judge(installation, renewed, minutes_ago=minutes_ago)
        assert (report.verdict, report.reason) == (Verdict.INDETERMINATE, Reason.STATUS_STALE)
        assert "暂停" in report.reason_text("zh") and "suspension" in report.reason_text("en")
        assert report.status is not None and report.status.as_of == READ_AT


def test_a_list_that_is_not_older_tells_it(installation: Installation) -> None:
    for signed_at in (READ_AT, READ_AT - SECOND):
        assert judge(installation, installation.credential(version="002", signed_at=signed_at))
    installation.set_status(5, Status.SUSPENDED)
    renewed = installation.credential(version="002", signed_at=READ_AT)
    assert judge(installation, renewed).reason is Reason.SUSPENDED


def test_a_first_version_begins_in_force_whatever_list_is_at_hand(installation: Installation) -> None:
    assert judge(installation, installation.credential(signed_at=READ_AT + SECOND))


def test_an_end_in_a_list_stays_an_end(installation: Installation) -> None:
    installation.set_status(5, Status.INVALID)
    renewed = installation.credential(version="002", signed_at=READ_AT + SECOND)
    assert judge(installation, renewed).reason is Reason.REVOKED
