"""A file ends five years after it was signed at the latest: an answer tells that from the end of the license."""

from datetime import UTC, date, datetime, timedelta

import pytest

from elicense.checks import EXPIRED_FILE
from elicense.policy import DEFAULT_POLICY
from elicense.problems import Reason
from elicense.report import CheckId
from elicense.verify import verify_credential
from tests.simulator import NOW, Installation

SIGNED_AT = datetime(2021, 11, 1, 5, tzinfo=UTC)  # 13:00 in China
FIVE_YEARS = datetime(2026, 11, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("valid_until", "is_files_end"),
    [
        (date(2026, 10, 31), False),
        (date(2026, 11, 1), True),
        (date(2026, 11, 2), True),
        (date(2026, 11, 3), True),
        (date.max, True),
        (None, True),
    ],
)
def test_a_file_that_ended_before_its_license_says_so(valid_until: date | None, is_files_end: bool) -> None:
    installation = Installation()
    installation.change_key(valid_from=NOW - timedelta(days=2500))
    token = installation.credential(valid_from=date(2021, 1, 1), valid_until=valid_until, signed_at=SIGNED_AT)
    assert FIVE_YEARS <= NOW
    report = verify_credential(token, evidence=installation.evidence(), policy=DEFAULT_POLICY)
    check = report.check(CheckId.DATES)
    assert (check.code, check.text == EXPIRED_FILE) == (Reason.EXPIRED, is_files_end)
