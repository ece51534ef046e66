"""Credentials presented by their holders, online: the nonce counts once per client, whoever is asked."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.errors import DomainError
from app.domain.presentation_nonce import KEPT
from app.main import create_app
from app.services.presentation_nonces import PresentationNonceService
from elicense.encoding import b64url_decode
from elicense.key_binding import present
from tests.installation import open_again
from tests.integration.http_service import HttpService, assert_problem, open_http
from tests.simulated_signers import SimulatedSigner

pytestmark = pytest.mark.anyio

AUDIENCE = "https://bank.example"
HOLDER = SimulatedSigner()


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def credential(service: HttpService) -> str:
    return await issue_bound(service, HOLDER)


async def issue_bound(service: HttpService, holder: SimulatedSigner) -> str:
    """Issue a license whose credential names a holder's key."""
    issued = await service.issue(holder_key=dict(holder.public_key.jwk))
    return await service.credential(issued["id"])


async def new_nonce(service: HttpService, role: str = "bank") -> str:
    response = await service.call(role, "POST", "/v1/presentation-nonces", json={})
    assert response.status_code == 200, response.text
    return str(response.json()["nonce"])


def shown(service: HttpService, credential: str, nonce: str, **changes: Any) -> str:
    made: dict[str, Any] = {
        "disclose": ["address"],
        "signer": HOLDER,
        "audience": AUDIENCE,
        "issued_at": service.installation.clock.now(),
    }
    return present(credential, nonce=nonce, **{**made, **changes})


async def ask(
    service: HttpService, token: str, nonce: str, *, role: str = "bank", **more: Any
) -> dict[str, Any]:
    return await service.verify(
        role=role, credential=token, key_binding={"nonce": nonce, "audience": AUDIENCE}, **more
    )


def binding_check(answer: dict[str, Any]) -> dict[str, Any]:
    (check,) = [check for check in answer["checks"] if check["id"] == "holder_binding"]
    return dict(check)


async def test_a_holder_proves_itself_and_shows_one_element_alone(
    service: HttpService, credential: str
) -> None:
    nonce = await new_nonce(service)
    answer = await ask(service, shown(service, credential, nonce), nonce)
    assert (answer["verdict"], answer["reason"]) == ("valid", "ok"), answer
    assert binding_check(answer)["outcome"] == "passed"
    assert set(answer["license"]["elements"]) == {"address"}
    bearer = await service.verify(credential=credential)
    assert bearer["verdict"] == "valid"
    assert (binding_check(bearer)["outcome"], binding_check(bearer)["detail"]) == ("skipped", "bearer")


async def test_a_nonce_counts_once_per_client_whatever_came_of_it(
    service: HttpService, credential: str
) -> None:
    nonce = await new_nonce(service)
    token = shown(service, credential, nonce)
    assert (await ask(service, token, nonce))["verdict"] == "valid"
    again = await ask(service, token, nonce)
    assert (again["verdict"], again["reason"]) == ("invalid", "holder_binding_failed")
    assert "used before" in binding_check(again)["detail"]
    # Another client's nonces are its own.
    assert (await ask(service, token, nonce, role="platform"))["verdict"] == "valid"
    failed = await new_nonce(service)
    assert (await ask(service, credential, failed))["reason"] == "holder_binding_failed"
    late = await ask(service, shown(service, credential, failed), failed)
    assert "used before" in binding_check(late)["detail"]


async def test_of_many_uses_at_once_over_two_processes_one_is_first(
    service: HttpService, credential: str
) -> None:
    nonce = await new_nonce(service)
    token = shown(service, credential, nonce)
    async with open_again(service.installation) as other:
        transport = httpx.ASGITransport(app=create_app(other.settings, services=other.services))
        async with httpx.AsyncClient(transport=transport, base_url="http://second.example") as http:
            second = HttpService(other, http)
            answers = await asyncio.gather(
                *(ask((service, second)[index % 2], token, nonce) for index in range(8))
            )
    assert sorted(answer["verdict"] for answer in answers) == ["invalid"] * 7 + ["valid"]


async def test_repeating_a_call_under_its_key_uses_the_nonce_once(
    service: HttpService, credential: str
) -> None:
    nonce = await new_nonce(service)
    body = {
        "credential": shown(service, credential, nonce),
        "key_binding": {"nonce": nonce, "audience": AUDIENCE},
    }
    headers = {"Idempotency-Key": "presented-1"}

    async def call(**more: Any) -> dict[str, Any]:
        response = await service.call("bank", "POST", "/v1/verifications", json=body, **more)
        return {**response.json(), "replayed": response.headers.get("idempotent-replayed")}

    answers = await asyncio.gather(*(call(headers=headers) for _ in range(4)))
    assert {answer["verdict"] for answer in answers} == {"valid"}
    assert len({answer["id"] for answer in answers}) == 1
    assert (await call(headers=headers))["replayed"] == "true"
    assert (await call(headers={"Idempotency-Key": "presented-2"}))["reason"] == "holder_binding_failed"


async def test_a_call_that_broke_off_after_using_its_nonce_may_be_repeated_under_its_key(
    service: HttpService, credential: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nonce = await new_nonce(service)
    body = {
        "credential": shown(service, credential, nonce),
        "key_binding": {"nonce": nonce, "audience": AUDIENCE},
    }
    headers = {"Idempotency-Key": "again"}

    async def broken(*_: object, **__: object) -> str:
        raise DomainError("unavailable", "the receipt key is out of reach")

    with monkeypatch.context() as patched:
        patched.setattr(service.installation.services.receipts, "pen", broken)
        response = await service.call("bank", "POST", "/v1/verifications", json=body, headers=headers)
        assert_problem(response, "unavailable")
    response = await service.call("bank", "POST", "/v1/verifications", json=body, headers=headers)
    assert response.json()["verdict"] == "valid", response.text


async def test_a_twin_without_memory_takes_a_nonce_twice(
    service: HttpService, credential: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forgetful(_: object, items: Any, **__: object) -> list[Any]:
        return list(items)

    monkeypatch.setattr(PresentationNonceService, "use_up", forgetful)
    nonce = await new_nonce(service)
    token = shown(service, credential, nonce)
    assert [(await ask(service, token, nonce))["verdict"] for _ in range(2)] == ["valid", "valid"]


async def test_in_a_batch_the_first_question_with_a_nonce_is_its_user(
    service: HttpService, credential: str
) -> None:
    nonce, other = await new_nonce(service), await new_nonce(service)
    items = [
        {"credential": shown(service, credential, one), "key_binding": {"nonce": one, "audience": AUDIENCE}}
        for one in (nonce, other, nonce)
    ]
    items.insert(1, {"credential": credential})
    response = await service.call("bank", "POST", "/v1/verifications/batch", json={"items": items})
    assert [result["verdict"] for result in response.json()["results"]] == [
        "valid",
        "valid",
        "valid",
        "invalid",
    ]
    again = await service.call("bank", "POST", "/v1/verifications/batch", json={"items": items})
    assert [result["verdict"] for result in again.json()["results"]] == [
        "invalid",
        "valid",
        "invalid",
        "invalid",
    ]


async def test_a_refused_question_uses_up_nothing(service: HttpService, credential: str) -> None:
    nonce = await new_nonce(service)
    token = shown(service, credential, nonce)
    body = {
        "credential": token,
        "key_binding": {"nonce": nonce, "audience": AUDIENCE},
        "policy": "no-such-policy",
    }
    assert_problem(await service.call("bank", "POST", "/v1/verifications", json=body), "unknown_policy")
    assert (await ask(service, token, nonce))["verdict"] == "valid"


async def test_swapped_parts_of_presentations_are_never_valid(
    service: HttpService, credential: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_holder = SimulatedSigner()
    other = await issue_bound(service, other_holder)
    now = service.installation.clock.now()

    async def verdict(make: Any) -> str:
        nonce = await new_nonce(service)
        return str((await ask(service, make(nonce), nonce))["reason"])

    def proof(token: str) -> str:
        return token[token.rindex("~") + 1 :]

    def body_of(token: str) -> str:
        return token[: token.rindex("~") + 1]

    def mine(nonce: str, **changes: Any) -> str:
        return shown(service, credential, nonce, **changes)

    def theirs(nonce: str) -> str:
        return shown(service, other, nonce, signer=other_holder)

    bent = {
        "A's proof with B's credential": lambda n: body_of(theirs(n)) + proof(mine(n)),
        "another nonce": lambda n: mine(n + "x"),
        "another audience": lambda n: mine(n, audience="https://other.example"),
        "an old proof": lambda n: mine(n, issued_at=now.replace(year=now.year - 1)),
        "a disclosure added": lambda n: credential + proof(mine(n)),
        "a disclosure removed": lambda n: body_of(mine(n, disclose=[])) + proof(mine(n)),
        "no proof": lambda n: body_of(mine(n)),
    }
    assert {name: await verdict(make) for name, make in bent.items()} == dict.fromkeys(
        bent, "holder_binding_failed"
    )
    assert await verdict(mine) == await verdict(theirs) == "ok"


async def test_a_revoked_license_stays_revoked_however_well_it_is_presented(
    service: HttpService, credential: str
) -> None:
    held = (await service.call("authority", "GET", "/v1/licenses")).json()["data"]
    assert (await service.act(held[0]["id"], "revoke")).status_code == 200
    nonce = await new_nonce(service)
    assert (await ask(service, shown(service, credential, nonce), nonce))["reason"] == "revoked"


async def test_the_receipt_covers_what_the_presenter_was_asked_and_holds_none_of_it(
    service: HttpService, credential: str
) -> None:
    nonce = await new_nonce(service)
    answer = await ask(service, shown(service, credential, nonce), nonce)
    payload = b64url_decode(answer["receipt"].split(".")[1]).decode()
    assert nonce not in payload and AUDIENCE not in payload
    kept = await service.call("bank", "GET", f"/v1/verifications/{answer['id']}")
    assert nonce not in kept.text


async def test_used_nonces_are_forgotten_after_their_day(service: HttpService, credential: str) -> None:
    services, clock = service.installation.services, service.installation.clock
    nonce = await new_nonce(service)
    await ask(service, shown(service, credential, nonce), nonce)
    assert await services.presentation_nonces.sweep() == 0
    clock.advance(seconds=KEPT.total_seconds() - 60)
    assert await services.presentation_nonces.sweep() == 0
    clock.advance(seconds=61)
    assert await services.presentation_nonces.sweep() == 1


async def test_nonces_are_fresh_and_a_repeated_call_gets_its_own_again(service: HttpService) -> None:
    nonces = [await new_nonce(service) for _ in range(20)]
    assert len(set(nonces)) == 20
    assert {len(b64url_decode(nonce)) for nonce in nonces} == {16}
    headers = {"Idempotency-Key": "nonce-1"}
    calls = [
        await service.call("bank", "POST", "/v1/presentation-nonces", json={}, headers=headers)
        for _ in range(2)
    ]
    assert calls[0].json() == calls[1].json()
    assert calls[1].headers["idempotent-replayed"] == "true"
    assert_problem(
        await service.call("bank", "POST", "/v1/presentation-nonces", json={"n": 1}), "invalid_request"
    )


async def test_a_key_binding_of_another_shape_is_refused(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    good = {"nonce": "n", "audience": "a"}
    cases: tuple[dict[str, Any], ...] = (
        {"credential": "x", "key_binding": {"nonce": "n"}},
        {"credential": "x", "key_binding": {**good, "iat": 1}},
        {"credential": "x", "key_binding": {**good, "nonce": ""}},
        {"credential": "x", "key_binding": {**good, "nonce": "x" * 257}},
        {"credential": "x", "key_binding": {**good, "audience": "a\nb"}},
        {"credential": "x", "key_binding": "n"},
        {"code": "x", "key_binding": good},
        {"license": {"identifier": "x"}, "key_binding": good},
    )
    for question in cases:
        with subtests.test(question=repr(question)[:60]):
            response = await service.call("bank", "POST", "/v1/verifications", json=question)
            assert_problem(response, "invalid_request")
    lone = await service.http.post(
        "/v1/verifications",
        content=b'{"credential": "x", "key_binding": {"nonce": "\\ud800", "audience": "a"}}',
        headers={
            "Authorization": f"Bearer {service.installation.keys['bank']}",
            "Content-Type": "application/json",
        },
    )
    assert lone.status_code in (400, 422), lone.text
