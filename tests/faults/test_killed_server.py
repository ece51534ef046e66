"""kill -9 of the API process while departments issue, amend and revoke: what was acknowledged is there, once, signed
and logged, and no revoked license is in force in any version.
"""

import asyncio
import socket
from dataclasses import dataclass, field

import httpx
import pytest

from app.domain.ids import jitter
from tests.faults.checker import check_register_now
from tests.faults.process import HOLDER
from tests.faults.register import Register, Work
from tests.installation import AREA, BUSINESS_LICENSE

CALLERS = 8
AMENDMENT = {"reason_code": "change_of_address", "reason": "故障测试", "elements": {"address": "二号"}}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _body(number: str) -> dict[str, object]:
    return {
        "type_code": BUSINESS_LICENSE,
        "number": number,
        "holder": {"code": HOLDER.code, "code_type": HOLDER.code_type, "name": HOLDER.name},
        "area_code": AREA,
        "issue_date": "2024-03-01",
        "valid_from": "2024-03-01",
        "valid_until": None,
        "elements": {},
    }


@dataclass(frozen=True, slots=True)
class Answers:
    """What the server acknowledged: the newest identifier by number, how many amendments, and whose revocation."""

    issued: dict[str, str] = field(default_factory=dict)
    amended: list[str] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)


async def _work_until_killed(
    server: Work, base_url: str, key: str, answers: Answers, *, prefix: str, kill_after: int
) -> None:
    """Issue, amend and revoke with several callers at once; kill the server after so many answers.

    Of every fourth license amendment and revocation are on their way together: either may be first, and an amendment
    that comes after is refused.
    """
    gone = asyncio.Event()
    answered = 0

    async def post(client: httpx.AsyncClient, path: str, body: object) -> httpx.Response | None:
        nonlocal answered
        try:
            response = await client.post(path, json=body)
        except httpx.TransportError:
            assert gone.is_set(), "the server broke a connection before it was killed"
            return None
        refused = path.endswith("/amend") and response.status_code == 409
        assert response.is_success or refused, response.text
        answered += 1
        if answered >= kill_after and not gone.is_set():
            gone.set()
            server.kill()
        return response

    async def amend(client: httpx.AsyncClient, license_id: str, number: str) -> bool:
        answer = await post(client, f"/v1/licenses/{license_id}/amend", AMENDMENT)
        if answer is not None and answer.is_success:
            answers.issued[number] = answer.json()["identifier"]
            answers.amended.append(number)
        return answer is not None

    async def revoke(client: httpx.AsyncClient, license_id: str, number: str) -> bool:
        reason = {"reason_code": "penalty", "reason": "故障测试"}
        answer = await post(client, f"/v1/licenses/{license_id}/revoke", reason)
        if answer is not None:
            answers.revoked.add(number)
        return answer is not None

    async def call(client: httpx.AsyncClient, caller: int) -> None:
        for index in range(100_000):
            number = f"{prefix}-{caller}-{index:05d}"
            issued = await post(client, "/v1/licenses", _body(number))
            if issued is None:
                return
            license_id = issued.json()["id"]
            answers.issued[number] = issued.json()["identifier"]
            steps = [(), (amend,), (revoke,), (amend, revoke)][index % 4]
            if not all(await asyncio.gather(*(step(client, license_id, number) for step in steps))):
                return

    async with httpx.AsyncClient(
        base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=60
    ) as client:
        await _wait_until_it_serves(client, server)
        await asyncio.gather(*(call(client, caller) for caller in range(CALLERS)))


async def _wait_until_it_serves(client: httpx.AsyncClient, server: Work) -> None:
    for _ in range(600):
        assert server.process.poll() is None, server.said_wrong()
        try:
            if (await client.get("/healthz")).status_code == 200:
                return
        except httpx.TransportError:
            await asyncio.sleep(0.05)
    raise AssertionError(f"the server does not serve: {server.said_wrong()}")


def _kill_while_working(
    register: Register, answers: Answers, *, round_: int, twin: str | None = None
) -> None:
    port = _free_port()
    options = ["--twin", twin] if twin else []
    server = register.start("serve", "--port", port, *options)
    try:
        asyncio.run(
            _work_until_killed(
                server,
                f"http://127.0.0.1:{port}",
                register.keys["authority"],
                answers,
                prefix=f"K{round_:03d}",
                kill_after=25 + int(40 * jitter()),
            )
        )
    finally:
        server.kill()


def _kill_again_and_again(register: Register, *, times: int, twin: str | None = None) -> list[str]:
    answers = Answers()
    for round_ in range(times):
        _kill_while_working(register, answers, round_=round_, twin=twin)
        register.recover()
    assert answers.issued
    assert answers.revoked
    assert answers.amended
    return check_register_now(register.database_url, answers.issued, answers.revoked)


def _kill_until_found(register: Register, *, twin: str, words: str) -> None:
    """Kill a broken server until the check finds its fault: one kill may fall where nothing was half-done."""
    answers = Answers()
    for round_ in range(10):
        _kill_while_working(register, answers, round_=round_, twin=twin)
        register.recover()
        found = check_register_now(register.database_url, answers.issued, answers.revoked)
        if any(words in line for line in found):
            return
    raise AssertionError(f"ten kills of the twin {twin} and nothing about: {words}")


def test_a_killed_server_loses_nothing_it_acknowledged(register: Register) -> None:
    assert _kill_again_and_again(register, times=2) == []


@pytest.mark.soak
def test_a_server_killed_25_times_loses_nothing_it_acknowledged(register: Register) -> None:
    assert _kill_again_and_again(register, times=25) == []


def test_the_check_finds_a_server_that_commits_after_its_answer(register: Register) -> None:
    _kill_until_found(register, twin="commit_after_answer", words="revocation was acknowledged")


def test_the_check_finds_a_server_that_logs_in_a_second_transaction(register: Register) -> None:
    _kill_until_found(register, twin="leaf_in_second_transaction", words="log leaves")
