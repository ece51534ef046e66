"""The report: which reason leads, what each verdict maps to, and that skipped is never passed."""

from itertools import combinations

import pytest

from elicense.problems import INDETERMINATE, PRECEDENCE, Reason
from elicense.report import NOT_ASKED, PASSED, RESULT_CODES, SKIPPED, Check, CheckId, Outcome, Verdict, decide

FAILURES = [reason for reason in Reason if reason is not Reason.OK]


def failed(reason: Reason, check_id: CheckId = CheckId.STATUS) -> Check:
    return Check(check_id, Outcome.CANNOT_TELL if reason in INDETERMINATE else Outcome.FAILED, reason)


def test_valid_needs_every_required_check_passed() -> None:
    assert decide(PASSED.values()) == (Verdict.VALID, Reason.OK)
    for check_id in CheckId:
        others = [PASSED[other] for other in CheckId if other is not check_id]
        assert decide([*others, NOT_ASKED[check_id]]) == (Verdict.VALID, Reason.OK)
        assert decide([*others, SKIPPED[check_id]])[0] is Verdict.INDETERMINATE


@pytest.mark.parametrize("reason", FAILURES)
def test_one_failed_check_decides_the_verdict(reason: Reason) -> None:
    expected = Verdict.INDETERMINATE if reason in INDETERMINATE else Verdict.INVALID
    assert decide([PASSED[CheckId.FORMAT], failed(reason)]) == (expected, reason)


def test_of_two_reasons_the_one_of_higher_precedence_leads_in_either_order() -> None:
    for first, second in combinations(FAILURES, 2):
        leading = min(first, second, key=PRECEDENCE.__getitem__)
        for pair in ((first, second), (second, first)):
            checks = [failed(reason, check) for reason, check in zip(pair, CheckId, strict=False)]
            assert decide(checks)[1] is leading


def test_result_codes_follow_the_standard() -> None:
    assert {reason.value: code for reason, code in RESULT_CODES.items() if code in (0, 1, 2, 3, 4, 5)} == {
        "ok": 0,
        "not_yet_valid": 1,
        "suspended": 2,
        "expired": 3,
        "revoked": 3,
        "cancelled": 3,
        "superseded": 3,
        "transferred": 3,
        "incomplete": 4,
        "ambiguous": 4,
        "not_found": 5,
        "not_registered": 5,
        "code_unknown": 5,
    }
    assert {reason for reason, code in RESULT_CODES.items() if code is None} == INDETERMINATE - {
        Reason.INCOMPLETE,
        Reason.AMBIGUOUS,
    }


def test_every_check_has_a_message_in_both_languages_for_every_outcome() -> None:
    for check_id in CheckId:
        for check in (PASSED[check_id], SKIPPED[check_id], failed(Reason.REVOKED, check_id)):
            assert check.message("zh")
            assert check.message("en").isascii()
