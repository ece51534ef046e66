"""A clock that is wrong at the start or moved while running: separate processes, and nothing signed under it."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.faults.register import Register, Work
from tests.faults.signed import Signed, signed_rows

HOUR, YEAR = 3600, 365 * 86400
TOLERANCE = timedelta(seconds=120)


def outside_tolerance(rows: Iterable[Signed]) -> list[Signed]:
    """Return what claims a time more than two minutes from now."""
    now = datetime.now(UTC)
    return [row for row in rows if abs(row.at - now) > TOLERANCE + timedelta(seconds=60)]


def stopped(work: Work, stop: Path) -> None:
    stop.touch()
    assert "done" in work.finish(), work.said_wrong()
    stop.unlink()


def _signed_while_moved(register: Register, *, step: int, twin: bool = False) -> set[Signed]:
    """Move the clock of a working process for three seconds, and back; return what it signed meanwhile."""
    stop, moved = register.folder / "stop", register.folder / "moved"
    twins = ["--credulous"] if twin else []
    work = register.start(
        "work", "--stop", stop, "--step", step, "--step-while", moved, "--prefix", f"S{step}-", *twins
    )
    work.wait_ready()
    work.wait_for("signed")
    moved.touch()
    if not twin:
        work.wait_for("refused unavailable clock_unreliable")
    before = signed_rows(register.database_url)
    time.sleep(3)
    during = signed_rows(register.database_url) - before
    moved.unlink()
    work.wait_for("signed")
    stopped(work, stop)
    return during | set(outside_tolerance(signed_rows(register.database_url)))


@pytest.mark.parametrize("step", [-HOUR, YEAR])
def test_nothing_is_signed_while_the_clock_of_a_running_process_is_moved(
    register: Register, step: int
) -> None:
    assert _signed_while_moved(register, step=step) == set()


def test_the_check_finds_a_process_whose_clock_sees_no_step(register: Register) -> None:
    assert _signed_while_moved(register, step=HOUR, twin=True) != set()


def _start_wrong(register: Register, *, shift: int, reason: str) -> None:
    """Work, then start again with a wrong clock: read-only, nothing signed; then with the right one."""
    stop = register.folder / "stop"
    work = register.start("work", "--stop", stop, "--prefix", "A-")
    work.wait_ready()
    work.wait_for("signed")
    stopped(work, stop)
    before = signed_rows(register.database_url)
    wrong = register.start("work", "--stop", stop, "--shift", shift, "--prefix", "B-")
    wrong.wait_ready()
    assert wrong.wait_for("refused") == [f"refused read_only {reason}"]
    time.sleep(2)
    stopped(wrong, stop)
    assert signed_rows(register.database_url) == before
    right = register.start("work", "--stop", stop, "--prefix", "C-")
    right.wait_ready()
    right.wait_for("signed")
    stopped(right, stop)
    assert outside_tolerance(signed_rows(register.database_url)) == []


def test_a_process_that_starts_an_hour_behind_signs_nothing(register: Register) -> None:
    _start_wrong(register, shift=-HOUR, reason="clock_behind")


def test_a_production_process_that_starts_a_year_ahead_signs_nothing(production_register: Register) -> None:
    _start_wrong(production_register, shift=YEAR, reason="clock_ahead")


def test_a_clock_set_right_is_accepted_by_command_and_a_running_process_goes_on(register: Register) -> None:
    stop, ahead = register.folder / "stop", register.folder / "ahead"
    ahead.touch()
    work = register.start("work", "--stop", stop, "--step", 600, "--step-while", ahead)
    work.wait_ready()
    work.wait_for("signed")
    ahead.unlink()  # it began ten minutes ahead, and now somebody sets the clock right
    work.wait_for("refused unavailable clock_unreliable")
    found = register.run_elicense("doctor")
    assert found.returncode == 1
    assert "clock_behind" in found.stdout and "--accept-time" in found.stdout
    accepted = register.run_elicense("doctor", "--accept-time")
    assert "已接受时间 time accepted" in accepted.stdout, accepted.stderr
    assert "clock_behind" not in accepted.stdout
    work.wait_for("signed")
    stopped(work, stop)
    assert "[clock_" not in register.run_elicense("doctor").stdout
