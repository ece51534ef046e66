"""Files, settings and databases as an operator gets them wrong: what is said, and how the command exits."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from elicense.cli import main

ZERO = "/dev/zero"


@pytest.fixture
def data_dir(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copyfile(sqlite_template, tmp_path / "elicense.db")
    for name in [name for name in os.environ if name.startswith("ELICENSE_")]:
        monkeypatch.delenv(name)
    return tmp_path


def run(data_dir: Path, *words: object) -> int:
    return main([*map(str, words), "--data-dir", str(data_dir)])


NAMING_A_FILE = (
    ("setup", "apply", "FILE"),
    ("clients", "add-jwk", "a-bank", "FILE"),
    ("log", "audit", "--trust-root", "FILE"),
    ("recover", "--trust-root", "FILE"),
    ("import", "small.csv", "--map", "FILE", "--authority", "x", "--type", "y"),
)


@pytest.mark.parametrize("words", NAMING_A_FILE, ids=" ".join)
def test_an_endless_file_is_wrong_usage_and_an_absent_one_an_error(
    data_dir: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    (data_dir / "small.csv").write_text("number\n1\n", encoding="utf-8")
    named = [word.replace("small.csv", str(data_dir / "small.csv")) for word in words]
    assert run(data_dir, *[word.replace("FILE", ZERO) for word in named]) == 2
    capsys.readouterr()
    absent = str(data_dir / "absent")
    assert run(data_dir, *[word.replace("FILE", absent) for word in named]) == 4
    said = capsys.readouterr().err
    assert absent in said and said.count("\n") == 1


def test_a_list_whose_reader_goes_away_ends_quietly(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert run(data_dir, "doctor") == 4
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_migrating_postgresql_needs_no_folder(
    empty_database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("no folder can be made below this")
    monkeypatch.setenv("ELICENSE_DATABASE_URL", empty_database_url)
    assert run(tmp_path / "file" / "data", "migrate") == 0, capsys.readouterr().err
