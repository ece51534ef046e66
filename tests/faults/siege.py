"""Kill a server again and again while departments work on it, and look at what is left each time.

A round: start, ask about the versions that changed, let the desks work, kill with SIGKILL at a moment drawn by lot,
look at the register while nothing runs. The first round that shows a fault is the last.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.bootstrap import open_services
from tests.databases import run_apart
from tests.e2e.demo_process import free_port
from tests.faults.checker import Rows, check_rows, read_register
from tests.faults.killable import Killable, wait_until_it_serves
from tests.faults.mix import DESKS, Desk, Mix
from tests.faults.mix_checks import audit_faults, offline_faults, online_faults, order_faults, told_states
from tests.faults.register import Register
from tests.installation import CLIENTS, test_settings

ASKED_AGAIN = 100
"""How many versions are asked about each time although nothing changed about them."""
SECONDS_TO_SETTLE = 30.0


@dataclass(slots=True)
class Siege:
    """A register under siege: its server, and what was found good so far and need not be looked at again."""

    register: Register
    server: Killable
    seed: int
    signed: set[str] = field(default_factory=set)
    asked: dict[str, str] = field(default_factory=dict)
    tables: dict[str, Rows] = field(default_factory=dict)
    mix: Mix = field(init=False)
    lot: random.Random = field(init=False)

    def __post_init__(self) -> None:
        keys = self.register.keys
        self.mix = Mix(self.seed, (keys["authority"], _second_client(self.register), keys["platform"]))
        self.lot = random.Random(self.seed)

    def run(self, *, kills: int, most_answers: int, sought: str = "") -> list[str]:
        """Kill so many times, each time after up to so many answers; return the faults of the first bad round, or [].

        With `sought` a round is bad when one of its faults says so: a broken server need not show at once what is
        looked for.
        """
        with _at_work(self.mix):
            for _ in range(kills):
                found = self._round(most_answers)
                if any(sought in line for line in found):
                    return found
        return self._settle()

    def _round(self, most_answers: int) -> list[str]:
        base_url = self._start()
        found = self._ask(base_url)
        enough = self.mix.answered + self.lot.randint(most_answers // 6, most_answers)
        self.mix.open(base_url)
        deadline = time.monotonic() + SECONDS_TO_SETTLE
        while self.mix.answered < enough and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(self.lot.random() * 0.03)
        self.mix.shut()
        self.server.kill()
        assert self.mix.answered >= enough, f"too few answers in {SECONDS_TO_SETTLE} s: {self.mix.wrong}"
        return found + self._look(promises_open=True)

    def _start(self) -> str:
        port = free_port()
        self.server.start(port)
        base_url = f"http://127.0.0.1:{port}"
        wait_until_it_serves(base_url, self.register)
        return base_url

    def _look(self, *, promises_open: bool) -> list[str]:
        """Look at the rows while nothing runs, and let `log audit` look at them.

        Afterwards the leases of whoever was killed have run out.
        """
        asyncio.run(_let_leases_run_out(self.register.database_url))
        self.tables = asyncio.run(read_register(self.register.database_url))
        found = check_rows(self.tables, promises_open=promises_open, signed=self.signed)
        found += order_faults(list(self.mix.orders), self.tables) + audit_faults(self.server)
        return found + list(self.mix.wrong)

    def _ask(self, base_url: str) -> list[str]:
        """Ask about every version that changed since it was last asked about, and about some others."""
        told = told_states(self.tables) if self.tables else {}
        changed = [
            credential for credential, verdict in told.items() if self.asked.get(credential) != verdict
        ]
        others = self.lot.sample(sorted(told), min(ASKED_AGAIN, len(told)))
        self.asked |= told
        asked = {credential: told[credential] for credential in [*changed, *others]}
        return online_faults(base_url, self.register.keys["platform"], asked)

    def _settle(self) -> list[str]:
        """Let a last server finish everything; then ask about every version online and offline."""
        base_url = self._start()
        deadline = time.monotonic() + SECONDS_TO_SETTLE
        while True:
            tables = asyncio.run(read_register(self.register.database_url))
            told = told_states(tables)
            found = online_faults(base_url, self.register.keys["platform"], told)
            found += offline_faults(base_url, told)
            if not found and all(row["state"] != "open" for row in tables["intents"]):
                break
            if time.monotonic() > deadline:
                self.server.kill()
                return found or ["promises stay open"]
            time.sleep(0.5)
        self.server.kill()
        return self._look(promises_open=False)


def _second_client(register: Register) -> str:
    async def make() -> str:
        async with open_services(test_settings(register.database_url, register.folder)) as services:
            created = await services.api_clients.create(
                name="second desk",
                actor="test",
                **CLIENTS["authority"],  # type: ignore[arg-type]
            )
            return created.secret

    return run_apart(make)


@contextmanager
def _at_work(mix: Mix) -> Iterator[None]:
    desks = [Desk(mix, number) for number in range(DESKS)]
    for desk in desks:
        desk.thread.start()
    try:
        yield
    finally:
        mix.stop()
        for desk in desks:
            desk.thread.join(timeout=60)


async def _let_leases_run_out(database_url: str) -> None:
    """Do what half a minute does: whoever was killed holds its promises no longer.

    PostgreSQL may still be at the last statement of a killed client: its sessions are waited for.
    """
    engine = create_async_engine(database_url)
    try:
        if engine.dialect.name == "postgresql":
            await _wait_until_alone(engine)
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE intents SET lease_until = issued_at WHERE state = 'open'"))
    finally:
        await engine.dispose()


async def _wait_until_alone(engine: AsyncEngine) -> None:
    sessions = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    deadline = time.monotonic() + SECONDS_TO_SETTLE
    while True:
        async with engine.connect() as connection:  # within one transaction the answer never changes
            if not await connection.scalar(sessions):
                return
        assert time.monotonic() < deadline, "sessions of a killed server stay"
        await asyncio.sleep(0.01)
