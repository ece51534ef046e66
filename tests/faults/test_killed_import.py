"""kill -9 of an import at any moment: running it again finishes it, and nothing is lost, doubled or unsigned."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.domain.ids import jitter
from tests.faults.checker import check_register_now
from tests.faults.register import Register
from tests.installation import AUTHORITY, BUSINESS_LICENSE
from tests.register_file import MAPPING, make_register

ROWS = 828
# The type of the test installation has no such elements.
_NOT_THERE = ("registered_capital", "established_date", "registration_authority")
SHORT_MAPPING = "".join(
    line for line in MAPPING.splitlines(keepends=True) if not any(name in line for name in _NOT_THERE)
)


def _command(csv: Path, mapping: Path) -> list[str]:
    command = ["import", str(csv), "--authority", AUTHORITY, "--type", BUSINESS_LICENSE]
    return [*command, "--map", str(mapping), "--json"]


async def _numbers_held(database_url: str) -> int:
    engine = create_async_engine(database_url)
    try:
        async with engine.connect() as connection:
            return int(await connection.scalar(text("SELECT count(*) FROM license_numbers")) or 0)
    finally:
        await engine.dispose()


def _kill_one_import(register: Register, *, round_: int) -> None:
    file = make_register(rows=ROWS, area_code=f"3201{2 + round_:02d}")  # other areas, other numbers
    csv, mapping = register.folder / f"register-{round_}.csv", register.folder / "map.toml"
    csv.write_text(file.text, encoding="utf-8")
    mapping.write_text(SHORT_MAPPING, encoding="utf-8")
    before = asyncio.run(_numbers_held(register.database_url))
    killed = register.start_elicense(*_command(csv, mapping))
    while asyncio.run(_numbers_held(register.database_url)) == before and killed.process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.4 * (jitter() - 0.5))  # somewhere between the first promise and the last license
    killed.kill()
    register.recover()
    again = register.start_elicense(*_command(csv, mapping))
    output, _ = again.process.communicate(timeout=300)
    assert again.process.returncode == 1, again.said_wrong()  # some rows of such a register are refused
    summary = json.loads(output.splitlines()[-1])
    assert summary["rows"] == file.rows
    assert summary["refused"] == len(file.refused)
    assert summary["accepted"] + summary["unchanged"] == file.rows - len(file.refused)


async def _versions_held(database_url: str) -> int:
    engine = create_async_engine(database_url)
    try:
        async with engine.connect() as connection:
            return int(await connection.scalar(text("SELECT count(*) FROM license_versions")) or 0)
    finally:
        await engine.dispose()


def test_a_killed_import_of_changed_rows_amends_each_license_once(register: Register) -> None:
    """The first file issues; the second says something else in every row and is killed while it amends."""
    file = make_register(rows=ROWS)
    csv, mapping = register.folder / "register.csv", register.folder / "map.toml"
    mapping.write_text(SHORT_MAPPING, encoding="utf-8")
    csv.write_text(file.text, encoding="utf-8")
    first = register.start_elicense(*_command(csv, mapping))
    first.process.communicate(timeout=300)
    csv.write_text(file.text.replace("(演示)有限公司", "(更名)有限公司"), encoding="utf-8")
    before = asyncio.run(_versions_held(register.database_url))
    killed = register.start_elicense(*_command(csv, mapping))
    while asyncio.run(_versions_held(register.database_url)) == before and killed.process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.4 * (jitter() - 0.5))
    killed.kill()
    register.recover()
    again = register.start_elicense(*_command(csv, mapping))
    output, _ = again.process.communicate(timeout=300)
    assert again.process.returncode == 1, again.said_wrong()
    summary = json.loads(output.splitlines()[-1])
    assert summary["refused"] == len(file.refused)
    assert summary["accepted"] == 0
    assert summary["amended"] + summary["unchanged"] == file.rows - len(file.refused)
    assert check_register_now(register.database_url) == []
    assert asyncio.run(_versions_held(register.database_url)) == 2 * before


def test_a_killed_import_is_finished_by_running_it_again(register: Register) -> None:
    for round_ in range(2):
        _kill_one_import(register, round_=round_)
    assert check_register_now(register.database_url) == []


@pytest.mark.soak
def test_an_import_killed_25_times_loses_and_doubles_nothing(register: Register) -> None:
    for round_ in range(25):
        _kill_one_import(register, round_=round_)
    assert check_register_now(register.database_url) == []
