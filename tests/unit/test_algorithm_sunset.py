"""After an algorithm's last date a signature counts only where a witness saw it in the log by then."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from elicense.evidence import Evidence
from elicense.log_proof import LogProof
from elicense.policy import DEFAULT_POLICY
from elicense.problems import Reason
from elicense.report import Verdict
from elicense.verify import verify_credential
from tests.simulator import NOW, Installation

DAY = timedelta(days=1)
LAST = NOW - DAY


def after_its_last_date(made: Installation, **dates: datetime) -> Evidence:
    """Give the evidence of a bank whose table says when the credential's algorithm ended."""
    evidence = made.evidence()
    assert evidence.trust is not None
    listed = evidence.trust.trust_list
    authority = listed.authorities[made.authorities[0].code]
    entry = authority.keys[0]
    dated = replace(entry.key, profile=replace(entry.key.profile, **dates))
    changed = replace(authority, keys=(replace(entry, key=dated),))
    trust_list = replace(listed, authorities={**listed.authorities, authority.code: changed})
    return replace(evidence, trust=replace(evidence.trust, trust_list=trust_list))


def logged(made: Installation, token: str, seen: datetime | None) -> LogProof:
    made.log.witnesses = [] if seen is None else [("witness.example", made.witness_signer, seen)]
    return made.prove(token)


def reason(
    made: Installation,
    token: str,
    proof: LogProof | None,
    *,
    at: datetime | None = None,
    **dates: datetime,
) -> Reason:
    evidence = after_its_last_date(made, **(dates or {"verify_until": LAST}))
    report = verify_credential(token, evidence=evidence, policy=DEFAULT_POLICY, proof=proof, at=at)
    assert (report.verdict is Verdict.VALID) == (report.reason is Reason.OK)
    assert report.verdict is not Verdict.INVALID
    return report.reason


def test_what_a_witness_saw_in_the_log_by_then_still_counts() -> None:
    made = Installation()
    token = made.credential()
    assert reason(made, token, logged(made, token, LAST)) is Reason.OK
    assert reason(made, token, logged(made, token, LAST - DAY)) is Reason.OK


@pytest.mark.parametrize("seen", [None, LAST + timedelta(seconds=1), NOW], ids=["unseen", "just late", "now"])
def test_what_nobody_saw_by_then_proves_nothing(seen: datetime | None) -> None:
    made = Installation()
    token = made.credential()
    assert reason(made, token, logged(made, token, seen)) is Reason.ALGORITHM_SUNSET
    assert reason(made, token, None) is Reason.ALGORITHM_SUNSET


def test_the_word_of_a_stranger_or_a_lost_witness_is_no_proof() -> None:
    made = Installation()
    token = made.credential()
    made.log.witnesses = [("other.example", made.witness_signer, LAST)]
    assert reason(made, token, made.prove(token)) is Reason.ALGORITHM_SUNSET
    proof = logged(made, token, LAST)
    made.compromise(made.witness_signer, made.log.checkpoint())
    assert reason(made, token, proof) is Reason.ALGORITHM_SUNSET


def test_before_its_last_date_no_proof_is_asked_and_a_past_moment_unsays_no_date() -> None:
    made = Installation()
    made.status_read_at = NOW - 2 * DAY
    made.publish_next(NOW)
    token = made.credential()
    assert reason(made, token, None, verify_until=NOW) is Reason.OK
    assert reason(made, token, None, at=LAST - timedelta(seconds=1), verify_until=NOW) is Reason.OK
    assert reason(made, token, None, at=LAST - timedelta(seconds=1)) is Reason.ALGORITHM_SUNSET


def test_what_was_signed_after_signing_ended_is_not_saved_by_the_log() -> None:
    made = Installation()
    token = made.credential()
    assert (
        reason(made, token, logged(made, token, NOW), sign_until=NOW - 400 * DAY) is Reason.ALGORITHM_SUNSET
    )
