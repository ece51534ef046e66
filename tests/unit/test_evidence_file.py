"""Evidence files: the judgement repeated from what was kept, and tampering that never ends in a silent yes."""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from elicense import OfflineVerifier
from elicense.client._offline_report import OfflineReport
from elicense.encoding import b64url_decode, dump_json, sha256_hex
from elicense.evidence_file import parse_evidence, repeat
from elicense.policy import DEFAULT_POLICY
from elicense.problems import FormatError, Reason
from elicense.report import CheckId, Outcome
from elicense.status_list import Status
from tests.simulator import Installation
from tests.unit.twins import Twin


class Clock:
    """A clock that stands where it is put, microseconds and all."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def installation() -> Installation:
    return Installation()


def verifier(installation: Installation, **settings: Any) -> OfflineVerifier:
    given = {
        "trust_root": installation.trust_root(),
        "bundle": installation.bundle(),
        "clock": Clock(installation.now + timedelta(seconds=90, microseconds=123456)),
        **settings,
    }
    return OfflineVerifier(**given)


def kept(report: OfflineReport, folder: Path) -> bytes:
    path = folder / "evidence.json"
    report.save_evidence(path)
    return path.read_bytes()


def outcome(data: bytes, trust_root: bytes | None = None) -> str:
    """Repeat, and say what came of it: the verdict and what differs, or that it was refused."""
    try:
        repeated = repeat(parse_evidence(data), trust_root=trust_root)
    except FormatError:
        return "refused"
    return f"{repeated.report.verdict.value} {'same' if not repeated.differences else 'other'}"


def test_a_judgement_is_repeated_from_its_file(installation: Installation, tmp_path: Path) -> None:
    source = installation.staple(installation.credential())
    report = verifier(installation).verify(source, elements={"address": "别处"})
    data = kept(report, tmp_path)
    repeated = repeat(parse_evidence(data), trust_root=installation.trust_root())
    assert repeated.differences == ()
    assert repeated.pinned
    assert repeated.report.reason is report.reason is Reason.MISMATCH
    assert repeated.report.verified_at == report.verified_at
    assert repeated.report.check(CheckId.LOG_PROOF).outcome is Outcome.PASSED
    assert repeated.root_sha256 == sha256_hex(installation.trust_root())
    assert not (tmp_path / "evidence.json.new").exists()


def test_it_holds_every_input_exactly(installation: Installation, tmp_path: Path) -> None:
    token = installation.credential()
    asked = {"company_type": "有限责任公司"}
    moment = installation.now - timedelta(seconds=30)
    report = verifier(installation).verify(token + "\n", at=moment, elements=asked)
    document = json.loads(kept(report, tmp_path))
    assert (document["fmt"], document["env"]) == (1, "test")
    assert document["token"] == token
    assert document["bundle"].encode() == installation.bundle()
    assert document["trust_root"].encode() == installation.trust_root()
    assert document["policy"] == DEFAULT_POLICY.to_json()
    assert document["elements"] == asked
    assert document["now"] == "2026-11-02T04:01:30.123456+00:00"
    assert datetime.fromisoformat(document["at"]) == moment
    assert document["proof"] is None
    assert document["report"]["verdict"] == report.verdict.value


def test_it_repeats_years_later_whatever_has_expired_since(
    installation: Installation, tmp_path: Path
) -> None:
    data = kept(verifier(installation).verify(installation.credential()), tmp_path)
    # Nothing here reads a clock: the moment judged is the one kept.
    assert outcome(data, installation.trust_root()) == "valid same"
    installation.set_status(5, Status.INVALID)
    later = verifier(installation)
    assert later.verify(installation.credential()).reason is Reason.REVOKED
    assert outcome(data, installation.trust_root()) == "valid same"


@pytest.mark.parametrize("what", ["a bytes token that is no text", "a lone surrogate", "an empty one"])
def test_whatever_was_judged_can_be_kept(installation: Installation, tmp_path: Path, what: str) -> None:
    source = {
        "a bytes token that is no text": b"\xff\xfe~",
        "a lone surrogate": "\ud800~",
        "an empty one": b"",
    }[what]
    data = kept(verifier(installation).verify(source), tmp_path)
    assert outcome(data, installation.trust_root()) == "invalid same"


def test_a_damaged_bundle_is_kept_as_it_was(installation: Installation, tmp_path: Path) -> None:
    for bundle in (b"\xff", installation.bundle()[:-20], None):
        bank = verifier(installation, bundle=bundle)
        data = kept(bank.verify(installation.credential()), tmp_path)
        assert outcome(data, installation.trust_root()) == "indeterminate same"
    assert b64url_decode("_w") == b"\xff"


def test_what_the_verifier_remembered_is_part_of_the_evidence(
    installation: Installation, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.json"
    older = installation.bundle()
    installation.set_status(5, Status.SUSPENDED)
    path.write_bytes(installation.bundle())
    bank = verifier(installation, bundle=path)
    path.write_bytes(older)
    bank.reload()
    report = bank.verify(installation.credential())
    assert report.reason is Reason.STATUS_UNAVAILABLE, "an older list was put back"
    assert outcome(kept(report, tmp_path), installation.trust_root()) == "indeterminate same"


def test_the_whole_memory_is_kept_and_repeats_under_any_root_of_the_chain(
    installation: Installation, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(installation.bundle())
    bank = verifier(installation, bundle=path)
    stapled = installation.staple(installation.credential())
    installation.rotate_root()
    installation.set_status(7, Status.INVALID)
    path.write_bytes(installation.bundle())
    bank.reload()
    bank.reload()  # by now it remembers the newer root and the larger log
    report = bank.verify(stapled)
    assert report
    memory = report.judgement.memory
    assert memory is not None
    assert (memory.root_version, memory.root_sha256) == (2, sha256_hex(installation.trust_root()))
    assert memory.checkpoints == {installation.log.origin: installation.log.checkpoint()}
    data = kept(report, tmp_path)
    again = parse_evidence(data).judgement
    assert again == replace(report.judgement, token=again.token)
    for root in installation.roots():
        assert outcome(data, root) == "valid same"


def test_a_fork_of_the_log_that_was_seen_is_seen_again(installation: Installation, tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(installation.bundle())
    bank = verifier(installation, bundle=path)
    installation.log.entries[0] = b"rewritten"
    path.write_bytes(installation.bundle())
    bank.reload()
    report = bank.verify(installation.credential())
    assert report.reason is Reason.TRUST_STALE
    data = kept(report, tmp_path)
    assert outcome(data, installation.trust_root()) == "indeterminate same"
    forgetful = json.loads(data)
    forgetful["memory"]["checkpoints"] = []
    assert outcome(dump_json(forgetful), installation.trust_root()) == "valid other"


def test_a_past_moment_is_repeated_from_the_archived_list(installation: Installation, tmp_path: Path) -> None:
    installation.status_read_at = installation.now - timedelta(hours=4)
    installation.publish_next(installation.now - timedelta(hours=1), index_5=Status.INVALID)
    bank, token = verifier(installation), installation.credential()
    assert bank.verify(token).reason is Reason.REVOKED
    report = bank.verify(token, at=installation.now - timedelta(hours=2))
    assert report and report.historical
    assert outcome(kept(report, tmp_path), installation.trust_root()) == "valid same"


def test_a_clock_that_was_not_believed_is_not_believed_later(
    installation: Installation, tmp_path: Path
) -> None:
    clock = Clock(installation.now + timedelta(hours=3))
    bank = verifier(installation, clock=clock)
    token = installation.credential()
    assert bank.verify(token)
    clock.moment -= timedelta(hours=1)
    report = bank.verify(token)
    assert report.reason is Reason.CLOCK_UNRELIABLE
    assert outcome(kept(report, tmp_path), installation.trust_root()) == "indeterminate same"


# --- tampering


def bent_documents(document: dict[str, Any], other: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Change, remove and swap every member, one at a time; documents inside it by a character."""
    for name, value in document.items():
        yield f"{name} removed", {key: one for key, one in document.items() if key != name}
        if other.get(name) != value:
            yield f"{name} swapped", {**document, name: other.get(name)}
        if isinstance(value, str) and len(value) > 100:
            for place in (20, len(value) // 3, len(value) // 2, len(value) - 30):
                letter = "A" if value[place] != "A" else "B"
                yield (
                    f"{name} changed at {place}",
                    {**document, name: value[:place] + letter + value[place + 1 :]},
                )
        elif isinstance(value, dict):
            for inner in value:
                copy = deepcopy(document)
                del copy[name][inner]
                yield f"{name}.{inner} removed", copy
                copy = deepcopy(document)
                copy[name][inner] = "x"
                yield f"{name}.{inner} changed", copy


HARMLESS = {
    "created_at swapped": "when the file was written says nothing about the judgement",
    "report.fmt": "texts and helps of the kept report are not what is confirmed",
    "report.message": "",
    "report.action": "",
    "report.warnings": "",
    "report.evidence_ages": "",
    "report.limits": "",
}
"""What may be bent without a word, and why."""


def test_no_bent_member_is_silently_confirmed(installation: Installation, tmp_path: Path) -> None:
    good = json.loads(
        kept(verifier(installation).verify(installation.staple(installation.credential())), tmp_path)
    )
    theirs = Installation(issuer_url="https://two.example", sequence=9, status_seq=3)
    bad = theirs.credential(claims={"status_index": 9})
    theirs.set_status(9, Status.INVALID)
    other = json.loads(kept(verifier(theirs).verify(theirs.staple(bad), elements={"address": "x"}), tmp_path))
    root = installation.trust_root()
    assert outcome(dump_json(good), root) == "valid same"
    survivors = [
        name
        for name, document in bent_documents(good, other)
        if outcome(dump_json(document), root) == "valid same"
        and not any(name.startswith(harmless) for harmless in HARMLESS)
    ]
    assert survivors == [], survivors


def test_a_kept_verdict_that_was_edited_is_told(installation: Installation, tmp_path: Path) -> None:
    installation.set_status(5, Status.INVALID)
    document = json.loads(kept(verifier(installation).verify(installation.credential()), tmp_path))
    assert document["report"]["reason"] == "revoked"
    document["report"].update(verdict="valid", reason="ok")
    kept_again = parse_evidence(dump_json(document))
    repeated = repeat(kept_again, trust_root=installation.trust_root())
    assert repeated.report.reason is Reason.REVOKED
    assert {"verdict", "reason"} <= set(repeated.differences)


def test_a_whole_forgery_stands_only_on_its_own_root(installation: Installation, tmp_path: Path) -> None:
    forger = Installation()
    data = kept(verifier(forger).verify(forger.credential()), tmp_path)
    alone = repeat(parse_evidence(data))
    assert alone.report and not alone.pinned
    assert alone.root_sha256 != sha256_hex(installation.trust_root())
    assert outcome(data, installation.trust_root()) == "indeterminate other"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("fmt", 2),
        ("env", "live"),
        ("now", "2026-11-02T04:00:00"),
        ("now", "yesterday"),
        ("token_base64url", "AAAA"),
        ("policy", {}),
        ("elements", {"address": 1}),
        ("clock_reliable", "yes"),
        ("trust_root", "{}"),
        ("report", None),
    ],
)
def test_another_shape_is_refused(
    installation: Installation, tmp_path: Path, member: str, value: object
) -> None:
    document = json.loads(kept(verifier(installation).verify(installation.credential()), tmp_path))
    with pytest.raises(FormatError):
        parse_evidence(dump_json({**document, member: value}))


def test_a_condition_this_version_does_not_know_is_refused(
    installation: Installation, tmp_path: Path
) -> None:
    document = json.loads(kept(verifier(installation).verify(installation.credential()), tmp_path))
    document["policy"]["require_two_witnesses"] = True
    with pytest.raises(FormatError, match="another version"):
        parse_evidence(dump_json(document))


def test_a_twin_that_believes_the_kept_report_confirms_a_lie(
    installation: Installation, tmp_path: Path
) -> None:
    document = json.loads(kept(verifier(installation).verify(installation.credential()), tmp_path))
    document["report"].update(verdict="invalid", reason="revoked")
    twin = Twin(
        tmp_path,
        "twin_evidence",
        file="evidence_file.py",
        passage="names = [name for name in _COMPARED if name not in kept or kept[name] != again.get(name)]",
        instead="names = []",
    ).module("evidence_file")
    lie = dump_json(document)
    assert twin.repeat(twin.parse_evidence(lie)).differences == ()
    assert repeat(parse_evidence(lie)).differences != ()
