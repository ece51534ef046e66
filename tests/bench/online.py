"""P3: one verification by credential over HTTP, with receipt and durable audit, against a bare endpoint."""

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

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

CONNECTIONS = 32
CALLS = 1000
BARE_CALLS = 5000  # CPU time is told in hundredths of a second, and these calls take so little of it
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
            new.append(await _rate(service, port, batch, check=b'"verdict":"valid"'))
            seen.append(await _rate(service, port, batch, check=b'"verdict":"valid"'))
            bare.append(await _rate(plain, bare_port, empty, check=b"valid"))
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


def server_command(*words: str) -> list[str]:
    """Return the command line of `elicense` with these words."""
    return [str(Path(sys.executable).with_name("elicense")), *words]


async def _rate(server: psutil.Process, port: int, calls: Sequence[bytes], *, check: bytes) -> float:
    before = _cpu_seconds(server)
    await drive(port, calls, check=check)
    return len(calls) / (_cpu_seconds(server) - before)


def _cpu_seconds(server: psutil.Process) -> float:
    total = 0.0
    for process in (server, *server.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total


async def drive(port: int, calls: Sequence[bytes], *, check: bytes) -> None:
    """Send all calls over kept connections; every answer must be a 200 that holds `check`."""
    waiting = iter(calls)

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for call in waiting:
                writer.write(call)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                if not head.startswith(b"HTTP/1.1 200") or check not in body:
                    raise AssertionError(f"{head[:60]!r} {body[:400]!r}")
                if b'"receipt":"' not in body and check != b"valid":
                    raise AssertionError("an answer came without a receipt")
        finally:
            writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))


def question(port: int, key: str, token: str) -> bytes:
    """Return the raw HTTP request of one verification by credential."""
    body = json.dumps({"credential": token}).encode()
    head = (
        f"POST /v1/verifications HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def plain_call(port: int) -> bytes:
    """Return the raw HTTP request of the bare endpoint."""
    return f"GET /bare HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


@contextmanager
def server(command: list[str], variables: dict[str, str]) -> Iterator[psutil.Process]:
    """Run a serving process with these variables and no other settings; end it on leaving."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ELICENSE_")}
    running = subprocess.Popen(command, env=environment | variables, stdout=subprocess.DEVNULL)
    try:
        yield psutil.Process(running.pid)
    finally:
        running.terminate()
        running.wait(timeout=30)


async def wait_for(port: int) -> None:
    """Wait until something listens."""
    deadline = time.monotonic() + 60
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
