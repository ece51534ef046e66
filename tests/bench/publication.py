"""P7 and P8: publishing after one revocation among ten million entries, and what ten million cost in memory."""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.domain.publication import StatusListRow
from app.ports import UnitOfWork
from app.services.container import Services
from app.services.status_indices import LIST_SIZE, list_uri
from elicense.folding import deflate_fingerprint
from tests.bench.driving import drive, free_port, question, server, wait_for
from tests.bench.measure import Goal
from tests.bench.register import (
    Register,
    issue,
    make_register,
    new_licenses,
    platform_key,
    postgresql,
    tokens_of,
)
from tests.bench.samples import AUTHORITY_CODE

ENTRIES = 10_000_000
LISTS = -(-ENTRIES // LIST_SIZE)
CHANGED_SHARE = 0.03
"""Of ten million licenses as many are suspended, ended or superseded, in random places."""

_FILL = """
INSERT INTO status_entries (list_id, idx, value)
SELECT 'bench-' || l, i, 1 + floor(random() * 3)::int
FROM generate_series(0, :lists - 1) AS l, generate_series(0, :size - 1) AS i
WHERE random() < :share
"""


def measure(*, quick: bool) -> dict[str, Goal]:
    """Publish after single revocations, then verify over HTTP and offline, all with ten million status entries."""
    with tempfile.TemporaryDirectory() as folder, postgresql() as database_url:
        register = make_register(database_url, Path(folder))
        return asyncio.run(_measure(register, Path(folder), rounds=5 if quick else 25))


async def _measure(register: Register, folder: Path, *, rounds: int) -> dict[str, Goal]:
    await register.prepare()
    calls = 200
    async with register.services() as services:
        await _fill(register, services)
        while await services.status_lists.publish_due():
            pass
        used, sizes, deltas = await _publish_after_revocations(services, rounds=rounds)
        licenses = await issue(services, new_licenses(0, calls))
        tokens = await tokens_of(services, licenses)
        key = await platform_key(services)
        await services.status_lists.publish_due()
        bundle = await services.freshness.bundle()
        root = (await services.trust_list.root()).content
    server_bytes = await _serving_memory(register, tokens, key)
    (folder / "bundle.json").write_bytes(bundle)
    (folder / "root.json").write_bytes(root)
    (folder / "license.sdjwt").write_text(tokens[0])
    return {
        "P7": _at_most("CPU-seconds", used, 0.2, 0.05, f"one revocation among {LISTS * LIST_SIZE:,} entries"),
        "P7.fetch": _at_most("KB", [size / 1000 for size in sizes], 64, None, "the one list that changed"),
        "P7.delta": _at_most(
            "KB", [size / 1000 for size in deltas], 64, 4, "what a client with the bundle before fetches"
        ),
        "P8.server": _at_most(
            "MB", [server_bytes / 1e6], 300, 200, f"one worker after {calls} verifications"
        ),
        "P8.sdk": _at_most(
            "MB", [_offline_memory(folder) / 1e6], 80, 50, f"a bundle of {LISTS} lists, one verified"
        ),
    }


async def _fill(register: Register, services: Services) -> None:
    """Make full lists whose entries changed in random places, as years of suspensions and endings leave them."""

    async def work(unit: UnitOfWork) -> None:
        for number in range(LISTS):
            list_id = f"bench-{number}"
            await unit.status.add_list(
                StatusListRow(
                    id=list_id,
                    uri=list_uri(services.issuer_url, list_id),
                    authority_code=AUTHORITY_CODE,
                    size=LIST_SIZE,
                    allocated=LIST_SIZE,
                    changes=0,
                    published_changes=0,
                    seq=0,
                )
            )

    await services.store.write(work)
    engine = create_async_engine(register.settings.database_url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text(_FILL), {"lists": LISTS, "size": LIST_SIZE, "share": CHANGED_SHARE})
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("VACUUM ANALYZE status_entries"))
    finally:
        await engine.dispose()


async def _publish_after_revocations(
    services: Services, *, rounds: int
) -> tuple[list[float], list[int], list[int]]:
    used, sizes, deltas = [], [], []
    for turn in range(rounds):
        list_id, index = f"bench-{turn % LISTS}", (turn * 7919) % LIST_SIZE
        change = [(list_id, index, 1)]
        held = (await services.freshness.current()).sha256
        await services.store.write(lambda unit, change=change: unit.status.set_values(change))
        started = time.process_time()
        published = await services.status_lists.publish_due()
        used.append(time.process_time() - started)
        if published != 1:
            raise AssertionError(f"{published} lists were published after one revocation")
        sizes.append(len((await services.status_lists.served(list_id)).token))
        delta = await services.bundle_deltas.since(held, deflate=deflate_fingerprint())
        deltas.append(len(delta.content if delta is not None else await services.freshness.bundle()))
    return used, sizes, deltas


async def _serving_memory(register: Register, tokens: Sequence[str], key: str) -> int:
    port = free_port()
    command = [str(Path(sys.executable).with_name("elicense")), "serve", "--port", str(port)]
    with server(command, register.environment) as process:
        await wait_for(port)
        await drive(port, [question(port, key, token) for token in tokens], check=b'"verdict":"valid"')
        return max(one.memory_info().rss for one in (process, *process.children(recursive=True)))


# VmHWM, not ru_maxrss: the latter keeps the parent's peak over fork and exec.
_OFFLINE = """
import json, sys
from elicense import OfflineVerifier
verifier = OfflineVerifier(trust_root=sys.argv[1], bundle=sys.argv[2])
report = verifier.verify(open(sys.argv[3]).read())
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps([report.verdict, int(peak.split()[1])]))
"""


def _offline_memory(folder: Path) -> int:
    files = [str(folder / name) for name in ("root.json", "bundle.json", "license.sdjwt")]
    ran = subprocess.run([sys.executable, "-c", _OFFLINE, *files], check=True, capture_output=True, text=True)
    verdict, kilobytes = json.loads(ran.stdout)
    if verdict != "valid":
        raise AssertionError(f"the sample was judged {verdict}")
    return int(kilobytes) * 1024


def _at_most(unit: str, values: Sequence[float], floor: float, aim: float | None, note: str) -> Goal:
    middle = statistics.median(values)
    return Goal(
        unit=unit,
        floor=floor,
        aim=aim,
        value=middle,
        spread=(max(values) - min(values)) / middle if middle else None,
        at_most=True,
        note=note,
    )
