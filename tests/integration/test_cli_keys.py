"""`elicense keys` on a migrated database, as an operator types it: what is wrong with the root folder is one line."""

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from elicense.cli import main
from tests.installation import ISSUER_URL


@pytest.fixture
def data_dir(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copyfile(sqlite_template, tmp_path / "elicense.db")
    monkeypatch.setenv("ELICENSE_ENV", "development")
    monkeypatch.setenv("ELICENSE_ISSUER_URL", ISSUER_URL)
    monkeypatch.setenv("ELICENSE_ROOT_KEYS_DIR", str(tmp_path / "root"))
    return tmp_path


def run(data_dir: Path, *words: str) -> int:
    return main(["keys", *words, "--data-dir", str(data_dir)])


def test_a_root_folder_open_to_others_is_a_wrong_setting(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = data_dir / "root"
    root.mkdir()
    root.chmod(0o755)
    assert run(data_dir, "init") == 2
    told = capsys.readouterr().err
    assert told.startswith("设置错误 setting: ") and "chmod 700" in told and str(root) in told
    root.chmod(0o700)
    assert run(data_dir, "init") == 0


def test_the_ceremony_prints_the_digests_that_relying_parties_compare_with(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in ("the first time", "run again"):
        assert run(data_dir, "init") == 0
        told = capsys.readouterr().out
        with closing(sqlite3.connect(data_dir / "elicense.db")) as database:
            kept = dict(database.execute("SELECT kind, content FROM signed_documents WHERE sequence = 1"))
        for name, kind in (("信任根 trust root", "trust_root"), ("信任列表 trust list", "trust_list")):
            assert f"{name} 1  sha256 {hashlib.sha256(kept[kind]).hexdigest()}\n" in told


@pytest.mark.parametrize("words", [("rotate", "status"), ("rotate", "list"), ("rotate", "root")])
def test_a_root_key_open_to_others_is_a_wrong_setting(
    data_dir: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert run(data_dir, "init") == 0
    for file in (data_dir / "root").glob("*.pem"):
        file.chmod(0o644)
    assert run(data_dir, *words) == 2
    told = capsys.readouterr().err
    assert told.startswith("设置错误 setting: ") and "chmod 600" in told
