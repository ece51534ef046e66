"""The files of a SQLite register: for its owner alone from the start, and named by `doctor` where they are not."""

import os
import stat
from pathlib import Path

import pytest

from app.adapters.db import migrate, open_store
from app.cli.processes import diagnose_files
from app.domain.authority import Area
from app.settings import load_settings

pytestmark = pytest.mark.anyio


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_a_register_is_made_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'elicense.db'}"
    before = os.umask(0)
    try:
        await migrate(url)
        store = open_store(url)
        await store.write(lambda unit: unit.directory.put_area(Area(code="330000", name="浙江省")))
        modes = modes_in(tmp_path)
        await store.close()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("elicense.db", "elicense.db-wal", "elicense.db-shm"), 0o600)


async def test_doctor_names_each_file_that_others_may_use(tmp_path: Path) -> None:
    file = tmp_path / "elicense.db"
    settings = load_settings(tmp_path, environ={"ELICENSE_ENV": "development"})
    assert diagnose_files(settings) == [], "there is none yet"
    await migrate(settings.database_url)
    assert diagnose_files(settings) == []
    for mode in (0o604, 0o640, 0o602):
        file.chmod(mode)
        (finding,) = diagnose_files(settings)
        assert not finding.good
        assert str(file) in finding.zh and f"{file} is open to others: chmod 600" in finding.en
    on_a_server = load_settings(
        tmp_path, environ={"ELICENSE_ENV": "development"}, database_url="postgresql+asyncpg://localhost/x"
    )
    assert diagnose_files(on_a_server) == []
