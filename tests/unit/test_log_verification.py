"""The judge on log proofs: what was logged before a theft stays good, and no time a thief wrote is believed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from elicense.evidence import (
    Evidence,
    LiveStatus,
    RegisterEvidence,
    TrustEvidence,
    accept_status_list,
)
from elicense.log_proof import LogProof
from elicense.policy import DEFAULT_POLICY, PRESETS, Policy
from elicense.problems import FormatError, Reason
from elicense.report import CheckId, Outcome, Verdict, VerificationReport
from elicense.signed_note import Checkpoint
from elicense.verify import verify_credential
from tests.simulated_log import SimulatedLog
from tests.simulator import NOW, Installation, SimulatedSigner

STRICT = PRESETS["bank-strict"]
DAY = timedelta(days=1)


@pytest.fixture
def installation() -> Installation:
    return Installation()


def judge(
    installation: Installation,
    token: str,
    proof: LogProof | None,
    *,
    policy: Policy = STRICT,
    evidence: Evidence | None = None,
) -> VerificationReport:
    return verify_credential(token, evidence=evidence or installation.evidence(), policy=policy, proof=proof)


def verdict(report: VerificationReport) -> tuple[Verdict, Reason]:
    return report.verdict, report.reason


MISSING = (Verdict.INDETERMINATE, Reason.LOG_PROOF_MISSING)
FAILED = (Verdict.INVALID, Reason.LOG_PROOF_FAILED)
STOLEN = (Verdict.INVALID, Reason.KEY_COMPROMISED)
STALE = (Verdict.INDETERMINATE, Reason.TRUST_STALE)
GOOD = (Verdict.VALID, Reason.OK)


# --- the proof itself


def test_a_strict_bank_needs_a_proof_and_takes_a_good_one(installation: Installation) -> None:
    token = installation.credential()
    assert (STRICT.version, STRICT.require_log_proof) == (2, True)
    assert verdict(judge(installation, token, None)) == MISSING
    report = judge(installation, token, installation.prove(token))
    assert verdict(report) == GOOD
    assert report.check(CheckId.LOG_PROOF).outcome is Outcome.PASSED
    assert report.to_json()["log"] == {"origin": "one.example/log", "index": 3, "size": 4}


def test_a_platform_needs_none_but_checks_one_that_is_given(installation: Installation) -> None:
    token, other = installation.credential(), installation.credential(status_index=6)
    report = judge(installation, token, None, policy=DEFAULT_POLICY)
    assert verdict(report) == GOOD
    assert report.check(CheckId.LOG_PROOF).outcome is Outcome.SKIPPED
    assert report.to_json()["log"] is None
    assert verdict(judge(installation, token, installation.prove(token), policy=DEFAULT_POLICY)) == GOOD
    assert verdict(judge(installation, token, installation.prove(other), policy=DEFAULT_POLICY)) == FAILED


def inclusion(**changes: Any) -> Callable[[LogProof], LogProof]:
    return lambda proof: replace(proof, inclusion=replace(proof.inclusion, **changes))


@pytest.mark.parametrize(
    "bend",
    [
        pytest.param(lambda p: replace(p, env="live"), id="environment"),
        pytest.param(lambda p: replace(p, salt=bytes(16)), id="salt"),
        pytest.param(lambda p: replace(p, salt=b"short"), id="short salt"),
        pytest.param(lambda p: replace(p, event_sha256="0" * 64), id="event"),
        pytest.param(inclusion(index=0), id="index"),
        pytest.param(inclusion(index=99), id="index outside"),
        pytest.param(inclusion(path=()), id="no path"),
        pytest.param(inclusion(path=(bytes(32), bytes(32))), id="another path"),
        pytest.param(inclusion(origin="two.example/log"), id="origin of the proof alone"),
        pytest.param(inclusion(origin="one.example/receipt-log"), id="origin of the receipts"),
        pytest.param(inclusion(checkpoint="text"), id="no note"),
        pytest.param(
            lambda p: inclusion(checkpoint=p.inclusion.checkpoint.replace("\n4\n", "\n5\n"))(p), id="size"
        ),
    ],
)
@pytest.mark.parametrize("policy", [STRICT, DEFAULT_POLICY], ids=["strict", "default"])
def test_a_proof_that_does_not_fit_fails_whoever_asks(
    installation: Installation, bend: Callable[[LogProof], LogProof], policy: Policy
) -> None:
    token = installation.credential()
    report = judge(installation, token, bend(installation.prove(token)), policy=policy)
    assert verdict(report) == FAILED
    assert report.log is None
    assert report.file_result_code == 0, "the file itself is good"


def test_a_proof_by_a_log_nobody_lists_fails(installation: Installation) -> None:
    token = installation.credential()
    listed = installation.log
    for origin in ("one.example/log", "else.example/log"):
        installation.log = SimulatedLog(origin, SimulatedSigner("eddsa"))
        proof = installation.prove(token)
        installation.log = listed
        assert verdict(judge(installation, token, proof)) == FAILED


def test_a_proof_of_a_log_newer_than_the_trust_list_asks_for_a_newer_list(installation: Installation) -> None:
    token = installation.credential()
    listed = installation.log
    installation.log = SimulatedLog("one.example/log/2", SimulatedSigner("eddsa"))
    proof = installation.prove(token)
    installation.log = listed
    for policy in (STRICT, DEFAULT_POLICY):
        assert verdict(judge(installation, token, proof, policy=policy)) == STALE


def test_a_proof_that_contradicts_the_remembered_state_of_its_size_fails(installation: Installation) -> None:
    token = installation.credential()
    proof = installation.prove(token)
    evidence = installation.evidence()
    assert evidence.log is not None
    origin = installation.log.origin
    forked = replace(evidence.log, checkpoints={origin: Checkpoint(origin, 4, bytes(32))})
    assert verdict(judge(installation, token, proof, evidence=replace(evidence, log=forked))) == FAILED
    for size in (3, 9):  # states of other sizes are not compared: that needs another proof
        other = replace(evidence.log, checkpoints={origin: Checkpoint(origin, size, bytes(32))})
        assert verdict(judge(installation, token, proof, evidence=replace(evidence, log=other))) == GOOD


@pytest.mark.parametrize("policy", [STRICT, DEFAULT_POLICY], ids=["strict", "default"])
def test_a_proof_nobody_vouches_for_any_more_is_worth_as_much_as_none(
    installation: Installation, policy: Policy
) -> None:
    token = installation.credential()
    proof = installation.prove(token)
    installation.change_log(installation.log.origin, valid_until=NOW)
    for what in ("freshness", "bundle"):
        installation.edits[what] = lambda members: members.update(checkpoint=None)
    report = judge(installation, token, proof, policy=policy)
    assert verdict(report) == (MISSING if policy is STRICT else GOOD)
    assert report.check(CheckId.LOG_PROOF).outcome is Outcome.CANNOT_TELL


# --- the register's own word, online


def online(installation: Installation, **place: Any) -> Evidence:
    return replace(
        installation.evidence(),
        status=LiveStatus(state="active", as_of=NOW, event_seq=1),
        register=RegisterEvidence(known=True, **place),
    )


def test_online_the_register_knows_where_it_logged_the_credential(installation: Installation) -> None:
    token = installation.credential()
    logged = online(installation, log_origin="one.example/log", log_index=7)
    report = judge(installation, token, None, evidence=logged)
    assert verdict(report) == GOOD
    assert report.to_json()["log"] == {"origin": "one.example/log", "index": 7, "size": None}
    # It vouches for what it issued a moment ago as well, before the log has taken it.
    assert verdict(judge(installation, token, None, evidence=online(installation))) == GOOD
    offline = installation.evidence()
    assert verdict(judge(installation, token, None, evidence=offline)) == MISSING


@pytest.mark.parametrize(("index", "expected"), [(3, GOOD), (4, STOLEN), (None, MISSING)])
def test_online_the_registers_index_decides_about_a_compromised_key(
    installation: Installation, index: int | None, expected: tuple[Verdict, Reason]
) -> None:
    installation.log.add(b"the fourth")
    installation.compromise(installation.credential_signer, installation.log.checkpoint(4))
    origin = installation.log.origin if index is not None else None
    evidence = online(installation, log_origin=origin, log_index=index)
    report = judge(installation, installation.credential(), None, evidence=evidence, policy=DEFAULT_POLICY)
    assert verdict(report) == expected


def test_online_a_proof_nobody_vouches_for_any_more_leaves_the_registers_word(
    installation: Installation,
) -> None:
    token = installation.credential()
    proof = installation.prove(token)
    installation.compromise(installation.credential_signer, installation.log.checkpoint())
    installation.change_log(installation.log.origin, valid_until=NOW)
    known = online(installation, log_origin=installation.log.origin, log_index=proof.inclusion.index)
    assert verdict(judge(installation, token, proof, evidence=known)) == GOOD
    unknown = online(installation)
    assert verdict(judge(installation, token, proof, evidence=unknown)) == MISSING


# --- a compromised credential key


def test_what_was_logged_before_the_theft_stays_good_and_the_rest_is_lost(installation: Installation) -> None:
    before, after = installation.credential(), installation.credential(status_index=6)
    installation.prove(before)
    witnessed = installation.log.checkpoint()
    installation.compromise(installation.credential_signer, witnessed)
    early, late = installation.prove(before), installation.prove(after)
    for policy in (STRICT, DEFAULT_POLICY):
        assert verdict(judge(installation, before, early, policy=policy)) == GOOD
        assert verdict(judge(installation, before, None, policy=policy)) == MISSING
        assert verdict(judge(installation, after, late, policy=policy)) == STOLEN
        assert verdict(judge(installation, after, early, policy=policy)) == FAILED


def test_the_time_of_signing_never_saves_a_credential_of_a_stolen_key(installation: Installation) -> None:
    installation.compromise(installation.credential_signer, installation.log.checkpoint())
    forged = installation.credential(signed_at=NOW - 200 * DAY)
    assert verdict(judge(installation, forged, None, policy=DEFAULT_POLICY)) == MISSING
    assert verdict(judge(installation, forged, installation.prove(forged))) == STOLEN


def test_where_nothing_was_witnessed_before_the_theft_nothing_is_left(installation: Installation) -> None:
    token = installation.credential()
    proof = installation.prove(token)
    installation.compromise(installation.credential_signer, None)
    for given in (proof, None):
        assert verdict(judge(installation, token, given, policy=DEFAULT_POLICY)) == STOLEN


def test_a_proof_of_the_receipts_log_or_another_host_is_not_before_anything(
    installation: Installation,
) -> None:
    token = installation.credential()
    proof = installation.prove(token)
    for origin in ("two.example/log", "one.example/receipt-log", "one.example/log/2"):
        installation.compromise(installation.credential_signer, Checkpoint(origin, 99, bytes(32)))
        assert verdict(judge(installation, token, proof)) == STOLEN


# --- a compromised log key


def frozen_log(installation: Installation, token: str) -> tuple[LogProof, LogProof]:
    """Let the log's key be stolen; give a proof that leads to the state that remains, and a larger one."""
    installation.prove(token)
    remains = installation.log.checkpoint()
    exact = installation.prove(token)
    installation.log.add(b"what a thief may have written")
    larger = installation.prove(token)
    installation.compromise(installation.log_signer, remains)
    installation.log = SimulatedLog("one.example/log/2", SimulatedSigner("eddsa"))
    installation.log.add(b"the first of the new log")
    service = next(s for s in installation.services if s.origin == "one.example/log")
    installation.services.append(
        replace(
            service, key=installation.log.signer.public_key, origin=installation.log.origin, compromised=None
        )
    )
    return exact, larger


def test_of_a_log_whose_key_was_stolen_exactly_one_state_counts(installation: Installation) -> None:
    token = installation.credential()
    exact, larger = frozen_log(installation, token)
    unsigned = exact.inclusion.checkpoint.split("\n\n")[0] + "\n"
    nobody = "\n— one.example/log AAAAAAA=\n"
    assert verdict(judge(installation, token, exact)) == GOOD
    bare = replace(exact, inclusion=replace(exact.inclusion, checkpoint=unsigned + nobody))
    assert verdict(judge(installation, token, bare)) == GOOD, (
        "the root's keys fixed it: no log signature needed"
    )
    assert verdict(judge(installation, token, larger)) == MISSING
    assert verdict(judge(installation, token, larger, policy=DEFAULT_POLICY)) == GOOD
    assert verdict(judge(installation, token, installation.prove(token))) == GOOD


def test_what_remains_of_a_closed_log_is_older_than_a_theft_in_the_next(installation: Installation) -> None:
    token, later = installation.credential(), installation.credential(status_index=6)
    exact, larger = frozen_log(installation, token)
    installation.compromise(installation.credential_signer, installation.log.checkpoint())
    assert verdict(judge(installation, token, exact)) == GOOD
    assert verdict(judge(installation, token, larger)) == MISSING
    assert verdict(judge(installation, later, installation.prove(later))) == STOLEN


def test_the_state_that_remains_outranks_what_a_thief_let_us_remember(installation: Installation) -> None:
    token = installation.credential()
    exact, _ = frozen_log(installation, token)
    evidence = installation.evidence()
    assert evidence.log is not None
    deceived = replace(
        evidence.log, checkpoints={"one.example/log": Checkpoint("one.example/log", 4, bytes(32))}
    )
    assert verdict(judge(installation, token, exact, evidence=replace(evidence, log=deceived))) == GOOD


# --- a compromised status key


def trust(installation: Installation) -> TrustEvidence:
    evidence = installation.evidence().trust
    assert evidence is not None
    return evidence


def test_a_list_of_a_stolen_status_key_counts_when_it_was_logged_before(installation: Installation) -> None:
    token = installation.credential()
    listed = installation.status_list()
    installation.prove_list(listed, previous="ab" * 32)
    installation.compromise(installation.status_signer, installation.log.checkpoint())
    assert verdict(judge(installation, token, None, policy=DEFAULT_POLICY)) == GOOD
    del installation.list_proofs[next(iter(installation.list_proofs))]
    report = judge(installation, token, None, policy=DEFAULT_POLICY)
    assert verdict(report) == (Verdict.INDETERMINATE, Reason.STATUS_UNAVAILABLE)


def test_a_list_of_a_stolen_status_key_is_opened_by_its_own_proof_alone(installation: Installation) -> None:
    uri, listed = installation.status_uri, installation.status_list()
    before = installation.log.checkpoint()
    good = installation.prove_list(listed)
    held = installation.log.checkpoint()
    installation.compromise(installation.status_signer, held)
    chain = trust(installation)
    given: dict[str, Any] = {"uri": uri, "trust": chain, "proof": good.inclusion, "previous": None}
    assert accept_status_list(listed, **given).status_list.uri == uri
    for wrong in (
        {"proof": None},
        {"previous": "0" * 64},
        {"proof": replace(good.inclusion, index=0)},
        {"proof": replace(good.inclusion, origin="two.example/log")},
    ):
        with pytest.raises(FormatError):
            accept_status_list(listed, **{**given, **wrong})
    installation.compromise(installation.status_signer, before)
    with pytest.raises(FormatError, match="after its key was compromised"):
        accept_status_list(listed, **{**given, "trust": trust(installation)})


def test_a_status_key_outside_its_window_is_not_saved_by_a_proof(installation: Installation) -> None:
    installation.prove_list(installation.status_list())
    installation.compromise(installation.status_signer, installation.log.checkpoint())
    assert installation.evidence().refused() == ()
    installation.services[0] = replace(installation.services[0], valid_until=NOW)
    assert [part.reason for part in installation.evidence().refused()] == [Reason.STATUS_UNAVAILABLE]
