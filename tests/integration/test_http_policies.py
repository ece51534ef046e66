"""Own policies over HTTP: versions that never change, owners, and questions that name them."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.schemas.answers import VerificationAnswerBody
from app.api.schemas.policies import PolicyPage, StoredPolicyAnswer
from app.domain.api_client import ClientKind, Scope
from elicense.encoding import b64url_decode
from elicense.own_policy import parse_policy_file
from elicense.policy import PRESETS
from tests.installation import BUSINESS_LICENSE, FOOD_TYPE
from tests.integration.http_service import HttpService, assert_problem, open_http

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def make(
    service: HttpService, role: str, name: str = "own", *, key: str | None = None, **parts: object
) -> httpx.Response:
    headers = {} if key is None else {"idempotency-key": key}
    return await service.call(
        role, "POST", "/v1/policies", json={"name": name, "parts": parts}, headers=headers
    )


def stated(receipt: str) -> dict[str, Any]:
    policy: dict[str, Any] = json.loads(b64url_decode(receipt.split(".")[1]))["policy"]
    return policy


async def other_parts_make_the_next_version_and_the_same_ones_none(service: HttpService, me: str) -> None:
    first = await make(service, me, areas=["32"])
    assert (first.status_code, first.headers["location"]) == (201, "/v1/policies/own?version=1")
    StoredPolicyAnswer.model_validate(first.json())
    again = await make(service, me, areas=["32"], max_status_age="24h", accepted_states=["active"])
    assert (again.status_code, again.json()) == (200, first.json())
    second = await make(service, me, areas=["32"], max_status_age="2h")
    assert (second.status_code, second.json()["version"]) == (201, 2)
    for path, expected in (
        ("/v1/policies/own", second),
        ("/v1/policies/own?version=2", second),
        ("/v1/policies/own?version=1", first),
    ):
        assert (await service.call(me, "GET", path)).json() == expected.json()
    back = await make(service, me, areas=["32"])
    assert (back.status_code, back.json()["version"]) == (201, 3)


async def versions_made_at_once_follow_each_other(service: HttpService, me: str) -> None:
    made = await asyncio.gather(*(make(service, me, max_status_age=60 + index) for index in range(5)))
    assert sorted(answer.json()["version"] for answer in made) == [1, 2, 3, 4, 5]
    audited = (await service.call("operator", "GET", "/v1/audit")).json()["data"]
    assert {entry["subject"] for entry in audited if entry["action"] == "policy.create"} == {
        f"own@{version}" for version in range(1, 6)
    }


async def a_repeated_call_gets_its_first_answer(service: HttpService, me: str) -> None:
    first = await make(service, me, key="k-1", areas=["32"])
    again = await make(service, me, key="k-1", areas=["32"])
    assert (again.status_code, again.content) == (first.status_code, first.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"


async def what_is_answered_is_a_policy_file(service: HttpService, me: str) -> None:
    made = await make(service, me, types=[BUSINESS_LICENSE], required_elements=["holder_name"])
    read = await service.call(me, "GET", "/v1/policies/own")
    policy = parse_policy_file(read.content)
    assert policy.sha256 == made.json()["sha256"]
    assert policy.types == (BUSINESS_LICENSE,)


async def policies_belong_to_their_client(service: HttpService, me: str) -> None:
    await make(service, me, areas=["32"])
    assert_problem(await service.call("bank", "GET", "/v1/policies/own"), "not_found")
    listed = (await service.call("bank", "GET", "/v1/policies")).json()
    assert {one["name"] for one in listed["data"]} == set(PRESETS)
    other = await make(service, "bank", max_status_age="1h")
    assert other.json()["version"] == 1
    issued = await service.issue()
    question = {"license": {"identifier": issued["identifier"]}, "policy": "own@2"}
    assert_problem(await service.call("bank", "POST", "/v1/verifications", json=question), "unknown_policy")


async def the_list_shows_own_policies_and_presets_by_name(service: HttpService, me: str) -> None:
    await make(service, me, "zeta", areas=["32"])
    await make(service, me, "alpha", areas=["32"])
    await make(service, me, "alpha", areas=["3201"])
    found, cursor = [], ""
    while cursor is not None:
        answer = await service.call(me, "GET", "/v1/policies", params={"limit": "2", "cursor": cursor})
        page = answer.json()
        PolicyPage.model_validate(page)
        found += [(one["name"], one["version"], one["preset"]) for one in page["data"]]
        cursor = page["next_cursor"]
    assert found == [
        ("alpha", 2, False),
        ("bank-strict", PRESETS["bank-strict"].version, True),
        ("platform-default", 1, True),
        ("public-basic", 1, True),
        ("zeta", 1, False),
    ]


async def what_is_not_there_is_not_found(service: HttpService, me: str) -> None:
    for path in ("own", "Own", "own@1", "bank-strict@1", "bank-strict?version=1", "own?version=9"):
        assert_problem(await service.call(me, "GET", f"/v1/policies/{path}"), "not_found")


async def parts_that_cannot_be_are_refused_at_their_place(service: HttpService, me: str) -> None:
    for parts, code, pointer in (
        ({"accepted_states": ["active", "suspended"]}, "invalid_request", "/parts/accepted_states"),
        ({"require_freshness": False}, "invalid_request", "/parts/require_freshness"),
        ({"max_status_age": "8d"}, "invalid_request", "/parts/max_status_age"),
        ({"max_status_age": 1.5}, "invalid_request", "/parts/max_status_age"),
        ({"~/\u0000": 1}, "invalid_request", "/parts"),
        ({"types": ["0" * 21]}, "unknown_type", "/parts/types/0"),
        ({"areas": ["99"]}, "unknown_area", "/parts/areas/0"),
    ):
        refused = await make(service, me, **parts)
        assert_problem(refused, code)
        assert [error["pointer"] for error in refused.json()["errors"]] == [pointer], parts
    assert_problem(await make(service, me, "bank-strict"), "invalid_request")
    assert_problem(await make(service, me, "Own"), "invalid_request")


async def a_question_names_a_policy_and_its_receipt_states_it(service: HttpService, me: str) -> None:
    issued = await service.issue()
    license = {"identifier": issued["identifier"]}
    first = (await make(service, me, types=[FOOD_TYPE])).json()
    second = (await make(service, me, types=[BUSINESS_LICENSE], areas=["3201"])).json()
    for named, made, expected in (
        ("own", second, ("valid", "ok", 0)),
        ("own@2", second, ("valid", "ok", 0)),
        ("own@1", first, ("invalid", "outside_policy", 6)),
    ):
        for question in ({"license": license}, {"credential": await service.credential(issued["id"])}):
            answer = await service.verify(role=me, **question, policy=named)
            VerificationAnswerBody.model_validate(answer)
            assert (answer["verdict"], answer["reason"], answer["result_code"]) == expected
            digest = {"id": "own", "version": made["version"], "sha256": made["sha256"]}
            assert answer["policy"] == digest == stated(answer["receipt"])
    plain = await service.verify(role=me, license=license, policy="platform-default@1")
    assert plain["policy"]["sha256"] == PRESETS["platform-default"].sha256


async def items_of_a_batch_name_policies_each(service: HttpService, me: str) -> None:
    issued = await service.issue()
    await make(service, me, types=[FOOD_TYPE])
    license = {"identifier": issued["identifier"]}
    items = [{"license": license, "policy": name} for name in ("own", "bank-strict", "own@7")]
    answer = await service.call(me, "POST", "/v1/verifications/batch", json={"items": items})
    results = answer.json()["results"]
    assert [result["reason"] for result in results] == ["outside_policy", "ok", "malformed"]
    assert results[2]["errors"][0]["pointer"] == "/policy"


async def a_revoked_license_stays_revoked_under_every_policy(service: HttpService, me: str) -> None:
    issued = await service.issue()
    await service.act(issued["id"], "revoke")
    await make(service, me, "wide", max_status_age="7d")
    await make(service, me, "narrow", types=[FOOD_TYPE])
    for name in (*PRESETS, "wide", "narrow"):
        answer = await service.verify(role=me, license={"identifier": issued["identifier"]}, policy=name)
        assert (answer["verdict"], answer["reason"]) == ("invalid", "revoked")


async def a_key_that_only_reads_makes_no_policy(service: HttpService, me: str) -> None:
    await service.add_client("reader", kind=ClientKind.PLATFORM, scopes=[Scope.VERIFICATIONS_READ])
    assert_problem(await make(service, "reader"), "forbidden")
    assert (await service.call("reader", "GET", "/v1/policies")).status_code == 200


RULES = (
    other_parts_make_the_next_version_and_the_same_ones_none,
    versions_made_at_once_follow_each_other,
    a_repeated_call_gets_its_first_answer,
    what_is_answered_is_a_policy_file,
    policies_belong_to_their_client,
    the_list_shows_own_policies_and_presets_by_name,
    what_is_not_there_is_not_found,
    parts_that_cannot_be_are_refused_at_their_place,
    a_question_names_a_policy_and_its_receipt_states_it,
    items_of_a_batch_name_policies_each,
    a_revoked_license_stays_revoked_under_every_policy,
    a_key_that_only_reads_makes_no_policy,
)
"""Each with a client of its own, so that none sees the policies of another."""


async def test_policies_over_http_keep_their_rules(service: HttpService, subtests: pytest.Subtests) -> None:
    for rule in RULES:
        await service.add_client(rule.__name__, kind=ClientKind.PLATFORM)
        with subtests.test(rule.__name__):
            await rule(service, rule.__name__)
