"""Output that is full or closed, input that is closed or endless: never an answer, always one line and exit 4."""

import io
import json
import os
import sys
from pathlib import Path

import pytest

from elicense.cli import main
from tests.offline_kit import OfflineKit
from tests.receipt_kit import answer, to_file

ZERO = "/dev/zero"


@pytest.fixture
def kit(tmp_path: Path) -> OfflineKit:
    return OfflineKit(folder=tmp_path).write()


def words_of(kit: OfflineKit, *words: object) -> list[str]:
    return [str(word) for word in (*words, "--trust-root", kit.root_path, "--bundle", kit.bundle_path)]


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said, said
    return said


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_full_output_is_no_verdict(
    kit: OfflineKit,
    more: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    credential = kit.write_credential()
    receipt = kit.folder / "answer.json"
    receipt.write_bytes(to_file(answer(kit.installation)))
    for words in (
        words_of(kit, "verify", credential, *more),
        words_of(kit, "verify-receipt", receipt, *more),
        ["inspect", str(credential)],
        ["--help"],
    ):
        with open("/dev/full", "w", encoding="utf-8") as full:  # its file may be replaced, so one for each
            monkeypatch.setattr(sys, "stdout", full)
            assert main(words) == 4, words
        assert "No space left" in one_line(capsys)


def test_a_reader_that_went_away_is_not_complained_about(
    kit: OfflineKit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(words_of(kit, "verify", kit.write_credential())) == 4
    assert capsys.readouterr().err == ""


def test_closed_streams_are_no_verdict(
    kit: OfflineKit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", None)
        assert main(words_of(kit, "verify", "-")) == 4
    assert "stdin is closed" in one_line(capsys)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        assert main(words_of(kit, "verify", kit.write_credential())) == 4
    assert "stdout is closed" in one_line(capsys)


def test_complaints_never_stand_among_answers(
    kit: OfflineKit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert main(words_of(kit, "verify", "nosuch.sdjwt")) == 4
    sys.stderr.close()
    assert "nosuch" not in capsys.readouterr().out


def test_stderr_that_is_full_changes_no_exit_code(kit: OfflineKit, monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert main(words_of(kit, "verify", "nosuch.sdjwt")) == 4


def test_an_endless_file_is_read_up_to_its_limit(kit: OfflineKit, capsys: pytest.CaptureFixture[str]) -> None:
    receipt = kit.folder / "answer.json"
    receipt.write_bytes(to_file(answer(kit.installation)))
    assert main(["verify-receipt", str(receipt), "--trust-root", ZERO]) == 4
    one_line(capsys)


def test_an_unforeseen_fault_is_one_line_with_its_place(
    kit: OfflineKit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A stdin without bytes stands for any fault of the program.
    monkeypatch.setattr(sys, "stdin", io.StringIO("x"))
    assert main(words_of(kit, "verify", "-")) == 4
    said = one_line(capsys)
    assert "AttributeError (elicense.cli_common:" in said


def test_evidence_that_cannot_be_written_is_told_beside_the_verdict(
    kit: OfflineKit, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = kit.folder / "no" / "evidence.json"
    words = words_of(kit, "verify", kit.write_credential(), "--json", "--save-evidence", nowhere)
    assert main(words) == 4
    said = capsys.readouterr()
    assert json.loads(said.out)["verdict"] == "valid"
    assert said.err.startswith(f"无法写入 {nowhere}")


def test_a_file_that_cannot_be_read_has_its_line_of_json(
    kit: OfflineKit, capsys: pytest.CaptureFixture[str]
) -> None:
    good = str(kit.write_credential())
    assert main(words_of(kit, "verify", "nosuch.sdjwt", good, "--json")) == 4
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["file"], line["verdict"]) for line in lines] == [("nosuch.sdjwt", None), (good, "valid")]
    assert lines[0]["error"] == "No such file or directory"
