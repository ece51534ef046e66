"""The sandbox beside an installation: magic codes, clocks of one's own, and nothing of it in the live service."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from app.api.routing import PlainRoute
from app.api.sandbox_switch import SandboxSwitch
from app.api.schemas.sandbox import ClockAnswer, CodePage
from app.api.schemas.verifications import QuestionBody
from app.bootstrap import open_root_keys, open_services
from app.cli.common import settings_of
from app.demo.sandbox import ROOT_FILE, prepare_sandbox
from app.demo.sandbox_seeding import seed_sandbox
from app.domain.api_client import ClientKind
from app.domain.errors import DomainError
from app.domain.sandbox import MAGIC_CODES, SandboxCaller, Scenario
from app.main import create_app, create_application
from app.services.container import Services
from app.services.question_judge import Moment
from app.services.rehearsal import Rehearsal
from app.services.verification_answers import AskedQuestion
from elicense.cn import uscc_problem
from elicense.evidence import gather_offline
from elicense.policy import DEFAULT_POLICY, PRESETS
from elicense.receipt import parse_receipt
from elicense.verify import verify_credential
from tests.installation import ISSUER_URL, Installation, open_installation
from tests.integration.http_service import assert_problem
from tests.readme import ROOT

pytestmark = pytest.mark.anyio
on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@dataclass(frozen=True, slots=True)
class World:
    """A live installation, the sandbox beside it, and one door to both. `keys` are the sandbox's, by client."""

    live: Installation
    sandbox: Services
    http: httpx.AsyncClient
    keys: dict[str, str]

    async def call(
        self, key: str, method: str, path: str, json: object = None, **headers: str
    ) -> httpx.Response:
        sent = {"Authorization": f"Bearer {self.keys.get(key) or self.live.keys[key]}", **headers}
        return await self.http.request(method, path, json=json, headers=sent)

    async def ask(self, key: str, **question: object) -> dict[str, Any]:
        response = await self.call(key, "POST", "/v1/verifications", question)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def codes(self) -> dict[str, dict[str, Any]]:
        response = await self.call("one", "GET", "/v1/sandbox/codes")
        CodePage.model_validate(response.json())
        return {code["scenario"]: code for code in response.json()["data"]}

    async def move(self, key: str, **body: object) -> dict[str, Any]:
        response = await self.call(key, "POST", "/v1/sandbox/clock", body)
        assert response.status_code == 200, response.text
        ClockAnswer.model_validate(response.json())
        answer: dict[str, Any] = response.json()
        return answer


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with open_installation(database_url, tmp_path) as live:
        await prepare_sandbox(live.settings, issuer_url=ISSUER_URL)
        async with open_services(live.settings.for_sandbox(), clock=live.clock) as sandbox:
            keys = {}
            for name in ("one", "other"):
                made = await sandbox.api_clients.create(name=name, kind=ClientKind.PLATFORM, actor="test")
                keys[name] = made.secret
            app = create_application(live.settings, services=live.services, sandbox=sandbox)
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app=app), base_url="http://service.example"
            ) as http:
                yield World(live, sandbox, http, keys)


def by_holder(code: dict[str, Any]) -> dict[str, Any]:
    return {"license": {"holder_code": code["holder_code"], "type_code": code["type_code"]}}


def ways(code: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every way to ask about a code, with its elements."""
    more = {"elements": code["elements"]} if code["elements"] else {}
    asked = [by_holder(code)]
    if code["identifier"] is not None:
        asked += [
            {"license": {"identifier": code["identifier"]}},
            {"license": {"number": code["number"], "type_code": code["type_code"]}},
            {"credential": code["credential"]},
        ]
    return [{**one, **more} for one in asked]


def test_every_scenario_has_one_code_with_both_check_characters_right() -> None:
    assert [code.scenario for code in MAGIC_CODES] == list(Scenario)
    assert len({code.holder_code for code in MAGIC_CODES}) == len(MAGIC_CODES)
    assert [uscc_problem(code.holder_code) for code in MAGIC_CODES] == [None] * len(MAGIC_CODES)


async def test_each_code_answers_as_it_says_whichever_way_it_is_asked_about(world: World) -> None:
    codes = await world.codes()
    assert list(codes) == [scenario.value for scenario in Scenario]
    calm = [
        code
        for name, code in codes.items()
        if code["expected"]["status"] == 200 and name not in (Scenario.UNAVAILABLE_ONCE, Scenario.SLOW)
    ]
    for code in calm:
        for question in ways(code):
            answer = await world.ask("one", **question)
            expected = code["expected"]
            assert (answer["verdict"], answer["reason"]) == (expected["verdict"], expected["reason"]), code
            assert answer["env"] == "test"
    batch = await world.call(
        "one",
        "POST",
        "/v1/verifications/batch",
        {"items": [question for code in calm for question in ways(code)]},
    )
    reasons = [code["expected"]["reason"] for code in calm for _ in ways(code)]
    assert [result["reason"] for result in batch.json()["results"]] == reasons


@on_sqlite
async def test_two_licenses_are_ambiguous_by_their_holder_alone_and_the_readme_says_so(world: World) -> None:
    ambiguous = (await world.codes())["ambiguous"]
    code, type_code = ambiguous["holder_code"], ambiguous["type_code"]
    assert (await world.ask("one", **by_holder(ambiguous)))["reason"] == "ambiguous"
    by_number = {"license": {"number": code, "type_code": type_code}}
    assert (await world.ask("one", **by_number))["reason"] != "ambiguous"
    for name, told in (("README.md", "by holder code only"), ("README.zh-CN.md", "仅限按主体代码询问")):
        (row,) = [line for line in (ROOT / name).read_text().splitlines() if code in line]
        assert told in row


@on_sqlite
async def test_only_a_question_that_shows_a_file_is_answered_with_a_code_about_the_file(world: World) -> None:
    codes = await world.codes()
    for scenario in (Scenario.SIGNATURE_INVALID, Scenario.SUPERSEDED, Scenario.VALID):
        questions = ways(codes[scenario])
        batch = await world.call("one", "POST", "/v1/verifications/batch", {"items": questions})
        for question, item in zip(questions, batch.json()["results"], strict=True):
            answer = await world.ask("one", **question)
            assert answer["reason"] == codes[scenario]["expected"]["reason"]
            is_file = "credential" in question
            for one in (answer, item):
                assert (one["file_result_code"] is not None) is is_file, (scenario, question)


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_refusals_and_slowness_are_staged_for_the_call_that_asks_for_them(world: World) -> None:
    codes = await world.codes()
    limited, away, slow = (
        codes[name] for name in (Scenario.RATE_LIMITED, Scenario.UNAVAILABLE_ONCE, Scenario.SLOW)
    )
    for question in ways(limited):
        refused = await world.call("one", "POST", "/v1/verifications", question)
        assert_problem(refused, "rate_limited")
        assert refused.headers["retry-after"] == "30"
    mixed = {"items": [by_holder(codes["valid"]), by_holder(limited)]}
    assert_problem(await world.call("one", "POST", "/v1/verifications/batch", mixed), "rate_limited")
    for question in (*ways(away), by_holder(away)):
        refused = await world.call("one", "POST", "/v1/verifications", question)
        assert_problem(refused, "unavailable")
        assert refused.headers["retry-after"] == "5"
        assert (await world.ask("one", **question))["verdict"] == "valid"
    mixed = {"items": [by_holder(codes["valid"]), by_holder(away)]}
    assert_problem(await world.call("one", "POST", "/v1/verifications/batch", mixed), "unavailable")
    batch = await world.call("one", "POST", "/v1/verifications/batch", mixed)
    assert [result["verdict"] for result in batch.json()["results"]] == ["valid", "valid"]
    assert_problem(await world.call("other", "POST", "/v1/verifications", by_holder(away)), "unavailable")
    started = monotonic()
    valid, fast = await asyncio.gather(
        world.ask("one", **by_holder(slow)), world.ask("other", **by_holder(codes["valid"]))
    )
    assert valid["verdict"] == fast["verdict"] == "valid"
    assert monotonic() - started >= 3


@on_sqlite
async def test_a_slow_code_waits_once_for_each_call_however_it_is_asked_about(world: World) -> None:
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)

    rehearsal = Rehearsal(world.sandbox.store, pause=pause)
    now = world.live.clock.now()
    trust = await world.sandbox.trust_list.evidence()
    directory = await world.sandbox.directory.snapshot()
    moment = Moment(now=now, trust=trust, directory=directory, true_time=now)
    questions = [QuestionBody.model_validate(one).to_domain() for one in ways((await world.codes())["slow"])]
    asked = [
        AskedQuestion(question=question, policy=DEFAULT_POLICY, purpose="credit_review", client_id="c")
        for question in questions
    ]
    for one in asked:
        assert await rehearsal.stage([one], moment, client_id="c") == [(one, moment)]
    assert waited == [3.0] * len(asked) and len(asked) == 4
    await rehearsal.stage(asked, moment, client_id="c")
    assert waited == [3.0] * (len(asked) + 1)


@on_sqlite
async def test_a_client_that_moves_its_clock_sees_a_license_expire_and_nobody_else_does(world: World) -> None:
    expiring = (await world.codes())["expiring"]
    ends = datetime.fromisoformat(expiring["valid_until"] + "T00:00:00+08:00")
    questions = ways(expiring)
    assert {(await world.ask("one", **one))["reason"] for one in questions} == {"ok"}
    moved = await world.move("one", now=(ends + timedelta(days=1)).isoformat())
    assert moved["ahead_seconds"] > 300 * 86400
    for question in questions:
        assert (await world.ask("one", **question))["reason"] == "expired"
        assert (await world.ask("other", **question))["reason"] == "ok"
    answer = await world.ask("one", **by_holder(expiring), at=world.live.clock.now().isoformat())
    assert answer["reason"] != "expired"  # what held before it ended can still be asked
    valid = await world.ask("one", **by_holder((await world.codes())["valid"]))
    assert valid["verdict"] == "valid"
    assert valid["verified_at"][:10] == valid["evaluated_at"][:10] == moved["now"][:10]
    due_at = datetime.fromisoformat(valid["next_check_due"])
    for seconds, is_due in ((0, False), (1, True)):
        before = (due_at + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        due = await world.call("one", "GET", f"/v1/verifications?due_before={before}&limit=200")
        assert (valid["id"] in [one["id"] for one in due.json()["data"]]) is is_due
    await world.move("one", ahead_seconds=0)
    assert (await world.ask("one", **questions[0]))["reason"] == "ok"


@on_sqlite
async def test_under_a_moved_clock_the_answer_is_dated_by_it_and_what_is_signed_and_kept_by_the_true_time(
    world: World,
) -> None:
    moved = await world.move("one", ahead_seconds=9 * 365 * 86400)
    before = int(world.live.clock.now().timestamp())
    answer = await world.ask("one", **by_holder((await world.codes())["valid"]))
    assert answer["verdict"] == "valid", answer["checks"]
    receipt = parse_receipt(answer["receipt"])
    assert abs(receipt.issued_at.timestamp() - before) < 60
    kept = await world.sandbox.store.read(
        lambda unit: unit.verifications.get(answer["id"], client_id=receipt.audience)
    )
    assert kept is not None and abs(kept.verified_at - receipt.issued_at) < timedelta(seconds=60)
    assert kept.answer["verified_at"] == answer["verified_at"], "what was answered is kept as it was"
    assert answer["verified_at"][:10] == moved["now"][:10]
    assert receipt.payload["evaluated_at"] == datetime.fromisoformat(answer["evaluated_at"]).timestamp()


@on_sqlite
async def test_the_clock_moves_ahead_only_and_at_most_ten_years(world: World) -> None:
    now = world.live.clock.now()
    for body in (
        {"now": (now - timedelta(days=1)).isoformat()},
        {"now": (now + timedelta(days=4000)).isoformat()},
        {"ahead_seconds": -1},
        {"ahead_seconds": 1, "now": now.isoformat()},
        {},
    ):
        assert_problem(await world.call("one", "POST", "/v1/sandbox/clock", body), "invalid_request")
    finer = (now + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    assert 86_300 < (await world.move("one", now=finer))["ahead_seconds"] <= 86_401
    key = {"Idempotency-Key": "move-1"}
    first = await world.call("one", "POST", "/v1/sandbox/clock", {"ahead_seconds": 60}, **key)
    again = await world.call("one", "POST", "/v1/sandbox/clock", {"ahead_seconds": 60}, **key)
    assert again.headers["idempotent-replayed"] == "true" and again.json() == first.json()
    shown = (await world.call("one", "GET", "/v1/sandbox/clock")).json()
    assert shown["ahead_seconds"] == 60 and shown["now"] > shown["true_time"]


async def test_keys_of_one_side_reach_nothing_of_the_other(world: World) -> None:
    codes = await world.codes()
    license_ = await world.live.issue()
    reference = {"license": {"identifier": license_.identifier}}
    assert (await world.ask("platform", **reference))["reason"] == "ok"
    assert (await world.ask("one", **reference))["reason"] == "not_found"
    assert (await world.ask("platform", **by_holder(codes["valid"])))["reason"] == "not_found"
    # What one side has signed is nothing to the other.
    token = await world.live.credential(license_)
    assert (await world.ask("one", credential=token))["reason"] == "issuer_unknown"
    foreign = await world.ask("platform", credential=codes["valid"]["credential"])
    assert foreign["reason"] == "issuer_unknown"
    for path in (f"/v1/verifications/{foreign['id']}", "/v1/licenses/none", "/v1/clients"):
        assert (await world.call("one", "GET", path)).status_code in (403, 404)
    # Under /sandbox only sandbox keys count; elsewhere a key says where it belongs.
    body = by_holder(codes["valid"])
    assert_problem(
        await world.call("platform", "POST", "/sandbox/v1/verifications", body), "wrong_environment"
    )
    under = await world.call("one", "POST", "/sandbox/v1/verifications", body)
    assert under.json()["reason"] == "ok"
    with pytest.raises(DomainError, match="elk_live_"):
        await world.live.services.api_clients.authenticate(world.keys["one"])
    for path in ("/v1/sandbox/codes", "/v1/sandbox/clock"):
        assert_problem(await world.call("platform", "GET", path), "forbidden")


@on_sqlite
async def test_a_sandbox_key_changes_nothing_about_what_caches_may_keep(
    world: World, subtests: pytest.Subtests
) -> None:
    app = create_app(world.live.settings, services=world.live.services)
    cacheable = [
        route.path
        for route in app.router.routes
        if isinstance(route, PlainRoute) and 304 in (route.responses or {}) and "{" not in route.path
    ]
    assert {"/v1/bundle", "/v1/trust-root", "/log/checkpoint", "/v1/license-types"} <= set(cacheable)
    seen = 0
    for path in cacheable:
        for header in (f"Bearer {world.keys['one']}", "elk_test_", "Basic x elk_test_y"):
            with subtests.test(path=path, header=header):
                plain = await world.http.get(path)
                keyed = await world.http.get(path, headers={"Authorization": header})
                names = ("cache-control", "vary", "etag", "content-type")
                assert keyed.status_code == plain.status_code
                assert [keyed.headers.get(name) for name in names] == [
                    plain.headers.get(name) for name in names
                ]
                if plain.status_code == 200:
                    assert keyed.content == plain.content
                    seen += (await world.http.get(f"/sandbox{path}")).content != plain.content
    assert seen > 12, "most documents of the two differ, so that the comparison says something"


@on_sqlite
async def test_the_sandbox_publishes_its_own_trust_and_the_live_root_does_not_cover_it(world: World) -> None:
    code = (await world.codes())["valid"]
    settings = world.live.settings.for_sandbox()
    root = (settings.data_dir / ROOT_FILE).read_bytes()
    live_root = (await world.http.get("/v1/trust-root")).content
    assert (await world.http.get("/sandbox/v1/trust-root")).content == root != live_root
    bundle = (await world.http.get("/sandbox/v1/bundle")).content
    now = datetime.now(UTC)
    policy = PRESETS["platform-default"]
    good, bad = (gather_offline(trust_root=pinned, bundle=bundle, now=now) for pinned in (root, live_root))
    assert verify_credential(code["credential"], evidence=good, policy=policy).reason == "ok"
    assert not verify_credential(code["credential"], evidence=bad, policy=policy)
    (list_uri,) = (await world.http.get("/sandbox/v1/status-lists")).json()["status_lists"]
    assert list_uri.startswith("https://sandbox.")


@on_sqlite
async def test_no_code_means_anything_where_there_is_no_sandbox(world: World) -> None:
    # The very licenses of the magic codes, in services that are wired as a live installation's.
    settings = replace(world.live.settings.for_sandbox(), is_sandbox=False)
    codes = await world.codes()
    await world.move("one", ahead_seconds=9 * 365 * 86400)
    async with open_services(settings, clock=world.live.clock) as plain:
        caller = await plain.api_clients.create(name="live", kind=ClientKind.PLATFORM, actor="test")
        assert caller.secret.startswith("elk_live_")
        app = create_application(settings, services=plain)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://service.example"
        ) as http:
            for name in ("rate_limited", "unavailable_once", "slow", "stale", "signature_invalid"):
                started = monotonic()
                response = await http.post(
                    "/v1/verifications",
                    json=by_holder(codes[name]),
                    headers={"Authorization": f"Bearer {caller.secret}"},
                )
                assert response.json()["reason"] == "ok", name
                assert monotonic() - started < 3


@on_sqlite
async def test_seeding_again_changes_nothing_but_renews_what_is_about_to_end(world: World) -> None:
    before = await world.codes()
    await seed_sandbox(world.sandbox)
    assert await world.codes() == before
    world.live.clock.advance(days=340)
    settings = world.live.settings.for_sandbox()
    await world.sandbox.ceremony.init(root_keys=open_root_keys(settings), issuer_url=world.sandbox.issuer_url)
    await seed_sandbox(world.sandbox)
    after = await world.codes()
    assert after["expiring"]["valid_until"] > before["expiring"]["valid_until"]
    assert {name for name in before if before[name] != after[name]} == {"expiring"}


@on_sqlite
async def test_a_sandbox_that_does_not_open_answers_503_and_the_live_service_goes_on(
    world: World, tmp_path: Path
) -> None:
    settings = world.live.settings
    (settings.for_sandbox().data_dir / "elicense.db").write_bytes(b"no database at all, but of some length")
    app = create_application(settings)
    assert isinstance(app, SandboxSwitch)
    sent: list[Any] = []
    begun, up = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, str]:
        if begun.is_set():
            await asyncio.sleep(3600)
        begun.set()
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)
        up.set()

    serving = asyncio.create_task(app({"type": "lifespan"}, receive, send))
    await up.wait()
    assert sent == [{"type": "lifespan.startup.complete"}]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://service.example"
    ) as http:
        headers = {"Authorization": f"Bearer {world.keys['one']}"}
        assert_problem(await http.get("/v1/sandbox/codes", headers=headers), "unavailable")
        assert (await http.get("/readyz")).status_code == 200
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_what_is_remembered_of_a_caller_is_its_own(world: World) -> None:
    ids = {entry.client.name: entry.client.id for entry in await world.sandbox.api_clients.list()}
    one = SandboxCaller(client_id=ids["one"], ahead_seconds=5, unavailable_turns=3)
    await world.sandbox.store.write(lambda unit: unit.sandbox.put(one))
    await world.sandbox.store.write(lambda unit: unit.sandbox.put(replace(one, ahead_seconds=7)))
    read = world.sandbox.store.read
    assert await read(lambda unit: unit.sandbox.get(ids["one"])) == replace(one, ahead_seconds=7)
    assert await read(lambda unit: unit.sandbox.get(ids["other"])) is None


@on_sqlite
async def test_commands_on_the_sandboxs_folder_are_the_sandboxs_and_keep_options_that_were_not_given(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELICENSE_ENV", "development")
    folder = world.live.settings.for_sandbox().data_dir
    own = settings_of(folder, strict_environment=True, host=None, port=8123, workers=None)
    assert own.is_sandbox and own.data_dir == folder
    assert (own.host, own.port, own.workers) == ("127.0.0.1", 8123, 1)
