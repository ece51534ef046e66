"""Departments over HTTP: issue, read, list, change; holders see their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.api.schemas.answers import HistoryPage, HoldingPage, LicenseAnswer, LicensePage
from tests.integration.http_service import HttpService, assert_problem, license_body, open_http, shown

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def test_an_issued_license_is_answered_where_it_can_be_read_again(service: HttpService) -> None:
    response = await service.call("authority", "POST", "/v1/licenses", json=license_body(service))
    assert response.status_code == 201
    issued = response.json()
    LicenseAnswer.model_validate(issued)
    assert response.headers["location"] == f"/v1/licenses/{issued['id']}"
    assert response.headers["cache-control"] == "no-store"
    again = await service.call("authority", "GET", response.headers["location"])
    assert again.json() == issued
    assert issued["status"] == "active"
    assert issued["version"] == "001"


async def test_the_credential_is_served_as_an_sd_jwt(service: HttpService) -> None:
    issued = await service.issue()
    path = f"/v1/licenses/{issued['id']}/credential"
    response = await service.call("authority", "GET", path)
    assert response.headers["content-type"] == "application/dc+sd-jwt"
    assert response.text.endswith("~")
    assert (await service.call("authority", "GET", f"{path}?version=001")).text == response.text
    assert_problem(await service.call("authority", "GET", f"{path}?version=002"), "not_found")
    assert_problem(await service.call("authority", "GET", f"{path}?version=x"), "invalid_request")
    assert_problem(await service.call("authority", "GET", f"{path}?versoin=001"), "invalid_request")


async def test_changes_of_state_answer_the_license_and_stand_in_its_history(service: HttpService) -> None:
    license_id = (await service.issue())["id"]
    statuses = []
    for action in ("suspend", "resume", "suspend", "revoke"):
        response = await service.act(license_id, action)
        assert response.status_code == 200, response.text
        LicenseAnswer.model_validate(response.json())
        statuses.append(response.json()["status"])
    assert statuses == ["suspended", "active", "suspended", "revoked"]
    assert_problem(await service.act(license_id, "resume"), "state_conflict")
    history = (await service.call("authority", "GET", f"/v1/licenses/{license_id}/history")).json()
    HistoryPage.model_validate(history)
    assert [entry["to_status"] for entry in history["data"]] == ["active", *statuses]
    assert history["data"][1]["reason"] == "现场检查"


async def test_a_number_is_taken_for_ever(service: HttpService) -> None:
    body = license_body(service)
    first = await service.call("authority", "POST", "/v1/licenses", json=body)
    assert_problem(await service.call("authority", "POST", "/v1/licenses", json=body), "number_taken")
    await service.act(first.json()["id"], "cancel")
    assert_problem(await service.call("authority", "POST", "/v1/licenses", json=body), "number_taken")


async def test_lists_are_paged_and_filtered(service: HttpService) -> None:
    issued = [await service.issue(number=f"N-{index}") for index in range(5)]
    await service.act(issued[0]["id"], "revoke")
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await service.call("authority", "GET", "/v1/licenses", params={"cursor": cursor, "limit": "2"})
        assert page.status_code == 200, page.text
        LicensePage.model_validate(page.json())
        seen += [one["id"] for one in page.json()["data"]]
        cursor = page.json()["next_cursor"]
    assert sorted(seen) == sorted(one["id"] for one in issued)
    for query, expected in (
        ("number=N-3", {issued[3]["id"]}),
        ("status=revoked", {issued[0]["id"]}),
        ("status=suspended", set()),
        (f"holder_code={issued[0]['holder']['code']}&status=active", {one["id"] for one in issued[1:]}),
    ):
        found = (await service.call("authority", "GET", f"/v1/licenses?{query}")).json()["data"]
        assert {one["id"] for one in found} == expected, query


async def test_a_wrong_query_is_refused_and_never_passed_over(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    cases: tuple[str, ...] = (
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=1.5",
        "limit=٣",
        "limit=",
        "status=gone",
        "cursor=nonsense",
        "cursor=%E4%BD%A0",
        "numbr=1",
        "number=1&number=2",
        "holder_code=",
        "number=" + "9" * 200,
        "&".join(f"a{index}=1" for index in range(40)),
    )
    for query in cases:
        with subtests.test(query=shown(query)):
            assert_problem(await service.call("authority", "GET", f"/v1/licenses?{query}"), "invalid_request")


async def test_a_wrong_shape_names_each_field(service: HttpService) -> None:
    body = license_body(service)
    body.update(number=7, issue_date="2020-2-30", extra=1, holder={"code": body["holder"]["code"]})
    del body["valid_until"]
    response = await service.call(
        "authority", "POST", "/v1/licenses", json=body, headers={"accept-language": "en"}
    )
    assert_problem(response, "invalid_request")
    errors = {error["pointer"]: error["detail"] for error in response.json()["errors"]}
    assert errors == {
        "/number": "must be a string",
        "/issue_date": "must be a date as YYYY-MM-DD",
        "/extra": "is not a known field",
        "/holder/name": "is required",
        "/valid_until": "is required",
    }


async def test_a_broken_rule_is_refused_by_its_own_code(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    cases: tuple[tuple[dict[str, object], str], ...] = (
        ({"type_code": "11320000MB0000000X999"}, "unknown_type"),
        ({"area_code": "999999"}, "unknown_area"),
        ({"valid_from": "2031-01-01", "valid_until": "2030-01-01"}, "invalid_dates"),
        ({"elements": {"no_such_element": "x"}}, "invalid_elements"),
        ({"holder": {"code": "914403002311457880", "code_type": "001", "name": "某公司"}}, "invalid_uscc"),
        (
            {"holder": {"code": "110101199003070000", "code_type": "111", "name": "某人"}},
            "holder_not_supported",
        ),
        ({"authority_code": "11320000MB0000000X"}, "not_your_authority"),
    )
    for changes, code in cases:
        with subtests.test(changes=shown(changes), code=shown(code)):
            response = await service.call(
                "authority", "POST", "/v1/licenses", json={**license_body(service), **changes}
            )
            assert_problem(response, code)


async def test_far_dates_are_issued(service: HttpService, subtests: pytest.Subtests) -> None:
    cases: tuple[str, ...] = (
        "9999-12-31",
        "2200-01-01",
    )
    for valid_until in cases:
        with subtests.test(valid_until=shown(valid_until)):
            issued = await service.issue(
                valid_from="1949-10-01", issue_date="1949-10-01", valid_until=valid_until
            )
            assert issued["valid_until"] == valid_until
            assert (await service.verify(credential=await service.credential(issued["id"])))[
                "verdict"
            ] == "valid"


async def test_the_first_and_the_last_day_a_license_may_have_held(service: HttpService) -> None:
    old = {"valid_from": "1955-01-01", "issue_date": "1955-01-01"}
    issued = await service.issue(**old, valid_until="1970-01-01")
    answer = await service.verify(credential=await service.credential(issued["id"]))
    assert (issued["status"], answer["reason"]) == ("expired", "expired")
    body = {**license_body(service), **old, "valid_until": "1969-12-31"}
    refused = await service.call("authority", "POST", "/v1/licenses", json=body)
    assert_problem(refused, "invalid_dates")
    (error,) = refused.json()["errors"]
    assert error["pointer"] == "/valid_until" and "1970" in error["detail"]


async def test_a_holder_sees_its_own_licenses_and_where_their_credentials_are(service: HttpService) -> None:
    issued = await service.issue()
    response = await service.call("holder", "GET", "/v1/holdings")
    HoldingPage.model_validate(response.json())
    (holding,) = response.json()["data"]
    assert holding["id"] == issued["id"]
    credential = await service.call("holder", "GET", holding["credential"])
    assert credential.text == await service.credential(issued["id"])
    assert (await service.call("holder", "GET", "/v1/licenses")).json()["data"][0]["id"] == issued["id"]


async def test_the_shape_is_judged_after_key_scope_and_existence(service: HttpService) -> None:
    unknown = "/v1/licenses/0191d000-0000-7000-8000-000000000000/suspend"
    assert_problem(await service.call(None, "POST", "/v1/licenses", json={}), "unauthenticated")
    assert_problem(await service.call("platform", "POST", "/v1/licenses", json={}), "forbidden")
    assert_problem(await service.call("authority", "POST", "/v1/licenses", json={}), "invalid_request")
    assert_problem(await service.call("authority", "POST", unknown, json={}), "not_found")
    license_id = (await service.issue())["id"]
    path = f"/v1/licenses/{license_id}/suspend"
    assert_problem(await service.call("authority", "POST", path, json={}), "invalid_request")
    bad_key = {"idempotency-key": "ключ".encode()}
    assert_problem(await service.call("authority", "POST", unknown, json={}, headers=bad_key), "not_found")
    assert_problem(
        await service.call("authority", "POST", path, json={}, headers=bad_key), "idempotency_key_invalid"
    )
