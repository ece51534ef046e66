"""P3: one verification by credential over HTTP, with receipt and durable audit, against a bare endpoint."""

import asyncio
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.driving import (
    BARE_CALLS,
    drive,
    free_port,
    plain_call,
    question,
    rate,
    server,
    server_command,
    wait_for,
)
from tests.bench.measure import Goal, ratio_of
from tests.bench.register import (
    Register,
    issue,
    make_register,
    new_licenses,
    platform_key,
    postgresql,
    tokens_of,
)

CALLS = 1000
WARM_UP = 200


def measure(*, quick: bool) -> dict[str, Goal]:
    """Drive `elicense serve` on PostgreSQL and a bare FastAPI in turns; CPU-seconds of each serving process."""
    with tempfile.TemporaryDirectory() as folder, postgresql() as database_url:
        register = make_register(database_url, Path(folder))
        return asyncio.run(_measure(register, rounds=3 if quick else 9))


async def _measure(register: Register, *, rounds: int) -> dict[str, Goal]:
    await register.prepare()
    async with register.services() as services:
        licenses = await issue(services, new_licenses(0, CALLS * rounds + WARM_UP))
        tokens = await tokens_of(services, licenses)
        key = await platform_key(services)
    port, bare_port = free_port(), free_port()
    new: list[float] = []
    seen: list[float] = []
    bare: list[float] = []
    with (
        server(server_command("serve", "--port", str(port)), register.environment) as service,
        server([sys.executable, "-m", "tests.bench.bare", str(bare_port)], {}) as plain,
    ):
        await asyncio.gather(wait_for(port), wait_for(bare_port))
        calls = [question(port, key, token) for token in tokens]
        empty = [plain_call(bare_port)] * BARE_CALLS
        await drive(port, calls[-WARM_UP:], check=b'"verdict":"valid"')
        await drive(bare_port, empty, check=b"valid")
        for turn in range(rounds):
            batch = calls[turn * CALLS : (turn + 1) * CALLS]
            new.append(await rate([service], port, batch, check=b'"verdict":"valid"'))
            seen.append(await rate([service], port, batch, check=b'"verdict":"valid"'))
            bare.append(await rate([plain], bare_port, empty, check=b"valid"))
    asked = WARM_UP + 2 * CALLS * rounds
    recorded = await register.count("verifications")
    audited = await register.count("audit WHERE action LIKE 'verification%'")
    if not recorded == audited == asked:
        raise AssertionError(f"{asked} answered, {recorded} recorded, {audited} audited")
    return {
        "P3": _goal(new, bare, floor=0.40, aim=0.60, note="every token new; ÷ bare FastAPI"),
        "P3.seen": _goal(seen, bare, floor=0.70, aim=1.0, note="tokens seen before; ÷ bare FastAPI"),
    }


def _goal(ours: Sequence[float], base: Sequence[float], *, floor: float, aim: float, note: str) -> Goal:
    ratio, spread = ratio_of(ours, base)
    return Goal(
        unit="calls per CPU-second of the serving process",
        floor=floor,
        aim=aim,
        ratio=ratio,
        ours=statistics.median(ours),
        base=statistics.median(base),
        spread=spread,
        note=note,
    )
