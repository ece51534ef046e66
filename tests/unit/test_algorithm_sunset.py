"""After an algorithm's last date a signature counts only where a witness saw it in the log by then.

So of credentials and receipts; cosignatures, freshness and status lists of such an algorithm count for nothing.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from elicense.evidence import Evidence, accept_archived_lists, accept_status_list, gather_offline
from elicense.freshness import parse_freshness
from elicense.log_proof import LogProof, ReceiptProof
from elicense.policy import DEFAULT_POLICY, PRESETS
from elicense.problems import FormatError, Reason
from elicense.profiles import PROFILES
from elicense.receipt import verify_receipt
from elicense.receipt_check import check_receipt_bytes
from elicense.report import CheckId, Outcome, Verdict
from elicense.trust_list import ServiceUse
from elicense.verify import verify_credential
from tests.receipt_kit import answer, to_file
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
    algorithm = report.check(CheckId.ALGORITHM)
    ended = algorithm.code is Reason.ALGORITHM_SUNSET
    assert algorithm.outcome is (Outcome.CANNOT_TELL if ended else Outcome.PASSED)
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


def test_what_was_signed_by_the_last_day_of_signing_stays_good() -> None:
    made = Installation()
    signed = NOW - 5 * DAY
    token = made.credential(signed_at=signed)
    assert reason(made, token, None, sign_until=signed) is Reason.OK
    assert reason(made, token, None, sign_until=NOW) is Reason.OK
    assert reason(made, token, None, sign_until=signed - timedelta(seconds=1)) is Reason.ALGORITHM_SUNSET


def test_a_moment_to_come_after_the_last_date_asks_for_proof_already() -> None:
    made = Installation()
    later = NOW + timedelta(hours=12)
    dates = {"verify_until": NOW + timedelta(hours=6)}
    assert reason(made, made.credential(), None, at=later, **dates) is Reason.ALGORITHM_SUNSET
    assert reason(made, made.credential(), None, at=NOW + timedelta(hours=6), **dates) is Reason.OK


def test_what_was_signed_after_signing_ended_is_not_saved_by_the_log() -> None:
    made = Installation()
    token = made.credential()
    assert (
        reason(made, token, logged(made, token, NOW), sign_until=NOW - 400 * DAY) is Reason.ALGORITHM_SUNSET
    )


# --- what is not a credential


def dated(evidence: Evidence, use: ServiceUse, **dates: datetime) -> Evidence:
    """Give the evidence of a bank whose table says when the algorithm of these keys ended."""
    assert evidence.trust is not None
    listed = evidence.trust.trust_list
    services = tuple(
        replace(service, key=replace(service.key, profile=replace(service.key.profile, **dates)))
        if service.use is use
        else service
        for service in listed.services
    )
    return replace(evidence, trust=replace(evidence.trust, trust_list=replace(listed, services=services)))


def receipt_reason(
    made: Installation, kept: dict[str, Any], proof: ReceiptProof | None, **dates: datetime
) -> Reason:
    evidence = dated(made.evidence(), ServiceUse.RECEIPT, **(dates or {"verify_until": LAST}))
    assert evidence.trust is not None
    report = check_receipt_bytes(to_file(kept), evidence=evidence, proof=proof)
    assert (report.verdict is Verdict.VALID) == (report.reason is Reason.OK)
    try:
        verify_receipt(kept["receipt"], trust=evidence.trust, proof=proof, log=evidence.log)
    except FormatError as refusal:
        assert refusal.reason is report.reason
    else:
        assert report
    return report.reason


def fixed(made: Installation, seen: datetime | None) -> tuple[dict[str, Any], ReceiptProof]:
    made.log.witnesses = [] if seen is None else [("witness.example", made.witness_signer, seen)]
    kept = answer(made, issued_at=NOW - 2 * DAY)
    return kept, made.prove_receipt(kept["receipt"])


def test_a_receipt_that_a_witness_saw_in_the_public_log_by_then_still_counts() -> None:
    made = Installation()
    kept, proof = fixed(made, LAST)
    assert receipt_reason(made, kept, proof) is Reason.OK
    assert receipt_reason(made, kept, None, verify_until=NOW) is Reason.OK, "its last date is not over"


@pytest.mark.parametrize("seen", [None, LAST + timedelta(seconds=1)], ids=["unseen", "just late"])
def test_a_receipt_that_nobody_saw_by_then_proves_nothing(seen: datetime | None) -> None:
    made = Installation()
    kept, proof = fixed(made, seen)
    for given in (proof, None, replace(proof, anchor=None, anchored_at=None)):
        assert receipt_reason(made, kept, given) is Reason.ALGORITHM_SUNSET


def test_a_receipt_signed_after_signing_ended_is_not_saved_by_the_log() -> None:
    made = Installation()
    assert receipt_reason(made, *fixed(made, NOW), sign_until=NOW - 3 * DAY) is Reason.ALGORITHM_SUNSET


def test_a_receipt_is_judged_by_the_clock_too_not_by_what_was_signed_last() -> None:
    made = Installation()
    kept = answer(made)
    trust = dated(made.evidence(), ServiceUse.RECEIPT, verify_until=NOW).trust
    assert trust is not None and trust.latest == NOW
    assert verify_receipt(kept["receipt"], trust=trust, now=NOW)
    with pytest.raises(FormatError, match="last date"):
        verify_receipt(kept["receipt"], trust=trust, now=NOW + timedelta(seconds=1))


def test_a_witness_of_an_algorithm_past_its_own_date_saves_nothing() -> None:
    made = Installation()
    token = made.credential()
    proof = logged(made, token, LAST)
    evidence = dated(after_its_last_date(made, verify_until=LAST), ServiceUse.WITNESS, verify_until=LAST)
    report = verify_credential(token, evidence=evidence, policy=DEFAULT_POLICY, proof=proof)
    assert report.reason is Reason.ALGORITHM_SUNSET
    sound = dated(after_its_last_date(made, verify_until=LAST), ServiceUse.WITNESS, verify_until=NOW)
    assert verify_credential(token, evidence=sound, policy=DEFAULT_POLICY, proof=proof)


def test_a_log_of_an_algorithm_past_its_date_counts_where_a_sound_witness_saw_it_by_then() -> None:
    made = Installation()
    token = made.credential()
    strict = PRESETS["bank-strict"]
    for seen, reason in (
        (LAST, Reason.OK),
        (NOW, Reason.LOG_PROOF_MISSING),
        (None, Reason.LOG_PROOF_MISSING),
    ):
        proof = logged(made, token, seen)
        evidence = dated(made.evidence(), ServiceUse.LOG, verify_until=LAST)
        report = verify_credential(token, evidence=evidence, policy=strict, proof=proof)
        assert report.reason is reason


def test_freshness_of_an_algorithm_past_its_date_is_refused() -> None:
    made = Installation()
    for last, now, good in ((NOW, NOW, True), (NOW, NOW + DAY, False), (LAST, None, False)):
        trust = dated(made.evidence(), ServiceUse.FRESHNESS, verify_until=last).trust
        assert trust is not None
        if good:
            assert parse_freshness(made.freshness(), trust_list=trust.trust_list, now=now)
            continue
        with pytest.raises(FormatError) as refusal:
            parse_freshness(made.freshness(), trust_list=trust.trust_list, now=now)
        assert refusal.value.reason is Reason.SIGNATURE_INVALID


def test_status_lists_of_an_algorithm_past_its_date_are_refused() -> None:
    made = Installation()
    for last, now, good in ((NOW, NOW, True), (NOW, NOW + DAY, False), (LAST, None, False)):
        trust = dated(made.evidence(), ServiceUse.STATUS, verify_until=last).trust
        assert trust is not None
        if good:
            assert accept_status_list(made.status_list(), uri=made.status_uri, trust=trust, now=now)
            continue
        with pytest.raises(FormatError) as refusal:
            accept_status_list(made.status_list(), uri=made.status_uri, trust=trust, now=now)
        assert refusal.value.reason is Reason.STATUS_UNAVAILABLE
        with pytest.raises(FormatError):
            accept_archived_lists([made.status_list()], uri=made.status_uri, trust=trust, now=now)


def test_a_bank_whose_table_ended_an_algorithm_uses_no_bundle_signed_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bundle is the one of yesterday: its own times all lie before the last date, the clock does not."""
    made = Installation()
    token, bundle = made.credential(), made.bundle()
    ended = {name: replace(profile, verify_until=NOW) for name, profile in PROFILES.items()}
    for profiles, good in ((PROFILES, True), (ended, False)):
        monkeypatch.setattr("elicense.keys.PROFILES", profiles)
        evidence = gather_offline(trust_root=made.pinned_root(), bundle=bundle, now=NOW + DAY)
        assert evidence.trust is not None
        assert (evidence.refused() == ()) == good
        assert (evidence.trust.freshness is not None) == good
        report = verify_credential(token, evidence=evidence, policy=PRESETS["public-basic"])
        assert bool(report) == good
