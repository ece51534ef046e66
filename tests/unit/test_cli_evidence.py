"""`elicense verify` with stapled proofs and kept evidence, as a process; and how old it says its evidence is."""

import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from elicense import OfflineVerifier
from elicense.status_list import Status
from tests.offline_kit import INDEX, OfflineKit, elicense
from tests.simulator import Installation


@pytest.fixture
def kit(tmp_path: Path) -> OfflineKit:
    return OfflineKit(folder=tmp_path).write()


def trust(kit: OfflineKit) -> tuple[object, ...]:
    return ("--trust-root", kit.root_path, "--bundle", kit.bundle_path)


def keep(kit: OfflineKit, *, code: int = 0) -> Path:
    """Verify and keep the evidence."""
    path = kit.folder / "evidence.json"
    done = elicense("verify", kit.write_credential(), *trust(kit), "--save-evidence", path)
    assert done.returncode == code, done.stderr
    return path


def again(kit: OfflineKit, path: Path, *words: object) -> subprocess.CompletedProcess[bytes]:
    return elicense("verify", "--evidence", path, *words)


def pinned(kit: OfflineKit) -> tuple[object, ...]:
    return ("--trust-root", kit.root_path)


def bend(path: Path, **changes: Any) -> Path:
    document = json.loads(path.read_text())
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(document[name], dict):
            document[name].update(value)
        else:
            document[name] = value
    bent = path.with_name("bent.json")
    bent.write_text(json.dumps(document))
    return bent


def test_a_repeated_judgement_says_beside_its_verdict_that_it_is_of_then(kit: OfflineKit) -> None:
    verdict, then, *_ = again(kit, keep(kit), *pinned(kit)).stdout.decode().splitlines()
    assert verdict.startswith("有效")
    assert then.startswith("  重复 20") and then.endswith("不说明现在是否有效。")


def test_a_stapled_credential_is_verified_and_inspected(kit: OfflineKit) -> None:
    path = kit.folder / "stapled.json"
    token = kit.installation.credential(status_index=INDEX)
    path.write_bytes(kit.installation.staple(token) + b"\n")
    done = elicense("verify", path, *trust(kit), "--json")
    assert done.returncode == 0, done.stdout
    checks = {check["id"]: check["outcome"] for check in json.loads(done.stdout)["checks"]}
    assert checks["log_proof"] == "passed"
    shown = elicense("inspect", path)
    assert shown.returncode == 0
    assert b"event_sha256" in shown.stdout and b"UNVERIFIED" in shown.stdout
    other = kit.installation.prove(kit.installation.credential(status_index=INDEX + 1))
    path.write_bytes(kit.installation.staple(token, other))
    assert elicense("verify", path, *trust(kit)).returncode == 1
    path.write_text("{}")
    assert elicense("verify", path, *trust(kit)).returncode == 1
    assert elicense("verify", path).returncode == 1, "no root is needed to see that it is none"
    assert elicense("inspect", path).returncode == 1


def test_a_strict_bank_is_told_that_the_log_proof_is_missing_and_is_served_with_it(kit: OfflineKit) -> None:
    strict = (*trust(kit), "--policy", "bank-strict", "--json")
    bare = elicense("verify", kit.write_credential(), *strict)
    assert (bare.returncode, json.loads(bare.stdout)["reason"]) == (3, "log_proof_missing")
    path = kit.folder / "stapled.json"
    path.write_bytes(kit.installation.staple(kit.installation.credential(status_index=INDEX)))
    done = elicense("verify", path, *strict)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["policy"]["version"] == 2


def test_evidence_is_repeated_under_the_pinned_root(kit: OfflineKit) -> None:
    path = keep(kit)
    done = again(kit, path, *pinned(kit), "--lang", "en")
    assert done.returncode == 0, done.stdout.decode()
    text = done.stdout.decode()
    assert text.startswith("VALID")
    assert "the same as the answer kept then" in text
    assert "trust root sha256" in text and "named by --trust-root" in text


def test_without_a_pinned_root_it_never_says_yes(kit: OfflineKit) -> None:
    path = keep(kit)
    done = again(kit, path, "--json")
    assert done.returncode == 3
    shown = json.loads(done.stdout)
    assert shown["verdict"] == "valid"
    assert shown["evidence"]["same"] is True
    assert shown["evidence"]["trust_root_pinned"] is False
    assert len(shown["evidence"]["trust_root_sha256"]) == 64
    assert "须与另行取得的摘要核对" in again(kit, path).stdout.decode()


def test_evidence_of_a_refusal_is_repeated_too(kit: OfflineKit) -> None:
    kit.status = Status.INVALID
    kit.write()
    path = keep(kit, code=1)
    done = again(kit, path, *pinned(kit), "--json")
    shown = json.loads(done.stdout)
    assert (done.returncode, shown["reason"], shown["evidence"]["same"]) == (1, "revoked", True)


def test_what_was_judged_yesterday_is_judged_as_of_yesterday(kit: OfflineKit) -> None:
    path = keep(kit)
    # A bundle that has long expired by the clock of this machine: the moment judged is the one kept.
    old = OfflineKit(folder=kit.folder, now=kit.now - timedelta(days=300))
    bank = old.installation
    verifier = OfflineVerifier(
        trust_root=bank.trust_root(), bundle=old.bundle_bytes(), clock=lambda: bank.now
    )
    report = verifier.verify(bank.credential(status_index=INDEX))
    assert report
    report.save_evidence(path)
    root = kit.folder / "old-root.json"
    root.write_bytes(bank.trust_root())
    assert again(kit, path, "--trust-root", root).returncode == 0


def test_tampered_evidence_never_exits_0(kit: OfflineKit) -> None:
    path = keep(kit)
    document = json.loads(path.read_text())
    other = Installation(now=kit.now)
    bent: list[dict[str, Any]] = [
        {"report": {"verdict": "invalid", "reason": "revoked"}},
        {"report": {"evaluated_at": "2020-01-01T00:00:00Z"}},
        {"token": document["token"].replace("~", "x~", 1)},
        {"token": other.credential()},
        {"bundle": document["bundle"][:-3]},
        {"bundle": other.bundle().decode()},
        {"trust_root": other.trust_root().decode()},
        {"now": "2099-01-01T00:00:00+00:00"},
        {"policy": {"require_log_proof": True}},
        {"elements": {"address": "别处"}},
        {"env": "live"},
        {"fmt": 2},
    ]
    for changes in bent:
        done = again(kit, bend(path, **changes), *pinned(kit))
        assert done.returncode in (1, 3), changes
        assert b"Traceback" not in done.stderr, changes


HOSTILE: dict[str, dict[str, Any]] = {
    "a memory of the first day": {"memory": {"latest": "0001-01-01T00:00:00+00:00"}},
    "a memory before 1970": {"memory": {"latest": "1969-12-31T23:59:59+00:00"}},
    "an endless leeway": {"policy": {"leeway": 86399999999999}, "now": "2020-01-01T00:00:00+00:00"},
    "a clock at the end": {"now": "9999-12-31T23:59:59-14:00"},
    "a clock in the last year": {"now": "9999-01-01T00:00:00Z"},
    "a clock at the beginning": {"now": "0001-01-01T00:00:00+14:00"},
    "made before time": {"created_at": "0001-01-01T00:00:00+14:00"},
    "asked before time": {"at": "0001-01-01T00:00:00+14:00"},
    "asked after time": {"at": "9999-12-31T23:59:59-14:00"},
    "without a zone": {"now": "2026-11-02T04:00:00"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_times_and_leeways_that_nobody_means_are_said_to_be_malformed(tmp_path: Path, name: str) -> None:
    kit = OfflineKit(folder=tmp_path).write()
    bank = kit.installation
    verifier = OfflineVerifier(
        trust_root=bank.trust_root(), bundle=bank.bundle(), clock=lambda: bank.now + timedelta(seconds=1)
    )
    verifier.reload()  # so that there is a memory
    verifier.verify(bank.credential(status_index=INDEX)).save_evidence(tmp_path / "evidence.json")
    done = again(kit, bend(tmp_path / "evidence.json", **HOSTILE[name]), *pinned(kit), "--lang", "en")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"the evidence does not hold: ")


def test_the_ends_of_the_calendar_as_a_moment_asked_about_are_repeated(kit: OfflineKit) -> None:
    path = keep(kit)
    for at in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"):
        done = again(kit, bend(path, at=at), *pinned(kit))
        assert done.returncode in (1, 3)
        assert b"Traceback" not in done.stderr


def test_a_forged_file_with_a_root_of_its_own_does_not_exit_0(kit: OfflineKit, tmp_path: Path) -> None:
    folder = tmp_path / "forger"
    folder.mkdir()
    path = keep(OfflineKit(folder=folder).write())
    assert again(kit, path, *pinned(kit)).returncode == 3
    assert again(kit, path).returncode == 3


@pytest.mark.parametrize(
    "words",
    [
        ("FILE", "--evidence", "EVIDENCE"),
        ("--evidence", "EVIDENCE", "--bundle", "b"),
        ("--evidence", "EVIDENCE", "--at", "2026-01-01"),
        ("--evidence", "EVIDENCE", "--policy", "bank-strict"),
        ("--evidence", "EVIDENCE", "--max-status-age", "1h"),
        ("--evidence", "EVIDENCE", "--save-evidence", "x"),
        ("FILE", "--save-evidence", "x"),
        ("FILE", "FILE", "--trust-root", "r", "--save-evidence", "x"),
    ],
)
def test_what_cannot_be_meant_exits_2(kit: OfflineKit, words: tuple[str, ...]) -> None:
    given = [{"FILE": kit.write_credential(), "EVIDENCE": kit.bundle_path}.get(word, word) for word in words]
    assert elicense("verify", *given).returncode == 2


def test_evidence_that_cannot_be_read_or_written_exits_4(kit: OfflineKit) -> None:
    path = keep(kit)
    assert again(kit, kit.folder / "absent").returncode == 4
    assert again(kit, path, "--trust-root", kit.folder / "absent").returncode == 4
    kit.root_path.write_text("{}")
    assert again(kit, path, *pinned(kit)).returncode == 4
    kit.write()
    nowhere = kit.folder / "no" / "such" / "folder.json"
    done = elicense("verify", kit.write_credential(), *trust(kit), "--save-evidence", nowhere)
    assert (done.returncode, b"Traceback" in done.stderr) == (4, False)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"{" * 100_000])
def test_what_is_no_evidence_exits_1(kit: OfflineKit, content: bytes) -> None:
    path = kit.folder / "noise"
    path.write_bytes(content)
    done = again(kit, path, *pinned(kit))
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)


# --- how old the evidence is


def test_the_report_says_exactly_how_old_each_piece_is(kit: OfflineKit) -> None:
    kit.status_age = timedelta(hours=5, minutes=7)
    kit.write()
    done = elicense("verify", kit.write_credential(), *trust(kit), "--json", "--lang", "en")
    shown = json.loads(done.stdout)
    ages = {age["part"]: age for age in shown["evidence_ages"]}
    assert list(ages) == ["trust_root", "trust_list", "freshness", "status_list", "checkpoint"]
    wanted = 5 * 3600 + 7 * 60
    assert wanted <= ages["status_list"]["age_seconds"] < wanted + 60
    assert ages["status_list"]["limit_seconds"] == 24 * 3600
    assert wanted <= ages["freshness"]["age_seconds"] < wanted + 60
    assert ages["freshness"]["limit_seconds"] == 7 * 86400
    assert ages["trust_list"]["age_seconds"] >= 86400
    assert ages["trust_root"]["as_of"] is None
    assert "revocation" in ages["status_list"]["note"]
    assert {limit["code"] for limit in shown["limits"]} == {"not_shown_logged", "bearer"}
    text = elicense("verify", kit.write_credential(), *trust(kit), "--lang", "en").stdout.decode()
    assert "Status list 5 h 7 min" in text
    assert "counts for 1 d" in text
    assert "not of who shows it" in text
    chinese = elicense("verify", kit.write_credential(), *trust(kit)).stdout.decode()
    assert "状态列表 已 5 小时 7 分" in chinese
    assert "无从得知" in chinese


def test_the_report_says_what_is_missing(kit: OfflineKit) -> None:
    done = elicense("verify", kit.write_credential(), "--trust-root", kit.root_path, "--json")
    codes = {limit["code"] for limit in json.loads(done.stdout)["limits"]}
    assert codes == {"no_trust_list", "no_status", "not_shown_logged", "bearer"}
