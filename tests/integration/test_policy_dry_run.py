"""Dry runs: what another policy would have answered, agreeing with what it does answer, and never guessed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.api.schemas.policies import DryRunAnswer
from elicense.credential import parse_credential
from tests.installation import BUSINESS_LICENSE, FOOD_TYPE
from tests.integration.http_service import HttpService, assert_problem, open_http
from tests.integration.test_presented_credentials import HOLDER, ask, issue_bound, new_nonce, shown

pytestmark = pytest.mark.anyio

POLICIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "short": {"max_status_age": "1s"},
    "business": {"types": [BUSINESS_LICENSE], "areas": ["3201"]},
    "elsewhere": {"areas": ["3205"]},
    "asking-more": {"required_elements": ["holder_name", "company_type"], "areas": ["32"]},
    "asking-nothing-there": {"required_elements": ["quality_manager"]},
    "proof": {"require_log_proof": True},
    "holder": {"holder_binding": "required"},
    "holder-if-shown": {"holder_binding": "if_present"},
}


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def dry_run(service: HttpService, *, role: str = "platform", **body: Any) -> dict[str, Any]:
    response = await service.call(role, "POST", "/v1/policies/dry-run", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    DryRunAnswer.model_validate(answer)
    return answer


async def questions(service: HttpService) -> list[dict[str, Any]]:
    """Return questions of every kind about licenses in every state, and about none."""
    asked: list[dict[str, Any]] = []
    for action in (None, "suspend", "revoke", "cancel"):
        issued = await service.issue(number=f"state-{action}")
        name = issued["holder"]["name"]
        if action is not None:
            await service.act(issued["id"], action)
        token = await service.credential(issued["id"])
        for elements in (None, {"holder_name": name}, {"holder_name": "别家", "company_type": "x"})[
            : 3 if action in (None, "revoke") else 1
        ]:
            more = {} if elements is None else {"elements": elements}
            asked += [
                {"license": {"identifier": issued["identifier"]}, **more},
                {"credential": token, **more},
            ]
    bound = await issue_bound(service, HOLDER)
    return [
        *asked,
        {"credential": bound},
        {"credential": shown(service, bound, "nobody-asked")},
        {"credential": token[:300] + "A" + token[301:]},
        {"credential": "x"},
        {"license": {"number": "nobody's", "type_code": BUSINESS_LICENSE}, "elements": {"holder_name": "x"}},
        {"code": "unknown"},
    ]


async def test_a_dry_run_agrees_with_what_the_policy_answers(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    asked = await questions(service)
    before = [await service.verify(**question) for question in asked]
    for role in ("platform", "bank"):
        for name, parts in POLICIES.items():
            await service.call(role, "POST", "/v1/policies", json={"name": name, "parts": parts})
    for name, parts in POLICIES.items():
        # Asked by another client, so that only the first answers are tried again.
        after = [await service.verify(role="bank", policy=name, **question) for question in asked]
        changed = {
            old["id"]
            for old, new in zip(before, after, strict=True)
            if (old["verdict"], old["reason"]) != (new["verdict"], new["reason"])
        }
        with subtests.test(name):
            tried = await dry_run(service, policy=name)
            assert tried["total"] == tried["judged"] == len(asked)
            assert (tried["cannot_tell"], tried["cannot_tell_parts"]) == (0, {})
            assert set(tried["changed_ids"]) == changed
            assert tried["changed"] == len(changed) == len(asked) - tried["same"]
            assert sum(one["count"] for one in tried["counts"]) == len(asked)
            by_parts = await dry_run(service, parts=parts)
            assert by_parts["counts"] == tried["counts"]
            assert by_parts["changed_ids"] == tried["changed_ids"]
            assert (tried["policy"]["id"], by_parts["policy"]["id"]) == (name, None)


async def test_what_has_changed_since_is_told_from_what_is_kept_or_not_at_all(service: HttpService) -> None:
    issued = await service.issue(number="amended-1")
    token = await service.credential(issued["id"])
    license = {"identifier": issued["identifier"]}
    await service.verify(license=license)
    await service.verify(credential=token)
    service.installation.clock.advance(seconds=5)
    change = {"reason_code": "x", "reason": "变更", "elements": {"address": None}}
    amended = await service.call("authority", "POST", f"/v1/licenses/{issued['id']}/amend", json=change)
    assert amended.status_code == 200, amended.text
    by_area = await dry_run(service, parts={"areas": ["3205"]})
    # The credential showed its area; the register says only what the area is now.
    assert (by_area["changed"], by_area["cannot_tell"], by_area["cannot_tell_parts"]) == (1, 1, {"areas": 1})
    by_type = await dry_run(service, parts={"types": [FOOD_TYPE]})
    assert (by_type["changed"], by_type["cannot_tell"]) == (2, 0)
    by_element = await dry_run(service, parts={"required_elements": ["address"]})
    assert (by_element["changed"], by_element["cannot_tell_parts"]) == (1, {"required_elements": 1})
    assert {"from": {"verdict": "valid", "reason": "ok"}, "to": None, "count": 1} in by_element["counts"]


async def test_a_dry_run_is_bounded_paged_and_the_callers_own(service: HttpService) -> None:
    issued = await service.issue()
    license = {"identifier": issued["identifier"]}
    for _ in range(2):
        await service.verify(license=license)
    service.installation.clock.advance(days=40)
    made = [(await service.verify(license=license))["id"] for _ in range(5)]
    await service.verify(role="bank", license=license)
    found, cursor = [], ""
    while cursor is not None:
        page = await dry_run(service, parts={"types": [FOOD_TYPE]}, limit=2, cursor=cursor)
        assert page["total"] == 5
        found += page["changed_ids"]
        cursor = page["next_cursor"]
    assert sorted(found) == sorted(made)
    assert (
        await dry_run(service, parts={}, **{"from": "2020-01-01T00:00:00Z", "to": "2020-02-01T00:00:00Z"})
    )["total"] == 0
    for to in ("0001-02-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        assert (await dry_run(service, parts={}, to=to))["total"] == 0
    for body, code in (
        ({"parts": {}, "from": "2020-01-01T00:00:00Z", "to": "2020-02-02T00:00:00Z"}, "invalid_request"),
        ({"parts": {}, "from": "2020-01-01T00:00:00Z", "to": "2020-01-01T00:00:00Z"}, "invalid_request"),
        ({"parts": {}, "to": "0001-01-01T00:00:00Z"}, "invalid_request"),
        ({"parts": {}, "to": "0001-01-31T23:59:59Z"}, "invalid_request"),
        ({"parts": {}, "from": "0001-01-01T00:00:00Z"}, "invalid_request"),
        ({"parts": {}, "from": "9999-12-31T23:59:59Z"}, "invalid_request"),
        ({"parts": {}, "policy": "bank-strict"}, "invalid_request"),
        ({}, "invalid_request"),
        ({"parts": {"x": 1}}, "invalid_request"),
        ({"parts": {}, "cursor": "x"}, "invalid_request"),
        ({"parts": {}, "limit": 1001}, "invalid_request"),
        ({"policy": "nobodys"}, "unknown_policy"),
    ):
        assert_problem(await service.call("platform", "POST", "/v1/policies/dry-run", json=body), code)
    for body in ({}, {"parts": {}, "policy": "bank-strict"}):
        refused = await service.call("platform", "POST", "/v1/policies/dry-run", json=body)
        (told,) = refused.json()["errors"]
        assert told == {"pointer": "", "detail": "policy、parts 须恰好给出一个"}
    keyed = [
        await service.call(
            "platform", "POST", "/v1/policies/dry-run", json={"parts": {}}, headers={"idempotency-key": "k"}
        )
        for _ in range(2)
    ]
    assert keyed[0].content == keyed[1].content
    assert keyed[1].headers["idempotent-replayed"] == "true"


async def test_a_dry_run_judges_the_holders_proof_that_the_policy_of_then_asked_for(
    service: HttpService,
) -> None:
    token = await issue_bound(service, HOLDER)
    parts = {"holder_binding": "required"}
    made = await service.call("platform", "POST", "/v1/policies", json={"name": "holder", "parts": parts})
    assert made.status_code == 201, made.text
    nonce = await new_nonce(service, "platform")
    await service.verify(policy="holder", credential=token)
    await service.verify(policy="holder", credential=shown(service, token, nonce))
    license = {"identifier": parse_credential(token).claims.license.identifier}
    await service.verify(policy="holder", license=license)
    await ask(service, shown(service, token, nonce), nonce, role="platform", policy="holder")
    await ask(service, shown(service, token, nonce), nonce, role="platform")
    unasked = await dry_run(service, parts={})
    assert (unasked["same"], unasked["changed"], unasked["cannot_tell"]) == (2, 2, 1)
    assert unasked["cannot_tell_parts"] == {"holder_binding": 1}
    again = await dry_run(service, policy="holder")
    assert (again["same"], again["judged"]) == (5, 5)
