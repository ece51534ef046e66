"""Amending, renewing and recording successions over HTTP: shapes, order of checks, answers, the old file."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from app.api.schemas.amending import AmendBody, RenewBody, SuccessionBody
from app.api.schemas.answers import HistoryPage, LicenseAnswer, VerificationAnswerBody
from app.domain.authority import SetupPlan
from tests.installation import OTHER_AREA
from tests.integration.http_service import HttpService, assert_problem, open_http

pytestmark = pytest.mark.anyio

WHY = {"reason_code": "change_of_address", "reason": "住所变更"}


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def post(
    service: HttpService,
    license_id: str,
    action: str,
    *,
    role: str = "authority",
    key: str | None = None,
    **body: Any,
) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else None
    path = f"/v1/licenses/{license_id}/{action}"
    return await service.call(role, "POST", path, json={**WHY, **body}, headers=headers)


async def test_an_amendment_is_answered_with_the_license_at_its_new_version(service: HttpService) -> None:
    issued = await service.issue(
        elements={"address": "一号", "company_type": "有限公司"}, valid_until="2040-01-01"
    )
    response = await post(
        service,
        issued["id"],
        "amend",
        elements={"address": "二号", "company_type": None},
        holder={"code": issued["holder"]["code"], "code_type": "001", "name": "新名称有限公司"},
        valid_until=None,
    )
    assert response.status_code == 200, response.text
    amended = response.json()
    LicenseAnswer.model_validate(amended)
    assert amended == {
        **issued,
        "identifier": amended["identifier"],
        "version": "002",
        "elements": {"address": "二号"},
        "holder": {**issued["holder"], "name": "新名称有限公司"},
        "valid_until": None,
        "updated_at": amended["updated_at"],
    }
    assert amended["identifier"] != issued["identifier"]
    assert (await service.call("authority", "GET", f"/v1/licenses/{issued['id']}")).json() == amended


async def test_the_history_tells_who_when_from_when_and_why(service: HttpService) -> None:
    issued = await service.issue()
    successor = await service.issue()
    await post(service, issued["id"], "amend", elements={"address": "二号"})
    await post(service, issued["id"], "renew", valid_until=None)
    await post(service, issued["id"], "succession", relation="merged_into", successors=[successor["id"]])
    response = await service.call("authority", "GET", f"/v1/licenses/{issued['id']}/history")
    HistoryPage.model_validate(response.json())
    entries = response.json()["data"]
    assert [(e["action"], e["version"], e["from_status"], e["to_status"]) for e in entries] == [
        ("issue", "001", None, "active"),
        ("amend", "002", "active", "active"),
        ("renew", "003", "active", "active"),
        ("succession", "003", "active", "superseded"),
    ]
    assert entries[1]["details"] == {"previous": issued["identifier"], "changed": "address"}
    assert entries[3]["details"] == {"relation": "merged_into", "successors": successor["identifier"]}
    for entry in entries[1:]:
        assert (entry["reason_code"], entry["reason"]) == (WHY["reason_code"], WHY["reason"])
        assert entry["actor"] and entry["recorded_at"] == entry["effective_at"]


async def test_the_old_file_stays_there_and_answers_superseded(service: HttpService) -> None:
    issued = await service.issue()
    old = await service.credential(issued["id"])
    amended = (await post(service, issued["id"], "amend", elements={"address": "二号"})).json()
    path = f"/v1/licenses/{issued['id']}/credential"
    assert (await service.call("authority", "GET", f"{path}?version=001")).text == old
    current = await service.credential(issued["id"])
    assert (await service.call("authority", "GET", f"{path}?version=002")).text == current != old
    assert_problem(await service.call("authority", "GET", f"{path}?version=003"), "not_found")
    for question in ({"credential": old}, {"license": {"identifier": issued["identifier"]}}):
        answer = await service.verify(**question)
        VerificationAnswerBody.model_validate(answer)
        assert (answer["verdict"], answer["reason"], answer["result_code"]) == ("invalid", "superseded", 3)
        assert answer["superseded_by"] == amended["identifier"]
    answer = await service.verify(credential=current)
    assert (answer["reason"], answer["superseded_by"]) == ("ok", None)
    answer = await service.verify(
        license={"number": issued["number"], "type_code": issued["type_code"]},
        elements={"address": issued["elements"]["address"]},
    )
    (element,) = answer["elements"]
    assert (answer["reason"], element["outcome"]) == ("mismatch", "former_value")
    assert element["changed_on"] == service.installation.services.licenses.today().isoformat()


async def test_a_succession_names_the_identifiers_it_leads_to(service: HttpService) -> None:
    issued, left, right = [await service.issue() for _ in range(3)]
    response = await post(
        service, issued["id"], "succession", relation="split_to", successors=[left["id"], right["identifier"]]
    )
    assert (response.status_code, response.json()["status"]) == (200, "superseded")
    answer = await service.verify(license={"identifier": issued["identifier"]})
    VerificationAnswerBody.model_validate(answer)
    assert answer["superseded_by"] is None
    assert answer["successors"] == [left["identifier"], right["identifier"]]


async def test_a_revocation_may_say_its_kind(service: HttpService) -> None:
    for body, words in (({}, "吊销"), ({"kind": "annulled"}, "自始无效")):
        issued = await service.issue()
        assert (await post(service, issued["id"], "revoke", **body)).status_code == 200
        answer = await service.verify(license={"identifier": issued["identifier"]})
        assert answer["reason"] == "revoked" and words in answer["message"]
    issued = await service.issue()
    assert_problem(await post(service, issued["id"], "revoke", kind="removed"), "invalid_request")
    assert_problem(await post(service, issued["id"], "suspend", kind="penalty"), "invalid_request")


BAD_SHAPES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("amend", {}, ""),
    ("amend", {"number": "X"}, ""),
    ("amend", {"elements": {"address": "x"}, "issue_date": "2024-01-01"}, "/issue_date"),
    ("amend", {"elements": {"address": 1}}, "/elements/address"),
    ("amend", {"elements": None}, "/elements"),
    ("amend", {"valid_until": "tomorrow"}, "/valid_until"),
    ("amend", {"holder": {"name": ""}}, "/holder/name"),
    ("amend", {"area_code": "3201"}, "/area_code"),
    ("amend", {"valid_until": None, "effective_at": "2027-01-01"}, "/effective_at"),
    ("amend", {"valid_until": None, "reason": " "}, "/reason"),
    ("suspend", {"reason": "\u200b\u2060"}, "/reason"),
    ("renew", {}, "/valid_until"),
    ("renew", {"valid_until": None, "effective_at": "2027-01-01"}, "/effective_at"),
    ("renew", {"valid_until": None, "elements": {}}, "/elements"),
    ("succession", {"successors": ["x"]}, "/relation"),
    ("succession", {"relation": "sold_to", "successors": ["x"]}, "/relation"),
    ("succession", {"relation": "split_to", "successors": ["x"], "effective_at": None}, "/effective_at"),
    ("succession", {"relation": "split_to", "successors": []}, "/successors"),
    ("succession", {"relation": "split_to", "successors": ["x"] * 21}, "/successors"),
)


@pytest.mark.parametrize(("action", "body", "pointer"), BAD_SHAPES)
async def test_wrong_shapes_are_refused_where_they_are_wrong(
    service: HttpService, action: str, body: dict[str, Any], pointer: str
) -> None:
    issued = await service.issue()
    response = await post(service, issued["id"], action, **body)
    assert_problem(response, "invalid_request")
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


async def test_every_field_that_is_taken_has_its_effect(service: HttpService) -> None:
    issued = await service.issue(valid_until="2040-01-01", elements={"address": "一号"})
    successor = await service.issue()
    holder = {"code": "320100A0001", "code_type": "099", "name": "新名称"}
    periods = {"valid_until": "2050-01-01", "valid_from": "2024-01-02", "issue_date": "2024-01-03"}
    sent: tuple[tuple[str, type[BaseModel], dict[str, Any]], ...] = (
        (
            "amend",
            AmendBody,
            {"elements": {"address": "二号"}, "holder": holder, "valid_until": "2041-01-01"},
        ),
        ("renew", RenewBody, periods),
        ("succession", SuccessionBody, {"relation": "merged_into", "successors": [successor["identifier"]]}),
    )
    elsewhere = {"area_code", "holder_key"}  # refused in another area below; keys have tests of their own
    for action, model, fields in sent:
        assert set(model.model_fields) - elsewhere == {*fields, *WHY}, (
            f"{action} takes more than is shown here"
        )
        before = (await service.call("authority", "GET", f"/v1/licenses/{issued['id']}")).json()
        after = (await post(service, issued["id"], action, **fields)).json()
        history = await service.call("authority", "GET", f"/v1/licenses/{issued['id']}/history")
        entry = history.json()["data"][-1]
        assert (entry["action"], entry["reason_code"], entry["reason"]) == (action, *WHY.values())
        seen = {**after, **entry["details"], "successors": entry["details"].get("successors", "").split()}
        for name, value in fields.items():
            assert seen[name] == value != before.get(name), name


async def test_refusals_come_by_name_and_wrong_requests_before_wrong_states(service: HttpService) -> None:
    issued = await service.issue()
    for action, body, code in (
        ("amend", {"elements": {"unknown": "x"}}, "invalid_elements"),
        ("amend", {"elements": {"address": issued["elements"]["address"]}}, "no_change"),
        ("amend", {"area_code": OTHER_AREA}, "not_authorized_to_issue"),
        ("renew", {"valid_until": "2020-01-01"}, "invalid_dates"),
        ("succession", {"relation": "replaced_by", "successors": [issued["id"]]}, "invalid_succession"),
    ):
        assert_problem(await post(service, issued["id"], action, **body), code)
    await service.act(issued["id"], "revoke")
    assert_problem(await post(service, issued["id"], "amend", elements={"unknown": "x"}), "invalid_elements")
    for action, body in (
        ("amend", {"elements": {"address": "二号"}}),
        ("renew", {"valid_until": None}),
        ("succession", {"relation": "replaced_by", "successors": [(await service.issue())["id"]]}),
    ):
        assert_problem(await post(service, issued["id"], action, **body), "state_conflict")
        assert_problem(await post(service, issued["id"], action, role="other_authority", **body), "not_found")


async def test_a_name_that_nobody_knows_is_not_removed_in_silence(service: HttpService) -> None:
    issued = await service.issue(elements={"address": "一号"})
    elements = {"address": "二号", "adress": None}
    refused = await post(service, issued["id"], "amend", elements=elements)
    assert_problem(refused, "invalid_elements")
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/elements/adress"]
    # What the type knows may be said to be absent, whether the license has it or not.
    elements = {"address": "二号", "legal_representative": None}
    assert (await post(service, issued["id"], "amend", elements=elements)).status_code == 200


async def test_a_renewal_that_its_type_has_outgrown_is_told_to_amend_first(service: HttpService) -> None:
    issued = await service.issue(elements={"address": "一号", "legal_representative": "张示例"})
    directory = service.installation.services.directory
    held = (await directory.snapshot()).license_types[issued["type_code"]]
    kept = [one for one in held.elements if one.name not in ("address", "company_type")]
    required = [replace(one, required=True) for one in held.elements if one.name == "company_type"]
    changed = replace(held, schema_version=2, elements=(*kept, *required))
    await directory.apply(SetupPlan(license_types=(changed,)), dry_run=False, actor="test")
    for language, told in (("zh", "请先变更"), ("en", "amend the license first")):
        response = await service.call(
            "authority",
            "POST",
            f"/v1/licenses/{issued['id']}/renew",
            json={**WHY, "valid_until": None},
            headers={"accept-language": language},
        )
        assert_problem(response, "invalid_elements")
        errors = {error["pointer"]: error["detail"] for error in response.json()["errors"]}
        assert set(errors) == {"/elements/address", "/elements/company_type"}
        assert all(told in detail for detail in errors.values())
    wrong = (await post(service, issued["id"], "renew", valid_until=None, issue_date="1800-01-01")).json()
    assert ["请先变更" in error["detail"] for error in wrong["errors"]] == [False]
    amended = {"address": None, "company_type": "有限公司"}
    assert (await post(service, issued["id"], "amend", elements=amended)).status_code == 200
    assert (await post(service, issued["id"], "renew", valid_until=None)).status_code == 200


async def test_a_repeated_amendment_is_answered_as_the_first_time(service: HttpService) -> None:
    issued = await service.issue()
    first = await post(service, issued["id"], "amend", key="k", elements={"address": "二号"})
    again = await post(service, issued["id"], "amend", key="k", elements={"address": "二号"})
    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    other = await post(service, issued["id"], "amend", key="k", elements={"address": "三号"})
    assert_problem(other, "idempotency_mismatch")
    license_ = (await service.call("authority", "GET", f"/v1/licenses/{issued['id']}")).json()
    assert license_["version"] == "002"


async def test_a_repeated_question_ends_with_an_amendment(service: HttpService) -> None:
    issued = await service.issue()
    question = {"credential": await service.credential(issued["id"])}
    headers = {"Idempotency-Key": "q"}

    async def ask() -> dict[str, Any]:
        response = await service.call("platform", "POST", "/v1/verifications", json=question, headers=headers)
        answer: dict[str, Any] = response.json()
        return answer

    first = await ask()
    assert (await ask())["id"] == first["id"]
    await post(service, issued["id"], "amend", elements={"address": "二号"})
    assert (await ask())["reason"] == "superseded"
