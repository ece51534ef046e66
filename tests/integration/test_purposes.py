"""Purposes: which elements may be asked for which, and that what is not covered is never compared."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.api.schemas.answers import PurposePage
from app.domain.authority import ElementDefinition, ElementKind
from app.domain.purpose import PURPOSES
from tests.installation import BUSINESS_LICENSE, test_plan
from tests.integration.http_service import HttpService, assert_problem, open_http

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        plan = test_plan()
        business, *others = plan.license_types
        phone = ElementDefinition(
            name="contact_phone", label="联系电话", label_en="phone", kind=ElementKind.CODE, personal=True
        )
        more = replace(business, schema_version=2, elements=(*business.elements, phone))
        await opened.installation.services.directory.apply(
            replace(plan, license_types=(more, *others)), dry_run=False, actor="test"
        )
        yield opened


async def test_purposes_decide_what_is_compared(service: HttpService, subtests: pytest.Subtests) -> None:
    issued = await service.issue(
        elements={"legal_representative": "张示例", "address": "示例路1号", "contact_phone": "1380000"}
    )
    token = await service.credential(issued["id"])
    right = {
        "holder_name": issued["holder"]["name"],
        "legal_representative": "张示例",
        "address": "示例路1号",
    }
    cases = (
        ("merchant_onboarding", {**right, "contact_phone": "1380000"}, ()),
        ("credit_review", {"contact_phone": "1380000", **right}, ("contact_phone",)),
        ("advertising_review", right, ("legal_representative", "address")),
        ("advertising_review", {"legal_representative": "李四"}, ("legal_representative",)),
    )
    for purpose, elements, withheld in cases:
        for question in (
            {"license": {"identifier": issued["identifier"]}},
            {"license": {"number": issued["number"], "type_code": BUSINESS_LICENSE}},
            {"credential": token},
        ):
            with subtests.test(purpose=purpose, question=next(iter(question))):
                answer = await service.verify(**question, elements=elements, purpose=purpose)
                expected = {name: "cannot_tell" if name in withheld else "match" for name in elements}
                assert {one["name"]: one["outcome"] for one in answer["elements"]} == expected
                assert [one["name"] for one in answer["elements"]] == list(elements)
                told = ("indeterminate", "incomplete", 4) if withheld else ("valid", "ok", 0)
                assert (answer["verdict"], answer["reason"], answer["result_code"]) == told
                assert answer["purpose"] == purpose


async def test_what_is_not_covered_answers_alike_behind_what_is_wrong_with_the_file(
    service: HttpService,
) -> None:
    issued = await service.issue()
    answers = []
    for guess in ("张示例", "李四", "x" * 500):
        answer = await service.verify(
            license={"identifier": issued["identifier"]},
            elements={"legal_representative": guess, "holder_name": "别家"},
            purpose="advertising_review",
        )
        fixed = ("verdict", "reason", "elements", "checks", "message", "result_code")
        answers.append({name: answer[name] for name in fixed})
    assert answers[0] == answers[1] == answers[2]
    # The covered element was compared, and is told beside the one that was not.
    assert [one["outcome"] for one in answers[0]["elements"]] == ["cannot_tell", "mismatch"]

    asked = {"elements": {"legal_representative": "x"}, "purpose": "advertising_review"}
    assert (await service.verify(credential="x", **asked))["reason"] == "malformed"
    nobody = {"number": "nobody's", "type_code": BUSINESS_LICENSE}
    assert (await service.verify(license=nobody, **asked))["reason"] == "not_found"
    await service.act(issued["id"], "revoke")
    revoked = await service.verify(license={"identifier": issued["identifier"]}, **asked)
    assert revoked["reason"] == "incomplete"
    assert {check["id"]: check["code"] for check in revoked["checks"]}["status"] == "revoked"


async def test_purposes_are_public_and_each_client_has_its_own(service: HttpService) -> None:
    page = (await service.call(None, "GET", "/v1/purposes")).json()
    PurposePage.model_validate(page)
    shown = {one["code"]: (one["elements"], one["retention_days"]) for one in page["data"]}
    assert shown == {
        code: (list(purpose.elements), purpose.retention_days) for code, purpose in PURPOSES.items()
    }
    types = (await service.call(None, "GET", f"/v1/license-types/{BUSINESS_LICENSE}")).json()
    personal = {one["name"] for one in types["elements"] if one["personal"]}
    assert personal == {"legal_representative", "contact_phone"}
    body = {"license": {"number": "x", "type_code": BUSINESS_LICENSE}, "purpose": "curiosity"}
    assert_problem(
        await service.call("platform", "POST", "/v1/verifications", json=body), "purpose_not_allowed"
    )
