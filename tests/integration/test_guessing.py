"""Guessing at a license's elements: it stops at the budget, and tells nothing on the way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.api.schemas.answers import BatchAnswerBody, VerificationAnswerBody
from app.api.schemas.guessing import AlarmPage
from app.domain.api_client import ClientKind
from app.domain.guessing import Guesses, GuessingTerms
from app.main import create_app
from app.ports import GuessingRepository, Store, UnitOfWork
from elicense.credential import select_disclosures
from tests.installation import Installation, open_again, services_over
from tests.integration.http_service import HttpService, assert_problem, open_http

pytestmark = pytest.mark.anyio
once = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

BUDGET, LOWERED, ALARM = 6, 2, 18


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    settings = {"guess_budget": BUDGET, "guess_budget_lowered": LOWERED, "guess_alarm": ALARM}
    async with open_http(database_url, tmp_path, **settings) as opened:
        yield opened


async def _ask(
    service: HttpService, *, role: str = "platform", key: str | None = None, **question: object
) -> httpx.Response:
    headers = {} if key is None else {"idempotency-key": key}
    return await service.call(role, "POST", "/v1/verifications", json=question, headers=headers)


def _reference(license: dict[str, Any]) -> dict[str, str]:
    return {"number": license["number"], "type_code": license["type_code"]}


async def _spend(
    service: HttpService, reference: dict[str, str], *, role: str = "platform", budget: int = BUDGET
) -> list[httpx.Response]:
    """Guess wrong until the budget is spent; return the answers, the refusal last."""
    elements = [{"address": f"猜测路{number}号"} for number in range(budget + 1)]
    return [await _ask(service, role=role, license=reference, elements=one) for one in elements]


async def test_guessing_stops_at_the_budget_even_for_the_right_value(service: HttpService) -> None:
    issued = await service.issue()
    *answers, refused = await _spend(service, _reference(issued))
    assert {answer.json()["reason"] for answer in answers} == {"mismatch"}
    assert_problem(refused, "rate_limited")
    assert 60 <= int(refused.headers["retry-after"]) <= 3600
    right = {"address": issued["elements"]["address"]}
    assert_problem(await _ask(service, license=_reference(issued), elements=right), "rate_limited")
    # One license has one budget, whichever way it is named.
    by_name = {"identifier": issued["identifier"]}
    assert_problem(await _ask(service, license=by_name, elements=right), "rate_limited")


async def test_the_budget_is_that_caller_s_on_that_license_alone_and_comes_back(service: HttpService) -> None:
    issued, other = await service.issue(), await service.issue()
    await _spend(service, _reference(issued))
    right = {"address": issued["elements"]["address"]}
    bank = await _ask(service, role="bank", license=_reference(issued), elements=right)
    assert bank.json()["verdict"] == "valid"
    elsewhere = await _ask(
        service, license=_reference(other), elements={"address": other["elements"]["address"]}
    )
    assert elsewhere.json()["verdict"] == "valid"
    # Without elements nothing is guessed.
    assert (await _ask(service, license=_reference(issued))).json()["verdict"] == "valid"
    assert (await _ask(service, code="X")).json()["reason"] == "code_unknown"
    service.installation.clock.advance(seconds=3601)
    assert (await _ask(service, license=_reference(issued), elements=right)).json()["verdict"] == "valid"


@once
async def test_a_license_that_does_not_exist_is_refused_in_the_very_same_form(service: HttpService) -> None:
    issued = await service.issue()
    missing = {"number": "91320100MA0T77777X", "type_code": issued["type_code"]}
    *wrong, refused = await _spend(service, _reference(issued))
    *unknown, refused_too = await _spend(service, missing)
    assert {answer.json()["reason"] for answer in unknown} == {"not_found"}
    assert (refused.status_code, _form(refused)) == (refused_too.status_code, _form(refused_too))
    # Another way of writing the same number is no other license.
    spaced = {**missing, "number": "91320100-ma0t 77777x"}
    assert_problem(await _ask(service, license=spaced, elements={"address": "x"}), "rate_limited")
    item = {"elements": {"address": "x"}}
    batch = [{"license": _reference(issued), **item}, {"license": missing, **item}]
    one, two = (
        await service.call("platform", "POST", "/v1/verifications/batch", json={"items": batch})
    ).json()["results"]
    hidden = {"id", "question_salt", "statement", "index", "path"}
    assert {name: one[name] for name in one if name not in hidden} == {
        name: two[name] for name in two if name not in hidden
    }
    assert len(wrong) == len(unknown) == BUDGET


def _form(response: httpx.Response) -> tuple[object, ...]:
    document = {**response.json(), "request_id": ""}
    its_own = {"x-request-id", "ratelimit"}
    headers = {name: value for name, value in response.headers.items() if name not in its_own}
    return document, headers, len(response.content)


@once
async def test_answers_to_wrong_guesses_are_of_one_length_whatever_is_asked_or_stored(
    service: HttpService,
) -> None:
    seen = set()
    kept = ("x", "街" * 40, "南京市玄武区中山路1号" * 30)
    guesses = ("", "y", "南京市", "玄武" * 500, "1" * 10_000, "\U0001f600", "南京市玄武区中山路2号")
    for address, some in product(kept, (guesses[:4], guesses[4:])):
        issued = await service.issue(elements={"address": address})
        for guess in some:
            answer = await _ask(service, license=_reference(issued), elements={"address": guess})
            VerificationAnswerBody.model_validate(answer.json())
            names = tuple(sorted((name, len(value)) for name, value in answer.headers.items()))
            seen.add((answer.status_code, answer.json()["reason"], len(answer.content), names))
            assert address not in answer.text or address == "x"
    assert len(seen) == 1, seen


@once
async def test_a_registered_capital_cannot_be_found_by_halving(service: HttpService) -> None:
    issued = await service.issue(elements={"address": "保密路7号"})
    low, high, refusals = 0, 1 << 30, 0
    for _ in range(2 * BUDGET):
        middle = (low + high) // 2
        answer = await _ask(service, license=_reference(issued), elements={"address": f"保密路{middle}号"})
        if answer.status_code == 429:
            refusals += 1
            continue
        # Equal or not is all there is: nothing says in which half to go on.
        assert answer.json()["elements"] == [{"name": "address", "outcome": "mismatch"}]
        high = middle
    assert refusals == BUDGET


async def test_guesses_from_many_connections_and_processes_do_not_overshoot(service: HttpService) -> None:
    issued = await service.issue()
    credential = select_disclosures(await service.credential(issued["id"]), ())
    async with open_again(service.installation) as again:
        app = create_app(again.settings, services=again.services)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service.example") as http:
            second = HttpService(again, http)
            answers = await asyncio.gather(
                *(
                    _ask(
                        (service, second)[number % 2],
                        key=f"k{number}" if number % 3 == 0 else None,
                        license=_reference(issued),
                        elements={"address": f"并发路{number}号"},
                    )
                    for number in range(6 * BUDGET)
                )
            )
            codes = [answer.status_code for answer in answers]
            assert set(codes) <= {200, 429}
            assert codes.count(200) == BUDGET
            late = await _ask(second, license=_reference(issued), elements={"address": "x"})
            assert_problem(late, "rate_limited")
            # The same with the file itself: nobody is refused, and no more is told.
            shown = {"credential": credential, "elements": {"address": "x"}}
            told = await asyncio.gather(
                *(one.verify(role="bank", **shown) for one in (service, second) * (2 * BUDGET))
            )
            outcomes = [answer["elements"][0]["outcome"] for answer in told]
            assert outcomes.count("mismatch") == BUDGET
            assert outcomes.count("cannot_tell") == 3 * BUDGET


@pytest.mark.parametrize(
    ("database_kind", "way"),
    [("sqlite", "plain"), ("postgresql", "key"), ("postgresql", "batch")],
    indirect=["database_kind"],
)
async def test_the_right_value_among_many_guesses_asked_at_once_is_not_told(
    service: HttpService, way: str
) -> None:
    """Only answers that come out can be kept back: what was compared beyond the budget must not come out at all."""
    issued, many = await service.issue(), 20 * BUDGET
    place = BUDGET if way == "plain" else many - 1  # the plain ones are judged in the order they come

    async def guess(number: int) -> str:
        right = number == place
        question = {
            "license": _reference(issued),
            "elements": {"address": issued["elements"]["address"] if right else f"并发路{number}号"},
        }
        if way == "batch":
            items = {"items": [question]}
            response = await service.call("platform", "POST", "/v1/verifications/batch", json=items)
            return str(response.json()["results"][0]["reason"])
        key = f"k{number}" if way == "key" else None
        answer = await _ask(service, key=key, **question)
        return str(answer.json()["reason"]) if answer.status_code == 200 else "refused"

    reasons = await asyncio.gather(*(guess(number) for number in range(many)))
    assert "ok" not in reasons, reasons
    assert reasons.count("mismatch") == BUDGET
    # What was in flight counts once: when the hour is over, the whole budget is there again.
    service.installation.clock.advance(seconds=3601)
    assert len(await _spend(service, _reference(issued))) == BUDGET + 1


@once
async def test_a_count_that_is_not_kept_with_the_answer_is_found_out(service: HttpService) -> None:
    issued, installation = await service.issue(), service.installation
    forgetful = _ForgetfulStore(installation.services.store)
    twin = services_over(installation, forgetful, FileSigners(_keys_of(installation)))
    await twin.high_water.compare()
    transport = httpx.ASGITransport(app=create_app(installation.settings, services=twin))
    async with httpx.AsyncClient(transport=transport, base_url="http://service.example") as http:
        budget = GuessingTerms().budget
        answers = await _spend(HttpService(installation, http), _reference(issued), budget=budget)
    # What the tests above would have caught: one answer more than the budget.
    assert [answer.status_code for answer in answers] == [200] * (budget + 1)


class _ForgetfulGuessing:
    """A repository that answers every count as if it were the first."""

    def __init__(self, real: GuessingRepository) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def add(self, client_id: str, subject: str, *, at: datetime, **_: object) -> Guesses:
        return Guesses(client_id=client_id, subject=subject, started_at=at, wrong=1)


class _ForgetfulStore:
    """A store whose units of work forget guesses: the broken twin."""

    def __init__(self, real: Store) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def write(self, work: Callable[[UnitOfWork], Awaitable[Any]]) -> Any:
        async def forgetful(unit: UnitOfWork) -> Any:
            unit.guessing = _ForgetfulGuessing(unit.guessing)  # type: ignore[assignment]
            return await work(unit)

        return await self._real.write(forgetful)


def _keys_of(installation: Installation) -> KeyFolder:
    return KeyFolder(path=installation.settings.keys_dir, development=True)


async def test_items_of_batches_count_and_one_over_the_budget_stops_no_other(service: HttpService) -> None:
    issued, other = await service.issue(), await service.issue()
    guess = {"license": _reference(issued), "elements": {"address": "x"}}
    good = {"license": _reference(other), "elements": {"address": other["elements"]["address"]}}
    items = [*([guess] * (BUDGET + 5)), good]

    async def ask() -> dict[str, Any]:
        response = await service.call("platform", "POST", "/v1/verifications/batch", json={"items": items})
        assert response.status_code == 200, response.text
        BatchAnswerBody.model_validate(response.json())
        document: dict[str, Any] = response.json()
        return document

    batches = await asyncio.gather(ask(), ask(), ask())
    results = [result for batch in batches for result in batch["results"]]
    reasons = [result["reason"] for result in results]
    assert reasons.count("mismatch") == BUDGET
    assert reasons.count("ok") == 3
    spent = [result for result in results if result["reason"] == "incomplete"]
    assert len(spent) == 3 * (BUDGET + 5) - BUDGET
    for result in spent:
        assert result["verdict"] == "indeterminate"
        assert [warning["code"] for warning in result["warnings"]] == ["guess_budget_spent"]
        assert result["elements"] == [{"name": "address", "outcome": "cannot_tell"}]
        assert result["status_source"] is None


@once
async def test_spent_guesses_and_unknown_codes_list_the_same_checks_as_an_unknown_license(
    service: HttpService,
) -> None:
    issued = await service.issue()
    await _spend(service, _reference(issued))
    parts = {"name": "own", "parts": {"areas": ["32"]}}
    assert (await service.call("platform", "POST", "/v1/policies", json=parts)).status_code == 201
    listed: dict[str, list[set[str]]] = {}
    for policy in ("platform-default", "own"):
        more = {"policy": policy, "elements": {"address": "x"}}
        items = [
            {"license": _reference(issued), **more},
            {"license": {"identifier": "none"}, **more},
            {"code": "ABCDEFGH", **more},
        ]
        batch = await service.call("platform", "POST", "/v1/verifications/batch", json={"items": items})
        results = batch.json()["results"]
        assert [one["reason"] for one in results] == ["incomplete", "not_found", "code_unknown"]
        listed[policy] = [{check["id"] for check in one["checks"]} for one in results]
        for one in (results[0], results[2]):
            assert {check["outcome"] for check in one["checks"] if check["id"] == "clock"} == {"skipped"}
    usual = {"register", "status", "dates", "elements", "holder_binding", "clock"}
    assert listed == {"platform-default": [usual] * 3, "own": [usual | {"policy"}] * 3}


@once
async def test_a_credential_is_never_refused_for_guesses(service: HttpService) -> None:
    issued = await service.issue()
    credential = await service.credential(issued["id"])
    for number in range(BUDGET):
        wrong = await service.verify(credential=credential, elements={"address": f"x{number}"})
        assert wrong["reason"] == "mismatch"
    right = {"address": issued["elements"]["address"]}
    shown = await service.verify(credential=credential, elements=right)
    assert (shown["verdict"], shown["elements"]) == ("valid", [{"name": "address", "outcome": "match"}])
    assert "guess_budget_spent" in {warning["code"] for warning in shown["warnings"]}
    spent = await service.verify(credential=select_disclosures(credential, ()), elements=right)
    assert (spent["verdict"], spent["reason"]) == ("indeterminate", "incomplete")
    assert spent["elements"] == [{"name": "address", "outcome": "cannot_tell"}]
    assert "guess_budget_spent" in {warning["code"] for warning in spent["warnings"]}
    assert (await service.verify(credential=credential))["verdict"] == "valid"
    # The same license by reference: the same budget.
    assert_problem(await _ask(service, license=_reference(issued), elements={"address": "x"}), "rate_limited")


async def test_a_repeated_call_counts_once_and_its_refusal_is_not_kept(service: HttpService) -> None:
    issued = await service.issue()
    wrong = {"license": _reference(issued), "elements": {"address": "x"}}
    for _ in range(BUDGET + 5):
        assert (await _ask(service, key="same", **wrong)).status_code == 200
    for number in range(BUDGET - 1):
        assert (await _ask(service, key=f"other-{number}", **wrong)).status_code == 200
    assert_problem(await _ask(service, key="late", **wrong), "rate_limited")
    service.installation.clock.advance(seconds=3601)
    answer = await _ask(service, key="late", **wrong)
    assert answer.status_code == 200
    assert "idempotent-replayed" not in answer.headers


async def test_many_guessers_raise_an_alarm_and_lower_their_own_budget_alone(service: HttpService) -> None:
    issued, missing = await service.issue(), {"number": "N-0", "type_code": "11100000MB0143028R001"}
    guessers = [f"guesser-{number}" for number in range(4)]
    for name in guessers:
        await service.add_client(name, kind=ClientKind.PLATFORM)
    for reference in (_reference(issued), missing):
        for name in guessers[:3]:
            await _spend(service, reference, role=name)
    alarms = (await service.call("authority", "GET", "/v1/alarms")).json()
    AlarmPage.model_validate(alarms)
    (alarm,) = alarms["data"]
    assert (alarm["license_id"], alarm["wrong"], alarm["callers"]) == (issued["id"], ALARM, 3)
    assert (await service.call("other_authority", "GET", "/v1/alarms")).json()["data"] == []
    audit = (await service.call("operator", "GET", "/v1/audit", params={"limit": "200"})).json()["data"]
    raised = [entry for entry in audit if entry["action"] == "verification.guessing_alarm"]
    assert [(entry["subject"], entry["outcome"]) for entry in raised] == [
        (issued["id"], f"wrong:{ALARM} callers:3")
    ]

    service.installation.clock.advance(seconds=3601)
    for reference in (_reference(issued), missing):
        borne = [
            await _ask(service, role=guessers[0], license=reference, elements={"address": "x"})
            for _ in range(LOWERED + 1)
        ]
        assert [answer.status_code for answer in borne] == [200] * LOWERED + [429]
        # Who had not guessed has the whole budget.
        assert [answer.status_code for answer in await _spend(service, reference, role=guessers[3])] == (
            [200] * BUDGET + [429]
        )


async def test_what_has_run_out_is_forgotten_by_the_worker(service: HttpService) -> None:
    issued = await service.issue()
    await _ask(service, license=_reference(issued), elements={"address": "x"})
    guessing = service.installation.services.guessing
    assert await guessing.sweep() == 0
    service.installation.clock.advance(seconds=3601)
    assert await guessing.sweep() == 1


async def test_a_window_that_a_wrong_clock_began_ahead_of_now_begins_anew(store: Store) -> None:
    now = datetime(2026, 11, 24, 4, tzinfo=UTC)

    async def add(at: datetime) -> Guesses:
        hour = timedelta(hours=1)
        return await store.write(
            lambda unit: unit.guessing.add("c", "subject", times=2, at=at, before=at - hour)
        )

    await add(now + timedelta(days=30))
    begun = await add(now)
    assert (begun.wrong, begun.started_at) == (2, now)
    slower = await add(now - timedelta(minutes=1))
    assert (slower.wrong, slower.started_at) == (4, now), "clocks may differ a little"


@once
async def test_elements_are_compared_by_the_kinds_of_their_license_type(service: HttpService) -> None:
    issued = await service.issue(
        elements={
            "address": "江苏省南京市玄武区中山路1号",
            "legal_representative": "陈小明",
            "business_scope": "食品销售;日用百货",
            "company_type": "abc",
        }
    )
    answer = await service.verify(
        license=_reference(issued),
        elements={
            "address": "玄武区中山路１号",
            "legal_representative": "陳 小明",
            "business_scope": "日用百货、食品销售。",
            "valid_from": issued["valid_from"].replace("-", "/"),
            "company_type": "ABC",
            "registered_capital": "100万元",
        },
    )
    assert [(one["name"], one["outcome"]) for one in answer["elements"]] == [
        ("address", "match_normalized"),
        ("legal_representative", "match_normalized"),
        ("business_scope", "match_normalized"),
        ("valid_from", "match_normalized"),
        ("company_type", "mismatch"),
        ("registered_capital", "not_on_license"),
    ]
