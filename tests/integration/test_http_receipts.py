"""Receipts as callers keep them: every answer of the service, checked offline with nothing but root and bundle."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from elicense.evidence import gather_offline
from elicense.problems import Reason
from elicense.receipt_check import ReceiptReport, check_receipt_bytes
from tests.integration.http_service import HttpService, open_http

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def check(service: HttpService, kept: bytes, **more: Any) -> ReceiptReport:
    services = service.installation.services
    await services.status_lists.publish_due()
    await services.freshness.publish_due()
    evidence = gather_offline(
        trust_root=(await service.http.get("/v1/trust-root")).content,
        bundle=(await service.http.get("/v1/bundle")).content,
        now=service.installation.clock.now(),
    )
    return check_receipt_bytes(kept, evidence=evidence, **more)


async def ask(service: HttpService, question: dict[str, Any]) -> bytes:
    answer = await service.call("platform", "POST", "/v1/verifications", json=question)
    assert answer.status_code == 200, answer.text
    return answer.content


async def questions(service: HttpService) -> list[dict[str, Any]]:
    issued = await service.issue()
    token = await service.credential(issued["id"])
    reference = {"holder_code": issued["holder"]["code"], "type_code": issued["type_code"]}
    return [
        {"credential": token},
        {"credential": token, "elements": {"address": "别处"}, "reference": "shop-8812"},
        {"license": reference, "purpose": None, "elements": {"holder_name": issued["holder"]["name"]}},
        {"license": {"identifier": issued["identifier"]}, "reference": "店铺 8812", "policy": None},
        {"credential": "no credential"},
        {"code": "123456"},
    ]


async def test_every_answer_holds_and_speaks_of_its_question(service: HttpService) -> None:
    for question in await questions(service):
        kept = await ask(service, question)
        report = await check(service, kept, question=question)
        assert report, report.checks
        other = {**question, "reference": "another"}
        assert (await check(service, kept, question=other)).reason is Reason.MISMATCH


async def test_what_the_service_kept_holds_as_well(service: HttpService) -> None:
    first = (await questions(service))[1]
    answer = json.loads(await ask(service, first))
    record = await service.call("platform", "GET", f"/v1/verifications/{answer['id']}")
    assert await check(service, record.content)


async def test_a_batch_and_each_of_its_results_hold(service: HttpService) -> None:
    asked = [*await questions(service), {"nothing": 1}]
    response = await service.call("platform", "POST", "/v1/verifications/batch", json={"items": asked})
    report = await check(service, response.content, question={"items": asked})
    assert report, report.checks
    assert report.results == len(asked)
    batch = response.json()
    for question, result in zip(asked, batch["results"], strict=True):
        one = json.dumps({**result, "receipt": batch["receipt"]}).encode()
        assert await check(service, one, question=question)
        if result["id"] is not None:
            record = await service.call("platform", "GET", f"/v1/verifications/{result['id']}")
            assert await check(service, record.content)


async def test_a_bent_answer_does_not_hold(service: HttpService) -> None:
    answer = json.loads(await ask(service, (await questions(service))[1]))
    for member, value in (("verdict", "valid"), ("reason", "ok"), ("elements", []), ("reference", "x")):
        bent = json.dumps({**answer, member: value}).encode()
        assert (await check(service, bent)).reason is Reason.MISMATCH, member
