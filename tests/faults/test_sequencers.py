"""Many sequencers beside many writers, some of them killed: no gap, no leaf lost or doubled, no fork."""

import asyncio
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.domain.ids import jitter
from tests.faults.register import Register, Work
from tests.log_checks import log_faults, read_logs

_COUNT_WAITING = "SELECT count(*) FROM log_leaves WHERE idx IS NULL"
_COUNT_UNPUBLISHED = "SELECT count(*) FROM log_heads WHERE published_size < size"


async def _left(database_url: str) -> int:
    engine = create_async_engine(database_url)
    try:
        async with engine.connect() as connection:
            counts = [await connection.scalar(text(sql)) for sql in (_COUNT_WAITING, _COUNT_UNPUBLISHED)]
            return sum(int(count or 0) for count in counts)
    finally:
        await engine.dispose()


def _wait_until_drained(register: Register, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while asyncio.run(_left(register.database_url)) and time.monotonic() < deadline:
        time.sleep(0.2)


def _sequence_while_writing(
    register: Register,
    *,
    sequencers: int,
    leaves: int,
    kills: int = 0,
    twin: str | None = None,
    round_: int = 0,
    drain_seconds: float = 60,
) -> list[str]:
    """Let two writers and one that is killed write leaves while sequencers run, of which `kills` are killed.

    Who takes over from a killed one is started before, and waits for its file: starting takes longer than writing.
    """
    folder = register.folder / f"round-{round_}"
    folder.mkdir()
    stop, options = folder / "stop", ["--twin", twin] if twin else []
    outs = [folder / f"written-{number}" for number in range(3)]
    teams = [
        register.start("sequence", "--stop", stop, "--start", folder / f"go-{number}", *options)
        for number in range(sequencers + kills)
    ]
    writers = [
        register.start("append", "--count", count, "--pause", 0.08, "--out", out, "--start", folder / "go")
        for count, out in zip((leaves // 2, leaves // 2, leaves), outs, strict=True)
    ]
    for work in (*teams, *writers):
        work.wait_ready()
    for name in ("go", *(f"go-{number}" for number in range(sequencers))):
        (folder / name).touch()
    for number in range(kills):
        time.sleep(0.2 * jitter())
        teams[number].kill()
        (folder / f"go-{sequencers + number}").touch()
    _kill_once_it_has_written(writers.pop(), outs[2])
    for work in writers:
        work.finish()
    _wait_until_drained(register, seconds=drain_seconds)
    stop.touch()
    for work in teams[kills:]:
        work.finish()
    written = [line for out in outs for line in out.read_text(encoding="ascii").split()]
    assert len(written) >= leaves // 2 * 2
    return asyncio.run(log_faults(register.database_url, written=written))


def _kill_once_it_has_written(victim: Work, out: Path) -> None:
    deadline = time.monotonic() + 30
    while not (out.exists() and out.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    victim.kill()


def _checkpoints(register: Register) -> int:
    tables = asyncio.run(read_logs(register.database_url))
    return len(tables["log_checkpoints"])


def test_sequencers_lose_no_leaf_and_fork_no_log(register: Register) -> None:
    # Where the writers are quick, or the sequencers slow to come, few states lie between. Each round checks all so far.
    for round_ in range(3):
        assert _sequence_while_writing(register, sequencers=3, leaves=600, kills=3, round_=round_) == []
        if _checkpoints(register) > 3:
            return
    raise AssertionError("three rounds, and hardly a state to be consistent with")


@pytest.mark.soak
def test_eight_sequencers_lose_none_of_10000_leaves(register: Register) -> None:
    assert _sequence_while_writing(register, sequencers=8, leaves=10_000, kills=12, drain_seconds=300) == []
    assert _checkpoints(register) > 20


def test_the_check_finds_sequencers_that_swap_the_head_without_comparing(register: Register) -> None:
    found: list[str] = []
    for round_ in range(5):  # two of them must meet between reading the head and storing it
        found = _sequence_while_writing(
            register, sequencers=3, leaves=200, twin="unchecked_head", round_=round_, drain_seconds=2
        )
        if any("root is not that" in fault for fault in found):
            return
    raise AssertionError(f"five rounds of unchecked swaps, and only this was found: {found}")


def test_the_check_finds_a_sequencer_that_advances_by_id(register: Register) -> None:
    found: list[str] = []
    for round_ in range(5):  # a leaf with an earlier id must be committed after a later one was taken
        found = _sequence_while_writing(
            register, sequencers=1, leaves=300, twin="advance_by_id", round_=round_, drain_seconds=3
        )
        if any("have no place" in fault for fault in found):
            return
    raise AssertionError(f"five rounds of advancing by id, and only this was found: {found}")
