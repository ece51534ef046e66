"""A line that breaks at any byte, callers that drip bytes, a server that is killed: all others are served meanwhile,
and no answer, nor the beginning of one, ever leaves without its audit entry and its stored verification.
"""

import asyncio
import json
import re
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from uuid import uuid4

import httpx
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.domain.license import Holder
from tests.faults.fault_proxy import Fault, FaultProxy, SlowSockets
from tests.faults.register import Register
from tests.faults.servers import Server, busy_keys, issue_licenses, serving
from tests.installation import uscc

SECONDS_TO_ANSWER = 10.0
MEGABYTE = 1 << 20
_BEGUN = re.compile(rb"HTTP/1\.1 200 ")
_ID = re.compile(rb'"id":"([0-9a-f-]{36})"')


@dataclass(slots=True)
class Answers:
    """What callers received: ids of requests whose answer began, ids of verifications whose answer was read."""

    requests: set[str] = field(default_factory=set)
    verifications: set[str] = field(default_factory=set)
    slowest: float = 0.0
    whole: int = 0

    def take(self, request_id: str, received: bytes) -> None:
        """Count an answer, or what came of it."""
        if _BEGUN.match(received):
            self.requests.add(request_id)
            self.verifications.update(found.decode() for found in _ID.findall(received)[:1])

    async def faults(self, database_url: str) -> list[str]:
        """Name every answer that nobody wrote down."""
        engine = create_async_engine(database_url)
        try:
            async with engine.connect() as connection:
                audit = (await connection.execute(text("SELECT request_id, subject FROM audit"))).all()
                kept = set((await connection.execute(text("SELECT id FROM verifications"))).scalars())
        finally:
            await engine.dispose()
        audited, subjects = {row.request_id for row in audit}, {row.subject for row in audit}
        return [
            *(f"no audit entry for request {one}" for one in sorted(self.requests - audited)),
            *(f"no audit entry for verification {one}" for one in sorted(self.verifications - subjects)),
            *(f"verification {one} is not stored" for one in sorted(self.verifications - kept)),
        ]


@dataclass(frozen=True, slots=True)
class Attack:
    """One server, its database, a question, and what was answered."""

    server: Server
    key: str
    question: Mapping[str, object]
    answers: Answers = field(default_factory=Answers)

    def request(self, request_id: str) -> tuple[bytes, bytes]:
        """Return head and body of one request."""
        body = json.dumps(self.question).encode()
        head = (
            f"POST /v1/verifications HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Type: application/json\r\nX-Request-Id: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode(), body

    def faults(self) -> list[Fault]:
        """Return a cut at every stage: in the head, in the body, before the answer, in the answer; and slow bytes."""
        head, body = (len(part) for part in self.request(str(uuid4())))
        asked = [1, head // 2, head - 1, head, head + body // 2, head + body - 1]
        answered = [0, 1, 12, 200, 700, 1500]
        return [
            *(Fault(asked=size, abruptly=bool(size % 2)) for size in asked),
            *(Fault(answered=size, abruptly=abruptly) for size in answered for abruptly in (True, False)),
            Fault(slice_bytes=97, pause=0.01),
            Fault(answered=1200, slice_bytes=53, pause=0.01),
        ]

    async def ask_through(self, port: int) -> None:
        """Ask once through a line that breaks; take what comes."""
        request_id, received = str(uuid4()), b""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"".join(self.request(request_id)))
            async with asyncio.timeout(SECONDS_TO_ANSWER):
                # A kept connection does not end by itself: a whole answer is enough.
                while data := await reader.read(65536):
                    received += data
                    if received.endswith(b"}") and received.count(b"{") == received.count(b"}"):
                        break
        except OSError:
            pass
        finally:
            writer.transport.abort()
        self.answers.take(request_id, received)

    async def ask_while(self, stop: asyncio.Event, *, killed: asyncio.Event | None = None) -> None:
        """Ask over a kept connection, again and again; each answer must come, and in time."""
        headers = {"Authorization": f"Bearer {self.key}"}
        async with httpx.AsyncClient(
            base_url=self.server.base_url, headers=headers, timeout=SECONDS_TO_ANSWER
        ) as client:
            while not stop.is_set():
                request_id, begun = str(uuid4()), time.monotonic()
                try:
                    answer = await client.post(
                        "/v1/verifications", json=self.question, headers={"X-Request-Id": request_id}
                    )
                except httpx.TransportError:
                    assert killed is not None and killed.is_set(), "an innocent caller was not served"
                    return
                assert answer.status_code == 200, answer.text
                assert answer.json()["verdict"] == "valid"
                self.answers.requests.add(request_id)
                self.answers.verifications.add(answer.json()["id"])
                self.answers.slowest = max(self.answers.slowest, time.monotonic() - begun)
                self.answers.whole += 1

    async def break_lines(self, *, times: int) -> None:
        """Ask through every fault, several at once."""
        faults = self.faults()

        async def open_server() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection("127.0.0.1", self.server.port)

        async with FaultProxy(open_server, cycle(faults)) as proxy:
            for _ in range(times):
                await asyncio.gather(*(self.ask_through(proxy.port) for _ in faults))


async def _attack(attack: Attack, *, slow: int, times: int, seconds: float) -> list[str]:
    """Hold slow sockets and break lines while others are served; return what does not come back to where it was."""
    process = psutil.Process(attack.server.work.process.pid)

    def callers() -> int:
        return sum(one.laddr.port == attack.server.port for one in process.net_connections("tcp"))

    await attack.break_lines(times=1)  # what is loaded and pooled at first use is no leak
    await asyncio.sleep(0.3)
    sockets, memory = callers(), process.memory_info().rss
    stop = asyncio.Event()
    served = [asyncio.create_task(attack.ask_while(stop)) for _ in range(3)]
    slow_sockets = SlowSockets(attack.server.port, attack.request("slow")[0])
    begun = time.monotonic()
    await slow_sockets.open(slow)
    await attack.break_lines(times=times)
    await asyncio.sleep(max(0.0, seconds - (time.monotonic() - begun)))
    stop.set()
    await asyncio.gather(*served)
    faults = []
    if seconds > 25 and slow_sockets.ended < slow_sockets.opened:  # 10 s for a head, 15 + 5 s for a body
        faults.append(f"only {slow_sockets.ended} of {slow_sockets.opened} slow sockets were given up")
    await slow_sockets.close()
    for _ in range(50):
        if callers() <= sockets:
            break
        await asyncio.sleep(0.1)
    else:
        faults.append(f"{callers()} sockets are open, {sockets} were")
    grown = (process.memory_info().rss - memory) / MEGABYTE
    if grown > 40:
        faults.append(f"memory grew by {grown:.0f} MB")
    return faults


async def _kill_while_answering(attack: Attack, *, answers: int) -> None:
    """Kill the server in the middle of its work, after so many answers more."""
    stop, killed = asyncio.Event(), asyncio.Event()
    callers = [asyncio.create_task(attack.ask_while(stop, killed=killed)) for _ in range(6)]
    wanted = attack.answers.whole + answers
    for _ in range(10_000):
        if attack.answers.whole >= wanted or any(caller.done() for caller in callers):
            break
        await asyncio.sleep(0.002)
    killed.set()
    await asyncio.to_thread(attack.server.work.kill)
    await asyncio.gather(*callers)


def _make(register: Register, server: Server) -> Attack:
    holder = Holder(code=uscc(7), code_type="001", name="南京示例商贸有限公司")
    license = issue_licenses(register, [holder])[0]
    key = busy_keys(register, "platform")["platform"]
    return Attack(server, key, {"license": {"identifier": license.identifier}})


def _run(
    register: Register,
    *,
    slow: int,
    times: int = 1,
    seconds: float = 0.0,
    twin: str | None = None,
) -> tuple[Attack, list[str]]:
    with serving(register, twin=twin) as servers:
        attack = _make(register, servers[0])
        faults = asyncio.run(_attack(attack, slow=slow, times=times, seconds=seconds))
        asyncio.run(_kill_while_answering(attack, answers=40))
    return attack, [*faults, *asyncio.run(attack.answers.faults(register.database_url))]


@pytest.fixture
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(20_000, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _assert_served(attack: Attack, faults: Sequence[str]) -> None:
    assert faults == []
    assert attack.answers.whole > 40
    assert len(attack.answers.requests) > attack.answers.whole, "no broken line brought an answer's beginning"
    assert attack.answers.slowest < SECONDS_TO_ANSWER


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_others_are_served_and_every_answer_is_audited(register: Register, many_files: None) -> None:
    _assert_served(*_run(register, slow=200, seconds=3))


@pytest.mark.soak
def test_others_are_served_beside_2_000_slow_sockets(register: Register, many_files: None) -> None:
    _assert_served(*_run(register, slow=2_000, times=50, seconds=32))


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_the_check_finds_a_server_that_audits_after_its_answer(register: Register) -> None:
    _, faults = _run(register, slow=0, twin="late_audit")
    assert any("no audit entry for verification" in line for line in faults), faults
    assert any("no audit entry for request" in line for line in faults), faults
