"""What concerns the client for asyncio alone: many calls at once, cancelled calls, one token for all."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from time import monotonic

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from elicense import APIStatusError, AsyncElicense, ElicenseError, HolderSigner, Timeout
from elicense.client._protocol import Request, Response
from tests.sdk_clients import (
    BASE_URL,
    LICENSE,
    VERIFICATION,
    Awaited,
    FakeTransport,
    body_of,
    json_answer,
    problem,
)

pytestmark = pytest.mark.anyio
MANY = 100


class Service:
    """Answers by a function; remembers what was asked, and whether it was closed."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer
        self.requests: list[Request] = []
        self.closed = False

    async def send(self, request: Request, *, timeout: Timeout) -> Response:  # noqa: ASYNC109
        self.requests.append(request)
        return await self._answer(request)

    async def aclose(self) -> None:
        self.closed = True

    def count(self, end: str) -> int:
        return sum(request.url.endswith(end) for request in self.requests)


class TokenService(Service):
    """A service with its authorization server: tokens are numbered, given when `gate` is open, and can be ended."""

    def __init__(self) -> None:
        super().__init__(self._served)
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.refuses = False
        self.ended: set[str] = set()
        self._given = 0

    async def _served(self, request: Request) -> Response:
        await asyncio.sleep(0)
        if request.url.endswith("/oauth-authorization-server"):
            return json_answer({"issuer": BASE_URL})
        if request.url.endswith("/oauth/token"):
            self.asked.set()
            await self.gate.wait()
            if self.refuses:
                return Response(status=400, headers={}, body=b'{"error":"invalid_client"}')
            self._given += 1
            return json_answer({"access_token": f"elk_at_{self._given}", "expires_in": 600})
        if request.headers["Authorization"] in self.ended:
            return problem(401, "unauthenticated")
        return json_answer(VERIFICATION)


class SlowSigner:
    """A key in a device: it signs somewhere else, and remembers in which thread it was asked to."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._signer = HolderSigner.from_pem(pem)
        self.threads: list[threading.Thread] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._signer, name)

    def sign(self, data: bytes) -> bytes:
        self.threads.append(threading.current_thread())
        return self._signer.sign(data)


def by_key(service: object, **settings: object) -> AsyncElicense:
    return AsyncElicense(api_key="elk_live_a_b", base_url=BASE_URL, transport=service, **settings)  # type: ignore[arg-type]


def by_oauth(service: TokenService, signer: SlowSigner | None = None) -> AsyncElicense:
    key = signer or SlowSigner()
    return AsyncElicense(client_id="c", private_key=key, base_url=BASE_URL, transport=service)  # type: ignore[arg-type]


async def verify_many(client: AsyncElicense, many: int = MANY) -> list[object]:
    calls = [client.verifications.create(code=f"code-{number}") for number in range(many)]
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_a_hundred_verifications_are_under_way_at_once_and_each_gets_its_own_answer() -> None:
    all_there = asyncio.Barrier(MANY)

    async def answer(request: Request) -> Response:
        await all_there.wait()
        asked = json.loads(request.body or b"")
        return json_answer({**VERIFICATION, "reference": asked["reference"]})

    service = Service(answer)
    async with by_key(service) as client, asyncio.timeout(30):
        names = [f"shop-{number}" for number in range(MANY)]
        found = await asyncio.gather(
            *(client.verifications.create(code="x", reference=name) for name in names)
        )
    assert [one.reference for one in found] == names
    assert len({request.headers["Idempotency-Key"] for request in service.requests}) == MANY
    assert service.closed


async def test_a_hundred_calls_wait_for_one_token() -> None:
    service = TokenService()
    client = by_oauth(service)
    found = await verify_many(client)
    assert all(not isinstance(one, BaseException) for one in found)
    assert (service.count("/oauth/token"), service.count("/v1/verifications")) == (1, MANY)


async def test_a_token_that_was_ended_is_replaced_once_for_all_under_the_same_idempotency_keys() -> None:
    service = TokenService()
    client = by_oauth(service)
    await client.verifications.create(code="x")
    service.ended = {"Bearer elk_at_1"}
    service.requests.clear()
    found = await verify_many(client)
    assert all(not isinstance(one, BaseException) for one in found)
    assert service.count("/oauth/token") == 1
    posts = [request for request in service.requests if request.url.endswith("/v1/verifications")]
    assert len(posts) == 2 * MANY
    assert len({request.headers["Idempotency-Key"] for request in posts}) == MANY


async def test_a_renewal_that_fails_fails_once_for_all_who_wait_and_is_tried_again_later() -> None:
    service = TokenService()
    service.refuses = True
    client = by_oauth(service)
    found = await verify_many(client)
    assert all(isinstance(one, APIStatusError) and one.status_code == 400 for one in found)
    assert (service.count("/oauth/token"), service.count("/v1/verifications")) == (1, 0)
    service.refuses = False
    assert (await client.verifications.create(code="x")).reason == "revoked"


async def test_who_is_cancelled_while_waiting_takes_the_token_from_nobody_else() -> None:
    service = TokenService()
    service.gate.clear()
    client = by_oauth(service)
    first, second = (asyncio.create_task(client.verifications.get("v")) for _ in range(2))
    await service.asked.wait()
    first.cancel()
    await asyncio.wait({first})
    service.gate.set()
    assert first.cancelled()
    assert (await second).reason == "revoked"
    assert service.count("/oauth/token") == 1


async def test_closing_ends_a_renewal_and_says_so_to_those_who_wait() -> None:
    service = TokenService()
    service.gate.clear()
    client = by_oauth(service)
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(client.verifications.get("v"))
    await service.asked.wait()
    await client.aclose()
    with pytest.raises(ElicenseError, match="closed"):
        await waiting
    assert service.closed
    assert asyncio.all_tasks() == before


async def test_a_key_that_takes_its_time_does_not_hold_up_the_loop() -> None:
    signer = SlowSigner()
    await by_oauth(TokenService(), signer).verifications.create(code="x")
    assert len(signer.threads) == 1
    assert signer.threads[0] is not threading.current_thread()


async def test_a_retry_after_is_kept_to_without_holding_up_other_calls() -> None:
    async def answer(request: Request) -> Response:
        if request.url.endswith("busy") and service.count("busy") == 1:
            return problem(503, "unavailable", retry_after="1")
        return json_answer(LICENSE)

    service = Service(answer)
    client = by_key(service)
    begun = monotonic()
    slow = asyncio.create_task(client.licenses.get("busy"))
    await asyncio.sleep(0.01)
    assert (await client.licenses.get("quick")).id == "0190"
    assert not slow.done()
    assert (await slow).id == "0190"
    assert monotonic() - begun >= 1
    assert service.count("busy") == 2


async def test_a_call_cancelled_between_its_attempts_leaves_the_client_usable() -> None:
    service = FakeTransport(problem(503, "unavailable"), json_answer(LICENSE))
    pausing = asyncio.Event()

    async def pause(seconds: float) -> None:
        pausing.set()
        await asyncio.sleep(60)

    client = by_key(Awaited(service), pause=pause)
    waiting = asyncio.create_task(client.licenses.get("0190"))
    await pausing.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await client.licenses.get("0190")).id == "0190"
    assert len(service.requests) == 2


async def test_pages_are_fetched_as_they_are_needed() -> None:
    service = FakeTransport(
        json_answer({"data": [LICENSE, LICENSE], "next_cursor": "c2"}),
        json_answer({"data": [LICENSE], "next_cursor": None}),
    )
    found = by_key(Awaited(service)).licenses.iterate(status="active")
    assert service.requests == []
    await anext(found)
    await anext(found)
    assert len(service.requests) == 1
    assert [one.id async for one in found] == ["0190"]
    assert len(service.requests) == 2


async def test_a_question_keeps_what_it_was_asked_with_while_it_waits() -> None:
    service = FakeTransport(json_answer(VERIFICATION))
    elements = {"holder_name": "n"}
    call = asyncio.create_task(by_key(Awaited(service)).verifications.create(code="x", elements=elements))
    await asyncio.sleep(0)
    elements["holder_name"] = "another"
    await call
    assert body_of(service.requests[0]) == {"code": "x", "elements": {"holder_name": "n"}}
