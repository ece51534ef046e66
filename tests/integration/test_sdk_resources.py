"""The SDK against the real service: OAuth access tokens, policies, alarms, one's own requests."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from elicense import ConfigurationError, Elicense, HolderSigner, Timeout
from elicense.client._oauth import AccessTokens, TokenSteps
from elicense.client._protocol import Endpoint, Request, Response
from elicense.client.errors import APIStatusError, NotFoundError, UnauthenticatedError
from tests.installation import ISSUER_URL
from tests.integration.attacked import Attacked, attacked

on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


class Door:
    """Carries the SDK's requests to the application; remembers them, and which key each bore."""

    def __init__(self, service: Attacked) -> None:
        self._service = service
        self.seen: list[Request] = []

    def send(self, request: Request, *, timeout: Timeout) -> Response:
        self.seen.append(request)
        answer = self._service.request(
            method=request.method, url=request.url, headers=dict(request.headers), content=request.body
        )
        return Response(status=answer.status_code, headers=dict(answer.headers), body=answer.content)

    def close(self) -> None: ...

    def paths(self) -> list[str]:
        return [request.url.removeprefix("https://service.example") for request in self.seen]


SPOILED = "Bearer elk_at_0123456789ab_" + 43 * "A"


class SpoilingDoor(Door):
    """Lets the first verification arrive with a token that the service does not know any more."""

    def send(self, request: Request, *, timeout: Timeout) -> Response:
        if request.url.endswith("/v1/verifications") and not any(one.url == request.url for one in self.seen):
            request = replace(request, headers={**request.headers, "Authorization": SPOILED})
        return super().send(request, timeout=timeout)


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Attacked]:
    with attacked(database_url, tmp_path) as opened:
        yield opened


def private_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def register(service: Attacked, pem: bytes) -> tuple[str, str]:
    """Register a public key of the bank; return its client id and the key's id."""
    oauth, jwk = service.service.installation.services.oauth, dict(HolderSigner.from_pem(pem).public_key.jwk)

    async def work() -> tuple[str, str]:
        made = await oauth.register_jwk("busy bank", jwk, actor="test")
        return made.client_id, made.kid

    return service.portal.call(work)


def bank(service: Attacked, door: Door, client_id: str, pem: object) -> Elicense:
    return Elicense(
        client_id=client_id,
        private_key=pem,  # type: ignore[arg-type]
        issuer=ISSUER_URL,
        base_url="https://service.example",
        transport=door,
    )


def by_key(service: Attacked, role: str) -> Elicense:
    return Elicense(api_key=service.keys[role], base_url="https://service.example", transport=Door(service))


@on_sqlite
def test_a_bank_with_a_private_key_gets_its_tokens_by_itself(service: Attacked, tmp_path: Path) -> None:
    pem, door = private_key(), Door(service)
    client_id, kid = register(service, pem)
    file = tmp_path / "bank.pem"
    file.write_bytes(pem)
    client = bank(service, door, client_id, file)
    question = {"number": "attacked-1", "type_code": service.known["type_code"]}
    first = client.verifications.create(license=question)
    assert first.verdict == "valid"
    assert client.verifications.get(first.id).id == first.id
    token_paths = ["/.well-known/oauth-authorization-server", "/oauth/token"]
    assert [path for path in door.paths() if path in token_paths] == token_paths  # once for both calls
    bearer = {request.headers.get("Authorization", "") for request in door.seen} - {""}
    assert len(bearer) == 1 and bearer.pop().startswith("Bearer elk_at_")
    # A token that was ended is replaced once; the key is ended too, so the second is refused for good.
    services = service.service.installation.services

    async def end() -> None:
        await services.oauth.end_jwk("busy bank", kid, actor="test")

    service.portal.call(end)
    with pytest.raises(UnauthenticatedError) as refused:
        client.verifications.get(first.id)
    assert refused.value.status_code == 401
    assert refused.value.problem.code == "invalid_client" and "no live key" in str(refused.value)
    assert file.read_bytes().splitlines()[1].decode() not in repr(client) + str(refused.value)


@on_sqlite
def test_a_refused_token_is_replaced_once_under_the_same_idempotency_key(service: Attacked) -> None:
    pem, door = private_key(), SpoilingDoor(service)
    client = bank(service, door, register(service, pem)[0], pem)
    made = client.verifications.create(code="none")
    assert made.reason == "code_unknown"
    posts = [request for request in door.seen if request.url.endswith("/v1/verifications")]
    assert [request.headers["Authorization"] == SPOILED for request in posts] == [True, False]
    assert len({request.headers["Idempotency-Key"] for request in posts}) == 1
    assert door.paths().count("/oauth/token") == 2


def test_a_token_is_renewed_shortly_before_its_end_and_the_metadata_asked_for_once() -> None:
    clock = datetime(2026, 3, 4, tzinfo=UTC)
    asked: list[str] = []

    def send(make: Callable[[], Request]) -> Response:
        asked.append(make().url.rpartition("/")[2])
        answer = {"issuer": ISSUER_URL, "access_token": f"elk_at_{len(asked)}", "expires_in": 600}
        return Response(status=200, headers={}, body=json.dumps(answer).encode())

    steps = TokenSteps(
        client_id="c",
        signer=HolderSigner.from_pem(private_key()),
        endpoint=Endpoint(base_url=ISSUER_URL, api_key=None),
        now=lambda: clock,
    )
    tokens = AccessTokens(steps, send)
    assert [tokens.current(), tokens.current()] == ["elk_at_2", "elk_at_2"]
    clock += timedelta(seconds=569)
    assert tokens.current() == "elk_at_2"
    clock += timedelta(seconds=1)
    assert tokens.current() == "elk_at_3"
    assert asked == ["oauth-authorization-server", "token", "token"]


@on_sqlite
def test_no_assertion_is_made_for_another_issuer_than_the_one_meant(service: Attacked) -> None:
    door = Door(service)
    client = Elicense(
        client_id="c", private_key=private_key(), base_url="https://service.example", transport=door
    )
    with pytest.raises(ConfigurationError, match=ISSUER_URL):
        client.policies.list()
    assert door.paths() == ["/.well-known/oauth-authorization-server"]


@on_sqlite
def test_many_threads_fetch_one_token(service: Attacked) -> None:
    pem, door = private_key(), Door(service)
    client = bank(service, door, register(service, pem)[0], pem)
    threads = [Thread(target=client.policies.list) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert door.paths().count("/oauth/token") == 1
    assert door.paths().count("/v1/policies") == 8


@pytest.mark.parametrize(
    "settings",
    [
        {"client_id": "x"},
        {"private_key": b""},
        {"client_id": "x", "private_key": b"no key"},
        {"client_id": "x", "private_key": "/nowhere/key.pem"},
        {"client_id": "x", "private_key": private_key(), "api_key": "elk_live_a_b"},
    ],
)
def test_settings_that_cannot_work_are_named_at_once(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Elicense(base_url="https://service.example", **settings)  # type: ignore[arg-type]


@on_sqlite
def test_policies_alarms_and_requests(service: Attacked, tmp_path: Path) -> None:
    platform = by_key(service, "platform")
    made = platform.policies.create("strict", {"max_status_age": "1h"})
    assert (made.name, made.version, made.preset) == ("strict", 1, False)
    assert platform.policies.create("strict", {"max_status_age": "2h"}).version == 2
    assert platform.policies.get("strict", version=1) == made
    assert made.document["sha256"] == made.sha256
    assert {"strict", "bank-strict"} <= {one.name for one in platform.policies.list()}
    with pytest.raises(NotFoundError):
        platform.policies.get("nobodys")
    question = {"number": "attacked-1", "type_code": service.known["type_code"]}
    asked = platform.verifications.create(license=question, policy="strict@1")
    assert asked.policy["version"] == 1
    tried = platform.policies.dry_run(parts={"types": [f"{service.known['authority_code']}801"]})
    assert tried.judged == tried.total == tried.same + tried.changed + tried.cannot_tell
    assert asked.id in tried.changed_ids
    for number in range(21):
        try:
            platform.verifications.create(license=question, elements={"holder_name": f"guess {number}"})
        except APIStatusError as error:
            assert error.status_code == 429
    assert list(by_key(service, "authority").alarms()) == []  # one guesser is no alarm yet
    service.portal.call(service.service.installation.services.request_log.flush)
    routes = {one.route for one in platform.requests()}
    assert {"/v1/policies", "/v1/verifications"} <= routes


@on_sqlite
def test_directories_and_whole_lists_are_read_from_the_service(service: Attacked) -> None:
    platform, authority = by_key(service, "platform"), by_key(service, "authority")
    directory = platform.directory
    kinds = {one.kind for one in directory.reasons()}
    assert kinds == {"verification", "problem", "service", "import"}
    assert {"advertising_review"} <= {one.code for one in directory.purposes()}
    type_code = service.known["type_code"]
    assert type_code in {one.code for one in directory.license_types()}
    assert directory.license_type(type_code).elements
    assert any(scope.type_code == type_code for one in directory.authorities() for scope in one.scopes)
    assert all(one.code and one.name for one in directory.areas())
    question = {"number": "attacked-1", "type_code": type_code}
    answer = platform.verifications.batch([{"license": question}, {"nonsense": "x"}])
    assert answer.id and [one.index for one in answer.results] == [0, 1]
    assert answer.results[0].message and answer.results[0].purpose and answer.results[1].statement
    assert answer.results[0].id in {one.id for one in platform.verifications.iterate()}
    (license,) = authority.licenses.list(number="attacked-1")
    assert next(one.action for one in authority.licenses.iterate_history(license.id)) == "issue"
    assert json.loads(platform.trust.root(version=1)) == json.loads(platform.trust.root())
    with pytest.raises(NotFoundError):
        platform.trust.trust_list(sequence=999)
