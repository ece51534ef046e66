"""Servers under attack: `elicense serve` as it is run in production, or a broken twin of it, and their busy callers."""

import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import httpx

from app.bootstrap import open_services
from app.domain.license import Holder, License, NewLicense
from tests.databases import run_apart
from tests.faults.register import Register, Work
from tests.installation import (
    AREA,
    AUTHORITY,
    BUSINESS_LICENSE,
    CLIENTS,
    test_settings,
)

SECONDS_TO_SERVE = 60.0
MANY = 1_000_000


@dataclass(frozen=True, slots=True)
class Server:
    """One serving process."""

    port: int
    work: Work

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def free_port() -> int:
    """Find a port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(register: Register, *, processes: int = 1, twin: str | None = None) -> Iterator[list[Server]]:
    """Serve a register with `elicense serve`, or with a broken twin, until the end of the block."""
    servers = [start_server(register, twin=twin) for _ in range(processes)]
    try:
        for server in servers:
            wait_until_it_serves(server)
        yield servers
    finally:
        for server in servers:
            server.work.kill()


def start_server(register: Register, *, twin: str | None = None) -> Server:
    """Start one serving process; it may not serve yet."""
    port = free_port()
    if twin is not None:
        return Server(port, register.start("serve", "--port", port, "--twin", twin))
    return Server(port, register.start_elicense("serve", "--host", "127.0.0.1", "--port", port))


def wait_until_it_serves(server: Server) -> None:
    """Wait for its first good answer."""
    deadline = time.monotonic() + SECONDS_TO_SERVE
    while time.monotonic() < deadline:
        assert server.work.process.poll() is None, server.work.said_wrong()
        try:
            if httpx.get(f"{server.base_url}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"the server does not serve: {server.work.said_wrong()}")


def busy_keys(register: Register, *roles: str) -> Mapping[str, str]:
    """Make further clients of these roles whose quotas no test reaches; return their keys."""

    async def make() -> Mapping[str, str]:
        async with open_services(test_settings(register.database_url, register.folder)) as services:
            made = {
                role: await services.api_clients.create(
                    name=f"busy {role}",
                    actor="test",
                    calls_per_minute=MANY,
                    **CLIENTS[role],  # type: ignore[arg-type]
                )
                for role in roles
            }
            return {role: new.secret for role, new in made.items()}

    return run_apart(make)


def issue_licenses(register: Register, holders: Sequence[Holder], *, prefix: str = "A") -> list[License]:
    """Issue one license to each holder, without any server."""
    rows = [
        NewLicense(
            type_code=BUSINESS_LICENSE,
            number=f"{prefix}-{index:06d}",
            holder=holder,
            area_code=AREA,
            issue_date=date(2024, 3, 1),
            valid_from=date(2024, 3, 1),
            valid_until=None,
            elements={},
            authority_code=AUTHORITY,
        )
        for index, holder in enumerate(holders)
    ]

    async def issue() -> list[License]:
        async with open_services(test_settings(register.database_url, register.folder)) as services:
            issued: list[License] = []
            for start in range(0, len(rows), 500):
                some = await services.issuing.issue_many(rows[start : start + 500], actor="attacks")
                issued += [license for license in some if isinstance(license, License)]
            assert len(issued) == len(rows)
            return issued

    return run_apart(issue)
