"""Relying parties over HTTP: questions, batches, and what they asked before."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.api.schemas.answers import (
    BatchAnswerBody,
    KeptVerification,
    VerificationAnswerBody,
    VerificationPage,
)
from tests.integration.http_service import HttpService, assert_problem, open_http, shown

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def test_a_good_credential_is_valid_and_comes_with_a_receipt(service: HttpService) -> None:
    issued = await service.issue()
    answer = await service.verify(credential=await service.credential(issued["id"]), reference="shop-1")
    VerificationAnswerBody.model_validate(answer)
    assert (answer["verdict"], answer["reason"]) == ("valid", "ok")
    assert (answer["result_code"], answer["file_result_code"]) == (0, 0)
    assert answer["license"]["number"] == issued["number"]
    assert answer["reference"] == "shop-1"
    assert answer["receipt"].count(".") == 2


async def test_a_reference_with_elements_is_answered_without_the_license(service: HttpService) -> None:
    issued = await service.issue()
    question = {"holder_code": issued["holder"]["code"], "type_code": issued["type_code"]}
    right = await service.verify(license=question, elements={"holder_name": issued["holder"]["name"]})
    wrong = await service.verify(license=question, elements={"holder_name": "别家公司"})
    for answer in (right, wrong):
        VerificationAnswerBody.model_validate(answer)
        assert answer["license"] is None
        assert answer["file_result_code"] is None
    assert (right["verdict"], right["elements"]) == ("valid", [{"name": "holder_name", "outcome": "match"}])
    assert (wrong["reason"], wrong["result_code"]) == ("mismatch", 6)
    assert issued["holder"]["name"] not in str(wrong)


async def test_the_checks_speak_the_callers_language(service: HttpService) -> None:
    messages = []
    for language in ("zh", "en"):
        response = await service.call(
            "platform",
            "POST",
            "/v1/verifications",
            json={"credential": "x"},
            headers={"accept-language": language},
        )
        assert response.headers["content-language"].startswith(language)
        messages.append([check["message"] for check in response.json()["checks"]])
    assert messages[0] != messages[1]
    assert all(message.isascii() for message in messages[1])


async def test_a_change_of_state_is_seen_by_the_next_question(service: HttpService) -> None:
    issued = await service.issue()
    token = await service.credential(issued["id"])
    seen = []
    for action in (None, "suspend", "resume", "revoke"):
        if action is not None:
            await service.act(issued["id"], action)
        answer = await service.verify(credential=token)
        seen.append((answer["verdict"], answer["reason"], answer["result_code"]))
    assert seen == [
        ("valid", "ok", 0),
        ("invalid", "suspended", 2),
        ("valid", "ok", 0),
        ("invalid", "revoked", 3),
    ]


async def test_what_editors_put_around_a_credential_is_no_part_of_it(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    issued = await service.issue()
    credential = await service.credential(issued["id"])
    for before, after in (("", "\n"), ("", "\r\n"), ("\ufeff", ""), ("\ufeff \n", "\t \n")):
        with subtests.test(before=before, after=after):
            answer = await service.verify(credential=f"{before}{credential}{after}")
            assert (answer["verdict"], answer["reason"]) == ("valid", "ok")
    for inside in (" ~", "\n~", "~ ~", "~\ufeff"):
        with subtests.test(inside=inside):
            answer = await service.verify(credential=credential.replace("~", inside, 1))
            assert (answer["verdict"], answer["reason"]) == ("invalid", "malformed")


async def test_any_text_up_to_64_kb_is_a_question(service: HttpService, subtests: pytest.Subtests) -> None:
    cases: tuple[str, ...] = (
        "",
        " ",
        "x",
        "a.b.c",
        "~",
        "\x00",
        "证照",
        "{}",
        "x" * 65536,
        "证" * 21845,
        "a.b.c~" * 1000,
        "../../etc/passwd",
    )
    for credential in cases:
        with subtests.test(credential=shown(credential)):
            answer = await service.verify(credential=credential)
            VerificationAnswerBody.model_validate(answer)
            assert (answer["verdict"], answer["reason"]) == ("invalid", "malformed")
            assert answer["file_result_code"] in (1, 2)


async def test_anything_else_is_no_question(service: HttpService, subtests: pytest.Subtests) -> None:
    cases: tuple[object, ...] = (
        "x" * 65537,
        "证" * 21846,
        7,
        None,
        [],
        {},
        True,
        1.5,
    )
    for credential in cases:
        with subtests.test(credential=shown(credential)):
            response = await service.call(
                "platform", "POST", "/v1/verifications", json={"credential": credential}
            )
            assert_problem(response, "invalid_request")


async def test_a_changed_character_is_never_valid(service: HttpService) -> None:
    issued = await service.issue()
    token = await service.credential(issued["id"])
    for position in range(0, len(token), max(1, len(token) // 40)):
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        assert (await service.verify(credential=changed))["verdict"] == "invalid", position


async def test_a_question_of_another_shape_is_refused(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    cases: tuple[object, ...] = (
        {},
        {"credential": "x", "code": "y"},
        {"license": {}},
        {"license": {"holder_code": "x"}},
        {"license": {"number": "x"}},
        {"license": {"identifier": "x", "type_code": "y"}},
        {"license": {"holder_code": "x", "number": "y", "type_code": "z"}},
        {"license": {"identifier": None}},
        {"license": {"identifier": ""}},
        {"license": "x"},
        {"code": ""},
        {"code": 7},
        {"credential": "x", "elements": []},
        {"credential": "x", "elements": {"Name": "x"}},
        {"credential": "x", "elements": {"name": 1}},
        {"credential": "x", "elements": {"name": "\x00"}},
        {"credential": "x", "elements": {f"e{index}": "x" for index in range(101)}},
        {"credential": "x", "reference": ""},
        {"credential": "x", "reference": "a\nb"},
        {"credential": "x", "reference": "x" * 201},
        {"credential": "x", "purpose": "Any Purpose"},
        {"credential": "x", "unknown": 1},
        {"credential": "x", "at": "yesterday"},
        {"credential": "x", "at": "2026-13-01T00:00:00Z"},
        {"credential": "x", "key_binding": {"nonce": "n"}},
        [],
        "x",
        None,
    )
    for question in cases:
        with subtests.test(question=shown(question)):
            response = await service.http.post(
                "/v1/verifications",
                json=question,
                headers={
                    "authorization": f"Bearer {service.installation.keys['platform']}",
                    "content-type": "application/json",
                },
                content=None if question is not None else b"null",
            )
            assert_problem(response, "invalid_request")


async def test_what_is_not_offered_is_refused_by_name(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    cases: tuple[tuple[dict[str, str], str], ...] = (
        ({"purpose": "no_such_purpose"}, "purpose_not_allowed"),
        ({"policy": "no-such-policy"}, "unknown_policy"),
        ({"at": "2999-01-01T00:00:00+08:00"}, "at_in_future"),
    )
    for addition, code in cases:
        with subtests.test(addition=shown(addition), code=shown(code)):
            response = await service.call(
                "platform", "POST", "/v1/verifications", json={"credential": "x", **addition}
            )
            assert_problem(response, code)


async def test_a_code_and_an_unknown_license_are_answered(service: HttpService) -> None:
    unknown_code = await service.verify(code="ABCDEFGH")
    unknown_license = await service.verify(license={"number": "none", "type_code": "11100000MB0143028R001"})
    assert unknown_code["reason"] == "code_unknown"
    assert (unknown_license["reason"], unknown_license["result_code"]) == ("not_found", 5)


async def test_one_bad_item_never_fails_a_batch(service: HttpService) -> None:
    issued = await service.issue()
    good: dict[str, Any] = {"license": {"identifier": issued["identifier"]}, "reference": "r-1"}
    items = [good, {"nonsense": 1}, 7, None, "x", {"credential": "x"}, {"license": {"number": "\x00"}}, good]
    response = await service.call("platform", "POST", "/v1/verifications/batch", json={"items": items})
    assert response.status_code == 200, response.text
    body = response.json()
    BatchAnswerBody.model_validate(body)
    assert [one["verdict"] for one in body["results"]] == ["valid", *["invalid"] * 6, "valid"]
    for index in (1, 2, 3, 4, 6):
        assert body["results"][index]["reason"] == "malformed"
        assert body["results"][index]["errors"], index
    assert body["results"][0]["reference"] == "r-1"
    kept = await service.call("platform", "GET", f"/v1/verifications/{body['results'][0]['id']}")
    KeptVerification.model_validate(kept.json())
    listed = await service.call("platform", "GET", "/v1/verifications")
    VerificationPage.model_validate(listed.json())
    assert body["receipt"].count(".") == 2


async def test_a_batch_of_another_shape_is_refused(service: HttpService, subtests: pytest.Subtests) -> None:
    cases: tuple[object, ...] = (
        {},
        {"items": []},
        {"items": {}},
        {"items": [], "more": 1},
        [],
        {"items": "x"},
    )
    for body in cases:
        with subtests.test(body=shown(body)):
            response = await service.call("platform", "POST", "/v1/verifications/batch", json=body)
            assert_problem(response, "invalid_request")


async def test_a_batch_over_the_limit_is_refused(service: HttpService) -> None:
    body = {"items": [{"credential": "x"}] * 1001}
    response = await service.call("platform", "POST", "/v1/verifications/batch", json=body)
    assert_problem(response, "too_large")


async def test_batches_take_larger_bodies_than_other_calls(service: HttpService) -> None:
    large = {"items": [{"credential": "x" * 60_000}] * 20}
    assert (await service.call("platform", "POST", "/v1/verifications/batch", json=large)).status_code == 200
    assert_problem(await service.call("platform", "POST", "/v1/verifications", json=large), "too_large")


async def test_a_large_batch_is_read_of_callers_with_a_good_key_alone(service: HttpService) -> None:
    read = []

    async def batch() -> AsyncIterator[bytes]:
        for _ in range(4):
            read.append(1)
            yield b" " * (1 << 20)

    headers = {"Content-Type": "application/json", "Content-Length": str(4 << 20)}
    for key in ({}, {"Authorization": "Bearer elk_live_0123456789ab_" + "A" * 43}):
        refused = await service.http.post(
            "/v1/verifications/batch", content=batch(), headers={**headers, **key}
        )
        assert_problem(refused, "unauthenticated")
    assert read == []


async def test_earlier_verifications_are_listed_and_read_as_they_were(service: HttpService) -> None:
    issued = await service.issue()
    made = [
        await service.verify(license={"identifier": issued["identifier"]}, reference=f"shop-{index}")
        for index in range(3)
    ]
    read = (await service.call("platform", "GET", f"/v1/verifications/{made[0]['id']}")).json()
    KeptVerification.model_validate(read)
    assert read["receipt"] == made[0]["receipt"]
    assert read["verdict"] == "valid"
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        response = await service.call(
            "platform", "GET", "/v1/verifications", params={"cursor": cursor, "limit": "2"}
        )
        assert response.status_code == 200, response.text
        VerificationPage.model_validate(response.json())
        seen += [one["id"] for one in response.json()["data"]]
        cursor = response.json()["next_cursor"]
    assert sorted(seen) == sorted(one["id"] for one in made)
    soon = await service.call("platform", "GET", "/v1/verifications?due_before=2020-01-01T00:00:00Z")
    later = await service.call("platform", "GET", "/v1/verifications?due_before=2100-01-01T00:00:00%2B08:00")
    assert (len(soon.json()["data"]), len(later.json()["data"])) == (0, 3)


async def test_times_with_finer_fractions_than_microseconds_are_taken(service: HttpService) -> None:
    identifier = (await service.issue())["identifier"]
    for digits in (7, 9, 30):
        at = f"2026-01-01T00:00:00.{'1' * digits}Z"
        answer = await service.verify(license={"identifier": identifier}, at=at)
        assert answer["evaluated_at"] == "2026-01-01T00:00:00Z"
        listed = await service.call("platform", "GET", f"/v1/verifications?due_before={at}")
        assert listed.status_code == 200, listed.text
    too_fine = f"/v1/verifications?due_before=2026-01-01T00:00:00.{'1' * 31}Z"
    assert_problem(await service.call("platform", "GET", too_fine), "invalid_request")


async def test_a_wrong_query_is_refused(service: HttpService, subtests: pytest.Subtests) -> None:
    cases: tuple[str, ...] = (
        "due_before=2026-01-01",
        "due_before=2026-01-01T00:00:00",
        "limit=x",
        "reference=",
        "cursor=%21",
    )
    for query in cases:
        with subtests.test(query=shown(query)):
            response = await service.call("platform", "GET", f"/v1/verifications?{query}")
            assert_problem(response, "invalid_request")
