"""Details of the public surface that a caller relies on: order of checks, whole lists, strict queries, languages."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.api.patterns import words_of
from app.api.schemas.answers import ClientPage, HistoryPage, HoldingPage
from app.domain.api_client import ClientKind
from app.domain.cursors import encode_cursor
from tests.installation import BUSINESS_LICENSE, OTHER_AREA, TRANSPORT_TYPE
from tests.integration.http_service import HttpService, assert_problem, license_body, open_http

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def test_what_an_authority_may_not_issue_is_refused_before_its_content_is_judged(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    wrong = {"valid_until": "1970-01-01", "elements": {"no_such_element": "x"}}
    for place in ({"area_code": OTHER_AREA}, {"type_code": TRANSPORT_TYPE}):
        with subtests.test(place=place):
            body = {**license_body(service), **wrong, **place}
            response = await service.call("authority", "POST", "/v1/licenses", json=body)
            assert_problem(response, "not_authorized_to_issue")


async def test_holdings_are_paged_like_every_list(service: HttpService) -> None:
    holder = {"code": service.installation.new_license().holder.code, "code_type": "001", "name": "样例公司"}
    issued = [await service.issue(number=f"H-{index}", holder=holder) for index in range(3)]
    await service.add_client("own_holder", kind=ClientKind.HOLDER, holder_code=holder["code"])
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {"cursor": cursor, "limit": "2"}
        page = (await service.call("own_holder", "GET", "/v1/holdings", params=params)).json()
        HoldingPage.model_validate(page)
        assert len(page["data"]) <= 2
        seen += [one["id"] for one in page["data"]]
        cursor = page["next_cursor"]
    assert sorted(seen) == sorted(one["id"] for one in issued)


async def test_a_history_is_paged_like_every_list(service: HttpService) -> None:
    license_id = (await service.issue())["id"]
    for action in ("suspend", "resume", "revoke"):
        await service.act(license_id, action)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {"cursor": cursor, "limit": "3"}
        path = f"/v1/licenses/{license_id}/history"
        page = (await service.call("authority", "GET", path, params=params)).json()
        HistoryPage.model_validate(page)
        assert len(page["data"]) <= 3
        seen += [one["action"] for one in page["data"]]
        cursor = page["next_cursor"]
    assert seen == ["issue", "suspend", "resume", "revoke"]


async def test_no_reading_passes_over_a_parameter_it_does_not_know(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    license_id = (await service.issue())["id"]
    code = (await service.issue())["holder"]["code"]
    asked = await service.verify(license={"holder_code": code, "type_code": BUSINESS_LICENSE})
    for role, path in (
        ("authority", f"/v1/licenses/{license_id}"),
        ("authority", f"/v1/licenses/{license_id}/history"),
        ("authority", f"/v1/licenses/{license_id}/credential"),
        ("holder", "/v1/holdings"),
        ("platform", f"/v1/verifications/{asked['id']}"),
        (None, f"/v1/license-types/{BUSINESS_LICENSE}"),
    ):
        with subtests.test(path=path):
            assert_problem(await service.call(role, "GET", f"{path}?versoin=1"), "invalid_request")


async def test_a_history_refuses_a_cursor_that_is_not_its_own(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    license_id = (await service.issue())["id"]
    no_positions = [encode_cursor("history", license_id, text) for text in ("", "-1", "\u00b2", "1" * 20)]
    for cursor in ("x", "AAAA", "LTE=", "wrIy", *no_positions):
        with subtests.test(cursor=cursor):
            path = f"/v1/licenses/{license_id}/history?cursor={cursor}"
            assert_problem(await service.call("authority", "GET", path), "invalid_request")


async def test_a_cursor_continues_the_list_it_was_given_out_for_and_no_other(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    lists: list[tuple[str | None, str]] = [
        (None, f"/v1/{name}") for name in ("areas", "authorities", "license-types", "purposes", "reasons")
    ]
    lists += [("operator", "/v1/clients"), ("platform", "/v1/policies")]
    for license_id in [(await service.issue())["id"] for _ in range(2)]:
        await service.act(license_id, "suspend")
        lists.append(("authority", f"/v1/licenses/{license_id}/history"))
    lists.append(("authority", "/v1/licenses"))
    cursors = {}
    for role, path in lists:
        page = (await service.call(role, "GET", path, params={"limit": "1"})).json()
        cursors[path] = page["next_cursor"]
    for role, path in lists:
        for other, cursor in cursors.items():
            with subtests.test(path=path, other=other):
                response = await service.call(role, "GET", path, params={"cursor": cursor})
                if path == other:
                    assert response.status_code == 200 and response.json()["data"]
                else:
                    assert_problem(response, "invalid_request")


async def test_a_list_is_paged_over_the_longest_names(service: HttpService) -> None:
    for last in "\U0001f3ea\U0001f3ec":
        await service.add_client("\U0001f3ea" * 99 + last, kind=ClientKind.PLATFORM)
    whole = (await service.call("operator", "GET", "/v1/clients")).json()["data"]
    before_last = {"limit": str(len(whole) - 1)}
    cursor = (await service.call("operator", "GET", "/v1/clients", params=before_last)).json()["next_cursor"]
    rest = (await service.call("operator", "GET", "/v1/clients", params={"cursor": cursor})).json()
    assert rest == {"data": whole[-1:], "next_cursor": None}


async def test_a_holder_code_is_found_however_it_was_typed(service: HttpService) -> None:
    issued = await service.issue()
    typed = issued["holder"]["code"].lower()
    params = {"holder_code": f"{typed[:9]} {typed[9:]}"}
    found = (await service.call("authority", "GET", "/v1/licenses", params=params)).json()["data"]
    assert [one["id"] for one in found] == [issued["id"]]


async def test_a_holder_s_key_made_with_a_typed_code_sees_the_holder_s_licenses(service: HttpService) -> None:
    issued = await service.issue()
    await service.add_client("typed", kind=ClientKind.HOLDER, holder_code=issued["holder"]["code"].lower())
    found = (await service.call("typed", "GET", "/v1/holdings")).json()["data"]
    assert [one["id"] for one in found] == [issued["id"]]


async def test_every_wrong_field_is_explained_in_the_caller_s_language(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    good = license_body(service)
    cases: tuple[dict[str, object], ...] = (
        {"valid_until": "1970-01-01"},
        {"issue_date": "1800-01-01"},
        {"valid_from": "2200-01-01", "valid_until": None},
        {"elements": {**good["elements"], "no_such_element": "x"}},
        {"number": "   "},
        {"number": " x"},
        {"number": "x\u200e"},
        {"number": "9" * 101},
        {"type_code": "11100000MB0143028R999"},
        {"area_code": "990000"},
        {"holder": {"code": "91320106MA0T7TC070", "code_type": "001", "name": "某"}},
        {"holder": {"code": "110101199003070011", "code_type": "111", "name": "某"}},
    )
    for case in cases:
        with subtests.test(case=str(case)[:60]):
            body = {**good, **case}
            in_chinese = await service.call("authority", "POST", "/v1/licenses", json=body)
            in_english = await service.call(
                "authority", "POST", "/v1/licenses", json=body, headers={"accept-language": "en"}
            )
            assert in_chinese.status_code == in_english.status_code == 422
            assert in_english.json()["detail"].isascii()
            assert_explained_in_both(in_chinese.json()["errors"], in_english.json()["errors"])


def assert_explained_in_both(in_chinese: list[dict[str, str]], in_english: list[dict[str, str]]) -> None:
    """Assert that the same fields are named, in Chinese and in English."""
    assert in_chinese
    for chinese, english in zip(in_chinese, in_english, strict=True):
        assert chinese["pointer"] == english["pointer"]
        assert not chinese["detail"].isascii()
        assert english["detail"].isascii()


async def test_a_refused_question_is_explained_in_the_caller_s_language(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    for wrong in ({"policy": "lenient"}, {"purpose": "curiosity"}, {"at": "2999-01-01T00:00:00Z"}):
        question = {"credential": "x", **wrong}
        for path, body in (
            ("/v1/verifications", question),
            ("/v1/verifications/batch", {"items": [question]}),
        ):
            with subtests.test(wrong=wrong, path=path):
                chinese = (await service.call("platform", "POST", path, json=body)).json()
                english = (
                    await service.call("platform", "POST", path, json=body, headers={"accept-language": "en"})
                ).json()
                if "results" in chinese:
                    chinese, english = chinese["results"][0], english["results"][0]
                assert_explained_in_both(chinese["errors"], english["errors"])


async def test_clients_are_paged_like_every_list(service: HttpService) -> None:
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {"cursor": cursor, "limit": "2"}
        page = (await service.call("operator", "GET", "/v1/clients", params=params)).json()
        ClientPage.model_validate(page)
        assert 1 <= len(page["data"]) <= 2
        seen += [one["name"] for one in page["data"]]
        cursor = page["next_cursor"]
    whole = (await service.call("operator", "GET", "/v1/clients")).json()
    assert seen == [one["name"] for one in whole["data"]]
    assert set(service.installation.keys) <= set(seen)
    assert whole["next_cursor"] is None


async def test_a_refused_method_is_answered_with_the_ones_there_are(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    for path, allowed in (("/v1/areas", "GET, HEAD"), ("/v1/licenses", "GET, HEAD, POST")):
        with subtests.test(path=path):
            response = await service.call(None, "DELETE", path)
            assert_problem(response, "method_not_allowed")
            assert response.headers["allow"] == allowed
            assert (await service.call("authority", "HEAD", path)).status_code == 200


def _patterns(schema: object) -> Iterator[str]:
    """Yield every pattern of a part of the OpenAPI document."""
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        for member in schema.values():
            yield from _patterns(member)
    elif isinstance(schema, list):
        for member in schema:
            yield from _patterns(member)


async def test_every_form_of_a_field_is_told_in_words(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    document = service.http._transport.app.openapi()  # type: ignore[attr-defined]
    assert {pattern for pattern in _patterns(document) if words_of(pattern) is None} == set()
    body = license_body(service)
    cases: tuple[tuple[str, dict[str, object], str, str], ...] = (
        ("", {"number": "a\x00b"}, "不得含有换行、制表符等控制字符", "must not hold line breaks"),
        ("", {"area_code": "3201"}, "应为 6 位数字的区域代码", "must be an area code of six digits"),
        ("/x/revoke", {"reason_code": "Fine!"}, "应以小写字母开头", "must begin with a small letter"),
        (
            "/x/revoke",
            {"kind": "x"},
            "应为 'penalty' 或 'annulled' 之一",
            "must be one of 'penalty' or 'annulled'",
        ),
    )
    issued = await service.issue()
    for path, changes, zh, en in cases:
        for language, told in (("zh", zh), ("en", en)):
            with subtests.test(changes=str(changes), language=language):
                good = body if not path else {"reason_code": "x", "reason": "查"}
                response = await service.call(
                    "authority",
                    "POST",
                    f"/v1/licenses{path.replace('x', issued['id'], 1)}",
                    json={**good, **changes},
                    headers={"accept-language": language},
                )
                assert_problem(response, "invalid_request")
                (error,) = response.json()["errors"]
                assert error["detail"].startswith(told) and "^" not in error["detail"]
    query = {"status": "gone"}
    response = await service.call("authority", "GET", "/v1/licenses", params=query)
    (error,) = response.json()["errors"]
    assert error["detail"].endswith("'expired' 或 'not_yet_valid' 之一") and " or " not in error["detail"]
