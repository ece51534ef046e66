"""P6: issuing in bulk, committed in PostgreSQL on the same machine, against the bare signature."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.bench.measure import Goal, ratio_of
from tests.bench.register import Register, issue, make_register, new_licenses, postgresql

ROWS = 1000


def measure(*, quick: bool) -> dict[str, Goal]:
    """Issue in rounds of 1,000 rows, each followed by raw signatures; check that every row is there."""
    with tempfile.TemporaryDirectory() as folder, postgresql() as database_url:
        register = make_register(database_url, Path(folder))
        return asyncio.run(_measure(register, rounds=4 if quick else 12))


async def _measure(register: Register, *, rounds: int) -> dict[str, Goal]:
    await register.prepare()
    wall: list[float] = []
    cpu: list[float] = []
    raw: list[float] = []
    async with register.services() as services:
        await issue(services, new_licenses(0, ROWS))
        for turn in range(1, rounds + 1):
            rows = new_licenses(turn * ROWS, ROWS)
            started, used = time.perf_counter(), _cpu_of_all()
            await issue(services, rows)
            wall.append(ROWS / (time.perf_counter() - started))
            cpu.append(ROWS / (_cpu_of_all() - used))
            raw.append(_raw_signatures())
    leaves = "log_leaves WHERE kind = 'issuance'"
    for table in ("licenses", "license_versions", leaves, "events"):
        stored = await register.count(table)
        if stored != ROWS * (rounds + 1):
            raise AssertionError(f"{table} holds {stored} rows, {ROWS * (rounds + 1)} were issued")
    cores = os.cpu_count() or 1
    return {
        "P6": _goal(wall, [rate * cores for rate in raw], f"per second, ÷ raw P-256 sign × {cores} cores"),
        "P6.cpu": _goal(cpu, raw, "per CPU-second of service and database together, ÷ raw P-256 sign"),
    }


def _goal(ours: Sequence[float], base: Sequence[float], note: str) -> Goal:
    ratio, spread = ratio_of(ours, base)
    return Goal(
        unit="licenses",
        floor=0.10,
        aim=0.20,
        ratio=ratio,
        ours=statistics.median(ours),
        base=statistics.median(base),
        spread=spread,
        note=note,
    )


def _cpu_of_all() -> float:
    """Return CPU-seconds of this process and of the database's processes."""
    total = time.process_time()
    for process in psutil.process_iter(["name", "cpu_times"]):
        if process.info["name"] == "postgres" and process.info["cpu_times"]:
            times = process.info["cpu_times"]
            total += times.user + times.system
    return total


def _raw_signatures() -> float:
    key, algorithm = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256())
    data = os.urandom(1024)
    done, started = 0, time.process_time()
    while time.process_time() - started < 0.25:
        for _ in range(500):
            key.sign(data, algorithm)
        done += 500
    return done / (time.process_time() - started)
