"""Workers that race for scheduled changes, dawdle over their leases and get killed: each change happens exactly once.

Every license gets the same alternating changes, all due at once. A change done twice, left out or done out of its turn
shows in the license's history, and makes a later one fail.
"""

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.bootstrap import open_services
from app.domain.api_client import Caller
from app.domain.ids import jitter
from app.domain.license import License
from app.domain.order import Order
from app.services.due_changes import LEASE
from tests.databases import run_apart
from tests.faults.checker import check_register_now
from tests.faults.process import new_license
from tests.faults.register import Register, Work
from tests.installation import AREA, AUTHORITY, BUSINESS_LICENSE, test_settings

ACTIONS = ("suspend", "resume") * 3
AHEAD = timedelta(hours=1)
DUE = AHEAD.total_seconds() + 60
"""How far ahead a worker's clock stands for everything to be due."""
TAKEN_OVER = LEASE.total_seconds() + 1
"""How much further for every lease of the others to have run out."""


def _schedule(register: Register, *, licenses: int, round_: int = 0) -> None:
    """Issue licenses and order the same changes for each."""

    async def work() -> None:
        async with open_services(test_settings(register.database_url, register.folder)) as services:
            found = await services.api_clients.list()
            client = next(entry.client for entry in found if entry.client.authority_code == AUTHORITY)
            caller = Caller(client=client, key_handle="fault-test", request_id="fault-test")
            rows = [
                new_license(number, authority=AUTHORITY, type_code=BUSINESS_LICENSE, area_code=AREA)
                for number in (f"S{round_}-{index:03d}" for index in range(licenses))
            ]
            issued = await services.issuing.issue_many(rows, actor="fault-test")
            first = services.clock.now() + AHEAD
            for license_ in issued:
                assert isinstance(license_, License)
                for place, action in enumerate(ACTIONS):
                    order = Order(action=action, license_id=license_.id, reason_code="x", reason="故障测试")
                    moment = first + timedelta(seconds=place)
                    await services.scheduled_changes.schedule(
                        order, effective_at=moment, caller=caller, call=None
                    )

    run_apart(work)


async def _read(database_url: str) -> tuple[list[Any], list[Any]]:
    engine = create_async_engine(database_url)
    try:
        async with engine.connect() as connection:
            history = await connection.execute(
                text(
                    "SELECT license_id, action, details FROM license_history"
                    " WHERE action <> 'issue' ORDER BY license_id, row_version"
                )
            )
            changes = await connection.execute(
                text(
                    "SELECT id, license_id, action, status, outcome FROM scheduled_changes"
                    " ORDER BY license_id, effective_at"
                )
            )
            return list(history), list(changes)
    finally:
        await engine.dispose()


def _order_faults(database_url: str) -> list[str]:
    """Compare what was ordered with what happened; name each difference."""
    history, changes = asyncio.run(_read(database_url))
    faults = [
        f"{change.id}: {change.action} is {change.status} ({change.outcome})"
        for change in changes
        if (change.status, change.outcome) != ("done", "ok")
    ]
    for license_id in {change.license_id for change in changes}:
        happened = tuple(entry.action for entry in history if entry.license_id == license_id)
        if happened != ACTIONS:
            faults.append(f"{license_id}: {', '.join(happened)}")
    for change in changes:
        times = sum(change.id in entry.details for entry in history)
        if times != 1:
            faults.append(f"{change.id}: {change.action} happened {times} times")
    return faults


def _waiting(database_url: str) -> int:
    return sum(change.status == "scheduled" for change in asyncio.run(_read(database_url))[1])


def _start(register: Register, stop: Path, *, shift: float, twin: str | None = None) -> Work:
    options = ["--twin", twin] if twin else []
    return register.start("perform", "--stop", stop, "--shift", shift, *options)


def _wait_until_all_have_ended(register: Register) -> None:
    give_up = time.monotonic() + 120
    while _waiting(register.database_url):
        assert time.monotonic() < give_up, "changes are still waiting"
        time.sleep(0.2)


def _race(register: Register, *, licenses: int, twin: str, round_: int = 0) -> list[str]:
    """Let three workers race whose clocks are a lease apart: the last takes over whatever the others hold."""
    _schedule(register, licenses=licenses, round_=round_)
    stop = register.folder / f"stop-{round_}"
    workers = [_start(register, stop, shift=DUE + place * TAKEN_OVER, twin=twin) for place in range(3)]
    try:
        for worker in workers:
            worker.wait_ready()
        _wait_until_all_have_ended(register)
    finally:
        stop.touch()
    for worker in workers:
        assert "done" in worker.finish(), worker.said_wrong()
    return _order_faults(register.database_url)


def test_racing_workers_that_dawdle_do_everything_once_and_in_its_order(register: Register) -> None:
    assert _race(register, licenses=6, twin="dawdling") == []
    assert check_register_now(register.database_url) == []


def test_the_check_finds_workers_without_a_fence(register: Register) -> None:
    for round_ in range(12):
        found = _race(register, licenses=6, twin="dawdling_unfenced", round_=round_)
        if any("happened 2 times" in line for line in found):
            return
    raise AssertionError("twelve races without a fence, and every change happened once")


def test_a_worker_killed_between_claim_and_execution_loses_nothing(register: Register) -> None:
    _schedule(register, licenses=3)
    stop = register.folder / "stop"
    killed = _start(register, stop, shift=DUE, twin="stalled_after_claim")
    killed.wait_ready()
    assert killed.process.stdout is not None
    assert killed.process.stdout.readline().strip() == "claimed", killed.said_wrong()
    killed.kill()
    assert _waiting(register.database_url) == 3 * len(ACTIONS)
    same_time = _start(register, stop, shift=DUE)
    same_time.wait_ready()
    time.sleep(1)
    assert _waiting(register.database_url) == 3 * len(ACTIONS)  # the lease holds: perhaps it is only slow
    later = _start(register, stop, shift=DUE + TAKEN_OVER)
    later.wait_ready()
    _wait_until_all_have_ended(register)
    stop.touch()
    for worker in (same_time, later):
        assert "done" in worker.finish(), worker.said_wrong()
    assert _order_faults(register.database_url) == []
    assert check_register_now(register.database_url) == []


def _kill_again_and_again(register: Register, *, times: int, licenses: int) -> list[str]:
    _schedule(register, licenses=licenses)
    stop = register.folder / "stop"
    for turn in range(times):
        worker = _start(register, stop, shift=DUE + turn * TAKEN_OVER)
        worker.wait_ready()
        time.sleep(0.15 * jitter())
        worker.kill()
    last = _start(register, stop, shift=DUE + times * TAKEN_OVER)
    last.wait_ready()
    _wait_until_all_have_ended(register)
    stop.touch()
    assert "done" in last.finish(), last.said_wrong()
    return _order_faults(register.database_url) + check_register_now(register.database_url)


def test_workers_killed_at_any_moment_do_everything_once(register: Register) -> None:
    assert _kill_again_and_again(register, times=3, licenses=20) == []


@pytest.mark.soak
def test_workers_killed_50_times_do_everything_once(register: Register) -> None:
    assert _kill_again_and_again(register, times=50, licenses=200) == []
