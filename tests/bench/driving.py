"""Serving processes, and the calls that are driven against them."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

CONNECTIONS = 32
BARE_CALLS = 5000  # CPU time is told in hundredths of a second, and these calls take so little of it


async def rate(
    processes: Iterable[psutil.Process], port: int, calls: Sequence[bytes], *, check: bytes
) -> float:
    """Drive calls; return how many were answered for each CPU-second of the processes and their children."""
    served = [one for process in processes for one in (process, *process.children(recursive=True))]
    before = sum(map(seconds_of, served))
    await drive(port, calls, check=check)
    return len(calls) / (sum(map(seconds_of, served)) - before)


def seconds_of(process: psutil.Process) -> float:
    """Return the CPU-seconds a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


def server_command(*words: str) -> list[str]:
    """Return the command line of `elicense` with these words."""
    return [str(Path(sys.executable).with_name("elicense")), *words]


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
    return post(port, key, "/v1/verifications", {"credential": token})


def post(port: int, key: str, path: str, body: Mapping[str, object]) -> bytes:
    """Return the raw HTTP request that posts `body`."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


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
