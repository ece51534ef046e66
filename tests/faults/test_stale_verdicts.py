"""A license is revoked through one process and at once verified through another: no answer calls it valid any more, by
whatever it is asked for, and no repeated call brings the old answer back.

The contract allows a second; the register is read with every question, so that none is needed.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import httpx
import pytest

from app.domain.license import Holder, License
from tests.faults.register import Register
from tests.faults.servers import Server, busy_keys, issue_licenses, serving
from tests.installation import uscc

CALLERS = 8
ALLOWED_SECONDS = 0.0
REVOKE = {"reason_code": "penalty", "reason": "吊销演练"}


@dataclass(slots=True)
class Findings:
    """What a run saw."""

    stale: list[str] = field(default_factory=list)
    revoked: int = 0
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """One license, the process it is revoked through, and the one it is verified through."""

    license: License
    department: httpx.AsyncClient
    platform: httpx.AsyncClient
    findings: Findings

    async def run(self) -> None:
        """Ask while it is valid, revoke, and ask at once again in every way."""
        token = await self.department.get(f"/v1/licenses/{self.license.id}/credential")
        assert token.status_code == 200, token.text
        questions = self._questions(token.text)
        for way, question in questions.items():
            before = await self._ask(question, key=way)
            assert before["verdict"] == "valid", (way, before)
            if way == "credential":  # a memo of good signatures may be kept by calls without a key alone
                assert (await self._ask(question))["verdict"] == "valid"
        # One more call is on its way while the license is revoked: what it keeps must not outlive the revocation.
        racing = asyncio.create_task(self._ask(questions["identifier"], key="racing"))
        done = await self.department.post(f"/v1/licenses/{self.license.id}/revoke", json=REVOKE)
        acknowledged = time.monotonic()
        assert done.status_code == 200, done.text
        self.findings.revoked += 1
        await asyncio.gather(
            *(
                self._ask_again(way, question, key, since=acknowledged)
                for way, question in questions.items()
                for key in ((way,) if way == "batch" else (None, way))
            )
        )
        await racing
        await self._ask_again("racing", questions["identifier"], "racing", since=acknowledged)

    def _questions(self, token: str) -> Mapping[str, Mapping[str, Any]]:
        by_holder = {"holder_code": self.license.holder.code, "type_code": self.license.type_code}
        by_number = {"number": self.license.number, "type_code": self.license.type_code}
        identifier = {"license": {"identifier": self.license.identifier}}
        return {
            "credential": {"credential": token},
            "identifier": identifier,
            "holder code": {"license": by_holder},
            "batch": {"items": [identifier, {"credential": token}, {"license": by_number}]},
        }

    async def _ask_again(
        self, way: str, question: Mapping[str, Any], key: str | None, *, since: float
    ) -> None:
        begun = time.monotonic() - since
        if begun < ALLOWED_SECONDS:
            await asyncio.sleep(ALLOWED_SECONDS - begun)
        answer = await self._ask(question, key=key)
        if answer["verdict"] == "valid":
            replayed = " repeated" if answer["replayed"] else ""
            number = self.license.number
            self.findings.stale.append(f"{number}: still valid{replayed} by {way}, asked after {begun:.3f} s")

    async def _ask(self, question: Mapping[str, Any], *, key: str | None = None) -> dict[str, Any]:
        path = "/v1/verifications/batch" if "items" in question else "/v1/verifications"
        headers = {} if key is None else {"Idempotency-Key": f"{self.license.number} {key}"}
        answer = await self.platform.post(path, json=question, headers=headers)
        assert answer.status_code == 200, answer.text
        self.findings.asked += 1
        body = answer.json()
        verdicts = {one["verdict"] for one in body.get("results", [body])}
        return {
            "verdict": "valid" if "valid" in verdicts else verdicts.pop(),
            "replayed": answer.headers.get("Idempotent-Replayed") == "true",
        }


async def _revoke_and_verify(
    servers: Sequence[Server], licenses: Sequence[License], keys: Mapping[str, str]
) -> Findings:
    findings = Findings()
    waiting = list(reversed(licenses))
    async with AsyncExitStack() as stack:

        async def connect(server: Server, role: str) -> httpx.AsyncClient:
            headers = {"Authorization": f"Bearer {keys[role]}"}
            client = httpx.AsyncClient(base_url=server.base_url, headers=headers, timeout=60)
            return await stack.enter_async_context(client)

        first, last = servers[0], servers[-1]
        ways = [
            (await connect(one, "authority"), await connect(other, "platform"))
            for one, other in ((first, last), (last, first))
        ]

        async def call() -> None:
            for department, platform in cycle(ways):
                if not waiting:
                    return
                await Pair(waiting.pop(), department, platform, findings).run()

        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(call())
    return findings


def _run(register: Register, *, pairs: int, processes: int, twin: str | None = None) -> Findings:
    holders = [
        Holder(code=uscc(index), code_type="001", name="南京示例商贸有限公司") for index in range(pairs)
    ]
    licenses = issue_licenses(register, holders)
    keys = busy_keys(register, "authority", "platform")
    with serving(register, processes=processes, twin=twin) as servers:
        findings = asyncio.run(_revoke_and_verify(servers, licenses, keys))
    assert findings.revoked == pairs
    assert findings.asked >= 14 * pairs
    return findings


def test_no_answer_after_a_revocation_is_a_stale_one(register: Register) -> None:
    assert _run(register, pairs=50, processes=2).stale == []


@pytest.mark.soak
def test_no_answer_after_10_000_revocations_is_a_stale_one(register: Register) -> None:
    assert _run(register, pairs=10_000, processes=2).stale == []


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_the_check_finds_a_server_that_remembers_licenses(register: Register) -> None:
    stale = _run(register, pairs=5, processes=1, twin="remembered_licenses").stale
    for way in ("credential", "identifier", "holder code"):
        assert any(f"valid by {way}" in line for line in stale), stale


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_the_check_finds_a_server_that_repeats_answers_of_revoked_licenses(register: Register) -> None:
    stale = _run(register, pairs=5, processes=1, twin="unbound_replays").stale
    for way in ("credential", "identifier", "holder code", "batch"):
        assert any(f"valid repeated by {way}" in line for line in stale), stale
