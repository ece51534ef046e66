"""An offline report says how old each piece of its evidence is, and what it therefore cannot claim."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from elicense.evidence import LiveStatus, RegisterEvidence
from elicense.evidence_ages import EvidenceAge
from elicense.policy import DEFAULT_POLICY, with_max_status_age
from elicense.report import VerificationReport
from elicense.verify import verify_credential
from tests.simulator import NOW, Installation

HOUR = timedelta(hours=1)
PARTS = ["trust_root", "trust_list", "freshness", "status_list", "checkpoint", "log_proof"]


@pytest.fixture
def installation() -> Installation:
    return Installation()


def judge(installation: Installation, **asked: Any) -> VerificationReport:
    token = installation.credential()
    given: dict[str, Any] = {"proof": installation.prove(token), "policy": DEFAULT_POLICY, **asked}
    evidence = given.pop("evidence", None) or installation.evidence(now=NOW + 3 * HOUR)
    return verify_credential(token, evidence=evidence, **given)


def ages(report: VerificationReport) -> dict[str, EvidenceAge]:
    return {age.part: age for age in report.evidence_ages()}


def test_every_piece_is_listed_with_its_age_and_its_limit(installation: Installation) -> None:
    found = ages(judge(installation))
    assert list(found) == PARTS
    shown = {part: (age.age_seconds, age.limit_seconds) for part, age in found.items()}
    assert shown == {
        "trust_root": (None, None),
        "trust_list": (27 * 3600, 90 * 86400),
        "freshness": (3 * 3600, 7 * 86400),
        "checkpoint": (3 * 3600, 7 * 86400),
        "status_list": (3 * 3600, 86400),
        "log_proof": (None, None),
    }
    assert found["trust_root"].expires_at == installation.root_expires
    assert found["status_list"].expires_at == NOW + timedelta(days=1)


def test_every_piece_says_what_it_cannot_claim_in_both_languages(installation: Installation) -> None:
    for age in ages(judge(installation)).values():
        assert age.note.zh and not age.note.zh.isascii()
        assert age.note.en and age.note.en.isascii()
    notes = {part: age.note for part, age in ages(judge(installation)).items()}
    assert "无从得知" in notes["status_list"].zh and "not known" in notes["status_list"].en
    assert "4 entries" in notes["checkpoint"].en and "first 4 entries" in notes["log_proof"].en


def test_the_json_of_an_offline_report_carries_the_ages_in_one_language(installation: Installation) -> None:
    shown = judge(installation).to_json("en")["evidence_ages"]
    assert isinstance(shown, list)
    assert [entry["part"] for entry in shown if isinstance(entry, dict)] == PARTS
    status = shown[3]
    assert isinstance(status, dict)
    assert status["as_of"] == "2026-11-02T04:00:00Z"
    assert status["expires_at"] == "2026-11-03T04:00:00Z"
    assert "is not known" in str(status["note"])


def test_the_lists_own_end_limits_its_age_where_it_comes_first(installation: Installation) -> None:
    installation.status_expires_at = NOW + 6 * HOUR
    found = ages(judge(installation, policy=with_max_status_age(DEFAULT_POLICY, timedelta(days=7))))
    assert found["status_list"].limit_seconds == 6 * 3600


def test_the_status_of_a_past_moment_is_as_old_as_it_was_then(installation: Installation) -> None:
    report = judge(installation, at=NOW + HOUR)
    assert report.historical
    status = ages(report)["status_list"]
    assert status.age_seconds == 3600
    assert "所问时刻" in status.note.zh


def test_a_witness_dates_a_proof(installation: Installation) -> None:
    installation.log.witnesses = [("witness.example", installation.witness_signer, NOW - HOUR)]
    proof = ages(judge(installation))["log_proof"]
    assert (proof.as_of, proof.age_seconds) == (NOW - HOUR, 4 * 3600)
    assert "witness" in proof.note.en


def test_without_freshness_status_or_proof_only_the_rest_is_listed(installation: Installation) -> None:
    installation.edits["bundle"] = lambda members: members.update(freshness=None)
    found = ages(judge(installation, proof=None))
    assert list(found) == ["trust_root", "trust_list"]
    assert "Nothing says" in found["trust_list"].note.en


def test_an_online_answer_has_no_such_list(installation: Installation) -> None:
    evidence = installation.evidence()
    assert evidence.trust is not None
    own = replace(
        evidence,
        trust=replace(evidence.trust, fresh=True),
        status=LiveStatus(state="active", as_of=NOW, event_seq=1),
        register=RegisterEvidence(known=True),
    )
    report = judge(installation, evidence=own, proof=None)
    assert report
    assert report.evidence_ages() == []
    assert "evidence_ages" not in report.to_json()


def test_without_trust_there_is_nothing_to_tell_the_age_of(installation: Installation) -> None:
    evidence = replace(installation.evidence(), trust=None)
    assert judge(installation, evidence=evidence).evidence_ages() == []
