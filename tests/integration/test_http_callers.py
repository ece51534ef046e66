"""Callers over HTTP: quotas over processes, allowed networks, clients' orders, one's own requests."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.api.schemas.callers import ClientDetail, LoggedRequestPage, NewKeyAnswer, PlanPage
from app.domain.api_client import ApiClient, ClientKind
from app.domain.errors import TooManyCalls
from app.domain.plan import Plan, lot_of
from app.main import create_app
from app.ports import Store, UnitOfWork
from app.services.quotas import PAUSE_AFTER_FAILURE, QuotaService
from app.settings import load_settings
from tests.installation import ROLLED_BACK, idempotent, open_again
from tests.integration.http_service import HttpService, assert_problem, open_http

pytestmark = pytest.mark.anyio
on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
"""For what no database has a part in."""


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def _named(service: HttpService, name: str) -> ApiClient:
    return (await service.installation.caller(name)).client


async def _count(quotas: QuotaService, client: ApiClient, most: int) -> int:
    for done in range(most):
        try:
            await quotas.take(client)
        except TooManyCalls:
            return done
    return most


async def test_a_days_quota_holds_over_two_processes_that_call_at_once(service: HttpService) -> None:
    services = service.installation.services
    await services.plans.put(
        Plan(name="small", calls_per_minute=100_000, burst=None, calls_per_day=500, batch_limit=1), actor="t"
    )
    await service.add_client("busy", kind=ClientKind.PLATFORM, plan="small")
    client = await _named(service, "busy")
    async with open_again(service.installation) as other:
        counts = await asyncio.gather(
            *(
                _count(one.services.quotas, client, 400)
                for one in (service.installation, other)
                for _ in range(2)
            )
        )
        assert sum(counts) == 500
        with pytest.raises(TooManyCalls):
            await services.quotas.take(client)
        service.installation.clock.advance(days=1)
        assert await _count(other.services.quotas, client, 3) == 3


async def test_a_quota_whose_row_is_held_elsewhere_is_counted_alone_and_then_in_the_database_again(
    service: HttpService,
) -> None:
    services, let_go, held = service.installation.services, asyncio.Event(), asyncio.Event()
    client = await _named(service, "platform")
    await services.quotas.take(client)
    quotas = QuotaService(services.store, services.clock, longest_wait_seconds=0.1)

    async def hold(unit: UnitOfWork) -> None:
        state = await unit.plans.spent(client.id)
        assert state is not None
        await unit.plans.keep_spent(state)
        held.set()
        await let_go.wait()

    async with open_again(service.installation) as other:
        holding = asyncio.create_task(other.services.store.write(hold))
        await held.wait()
        await quotas.take(client)
        assert await _counted(services.store, client) == lot_of(client), "only the first process's lot"
        let_go.set()
        await holding
    service.installation.clock.advance(seconds=61)
    for _ in range(50):  # on SQLite the one given up first comes to its end
        await quotas.take(client)
        if await _counted(services.store, client) > lot_of(client):
            break
        service.installation.clock.advance(seconds=61)
        await asyncio.sleep(0.1)
    assert await _counted(services.store, client) > lot_of(client)


async def _counted(store: Store, client: ApiClient) -> int:
    state = await store.read(lambda unit: unit.plans.spent(client.id))
    return 0 if state is None else state.day_used


async def test_two_processes_that_count_alone_would_be_caught(service: HttpService) -> None:
    class CountsAlone(QuotaService):
        """The broken twin: it forgets what others have spent."""

        async def _lease(self, account, now):  # type: ignore[no-untyped-def]
            account.shared_again_at = now + PAUSE_AFTER_FAILURE
            return await super()._lease(account, now)

    services = service.installation.services
    await service.add_client("busy", kind=ClientKind.PLATFORM, calls_per_minute=10)
    client = await _named(service, "busy")
    twins = [CountsAlone(services.store, services.clock) for _ in range(2)]
    assert sum([await _count(twin, client, 30) for twin in twins]) >= 20
    sound = [QuotaService(services.store, services.clock) for _ in range(2)]
    assert sum([await _count(one, client, 30) for one in sound]) <= 12


@on_sqlite
async def test_answers_tell_what_is_left_and_a_refusal_when_to_come_back(service: HttpService) -> None:
    await service.add_client("slow", kind=ClientKind.OPERATOR, calls_per_minute=3)
    answers = [await service.call("slow", "GET", "/v1/clients") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer.headers["ratelimit"].split(";t=")[0] for answer in answers[:3]] == [
        f'"minute";r={left}' for left in (2, 1, 0)
    ]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"minute";q=3;w=60'}
    assert_problem(answers[3], "rate_limited")
    assert 1 <= int(answers[3].headers["retry-after"]) <= 20
    waits = [int(answer.headers["ratelimit"].split(";t=")[1]) for answer in answers[2:4]]
    assert waits[1] == int(answers[3].headers["retry-after"]) and 2 < waits[1] <= waits[0] <= 20
    assert answers[3].headers["ratelimit"].startswith('"minute";r=0;')
    service.installation.clock.advance(seconds=20)
    assert (await service.call("slow", "GET", "/v1/clients")).status_code == 200


@on_sqlite
async def test_a_caller_that_hammers_on_costs_no_transactions(
    service: HttpService, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = service.installation.services
    await service.add_client("slow", kind=ClientKind.OPERATOR, calls_per_minute=1)
    client, store, writes = await _named(service, "slow"), services.store, 0

    class Counting:
        async def write(self, work):  # type: ignore[no-untyped-def]
            nonlocal writes
            writes += 1
            return await store.write(work)

    quotas = QuotaService(Counting(), services.clock)  # type: ignore[arg-type]
    assert await _count(quotas, client, 2) == 1
    for _ in range(50):
        with pytest.raises(TooManyCalls) as refusal:
            await quotas.take(client)
        assert 1 <= refusal.value.seconds <= 60
    assert writes == 2


async def test_a_new_plan_counts_at_once_for_the_clients_on_it(service: HttpService) -> None:
    body = {"name": "market", "calls_per_minute": 600, "burst": 50, "calls_per_day": 9000, "batch_limit": 20}
    assert (await service.call("operator", "POST", "/v1/plans", json=body)).status_code == 200
    client = await _named(service, "platform")
    path = f"/v1/clients/{client.id}/plan"
    given = await service.call("operator", "POST", path, json={"plan": "market"})
    assert given.json()["plan"] == "market" and given.json()["batch_limit"] == 20
    answer = await service.call("platform", "GET", "/v1/verifications")
    assert answer.headers["ratelimit-policy"] == '"minute";q=600;w=60, "day";q=9000;w=86400'
    await service.call("operator", "POST", "/v1/plans", json={**body, "calls_per_minute": 700})
    answer = await service.call("platform", "GET", "/v1/verifications")
    assert answer.headers["ratelimit-policy"].startswith('"minute";q=700')
    plans = PlanPage.model_validate((await service.call("operator", "GET", "/v1/plans")).json())
    assert {"standard", "trial", "bulk", "market"} == {plan.name for plan in plans.data}
    assert_problem(await service.call("operator", "POST", path, json={"plan": "nothing"}), "invalid_request")


@on_sqlite
async def test_reading_goes_on_under_its_rate_while_nothing_may_be_written(service: HttpService) -> None:
    await service.add_client("slow", kind=ClientKind.OPERATOR, calls_per_minute=3)
    await service.installation.caller("slow")
    service.installation.services.guard.restrict(ROLLED_BACK)
    answers = [await service.call("slow", "GET", "/v1/clients") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    service.installation.services.guard.lift()


async def test_a_client_calls_from_its_networks_only(service: HttpService) -> None:
    installation = service.installation
    client = await _named(service, "bank")
    path = f"/v1/clients/{client.id}/networks"
    networks = ["203.0.113.0/24", "2001:db8::/32", "203.0.113.0/24"]
    changed = await service.call("operator", "POST", path, json={"networks": networks})
    assert changed.json()["allowed_networks"] == networks[:2]
    for wrong in (["203.0.113.7/24"], ["300.1.1.1"], ["::/129"]):
        assert_problem(
            await service.call("operator", "POST", path, json={"networks": wrong}), "invalid_request"
        )
    settings = load_settings(
        installation.settings.data_dir,
        environ={"ELICENSE_TRUSTED_PROXIES": "10.0.0.0/8"},
        default_environment="development",
    )
    app = create_app(settings, services=installation.services)
    bearer = {"Authorization": f"Bearer {installation.keys['bank']}"}
    for peer, forwarded, good in (
        ("203.0.113.9", None, True),
        ("2001:db8::9", None, True),
        ("198.51.100.9", None, False),
        ("198.51.100.9", "203.0.113.9", False),
        ("10.1.1.1", "203.0.113.9", True),
        ("10.1.1.1", "203.0.113.9, 198.51.100.9", False),
    ):
        transport = httpx.ASGITransport(app=app, client=(peer, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://service.example") as http:
            headers = {**bearer, **({"X-Forwarded-For": forwarded} if forwarded else {})}
            answer = await http.get("/v1/verifications", headers=headers)
            assert answer.status_code == (200 if good else 403), (peer, forwarded)
            if not good:
                assert_problem(answer, "address_not_allowed")
                assert "ratelimit" not in answer.headers
    assert (await service.call("operator", "POST", path, json={"networks": []})).status_code == 200
    assert (await service.call("bank", "GET", "/v1/verifications")).status_code == 200


async def test_an_operator_makes_changes_and_ends_a_client(service: HttpService) -> None:
    body = {"name": "a-bank", "kind": "bank", "plan": "trial"}
    made = await service.call(
        "operator", "POST", "/v1/clients", json=body, headers={"Idempotency-Key": "one"}
    )
    assert made.status_code == 201
    first = NewKeyAnswer.model_validate(made.json())
    assert first.secret and first.client.plan == "trial" and first.client.calls_per_day == 5000
    again = await service.call(
        "operator", "POST", "/v1/clients", json=body, headers={"Idempotency-Key": "one"}
    )
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == {**made.json(), "secret": None}
    assert_problem(await service.call("operator", "POST", "/v1/clients", json=body), "conflict")
    service.installation.keys["first"] = first.secret
    path = f"/v1/clients/{first.client.id}"
    secrets = [first.secret]
    for _ in range(2):
        rotated = await service.call("operator", "POST", f"{path}/rotate", json={"overlap_seconds": 3600})
        assert rotated.status_code == 201
        secrets.append(rotated.json()["secret"])
    statuses = []
    for secret in secrets:
        service.installation.keys["now"] = secret
        statuses.append((await service.call("now", "GET", "/v1/verifications")).status_code)
    assert statuses == [401, 200, 200]
    await service.installation.services.request_log.flush()
    detail = ClientDetail.model_validate((await service.call("operator", "GET", path)).json())
    assert sorted(key.last_used_at is not None for key in detail.keys) == [False, True, True]
    revoked = await service.call("operator", "POST", f"{path}/revoke", json={})
    assert revoked.json()["revoked_at"] and all(key["revoked_at"] for key in revoked.json()["keys"])
    assert_problem(await service.call("now", "GET", "/v1/verifications"), "key_revoked")
    audit = (await service.call("operator", "GET", "/v1/audit?limit=200")).text
    for action in ("client.create", "client.rotate", "client.revoke"):
        assert action in audit
    operator = await _named(service, "operator")
    assert operator.id in audit
    assert not any(secret in audit + detail.model_dump_json() for secret in secrets)


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("clients", {"name": "x", "kind": "authority", "authority_code": "none"}, "/authority_code"),
        ("clients", {"name": "x", "kind": "authority"}, "/authority_code"),
        ("clients", {"name": "x", "kind": "bank", "scopes": ["all"]}, "/scopes/0"),
        ("clients", {"name": "x", "kind": "bank", "scopes": ["licenses:read"]}, "/scopes"),
        ("clients", {"name": "x", "kind": "bank", "purposes": ["fun"]}, "/purposes"),
        ("clients", {"name": "x", "kind": "bank", "plan": "none"}, "/plan"),
        ("clients", {"name": "x", "kind": "bank", "allowed_networks": ["here"]}, "/allowed_networks/0"),
        ("plans", {"name": "custom", "calls_per_minute": 1, "batch_limit": 1}, "/name"),
        ("plans", {"name": "x", "calls_per_minute": 1, "burst": 2, "batch_limit": 1}, "/burst"),
    ],
)
async def test_what_is_wrong_with_a_client_or_plan_is_told_in_the_language_asked_for(
    service: HttpService, path: str, body: dict[str, object], pointer: str
) -> None:
    told = {}
    for language in ("zh", "en"):
        refused = await service.call(
            "operator", "POST", f"/v1/{path}", json=body, headers={"Accept-Language": language}
        )
        assert_problem(refused, "invalid_request")
        (told[language],) = refused.json()["errors"]
    assert told["zh"]["pointer"] == told["en"]["pointer"] == pointer
    assert re.search("[\u4e00-\u9fff]", told["zh"]["detail"]) and told["en"]["detail"].isascii()


async def test_no_secret_is_kept_to_repeat_an_answer_by(service: HttpService) -> None:
    body = {"name": "x", "kind": "platform"}
    made = await service.call(
        "operator", "POST", "/v1/clients", json=body, headers={"Idempotency-Key": "kept"}
    )
    operator = await _named(service, "operator")
    call = idempotent("kept", path="/v1/clients", client_id=operator.id)
    row = await service.installation.services.store.read(lambda unit: unit.idempotency.find(call))
    assert row is not None and row.answer is not None and made.json()["secret"]
    assert b'"secret":null' in row.answer.body and made.json()["secret"].encode() not in row.answer.body


async def test_a_caller_reads_its_own_requests_and_nobody_elses(service: HttpService) -> None:
    issued = await service.issue()
    answer = await service.verify(license={"identifier": issued["identifier"]}, reference="canary-7")
    await service.call(
        "platform", "GET", f"/v1/verifications/{answer['id']}", headers={"X-Request-Id": "mine-1"}
    )
    await service.call("platform", "GET", "/v1/verifications?reference=canary-7")
    await service.call("platform", "GET", "/v1/licenses/nothing")
    await service.call("bank", "GET", "/v1/verifications")
    first = await service.call("platform", "GET", "/v1/requests?limit=3")
    page = LoggedRequestPage.model_validate(first.json())
    assert [(one.method, one.route, one.status) for one in page.data] == [
        ("GET", "/v1/licenses/{license_id}", 403),
        ("GET", "/v1/verifications", 200),
        ("GET", "/v1/verifications/{verification_id}", 200),
    ]
    assert page.data[2].request_id == "mine-1" and page.data[0].duration_ms > 0
    rest = await service.call("platform", "GET", f"/v1/requests?cursor={page.next_cursor}")
    assert [one["route"] for one in rest.json()["data"]] == ["/v1/verifications"]
    assert rest.json()["next_cursor"] is None
    assert "canary-7" not in first.text + rest.text and issued["identifier"] not in first.text + rest.text
    assert_problem(await service.call("platform", "GET", "/v1/requests?cursor=x"), "invalid_request")


async def test_old_requests_are_forgotten_and_a_full_log_loses_only_the_oldest(service: HttpService) -> None:
    log, clock = service.installation.services.request_log, service.installation.clock
    await service.call("bank", "GET", "/v1/verifications")
    await log.flush()
    clock.advance(days=31)
    await service.call("bank", "GET", "/v1/verifications")
    await log.flush()
    assert await log.sweep() == 1
    kept, _ = await log.page(await service.installation.caller("bank"), cursor=None, limit=10)
    assert len(kept) == 1
    service.installation.services.guard.restrict(ROLLED_BACK)
    assert (await service.call("bank", "GET", "/v1/requests")).status_code == 200
    service.installation.services.guard.lift()
    kept, _ = await log.page(await service.installation.caller("bank"), cursor=None, limit=10)
    assert len(kept) == 2


async def test_an_orderly_end_writes_what_waits_and_a_crash_loses_only_that(service: HttpService) -> None:
    log = service.installation.services.request_log
    bank = await service.installation.caller("bank")
    async with log.writing():
        await service.call("bank", "GET", "/v1/verifications")
    async with open_again(service.installation) as other:
        kept, _ = await other.services.request_log.page(bank, cursor=None, limit=10)
        assert len(kept) == 1
        answer = await service.verify(role="bank", license={"identifier": "1.2.156.3005.2.x"})
        # As another process sees it before the flush: the log lacks the call, verification and audit are there.
        kept, _ = await other.services.request_log.page(bank, cursor=None, limit=10)
        assert len(kept) == 1
        assert (await other.services.verification.get(answer["id"], caller=bank)).id == answer["id"]
        entries, _ = await other.services.audit.page(cursor=None, limit=50)
        assert answer["id"] in {entry.subject for entry in entries}
