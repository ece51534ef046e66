"""`elicense import` as a clerk types it, in this process on a real database: files, exit codes, what is said."""

import argparse
import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from app.cli import register
from tests.databases import run_apart
from tests.installation import AUTHORITY, BUSINESS_LICENSE, HOLDER, ISSUER_URL, open_installation

HEADER = "number,holder.code,holder.name,issue_date,valid_until,elements.address\n"
GOOD = f"N1,{HOLDER.code},{HOLDER.name},2024-01-01,2030-01-01,一号\n"
BAD = f"N2,{HOLDER.code},{HOLDER.name},soon,2030-01-01,一号\n"
MAP = "".join(f"{name!r} = {name!r}\n" for name in HEADER.strip().split(","))


@pytest.fixture
def office(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the data directory of an installation on SQLite, which is the current directory too."""
    shutil.copyfile(sqlite_template, tmp_path / "elicense.db")

    async def initialise() -> None:
        async with open_installation(f"sqlite+aiosqlite:///{tmp_path}/elicense.db", tmp_path):
            pass

    run_apart(initialise)
    monkeypatch.setenv("ELICENSE_ENV", "development")
    monkeypatch.setenv("ELICENSE_ISSUER_URL", ISSUER_URL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="elicense")
    register(parser.add_subparsers(required=True))
    job = ("--authority", AUTHORITY, "--type", BUSINESS_LICENSE, "--data-dir", str(Path.cwd()))
    arguments = parser.parse_args(["import", *words, *job])
    code: int = arguments.run(arguments)
    return code


def test_refused_rows_take_the_place_of_an_older_list_when_the_run_is_done(office: Path) -> None:
    Path("r.csv").write_text(HEADER + GOOD + BAD)
    Path("refused.csv").write_text("older")
    Path("link.csv").symlink_to("refused.csv")
    assert run("r.csv", "--errors", "link.csv") == 1
    assert Path("link.csv").is_symlink()
    lines = Path("refused.csv").read_text(encoding="utf-8-sig").splitlines()
    assert [line.split(",")[:3] for line in lines[1:]] == [["3", "issue_date", "date_invalid"]]
    assert [path.name for path in office.glob(".*.part")] == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_list_of_refused_rows_never_takes_the_place_of_a_file_that_is_read(
    office: Path, capsys: pytest.CaptureFixture[str], *, dry_run: bool
) -> None:
    Path("r.csv").write_text(HEADER + GOOD + BAD)
    Path("m.toml").write_text(f"[columns]\n{MAP}")
    os.link("r.csv", "hard.csv")
    Path("soft.csv").symlink_to("r.csv")
    for errors in ("r.csv", "./r.csv", "hard.csv", "soft.csv", "m.toml"):
        words = ("--dry-run",) if dry_run else ()
        assert run("r.csv", "--map", "m.toml", "--errors", errors, *words) == 2
        assert "--errors" in capsys.readouterr().err
    assert Path("r.csv").read_text() == HEADER + GOOD + BAD
    assert Path("m.toml").read_text() == f"[columns]\n{MAP}"


def test_a_run_that_stops_leaves_the_older_list(office: Path) -> None:
    Path("r.csv").write_text("number,holder.code\n1,2\n")
    Path("refused.csv").write_text("older")
    assert run("r.csv", "--errors", "refused.csv") == 2
    assert Path("refused.csv").read_text() == "older"
    assert [path.name for path in office.glob(".*.part")] == []


def test_the_list_of_refused_rows_is_its_owners_alone_and_an_older_one_keeps_its_mode(office: Path) -> None:
    Path("r.csv").write_text(HEADER + BAD)
    usual = os.umask(0)
    try:
        assert run("r.csv", "--errors", "refused.csv") == 1
        assert stat.S_IMODE(Path("refused.csv").stat().st_mode) == 0o600
        Path("refused.csv").chmod(0o640)
        assert run("r.csv", "--errors", "refused.csv") == 1
        assert stat.S_IMODE(Path("refused.csv").stat().st_mode) == 0o640
    finally:
        os.umask(usual)


def test_a_link_laid_beside_the_list_of_refused_rows_leads_them_nowhere(office: Path) -> None:
    Path("r.csv").write_text(HEADER + BAD)
    Path(f".refused.csv.{os.getpid()}.part").symlink_to("elsewhere")
    assert run("r.csv", "--errors", "refused.csv") == 1
    assert "soon" in Path("refused.csv").read_text()
    assert not Path("elsewhere").exists()


def test_refused_rows_may_go_to_a_device(office: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("r.csv").write_text(HEADER + BAD)
    assert run("r.csv", "--errors", "/dev/null", "--json") == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["refused"] == 1
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("dry_run", [True, False])
def test_columns_that_nothing_is_taken_from_and_ends_that_are_missing_are_told(
    office: Path, capsys: pytest.CaptureFixture[str], *, dry_run: bool
) -> None:
    words = ("r.csv", "--json", *(("--dry-run",) if dry_run else ()))
    Path("r.csv").write_text(HEADER.replace("valid_until", "valid_untill") + GOOD)
    assert run(*words) == 0
    told = capsys.readouterr()
    assert "columns that nothing is taken from: valid_untill\n" in told.err
    assert "1 行未给出有效期止" in told.err
    counts = {"rows": 1, "accepted": 1, "unchanged": 0, "amended": 0, "refused": 0}
    assert json.loads(told.out.splitlines()[-1]) == counts
    Path("r.csv").write_text(HEADER + GOOD.replace("N1", "N3").replace("2030-01-01", "长期"))
    assert run(*words) == 0
    told = capsys.readouterr()
    assert "有效期止" not in told.err and "columns" not in told.err


def test_an_end_that_a_blank_cell_takes_away_is_told(
    office: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("r.csv").write_text(HEADER + GOOD)
    assert run("r.csv") == 0
    assert "有效期止" not in capsys.readouterr().err
    Path("r.csv").write_text(HEADER + GOOD.replace("2030-01-01", ""))
    for words in (("--dry-run",), ()):
        assert run("r.csv", *words) == 0
        assert "1 行未给出有效期止" in capsys.readouterr().err
