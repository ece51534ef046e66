"""One license through every service: issued, fetched, verified online and offline, revoked, seen by all."""

from pathlib import Path

import pytest

from app.domain.license import Action
from app.domain.verification import LicenseReference, Question
from elicense.encoding import b64url_decode
from elicense.evidence import gather_offline
from elicense.policy import DEFAULT_POLICY
from elicense.receipt import question_digest, verify_receipt
from elicense.verify import verify_credential
from tests.installation import Installation, open_again, open_installation

pytestmark = pytest.mark.anyio


async def _offline(installation: Installation, token: str) -> str:
    services = installation.services
    root = await services.trust_list.root()
    evidence = gather_offline(
        trust_root=root.content, bundle=await services.freshness.bundle(), now=installation.clock.now()
    )
    assert evidence.refused() == ()
    return verify_credential(token, evidence=evidence, policy=DEFAULT_POLICY).reason.value


async def _act(installation: Installation, action: Action, license_id: str) -> None:
    await installation.services.lifecycle.act(
        action,
        license_id,
        reason_code="inspection",
        reason="现场检查",
        caller=await installation.caller("authority"),
        call=None,
    )


async def test_an_issued_license_is_valid_online_and_offline(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        token = await installation.credential(license)
        body = await installation.ask(token)
        assert (body["verdict"], body["reason"], body["result_code"]) == ("valid", "ok", 0), body
        assert body["next_check_due"] is not None
        assert await installation.services.status_lists.publish_due() == 1
        assert await _offline(installation, token) == "ok"


async def test_a_revocation_is_seen_online_by_another_process_and_offline_after_publication(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        license = await installation.issue()
        token = await installation.credential(license)
        await installation.services.status_lists.publish_due()
        assert (await other.ask(token))["reason"] == "ok"
        await _act(installation, Action.REVOKE, license.id)
        assert (await other.ask(token))["reason"] == "revoked"
        by_number = LicenseReference(number=license.number, type_code=license.type_code)
        assert (await other.ask(by_number))["reason"] == "revoked"
        assert await other.services.status_lists.publish_due() == 1
        assert await _offline(installation, token) == "revoked"


async def test_suspension_and_resumption_go_there_and_back(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        token = await installation.credential(license)
        await _act(installation, Action.SUSPEND, license.id)
        await installation.services.status_lists.publish_due()
        assert (await installation.ask(token))["reason"] == "suspended"
        assert await _offline(installation, token) == "suspended"
        await _act(installation, Action.RESUME, license.id)
        await installation.services.status_lists.publish_due()
        assert (await installation.ask(token))["reason"] == "ok"
        assert await _offline(installation, token) == "ok"


async def test_every_answer_carries_a_receipt_over_the_question(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        token = await installation.credential(await installation.issue())
        question = Question(credential=token, elements={"holder_name": "别的公司"}, reference="shop-8812")
        body = await installation.ask(question)
        receipt = verify_receipt(
            str(body["receipt"]), trust=await installation.services.trust_list.evidence()
        )
        assert (receipt.verdict, receipt.reason) == ("invalid", "mismatch")
        asked = {"credential": token, "elements": {"holder_name": "别的公司"}, "reference": "shop-8812"}
        assert receipt.question == question_digest(asked, b64url_decode(str(body["question_salt"])))
        assert "别的公司" not in str(body["receipt"]) and "南京示例商贸有限公司" not in str(body["elements"])
