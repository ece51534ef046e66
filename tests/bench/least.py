"""What P3 and P4 cost at least on this stack: the service, the least server and the bare endpoint in turns."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import httpx

from app.services.container import Services
from elicense.credential import parse_credential
from tests.bench.driving import (
    BARE_CALLS,
    drive,
    free_port,
    plain_call,
    post,
    rate,
    server,
    server_command,
    wait_for,
)
from tests.bench.least_server import NEEDS, TABLES
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
from tests.bench.samples import ELEMENTS, TYPE_CODE

CALLS = 1000
WARM_UP = 200
GOALS = ("P3", "P3.seen", "P4")
_PATH = "/v1/verifications"
_VALID = b'"verdict":"valid"'


def measure(*, quick: bool) -> dict[str, Goal]:
    """Ask the least server by credential and by number; give its rates against a bare endpoint, and the service's."""
    with tempfile.TemporaryDirectory() as folder, postgresql() as database_url:
        register = make_register(database_url, Path(folder))
        return asyncio.run(_measure(register, rounds=3 if quick else 9))


async def _measure(register: Register, *, rounds: int) -> dict[str, Goal]:
    await register.prepare()
    async with register.services() as services:
        licenses = await issue(services, new_licenses(0, CALLS * rounds + WARM_UP))
        tokens = await tokens_of(services, licenses)
        key = await platform_key(services)
        needs = await _needs(register, services, tokens[0])
    by_credential = [{"credential": token} for token in tokens]
    by_number = [
        {
            "license": {"number": license.number, "type_code": TYPE_CODE},
            "elements": {"holder_name": license.holder.name, "address": ELEMENTS["address"]},
        }
        for license in licenses
    ]
    port, least_port, bare_port = free_port(), free_port(), free_port()
    calls: dict[tuple[str, int], list[bytes]] = {}
    for to in (port, least_port):
        calls["P3", to] = calls["P3.seen", to] = [post(to, key, _PATH, one) for one in by_credential]
        calls["P4", to] = [post(to, key, _PATH, one) for one in by_number]
    empty = [plain_call(bare_port)] * BARE_CALLS
    rates: dict[object, list[float]] = {at: [] for at in (*calls, "bare")}
    with (
        server(server_command("serve", "--port", str(port)), register.environment) as service,
        server([sys.executable, "-m", "tests.bench.bare", str(bare_port)], {}) as bare,
    ):
        await asyncio.gather(wait_for(port), wait_for(bare_port))
        needs["answer"] = _ask(port, key, by_credential[-1])
        command = [sys.executable, "-m", "tests.bench.least_server", str(least_port)]
        with server(command, {NEEDS: json.dumps(needs, ensure_ascii=False)}) as least:
            await wait_for(least_port)
            served = {port: service, least_port: least}
            for (_, to), some in calls.items():
                await drive(to, some[-WARM_UP:], check=_VALID)
            await drive(bare_port, empty, check=b"valid")
            for turn in range(rounds):
                for (
                    name,
                    to,
                ), some in calls.items():  # each group of credentials first as new ones, then as seen
                    group = some[turn * CALLS : (turn + 1) * CALLS]
                    rates[name, to].append(await rate([served[to]], to, group, check=_VALID))
                rates["bare"].append(await rate([bare], bare_port, empty, check=b"valid"))
    return {
        f"LEAST.{name}": _goal(rates[name, least_port], rates["bare"], service=rates[name, port])
        for name in GOALS
    }


def _goal(least: list[float], bare: list[float], *, service: list[float]) -> Goal:
    ratio, spread = ratio_of(least, bare)
    share, _ = ratio_of(service, least)
    return Goal(
        unit="calls per CPU-second of the least server",
        floor=0.0,
        ratio=ratio,
        ours=median(least),
        base=median(bare),
        spread=spread,
        note=f"÷ bare FastAPI; the service reaches {share:.2f} of it, {median(service):,.0f}",
    )


async def _needs(register: Register, services: Services, token: str) -> dict[str, Any]:
    """Make the tables it writes to, with the columns and indexes of the register's; name the key of credentials."""
    url = register.settings.database_url.replace("+asyncpg", "")
    connection = await asyncpg.connect(url)
    for table in TABLES:
        await connection.execute(f"CREATE TABLE least_{table} (LIKE {table} INCLUDING ALL)")
    await connection.close()
    credential, trust = parse_credential(token), await services.trust_list.evidence()
    authority = trust.trust_list.authority_by_issuer(credential.claims.issuer)
    entry = None if authority is None else authority.key(credential.kid)
    assert entry is not None
    return {"url": url, "jwk": dict(entry.key.jwk), "profile": entry.key.profile.name}


def _ask(port: int, key: str, question: Mapping[str, object]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    response = httpx.post(f"http://127.0.0.1:{port}{_PATH}", json=question, headers=headers)
    answer: dict[str, Any] = response.raise_for_status().json()
    return answer
