"""The line between server and PostgreSQL is cut in the middle of transactions: callers get a 503 and no half answer,
the server works again at once, and what was repeated with its key was done once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from sqlalchemy.engine import URL, make_url

from app.domain.license import Holder
from tests.faults.checker import check_register_now
from tests.faults.register import Register
from tests.faults.servers import busy_keys, issue_licenses, serving
from tests.faults.test_fault_proxy import Answers
from tests.installation import AREA, BUSINESS_LICENSE, uscc

T = TypeVar("T")

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
TRIES_TO_RECOVER = 100
HOLDER = Holder(code=uscc(8), code_type="001", name="南京示例商贸有限公司")
STAGES = ((b"BEGIN", False), (b"COMMIT", False), (b"COMMIT", True), (b"", False))
"""Cut before a transaction, before its end, after its end (whose answer is lost), and at the very next byte."""


class DatabaseLine:
    """Passes bytes on to PostgreSQL. Once armed it cuts every connection at the next use of some words.

    With `pass_on` the words still reach the database, and only what it says to them is lost.
    """

    def __init__(self, database: URL) -> None:
        self._database = database
        self._ends: set[asyncio.StreamWriter] = set()
        self._words: bytes | None = None
        self._pass_on = False
        self._muted = False
        self.port = 0
        self.cuts = 0

    async def __aenter__(self) -> "DatabaseLine":
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        self._cut()

    @property
    def url(self) -> str:
        """Return the URL of the database behind this line."""
        through = self._database.difference_update_query(["host"]).set(host="127.0.0.1", port=self.port)
        return through.render_as_string(hide_password=False)

    def arm(self, words: bytes, *, pass_on: bool) -> None:
        """Cut at the next use of these words."""
        self._words, self._pass_on = words, pass_on

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await self._open()
        self._ends |= {writer, back}
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(self._ask(reader, back), self._answer(there, writer))
        for end in (writer, back):
            end.transport.abort()
            self._ends.discard(end)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host = self._database.query.get("host") or self._database.host or "127.0.0.1"
        port = self._database.port or 5432
        if str(host).startswith("/"):
            return await asyncio.open_unix_connection(Path(str(host)) / f".s.PGSQL.{port}")
        return await asyncio.open_connection(str(host), port)

    async def _ask(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            if self._words is not None and self._words in data:
                self._words = None
                self.cuts += 1
                if self._pass_on:
                    self._muted = True
                    sink.write(data)
                    await sink.drain()
                    await asyncio.sleep(0.05)  # until the database has done it
                self._cut()
                self._muted = False
                return
            sink.write(data)
            await sink.drain()
        sink.close()

    async def _answer(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            if not self._muted:
                sink.write(data)
                await sink.drain()
        sink.close()

    def _cut(self) -> None:
        for end in self._ends:
            end.transport.abort()


class Department:
    """A department and a platform that go on whatever happens, and remember what they were told."""

    http: httpx.AsyncClient

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self.answers = Answers()
        self.issued: dict[str, str] = {}
        self.statuses: list[int] = []

    async def post(self, role: str, path: str, body: object, **headers: str) -> httpx.Response:
        """Call once; anything but a whole answer or a 503 as a problem document is a failure."""
        sent = {"Authorization": f"Bearer {self._keys[role]}", "X-Request-Id": str(uuid4()), **headers}
        answer = await self.http.post(path, json=body, headers=sent)
        self.statuses.append(answer.status_code)
        if answer.status_code >= 500:
            assert answer.status_code == 503, answer.text
            assert answer.json()["code"] == "unavailable", answer.text
        return answer

    async def verify(self, identifier: str) -> bool:
        """Ask once; say whether there was an answer."""
        question = {"license": {"identifier": identifier}}
        answer = await self.post("platform", "/v1/verifications", question)
        if not answer.is_success:
            return False
        assert answer.json()["verdict"] == "valid"
        self.answers.requests.add(answer.headers["x-request-id"])
        self.answers.verifications.add(answer.json()["id"])
        return True

    async def issue(self, number: str) -> bool:
        """Issue once, with the number as key; say whether there was an answer."""
        body = {
            "type_code": BUSINESS_LICENSE,
            "number": number,
            "holder": {"code": HOLDER.code, "code_type": HOLDER.code_type, "name": HOLDER.name},
            "area_code": AREA,
            "issue_date": "2024-03-01",
            "valid_from": "2024-03-01",
            "valid_until": None,
            "elements": {},
        }
        answer = await self.post("authority", "/v1/licenses", body, **{"Idempotency-Key": number})
        if answer.is_success:
            self.issued[number] = answer.json()["identifier"]
        return answer.is_success

    async def recover(self, identifier: str) -> None:
        """Wait until questions are answered again."""
        for _ in range(TRIES_TO_RECOVER):
            if await self.verify(identifier):
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the server does not answer again")


async def _cut(department: Department, line: DatabaseLine, *, identifier: str, rounds: int) -> list[str]:
    """Cut at every stage, again and again; return the numbers whose issuing was not answered."""
    open_ones = []
    await department.recover(identifier)
    for round_ in range(rounds):
        for index, (words, pass_on) in enumerate(STAGES):
            line.arm(words, pass_on=pass_on)
            await asyncio.gather(*(department.verify(identifier) for _ in range(3)))
            await department.recover(identifier)
            number = f"C-{round_}-{index}"
            line.arm(words, pass_on=pass_on)
            if not await department.issue(number):
                open_ones.append(number)
            await department.recover(identifier)
    return open_ones


async def _repeat(department: Department, numbers: Sequence[str]) -> None:
    for number in numbers:
        assert await department.issue(number), f"{number} was not issued when the call was repeated"


def _run(register: Register, *, rounds: int, twin: str | None = None) -> tuple[Department, int, list[str]]:
    keys = busy_keys(register, "platform", "authority")
    identifier = issue_licenses(register, [HOLDER])[0].identifier
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(DatabaseLine(make_url(register.database_url))) as line,
        serving(replace(register, database_url=line.url), twin=twin) as servers,
    ):

        async def call(work: Callable[[Department], Awaitable[T]]) -> T:
            async with httpx.AsyncClient(base_url=servers[0].base_url, timeout=30) as department.http:
                return await work(department)

        department = Department(keys)
        open_ones = asyncio.run(call(lambda one: _cut(one, line, identifier=identifier, rounds=rounds)))
        if twin is None:
            register.recover()
            asyncio.run(call(lambda one: _repeat(one, open_ones)))
    faults = asyncio.run(department.answers.faults(register.database_url))
    return department, line.cuts, [*faults, *check_register_now(register.database_url, department.issued)]


def test_a_cut_database_line_loses_nothing_that_was_answered(register: Register) -> None:
    department, cuts, faults = _run(register, rounds=1)
    assert faults == []
    assert cuts == 2 * len(STAGES)
    assert len(department.issued) == len(STAGES)
    assert 503 in department.statuses


@pytest.mark.soak
def test_hundred_cuts_of_the_database_line_lose_nothing_that_was_answered(register: Register) -> None:
    department, cuts, faults = _run(register, rounds=13)
    assert faults == []
    assert cuts > 100
    assert len(department.issued) == 13 * len(STAGES)


def test_the_check_finds_a_server_whose_audit_a_cut_can_lose(register: Register) -> None:
    _, _, faults = _run(register, rounds=1, twin="late_audit")
    assert any("no audit entry for verification" in line for line in faults), faults
