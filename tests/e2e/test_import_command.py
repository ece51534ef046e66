"""`elicense import` as a clerk runs it: on an installation of its own, again, interrupted, and with wrong words."""

import csv
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.services.demo_directory import BUSINESS_LICENSE, authority_code
from tests.e2e.demo_process import COMMAND, ROOT, elicense, environment, free_port, running_demo
from tests.register_file import MAPPING, RegisterFile, make_register

AUTHORITY = authority_code("market", "320100")


@dataclass
class Office:
    """An installation, a register to import, and where the refused rows go."""

    data: Path
    folder: Path
    register: RegisterFile

    def write(self, register: RegisterFile) -> None:
        self.register = register
        (self.folder / "register.csv").write_text(register.text, encoding="utf-8-sig")
        (self.folder / "map.toml").write_text(MAPPING, encoding="utf-8")

    @property
    def words(self) -> list[str]:
        return [
            "import",
            str(self.folder / "register.csv"),
            "--authority",
            AUTHORITY,
            "--type",
            BUSINESS_LICENSE,
            "--map",
            str(self.folder / "map.toml"),
            "--data-dir",
            str(self.data),
            "--errors",
            str(self.folder / "refused.csv"),
            "--json",
        ]

    def run(self, *more: str) -> tuple[int, dict[str, int]]:
        done = elicense(*self.words, *more)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    def listed(self) -> dict[int, str]:
        text = (self.folder / "refused.csv").read_text(encoding="utf-8-sig")
        return {int(row["line"]): row["reason"] for row in csv.DictReader(text.splitlines())}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("import") / "data"
    with running_demo(folder, "--licenses", 20) as demo:
        demo.stop()
    yield folder


@pytest.fixture
def office(data: Path, tmp_path: Path) -> Office:
    made = Office(data, tmp_path, make_register(rows=0))
    made.write(make_register(rows=828, seed="office"))
    return made


def test_a_register_is_imported_listed_and_unchanged_the_second_time(office: Office) -> None:
    good, bad = len(office.register.numbers), len(office.register.refused)
    code, counts = office.run("--dry-run")
    assert (code, counts["accepted"], counts["refused"]) == (1, good, bad)
    code, counts = office.run()
    assert code == 1
    assert counts == {"rows": 828, "accepted": good, "unchanged": 0, "amended": 0, "refused": bad}
    assert office.listed() == office.register.refused
    code, counts = office.run()
    assert counts == {"rows": 828, "accepted": 0, "unchanged": good, "amended": 0, "refused": bad}
    assert office.listed() == office.register.refused


def test_an_import_killed_in_the_middle_is_finished_by_running_it_again(office: Office) -> None:
    office.write(make_register(rows=2000, seed="killed", first=20_000))
    process = subprocess.Popen(
        [str(COMMAND), *office.words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=ROOT,
    )
    assert process.stderr is not None
    assert "500/2000" in process.stderr.readline()
    time.sleep(0.05)
    process.kill()
    process.wait()
    process.stderr.close()
    good, bad = len(office.register.numbers), len(office.register.refused)
    _, counts = office.run()
    assert counts["accepted"] + counts["unchanged"] == good
    assert counts["unchanged"] >= 400
    assert counts["refused"] == bad
    _, counts = office.run()
    assert (counts["accepted"], counts["unchanged"], counts["refused"]) == (0, good, bad)


def test_good_rows_alone_exit_0(office: Office) -> None:
    office.write(make_register(rows=5, seed="good", first=40_000))
    assert office.run() == (0, {"rows": 5, "accepted": 5, "unchanged": 0, "amended": 0, "refused": 0})


@pytest.mark.parametrize(
    ("position", "word", "code"),
    [
        (1, "/nowhere.csv", 4),
        (3, "11100000MB0143028R", 2),
        (5, "11100000MB0143028R999", 2),
        (7, "/nowhere.toml", 4),
    ],
)
def test_what_cannot_be_meant_exits_2_and_what_cannot_be_read_4(
    office: Office, position: int, word: str, code: int
) -> None:
    words = office.words
    words[position] = word
    done = elicense(*words)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_no_database_exits_4(office: Office, tmp_path: Path) -> None:
    words = office.words
    words[words.index("--data-dir") + 1] = str(tmp_path / "empty")
    done = elicense(*words)
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr


def test_what_serves_refuses_a_development_installation_unless_told(data: Path) -> None:
    done = elicense("serve", "--data-dir", data, "--port", free_port())
    assert done.returncode == 2
    assert "ELICENSE_ENV" in done.stderr
