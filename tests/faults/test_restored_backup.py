"""A killed service, an older backup put back: nothing is signed until the loss is accepted, nothing is used twice."""

import asyncio
import time
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.backups import Backups
from tests.faults.checker import check_register_now
from tests.faults.register import Register
from tests.faults.signed import Signed, signed_rows


class Given(NamedTuple):
    """What a register has given out, read from the rows alone."""

    identifiers: frozenset[str]
    places: frozenset[tuple[str, int]]
    list_versions: frozenset[tuple[str, int]]
    documents: frozenset[tuple[str, int]]


_STATEMENTS = (
    "SELECT identifier FROM license_versions UNION SELECT identifier FROM intents",
    "SELECT status_list_id, status_index FROM license_versions "
    "UNION SELECT status_list_id, status_index FROM intents",
    "SELECT list_id, seq FROM status_list_versions",
    "SELECT kind, sequence FROM signed_documents",
)


def given_out(database_url: str) -> Given:
    async def read() -> Given:
        engine = create_async_engine(database_url)
        try:
            async with engine.connect() as connection:
                sets = []
                for statement in _STATEMENTS:
                    rows = await connection.execute(text(statement))
                    sets.append(frozenset(row[0] if len(row) == 1 else tuple(row) for row in rows))
                return Given(*sets)
        finally:
            await engine.dispose()

    return asyncio.run(read())


def _work_then_kill(register: Register, *, prefix: str, licenses: int) -> None:
    work = register.start("work", "--stop", register.folder / "stop", "--prefix", prefix)
    work.wait_ready()
    for _ in range(licenses):
        work.wait_for("signed")
    work.kill()


def _lose(register: Register, backups: Backups) -> tuple[Given, Given]:
    """Work, take a backup at rest, work on, be killed, put the backup back; return what it holds and what it lacks."""
    stop = register.folder / "stop"
    work = register.start("work", "--stop", stop, "--prefix", "A-")
    work.wait_ready()
    work.wait_for("signed")
    stop.touch()
    work.finish()
    stop.unlink()
    backups.take()
    held = given_out(register.database_url)
    _work_then_kill(register, prefix="B-", licenses=5)
    lost = Given(*(new - old for new, old in zip(given_out(register.database_url), held, strict=True)))
    assert all(lost[:3]), "something of each kind was given out after the backup"
    backups.put_back()
    return held, lost


def _signed_by_a_restored_service(register: Register, *twin: str) -> set[Signed]:
    """Start a service on what was put back; return what it signs in three seconds."""
    before = signed_rows(register.database_url)
    stop = register.folder / "stop"
    work = register.start("work", "--stop", stop, "--prefix", "C-", *twin)
    work.wait_ready()
    if not twin:
        assert work.wait_for("refused") == ["refused read_only rollback_detected"]
    time.sleep(3)
    stop.touch()
    work.finish()
    stop.unlink()
    return signed_rows(register.database_url) - before


def _wait_for_checkpoint(register: Register, *, of: str) -> None:
    """Wait until a running worker has published a log; it learns of a new key within seconds."""
    end = time.monotonic() + 60
    while not any(one.kind == "checkpoint" and of in one.name for one in signed_rows(register.database_url)):
        assert time.monotonic() < end, f"no checkpoint of {of}"
        time.sleep(0.5)


def test_a_restored_backup_signs_nothing_until_the_loss_is_accepted_and_then_uses_nothing_twice(
    register: Register, backups: Backups
) -> None:
    _, lost = _lose(register, backups)
    assert _signed_by_a_restored_service(register) == set()

    doctor = register.run_elicense("doctor")
    assert (doctor.returncode, "rollback_detected" in doctor.stdout) == (1, True)
    shown = register.run_elicense("recover")
    assert shown.returncode == 1
    assert "freshness statement: is " in shown.stdout and "状态列表版本" in shown.stdout
    refused = register.run_elicense("clients", "create", "x", "--kind", "bank")
    assert (refused.returncode, "rollback_detected" in refused.stderr) == (4, True)

    # A process that is already up goes on by itself once the loss is accepted.
    stop = register.folder / "stop"
    work = register.start("work", "--stop", stop, "--prefix", "D-")
    work.wait_ready()
    work.wait_for("refused read_only rollback_detected")
    accepted = register.run_elicense("recover", "--accept-loss")
    assert accepted.returncode == 1, accepted.stdout + accepted.stderr
    assert "keys publish-trust-list" in accepted.stdout, (
        "the log that was signed longer needs its next origin"
    )
    work.wait_for("signed")
    published = register.run_elicense("keys", "publish-trust-list")
    assert published.returncode == 0, published.stdout + published.stderr
    work.wait_for("signed")
    _wait_for_checkpoint(register, of="/log/2:")
    stop.touch()
    work.finish()
    stop.unlink()

    given = given_out(register.database_url)
    for new, old in zip(given, lost, strict=True):
        assert new.isdisjoint(old)
    assert register.run_elicense("recover").returncode == 0
    register.recover()
    assert check_register_now(register.database_url) == []


def test_the_check_finds_a_service_that_ignores_what_is_kept_outside(
    register: Register, backups: Backups
) -> None:
    _, lost = _lose(register, backups)
    assert _signed_by_a_restored_service(register, "--forgetful") != set()
    reused = [new & old for new, old in zip(given_out(register.database_url), lost, strict=True)]
    assert any(reused), "list versions or statements are used a second time"
