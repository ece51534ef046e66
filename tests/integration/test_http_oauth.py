"""OAuth 2.0 with `private_key_jwt`: what a bank's own library signs is taken, once, and nothing else is."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.api.schemas.callers import OAuthErrorAnswer, TokenAnswer
from app.bootstrap import open_services
from app.domain.api_client import ClientKind
from app.domain.good_time import FURTHEST_APART
from app.domain.oauth import OAuthRefusal
from tests.client_assertions import BankKey, access_token, good_claims, register_key, token_form
from tests.installation import ISSUER_URL, MovableClock, open_again
from tests.integration.http_service import HttpService, assert_problem, open_http

pytestmark = pytest.mark.anyio
on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
"""For what no database has a part in."""


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def ask(service: HttpService, form: dict[str, str] | bytes) -> httpx.Response:
    content = {"content": form} if isinstance(form, bytes) else {"data": form}
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return await service.http.post("/oauth/token", headers=headers, **content)  # type: ignore[arg-type]


def assert_refused(response: httpx.Response, error: str) -> None:
    assert response.headers["content-type"] == "application/json", response.text
    assert response.headers["cache-control"] == "no-store" and response.headers["pragma"] == "no-cache"
    assert OAuthErrorAnswer.model_validate(response.json()).error == error, response.text
    assert response.status_code == (401 if error == "invalid_client" else 400)
    assert ("www-authenticate" in response.headers) == (error == "invalid_client")


async def client_id(service: HttpService) -> str:
    return (await service.installation.caller("bank")).client.id


async def test_a_signed_assertion_gets_a_token_that_works_like_a_key(service: HttpService) -> None:
    key = await register_key(service.installation, "bank")
    claims = good_claims(service.installation, await client_id(service))
    response = await ask(service, token_form(key.assertion(claims), scope="verifications:read"))
    answer = TokenAnswer.model_validate(response.json())
    assert response.headers["cache-control"] == "no-store" and response.headers["pragma"] == "no-cache"
    assert (answer.expires_in, answer.scope) == (600, "verifications:read")
    service.installation.keys["token"] = answer.access_token
    assert (await service.call("token", "GET", "/v1/verifications")).status_code == 200
    question = {"license": {"identifier": "1.2.156.3005.2.x"}}
    assert_problem(await service.call("token", "POST", "/v1/verifications", json=question), "forbidden")
    service.installation.keys["whole"] = await access_token(service, "bank", key)
    made = await service.call("whole", "POST", "/v1/verifications", json=question)
    assert made.status_code == 200
    # The token is the client: what it made is read with the client's API key.
    assert (await service.call("bank", "GET", f"/v1/verifications/{made.json()['id']}")).status_code == 200
    service.installation.clock.advance(seconds=600)
    assert_problem(await service.call("token", "GET", "/v1/verifications"), "key_expired")
    service.installation.clock.advance(seconds=FURTHEST_APART.total_seconds())
    await service.installation.services.oauth.sweep()
    service.installation.clock.advance(seconds=2)
    assert_problem(await service.call("token", "GET", "/v1/verifications"), "unauthenticated")


@on_sqlite
async def test_a_key_and_a_token_just_made_do_not_show_their_secret(service: HttpService) -> None:
    services = service.installation.services
    key = await register_key(service.installation, "bank")
    form = token_form(key.assertion(good_claims(service.installation, await client_id(service))))
    token = await services.oauth.issue(await services.oauth.prove(form), form)
    made = await services.api_clients.create(name="one more", kind=ClientKind.BANK, actor="test")
    assert token.secret not in repr(token)
    assert made.secret not in repr(made)


@on_sqlite
async def test_an_assertion_of_another_library_is_taken_too(service: HttpService) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    jwk = pyjwt.algorithms.ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    made = await service.installation.services.oauth.register_jwk("bank", jwk, actor="test")
    claims = good_claims(service.installation, await client_id(service))
    header = {"typ": "client-authentication+jwt", "kid": made.kid}
    signed = pyjwt.encode(claims, private, algorithm="ES256", headers=header)
    assert (await ask(service, token_form(signed))).status_code == 200


async def test_an_assertion_counts_once_in_every_process(service: HttpService) -> None:
    key = await register_key(service.installation, "bank")
    form = token_form(key.assertion(good_claims(service.installation, await client_id(service))))
    async with open_again(service.installation) as other:
        proven = await other.services.oauth.prove(form)
        assert (await ask(service, form)).status_code == 200
        assert_refused(await ask(service, form), "invalid_client")
        with pytest.raises(OAuthRefusal, match="used before"):
            await other.services.oauth.issue(proven, form)
        with pytest.raises(OAuthRefusal, match="used before"):
            await other.services.oauth.prove(form)


async def test_a_worker_whose_clock_is_ahead_does_not_make_a_used_assertion_count_again(
    service: HttpService,
) -> None:
    key = await register_key(service.installation, "bank")
    form = token_form(key.assertion(good_claims(service.installation, await client_id(service))))
    assert (await ask(service, form)).status_code == 200
    service.installation.clock.advance(seconds=50)
    ahead = MovableClock()
    ahead.advance(seconds=service.installation.clock.offset.total_seconds() + 59)
    async with open_services(service.installation.settings, clock=ahead) as worker:
        await worker.oauth.sweep()
    with pytest.raises(OAuthRefusal, match="used before"):
        await service.installation.services.oauth.prove(form)


async def test_an_assertion_that_was_used_spends_nothing_of_its_clients_quota(service: HttpService) -> None:
    installation = service.installation
    await service.add_client("slow bank", kind=ClientKind.BANK, calls_per_minute=3)
    key = await register_key(installation, "slow bank")
    mine = (await installation.caller("slow bank")).client.id
    form = token_form(key.assertion(good_claims(installation, mine)))
    assert (await ask(service, form)).status_code == 200
    for _ in range(6):
        replayed = await ask(service, form)
        assert_refused(replayed, "invalid_client")
        assert "ratelimit" not in replayed.headers
    answers = [await service.call("slow bank", "GET", "/v1/verifications") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


async def test_a_replay_table_that_forgets_would_be_caught(
    service: HttpService, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.adapters.db.oauth import SqlOAuth

    async def forgets(*_: object, **__: object) -> bool:
        return True

    key = await register_key(service.installation, "bank")
    form = token_form(key.assertion(good_claims(service.installation, await client_id(service))))
    monkeypatch.setattr(SqlOAuth, "use_assertion", forgets)
    assert [(await ask(service, form)).status_code for _ in range(2)] == [200, 200]
    monkeypatch.undo()
    assert [(await ask(service, form)).status_code for _ in range(2)] == [200, 401]


@on_sqlite
async def test_claims_that_are_not_exactly_right_are_refused(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    key = await register_key(service.installation, "bank")
    mine = await client_id(service)
    other = (await service.installation.caller("platform")).client.id
    now = int(service.installation.clock.now().timestamp())
    cases: list[dict[str, Any]] = [
        {"aud": [ISSUER_URL]},
        {"aud": f"{ISSUER_URL}/oauth/token"},
        {"aud": f"{ISSUER_URL}/"},
        {"aud": None},
        {"iss": other},
        {"iss": None},
        {"sub": other},
        {"sub": "nobody"},
        {"sub": None},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 256},
        {"jti": 7},
        {"exp": None},
        {"exp": now - 1},
        {"exp": str(now + 60)},
        {"exp": now + 60.5},
        {"exp": now + 330},
        {"exp": now + 400, "iat": now + 200},
        {"exp": now + 10**12},
        {"exp": True},
        {"iat": now + 90},
        {"nbf": now + 90},
        {"exp": now + 330, "iat": None},
    ]
    for changes in cases:
        with subtests.test(changes=str(changes)):
            claims = good_claims(service.installation, mine, **changes)
            assert_refused(await ask(service, token_form(key.assertion(claims))), "invalid_client")
    assert (await ask(service, token_form(key.assertion(good_claims(service.installation, mine))))).is_success


@on_sqlite
async def test_headers_keys_and_signatures_that_are_not_ours_are_refused(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    key, stranger = await register_key(service.installation, "bank"), BankKey()
    mine = await client_id(service)

    def claims() -> dict[str, Any]:
        return good_claims(service.installation, mine)

    good = key.assertion(claims())
    head, payload, signature = good.split(".")
    platform_key = await register_key(service.installation, "platform")
    none = pyjwt.encode(
        claims(), None, algorithm="none", headers={"typ": "client-authentication+jwt", "kid": key.kid}
    )
    cases = {
        "typ JWT": key.assertion(claims(), header={"typ": "JWT"}),
        "no typ": key.assertion(claims(), header={"typ": None}),
        "no kid": key.assertion(claims(), header={"kid": None}),
        "a key of its own": stranger.assertion(claims(), header={"jwk": stranger.jwk}),
        "a stranger's key": stranger.assertion(claims()),
        "a stranger under a known kid": stranger.assertion(claims(), header={"kid": key.kid}),
        "another client's key": platform_key.assertion(claims()),
        "alg none": none,
        "cut": good[:-2],
        "padded": f"{good}=",
        "no signature": f"{head}.{payload}.",
        "signature of another": ".".join((head, payload, key.assertion(claims()).split(".")[2])),
        "zero signature": ".".join((head, payload, "A" * 86)),
        "text": "x",
        "empty": "...",
        "long": "A" * 10_000,
        "crit": key.assertion(claims(), header={"crit": ["b64"], "b64": True}),
    }
    for name, assertion in cases.items():
        with subtests.test(name=name):
            assert_refused(await ask(service, token_form(assertion)), "invalid_client")
    assert signature


@on_sqlite
async def test_fields_without_a_value_count_as_not_sent(service: HttpService) -> None:
    key = await register_key(service.installation, "bank")
    claims = good_claims(service.installation, await client_id(service))
    form = urlencode(token_form(key.assertion(claims)))
    answer = await ask(service, f"scope&&{form}&client_id=&resource&".encode())
    assert answer.status_code == 200, answer.text


@on_sqlite
async def test_a_token_that_does_not_count_is_named_as_the_cause(service: HttpService) -> None:
    for sent, named in (
        ("Bearer elk_at_0_0", True),
        ("bearer  x", True),
        ("Basic eDp5", False),
        (None, False),
    ):
        headers = {} if sent is None else {"Authorization": sent}
        answer = await service.call(None, "GET", "/v1/verifications", headers=headers)
        challenge = 'Bearer realm="elicense"' + (', error="invalid_token"' if named else "")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)


@on_sqlite
async def test_forms_that_are_not_token_requests_are_refused(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    key = await register_key(service.installation, "bank")
    mine = await client_id(service)

    def form(**changes: str) -> dict[str, str]:
        return {**token_form(key.assertion(good_claims(service.installation, mine))), **changes}

    cases: list[tuple[dict[str, str] | bytes, str]] = [
        (b"", "invalid_request"),
        (b"nonsense", "invalid_request"),
        (b"\xff=1", "invalid_request"),
        (b"grant_type=a&grant_type=b", "invalid_request"),
        (b"&".join(b"a%d=1" % index for index in range(40)), "invalid_request"),
        (form(grant_type="password"), "unsupported_grant_type"),
        (form(grant_type=""), "invalid_request"),
        (form(client_assertion_type="x"), "invalid_client"),
        ({"grant_type": "client_credentials"}, "invalid_client"),
        (form(client_id="other"), "invalid_client"),
        (form(scope="licenses:write"), "invalid_scope"),
        (form(scope="verifications:read  verifications:write"), "invalid_scope"),
        (form(scope="verifications:read\n"), "invalid_scope"),
    ]
    for sent, error in cases:
        with subtests.test(sent=str(sent)[:80]):
            assert_refused(await ask(service, sent), error)
    assert_problem(await service.http.post("/oauth/token", json={}), "unsupported_media_type")
    assert (await ask(service, form(client_id=mine, scope=""))).is_success


async def test_tokens_end_at_once_with_their_key_and_with_their_client(service: HttpService) -> None:
    installation = service.installation
    first, second = await register_key(installation, "bank"), await register_key(installation, "bank")
    for name, key in (("one", first), ("two", second)):
        installation.keys[name] = await access_token(service, "bank", key)
        assert (await service.call(name, "GET", "/v1/verifications")).status_code == 200
    path = f"/v1/clients/{await client_id(service)}"
    third = BankKey()
    assert_problem(
        await service.call("operator", "POST", f"{path}/jwks", json={"jwk": third.jwk}), "conflict"
    )
    ended = await service.call("operator", "POST", f"{path}/jwks/{first.kid}/end", json={})
    assert ended.status_code == 200
    assert_problem(await service.call("one", "GET", "/v1/verifications"), "unauthenticated")
    assert (await service.call("two", "GET", "/v1/verifications")).status_code == 200
    claims = good_claims(installation, await client_id(service))
    assert_refused(await ask(service, token_form(first.assertion(claims))), "invalid_client")
    added = await service.call("operator", "POST", f"{path}/jwks", json={"jwk": third.jwk})
    assert (added.status_code, added.json()["kid"]) == (201, third.kid)
    claims = good_claims(installation, await client_id(service))
    await service.call("operator", "POST", f"{path}/revoke", json={})
    assert_problem(await service.call("two", "GET", "/v1/verifications"), "key_revoked")
    assert_refused(await ask(service, token_form(third.assertion(claims))), "invalid_client")


async def test_a_key_of_two_clients_is_marked_as_used_for_the_one_that_used_it(service: HttpService) -> None:
    services, key = service.installation.services, await register_key(service.installation, "bank")
    await services.oauth.register_jwk("platform", key.jwk, actor="test")
    service.installation.keys["token"] = await access_token(service, "bank", key)
    assert (await service.call("token", "GET", "/v1/verifications")).status_code == 200
    await services.request_log.flush()
    used = {}
    for role in ("bank", "platform"):
        (held,) = await services.oauth.jwks_of((await service.installation.caller(role)).client.id)
        used[role] = held.last_used_at is not None
    assert used == {"bank": True, "platform": False}


@on_sqlite
async def test_a_key_that_is_not_there_is_told_before_what_is_wrong_with_the_body(
    service: HttpService,
) -> None:
    path = f"/v1/clients/{await client_id(service)}/jwks"
    for body in ({"x": 1}, [], {}):
        answer = await service.call("operator", "POST", f"{path}/unknown/end", json=body)
        assert_problem(answer, "not_found")
    key = await register_key(service.installation, "bank")
    wrong = await service.call("operator", "POST", f"{path}/{key.kid}/end", json={"x": 1})
    assert_problem(wrong, "invalid_request")
    headers = {"Idempotency-Key": "end"}
    ended = [
        await service.call("operator", "POST", f"{path}/{key.kid}/end", json={}, headers=headers)
        for _ in range(2)
    ]
    assert [one.status_code for one in ended] == [200, 200]
    assert_problem(await service.call("operator", "POST", f"{path}/{key.kid}/end", json={}), "not_found")


@on_sqlite
async def test_only_public_p256_keys_are_registered(service: HttpService) -> None:
    path = f"/v1/clients/{await client_id(service)}/jwks"
    good = BankKey().jwk
    for jwk in (
        {},
        {**good, "d": good["x"]},
        {**good, "crv": "P-384"},
        {**good, "kty": "RSA"},
        {**good, "x": "A"},
    ):
        assert_problem(await service.call("operator", "POST", path, json={"jwk": jwk}), "invalid_request")


@on_sqlite
async def test_the_metadata_are_those_of_rfc_8414(service: HttpService) -> None:
    metadata = (await service.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["issuer"] == ISSUER_URL
    assert metadata["token_endpoint"] == f"{ISSUER_URL}/oauth/token"
    assert metadata["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert metadata["token_endpoint_auth_signing_alg_values_supported"] == ["ES256"]
    assert metadata["grant_types_supported"] == ["client_credentials"]
