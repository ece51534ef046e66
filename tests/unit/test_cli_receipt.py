"""`elicense verify-receipt` as a process: what it prints and how it exits."""

import json
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from elicense.encoding import b64url_encode
from tests.offline_kit import OfflineKit, elicense
from tests.receipt_kit import QUESTION, SALT, answer, batch_answer, to_file
from tests.simulator import SimulatedSigner


@pytest.fixture
def kit(tmp_path: Path) -> OfflineKit:
    return OfflineKit(folder=tmp_path).write()


def write(kit: OfflineKit, value: object, name: str = "answer.json") -> Path:
    path = kit.folder / name
    path.write_bytes(value if isinstance(value, bytes) else to_file(value))
    return path


def check(kit: OfflineKit, *words: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    trust = ("--trust-root", kit.root_path, "--bundle", kit.bundle_path)
    return elicense("verify-receipt", *words, *trust, stdin=stdin)


def kept(kit: OfflineKit) -> dict[str, Any]:
    return answer(kit.installation)


def test_a_good_receipt_exits_0_and_shows_all_that_it_states(kit: OfflineKit) -> None:
    done = check(kit, write(kit, kept(kit)))
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    text = done.stdout.decode()
    assert text.startswith("回执成立")
    for shown in (
        "0192",
        "platform",
        "mismatch",
        "merchant_onboarding",
        "address mismatch",
        "platform-default",
    ):
        assert shown in text, shown
    english = check(kit, write(kit, kept(kit)), "--lang", "en").stdout.decode()
    assert english.startswith("RECEIPT HOLDS")
    assert "not that the license is in force now" in english


def test_what_was_answered_stands_beside_the_headline(kit: OfflineKit) -> None:
    """`valid` there speaks of the receipt: this one is about a license that was refused."""
    path = write(kit, kept(kit))
    for lang, headline, told in (
        ("zh", "回执成立  [valid/ok]", "  所述结论: 无效  ("),
        ("en", "RECEIPT HOLDS  [valid/ok]", "  It states: INVALID  ("),
    ):
        first, second, *_ = check(kit, path, "--lang", lang).stdout.decode().splitlines()
        assert first.startswith(headline) and second.startswith(told)
    noise = check(kit, write(kit, b"x", "noise.jws")).stdout.decode()
    assert "所述结论" not in noise


def test_what_is_said_of_a_receipt_never_reads_as_a_word_on_the_license(kit: OfflineKit) -> None:
    path = write(kit, kept(kit))
    for lang, told in (
        ("zh", "只说明服务作出过该答复,不说明证照现在有效"),
        ("en", "whether the license is valid now"),
    ):
        shown = json.loads(check(kit, path, "--json", "--lang", lang).stdout)
        assert (shown["reason"], told in shown["message"]) == ("ok", True), shown["message"]
    bent = write(kit, {**kept(kit), "verdict": "valid"}, "bent.json")
    noise = write(kit, b"x", "noise.jws")
    for file, told in ((bent, "is not what the receipt states"), (noise, "The file is no receipt")):
        assert told in json.loads(check(kit, file, "--json", "--lang", "en").stdout)["message"]
        assert told in check(kit, file, "--lang", "en").stdout.decode()


def test_a_bare_receipt_may_come_from_standard_input(kit: OfflineKit) -> None:
    done = check(kit, "-", "--json", stdin=kept(kit)["receipt"].encode() + b"\n")
    assert done.returncode == 0
    shown = json.loads(done.stdout)
    assert (shown["verdict"], shown["states"]["jti"]) == ("valid", "0192")


def test_a_batch_is_checked_result_by_result(kit: OfflineKit) -> None:
    questions = [{**QUESTION, "reference": f"shop-{number}"} for number in range(3)]
    batch = batch_answer(kit.installation, questions)
    asked = write(kit, {"items": questions}, "question.json")
    assert check(kit, write(kit, batch), "--question", asked).returncode == 0
    batch["results"][1]["verdict"] = "valid"
    done = check(kit, write(kit, batch), "--json")
    assert done.returncode == 1
    assert "result 1" in json.dumps(json.loads(done.stdout)["checks"])


@pytest.mark.parametrize(
    ("member", "value"), [("verdict", "valid"), ("receipt", "a.b.c"), ("receipt", None), ("reference", "x")]
)
def test_a_bent_answer_exits_1(kit: OfflineKit, member: str, value: object) -> None:
    assert check(kit, write(kit, {**kept(kit), member: value})).returncode == 1


def test_a_forged_receipt_exits_1(kit: OfflineKit) -> None:
    forged = answer(kit.installation, signer=SimulatedSigner())
    done = check(kit, write(kit, forged))
    assert done.returncode == 1
    assert "UNVERIFIED" in done.stdout.decode()


def test_the_question_is_held_against_the_receipt(kit: OfflineKit) -> None:
    path, asked = write(kit, kept(kit)), write(kit, dict(QUESTION), "question.json")
    other = write(kit, {**QUESTION, "purpose": "x"}, "other.json")
    assert check(kit, path, "--question", asked).returncode == 0
    assert check(kit, path, "--question", other).returncode == 1
    bare = write(kit, kept(kit)["receipt"].encode(), "receipt.jws")
    salt = b64url_encode(SALT)
    assert check(kit, bare, "--question", asked, "--salt", salt).returncode == 0
    assert check(kit, bare, "--question", asked, "--salt", b64url_encode(bytes(16))).returncode == 1


def test_the_log_proof_is_checked_where_one_is_given(kit: OfflineKit) -> None:
    whole = kept(kit)
    proof = kit.installation.prove_receipt(whole["receipt"])
    path = write(kit, whole)
    good = write(kit, proof.to_json(), "proof.json")
    done = check(kit, path, "--proof", good, "--lang", "en")
    assert done.returncode == 0, done.stdout.decode()
    assert "Fixed in the log: one.example/log" in done.stdout.decode()
    bent = replace(proof, anchored_at=1)
    assert check(kit, path, "--proof", write(kit, bent.to_json(), "bent.json")).returncode == 1
    assert check(kit, path, "--proof", write(kit, {}, "none.json")).returncode == 1


def test_without_bundle_or_root_or_with_a_stale_one_it_cannot_tell(kit: OfflineKit) -> None:
    path = write(kit, kept(kit))
    assert elicense("verify-receipt", path).returncode == 3
    assert elicense("verify-receipt", path, "--trust-root", kit.root_path).returncode == 3
    kit.status_age = timedelta(days=8)
    kit.write()
    done = check(kit, path, "--json")
    assert (done.returncode, json.loads(done.stdout)["reason"]) == (3, "trust_stale")
    kit.bundle_path.unlink()
    assert check(kit, path).returncode == 3


def test_wrong_usage_exits_2(kit: OfflineKit) -> None:
    path, bare = write(kit, kept(kit)), write(kit, kept(kit)["receipt"].encode(), "receipt.jws")
    noise = write(kit, b"{", "noise.json")
    asked = write(kit, dict(QUESTION), "question.json")
    for words in (
        (),
        (path, "--unknown"),
        (path, "--lang", "fr"),
        (path, path),
        (path, "--salt", "AAAA"),
        (path, "--question", noise),
        (path, "--question", asked, "--salt", "!"),
        (path, "--question", asked, "--salt", "AAAA"),
        (bare, "--question", asked),
    ):
        done = check(kit, *words)
        assert (done.returncode, b"Traceback" in done.stderr) == (2, False), words


def test_files_that_cannot_be_read_exit_4(kit: OfflineKit) -> None:
    path, absent = write(kit, kept(kit)), kit.folder / "absent"
    for words in ((absent,), (path, "--question", absent), (path, "--proof", absent)):
        done = check(kit, *words)
        assert (done.returncode, b"Traceback" in done.stderr) == (4, False), words
    kit.root_path.write_text("{}")
    assert check(kit, path).returncode == 4


def test_what_a_hostile_file_says_cannot_reach_the_terminal(kit: OfflineKit) -> None:
    hostile = answer(kit.installation, receipt_id="\x1b[2J", signer=SimulatedSigner())
    done = check(kit, write(kit, hostile))
    assert done.returncode == 1
    assert b"\x1b" not in done.stdout + done.stderr


def test_help_shows_examples_and_exit_codes() -> None:
    done = elicense("verify-receipt", "--help")
    text = done.stdout.decode()
    assert done.returncode == 0
    for shown in ("elicense verify-receipt answer.json", "exit codes", "--proof"):
        assert shown in text
