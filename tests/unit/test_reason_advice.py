"""What people are told to do about a reason is something that they can do, and that helps."""

import pytest

from elicense.problems import REASONS, Reason


@pytest.mark.parametrize(
    "reason",
    [Reason.TRUST_UNAVAILABLE, Reason.TRUST_STALE, Reason.STATUS_UNAVAILABLE, Reason.STATUS_STALE],
)
def test_advice_that_is_given_online_and_offline_serves_both(reason: Reason) -> None:
    """A platform that asks online has no bundle to update."""
    advice = REASONS[reason].action
    assert "离线" in advice.zh and "在线" in advice.zh
    assert "Offline" in advice.en and "Online" in advice.en


def test_who_failed_to_prove_to_be_the_holder_is_asked_for_another_proof_not_for_another_license() -> None:
    advice = REASONS[Reason.HOLDER_BINDING_FAILED].action
    assert advice != REASONS[Reason.EXPIRED].action
    assert "随机数" in advice.zh and "nonce" in advice.en


def test_a_damaged_file_is_fetched_again_and_nobody_is_sent_to_the_authority() -> None:
    advice = REASONS[Reason.MALFORMED].action
    assert "重新下载" in advice.zh and "fetch the file again" in advice.en
    assert "颁发机构" not in advice.zh and "authority" not in advice.en
