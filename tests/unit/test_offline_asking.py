"""What the offline verifier may be asked: in any writing and any zone, and nothing that no evidence could hold."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from elicense import OfflineVerifier
from elicense.evidence_file import parse_evidence, repeat
from elicense.report import Verdict
from tests.offline_bank import Clock, verifier
from tests.simulator import Installation


@pytest.fixture
def installation() -> Installation:
    return Installation()


@pytest.mark.parametrize(
    "asked",
    [
        {"elements": {"address": "\ud800"}},
        {"elements": {"addr\udfffess": "x"}},
        {"elements": {"address": "\ud83d", "name": "\ude00"}},
        {"nonce": "\udcff", "audience": "a"},
        {"nonce": "n", "audience": "\ud800"},
    ],
)
def test_what_no_evidence_could_hold_is_not_asked(installation: Installation, asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="lone surrogate") as refusal:
        verifier(installation).verify(installation.credential(), **asked)
    assert not isinstance(refusal.value, UnicodeError), "which would repeat what was asked"


def test_what_is_asked_in_any_writing_is_kept_and_repeats(installation: Installation, tmp_path: Path) -> None:
    for elements in ({}, {"": "", "address": "😀𠮷\x00\u2028"}):
        report = verifier(installation).verify(installation.credential(), elements=elements)
        report.save_evidence(tmp_path / "evidence.json")
        kept = parse_evidence((tmp_path / "evidence.json").read_bytes())
        assert repeat(kept, trust_root=installation.trust_root()).differences == ()


CHINA_CLOCK = timezone(timedelta(hours=8))


def test_moments_of_another_zone_are_answered_in_utc(installation: Installation, tmp_path: Path) -> None:
    token, now = installation.credential(), installation.now
    bank = verifier(installation)
    at = now + timedelta(hours=1)
    report = bank.verify(token, at=at.astimezone(CHINA_CLOCK))
    assert (report.evaluated_at, report.to_json()) == (at, bank.verify(token, at=at).to_json())
    assert report.to_json()["evaluated_at"] == "2026-11-02T05:00:00Z"
    report.save_evidence(tmp_path / "evidence.json")
    kept = parse_evidence((tmp_path / "evidence.json").read_bytes())
    assert (kept.judgement.at, kept.report["evaluated_at"]) == (at, "2026-11-02T05:00:00Z")
    assert repeat(kept, trust_root=installation.trust_root()).differences == ()


def test_a_clock_of_another_zone_is_answered_in_utc(installation: Installation) -> None:
    bank = OfflineVerifier(
        trust_root=installation.trust_root(),
        bundle=installation.bundle(),
        clock=Clock(installation.now.astimezone(CHINA_CLOCK)),
    )
    report = bank.verify(installation.credential())
    shown = report.to_json()
    assert report
    assert (shown["verified_at"], shown["evaluated_at"]) == ("2026-11-02T04:00:00Z",) * 2
    assert report.verified_at.tzinfo is UTC


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 11, 2),
        datetime.min.replace(tzinfo=CHINA_CLOCK),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
    ],
)
def test_a_moment_that_is_none_in_utc_is_a_mistake_of_the_caller(
    installation: Installation, at: datetime
) -> None:
    with pytest.raises(ValueError, match="moment"):
        verifier(installation).verify(installation.credential(), at=at)
    with pytest.raises(ValueError, match="moment"):
        OfflineVerifier(trust_root=installation.trust_root(), clock=Clock(at))


@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_the_first_and_last_moments_of_the_calendar_are_answered_and_repeat(
    installation: Installation, tmp_path: Path, at: datetime
) -> None:
    report = verifier(installation).verify(installation.credential(), at=at)
    assert report.verdict is not Verdict.VALID
    report.save_evidence(tmp_path / "evidence.json")
    kept = parse_evidence((tmp_path / "evidence.json").read_bytes())
    assert repeat(kept, trust_root=installation.trust_root()).differences == ()
