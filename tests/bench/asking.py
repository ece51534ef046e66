"""P4 and P5: questions by number with elements, and batches of a thousand credentials, on `elicense serve`."""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import psutil
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.bench.driving import (
    BARE_CALLS,
    drive,
    free_port,
    plain_call,
    post,
    rate,
    seconds_of,
    server,
    server_command,
    wait_for,
)
from tests.bench.measure import Goal, interleave, ratio_of
from tests.bench.offline import raw_verify
from tests.bench.register import (
    Register,
    issue,
    make_register,
    new_licenses,
    platform_key,
    postgresql,
    tokens_of,
)
from tests.bench.samples import ELEMENTS, TYPE_CODE, make_installation

CALLS = 1000
FEW = 10_000
BATCH = 1000
WARM_UPS = 6
_VALID = b'"verdict":"valid"'


def measure_by_number(*, quick: bool) -> dict[str, Goal]:
    """Ask by number with two elements on PostgreSQL, with few licenses and with many, against a bare endpoint."""
    with tempfile.TemporaryDirectory() as folder, postgresql() as database_url:
        register = make_register(database_url, Path(folder))
        rounds, many = (3, 300_000) if quick else (9, 1_000_000)
        return asyncio.run(_by_number(register, rounds=rounds, many=many))


def measure_batches(*, quick: bool) -> dict[str, Goal]:
    """Ask in batches of a thousand new credentials on two worker processes, against raw signature checks."""
    with tempfile.TemporaryDirectory() as folder, postgresql() as database_url:
        register = make_register(database_url, Path(folder))
        return asyncio.run(_batches(register, rounds=5 if quick else 15))


async def _by_number(register: Register, *, rounds: int, many: int) -> dict[str, Goal]:
    await register.prepare()
    async with register.services() as services:
        licenses = await issue(services, new_licenses(0, CALLS))
        key = await platform_key(services)
    port, bare_port = free_port(), free_port()
    empty = [plain_call(bare_port)] * BARE_CALLS
    calls = [
        post(
            port,
            key,
            "/v1/verifications",
            {
                "license": {"number": license.number, "type_code": TYPE_CODE},
                "elements": {"holder_name": license.holder.name, "address": ELEMENTS["address"]},
            },
        )
        for license in licenses
    ]
    ours: list[float] = []
    bare: list[float] = []
    with (
        server(server_command("serve", "--port", str(port)), register.environment) as service,
        server([sys.executable, "-m", "tests.bench.bare", str(bare_port)], {}) as plain,
    ):
        await asyncio.gather(wait_for(port), wait_for(bare_port))
        await _fill(register, FEW)
        await _warm_up(port, calls, bare_port, empty)
        few: list[float] = []
        for _ in range(rounds):
            database = _database_seconds()
            ours.append(await rate([service], port, calls, check=_VALID))
            few.append(CALLS / ours[-1] + _database_seconds() - database)
            bare.append(await rate([plain], bare_port, empty, check=b"valid"))
        await _fill(register, many)
        await _warm_up(port, calls, bare_port, empty)
        grown: list[float] = []
        for _ in range(rounds):
            database = _database_seconds()
            answered = await rate([service], port, calls, check=_VALID)
            grown.append(CALLS / answered + _database_seconds() - database)
    ratio, spread = ratio_of(ours, bare)
    growth, scatter = ratio_of(grown, few)
    return {
        "P4": Goal(
            unit="calls per CPU-second of the serving process",
            floor=0.35,
            aim=0.60,
            ratio=ratio,
            ours=median(ours),
            base=median(bare),
            spread=spread,
            note=f"by number and two elements, {FEW:,} licenses; ÷ bare FastAPI",
        ),
        "P4.growth": Goal(
            unit="CPU of service and database a call, ÷ the same with few",
            floor=1.3,
            aim=1.1,
            ratio=growth,
            spread=scatter,
            at_most=True,
            note=f"{many:,} licenses (narrow rows) ÷ {FEW:,}",
        ),
    }


async def _batches(register: Register, *, rounds: int) -> dict[str, Goal]:
    await register.prepare()
    async with register.services() as services:
        licenses = await issue(services, new_licenses(0, BATCH * (rounds + WARM_UPS)))
        tokens = await tokens_of(services, licenses)
        key = await platform_key(services)
    port = free_port()
    batches = [
        post(
            port,
            key,
            "/v1/verifications/batch",
            {"items": [{"credential": token} for token in tokens[start : start + BATCH]]},
        )
        for start in range(0, len(tokens), BATCH)
    ]
    samples = make_installation(200)
    ours: list[float] = []
    raw: list[float] = []
    with server(
        server_command("serve", "--workers", "2", "--port", str(port)), register.environment
    ) as service:
        await wait_for(port)
        await drive(port, batches[:WARM_UPS], check=_VALID)  # all at once: both processes get some
        for batch in batches[WARM_UPS:]:
            ours.append(BATCH * await rate([service], port, [batch], check=_VALID))
            raw.append(interleave({"raw": raw_verify(samples)}, rounds=1).median("raw"))
    ratio, spread = ratio_of(ours, raw)
    return {
        "P5": Goal(
            unit="items per CPU-second of the serving processes",
            floor=0.35,
            aim=0.50,
            ratio=ratio,
            ours=median(ours),
            base=median(raw),
            spread=spread,
            note="batches of 1,000 new credentials, two workers; ÷ raw P-256 verify",
        )
    }


async def _warm_up(port: int, calls: Sequence[bytes], bare_port: int, empty: Sequence[bytes]) -> None:
    await drive(port, calls, check=_VALID)
    await drive(bare_port, empty, check=b"valid")


def _database_seconds() -> float:
    """Return the CPU-seconds of every PostgreSQL process: the benchmark's is the only one with work to do."""
    total = 0.0
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres":
            try:
                total += seconds_of(process)
            except psutil.NoSuchProcess:
                continue  # a backend that ended in between has no more to add
    return total


async def _fill(register: Register, count: int) -> None:
    """Add narrow licenses until there are so many: real in every column that a question by number reads."""
    engine = create_async_engine(register.settings.database_url)
    try:
        async with engine.begin() as connection:
            held = int(await connection.scalar(text("SELECT count(*) FROM licenses")) or 0)
            for statement in (_LICENSES, _VERSIONS):
                await connection.execute(text(statement), {"first": held, "last": count - 1})
        async with engine.connect() as connection:
            autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await autocommit.execute(text("VACUUM ANALYZE licenses"))
            await autocommit.execute(text("VACUUM ANALYZE license_versions"))
    finally:
        await engine.dispose()


_LICENSES = """
INSERT INTO licenses (id, identifier, version, state, type_code, type_name, number, authority_code, authority_name,
    holder_code, holder_code_type, holder_name, area_code, issue_date, valid_from, valid_until, elements, created_at,
    updated_at, row_version)
SELECT 'fill-' || n, 'fill.' || n, version, state, type_code, type_name, 'FILL-' || n, authority_code, authority_name,
    'FILL' || n, holder_code_type, holder_name, area_code, issue_date, valid_from, valid_until, '{}', created_at,
    updated_at, row_version
FROM (SELECT * FROM licenses WHERE number = 'BENCH-0') AS one,
    generate_series(CAST(:first AS int), CAST(:last AS int)) AS n
"""
_VERSIONS = """
INSERT INTO license_versions (license_id, version, identifier, credential, signing_input_sha256, status_list_id,
    status_index, kid, issued_at, state, env)
SELECT 'fill-' || n, version, 'fill.' || n, '', '', 'fill', n, kid, issued_at, one.state, env
FROM (SELECT v.* FROM license_versions AS v JOIN licenses AS l ON l.id = v.license_id
    WHERE l.number = 'BENCH-0') AS one,
    generate_series(CAST(:first AS int), CAST(:last AS int)) AS n
"""
