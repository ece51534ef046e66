"""Idempotency-Key over HTTP: the same call again gets the same answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.integration.http_service import HttpService, assert_problem, license_body, open_http, shown

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


def assert_replay(again: httpx.Response, first: httpx.Response) -> None:
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    for name in ("location", "content-language", "vary"):
        assert again.headers.get(name) == first.headers.get(name), name


async def test_issuing_again_under_the_same_key_issues_nothing_more(service: HttpService) -> None:
    body = license_body(service)
    headers = {"idempotency-key": "order-1"}
    first = await service.call("authority", "POST", "/v1/licenses", json=body, headers=headers)
    again = await service.call("authority", "POST", "/v1/licenses", json=body, headers=headers)
    quoted = await service.call(
        "authority", "POST", "/v1/licenses", json=body, headers={"idempotency-key": '"order-1"'}
    )
    assert first.status_code == 201
    assert_replay(again, first)
    assert_replay(quoted, first)
    assert len((await service.call("authority", "GET", "/v1/licenses")).json()["data"]) == 1


async def test_another_body_under_the_same_key_is_refused(service: HttpService) -> None:
    headers = {"idempotency-key": "order-1"}
    await service.call("authority", "POST", "/v1/licenses", json=license_body(service), headers=headers)
    other = await service.call(
        "authority", "POST", "/v1/licenses", json=license_body(service, number="other"), headers=headers
    )
    assert_problem(other, "idempotency_mismatch")


async def test_a_key_belongs_to_its_client_and_its_path(service: HttpService) -> None:
    issued = await service.issue()
    headers = {"idempotency-key": "once"}
    body = {"reason_code": "inspection", "reason": "检查"}
    suspended = await service.call(
        "authority", "POST", f"/v1/licenses/{issued['id']}/suspend", json=body, headers=headers
    )
    resumed = await service.call(
        "authority", "POST", f"/v1/licenses/{issued['id']}/resume", json=body, headers=headers
    )
    assert (suspended.json()["status"], resumed.json()["status"]) == ("suspended", "active")
    again = await service.call(
        "authority", "POST", f"/v1/licenses/{issued['id']}/suspend", json=body, headers=headers
    )
    assert_replay(again, suspended)
    current = await service.call("authority", "GET", f"/v1/licenses/{issued['id']}")
    assert current.json()["status"] == "active"


async def test_a_refusal_is_repeated_too(service: HttpService) -> None:
    headers = {"idempotency-key": "wrong"}
    body = {**license_body(service), "area_code": "999999"}
    first = await service.call("authority", "POST", "/v1/licenses", json=body, headers=headers)
    again = await service.call("authority", "POST", "/v1/licenses", json=body, headers=headers)
    assert_problem(first, "unknown_area")
    assert_replay(again, first)


async def test_a_verification_is_repeated_until_its_license_changes(service: HttpService) -> None:
    issued = await service.issue()
    question = {"license": {"identifier": issued["identifier"]}}
    headers = {"idempotency-key": "check-1"}

    async def ask() -> httpx.Response:
        return await service.call("platform", "POST", "/v1/verifications", json=question, headers=headers)

    first, again = await ask(), await ask()
    assert first.json()["verdict"] == "valid"
    assert_replay(again, first)
    kept = await service.call("platform", "GET", f"/v1/verifications/{first.json()['id']}")
    assert (kept.status_code, kept.json()["verdict"]) == (200, "valid")
    listed = await service.call("platform", "GET", "/v1/verifications")
    assert [one["id"] for one in listed.json()["data"]] == [first.json()["id"]], "asked twice, made once"
    await service.act(issued["id"], "revoke")
    changed = await ask()
    assert "idempotent-replayed" not in changed.headers
    assert changed.json()["reason"] == "revoked"


async def test_an_ambiguous_answer_is_repeated_until_one_of_its_licenses_changes(
    service: HttpService,
) -> None:
    first_license, second_license = await service.issue(number="A-1"), await service.issue(number="A-2")
    holder_code = first_license["holder"]["code"]
    assert second_license["holder"]["code"] == holder_code
    question = {"license": {"holder_code": holder_code, "type_code": first_license["type_code"]}}
    headers = {"idempotency-key": "which"}

    async def ask() -> httpx.Response:
        return await service.call("platform", "POST", "/v1/verifications", json=question, headers=headers)

    first, again = await ask(), await ask()
    assert first.json()["reason"] == "ambiguous"
    assert_replay(again, first)
    await service.act(second_license["id"], "revoke")
    changed = await ask()
    assert "idempotent-replayed" not in changed.headers
    assert changed.json()["verdict"] == "valid"


async def test_a_query_on_a_post_is_refused_before_anything_is_done_or_kept(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    issued = await service.issue()
    change = {"reason_code": "inspection", "reason": "检查"}
    calls: tuple[tuple[str, str, dict[str, object]], ...] = (
        ("authority", "/v1/licenses", license_body(service)),
        ("platform", "/v1/verifications", {"credential": "x"}),
        ("platform", "/v1/verifications/batch", {"items": [{"credential": "x"}]}),
        ("authority", f"/v1/licenses/{issued['id']}/revoke", change),
    )
    for role, path, body in calls:
        with subtests.test(path=path):
            headers = {"idempotency-key": "dry"}
            refused = await service.call(role, "POST", f"{path}?dry_run=true", json=body, headers=headers)
            assert_problem(refused, "invalid_request")
            assert [error["pointer"] for error in refused.json()["errors"]] == ["/dry_run"]
            current = await service.call("authority", "GET", f"/v1/licenses/{issued['id']}")
            assert current.json()["status"] == "active"
            done = await service.call(role, "POST", path, json=body, headers=headers)
            assert done.is_success, done.text


async def test_a_batch_is_repeated(service: HttpService) -> None:
    items = {"items": [{"credential": "x"}, {"nonsense": True}]}
    headers = {"idempotency-key": "batch-1"}
    first = await service.call("bank", "POST", "/v1/verifications/batch", json=items, headers=headers)
    again = await service.call("bank", "POST", "/v1/verifications/batch", json=items, headers=headers)
    assert first.status_code == 200, first.text
    assert_replay(again, first)


async def test_parallel_calls_under_one_key_issue_one_license(service: HttpService) -> None:
    body = license_body(service)
    headers = {"idempotency-key": "race"}
    answers = await asyncio.gather(
        *(service.call("authority", "POST", "/v1/licenses", json=body, headers=headers) for _ in range(8))
    )
    for answer in answers:
        if answer.status_code != 201:
            assert_problem(answer, "idempotency_in_progress")
    assert any(answer.status_code == 201 for answer in answers)
    assert len((await service.call("authority", "GET", "/v1/licenses")).json()["data"]) == 1


async def test_a_key_of_another_form_is_refused(service: HttpService, subtests: pytest.Subtests) -> None:
    cases: tuple[str, ...] = (
        "",
        '""',
        '"open',
        '"a"b"',
        "x" * 256,
        "tab\there",
        "caf\xe9",
        '"x";p=1',
    )
    for key in cases:
        with subtests.test(key=shown(key)):
            response = await service.http.post(
                "/v1/licenses",
                json=license_body(service),
                headers=[
                    (b"authorization", f"Bearer {service.installation.keys['authority']}".encode()),
                    (b"idempotency-key", key.encode("latin-1")),
                ],
            )
            assert_problem(response, "idempotency_key_invalid")
