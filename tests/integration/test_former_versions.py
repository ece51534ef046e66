"""What earlier versions answer: superseded, by which identifier, and that a value was right before a change."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from app.domain.amending import Amendment, HolderChange, Renewal
from app.domain.license import Action, RevocationKind
from app.domain.verification import LicenseReference, Question
from elicense.credential import select_disclosures
from elicense.policy import DEFAULT_POLICY
from elicense.verify import gather_offline, verify_credential
from tests.amending import act, amend, old_credential, renew
from tests.installation import BUSINESS_LICENSE, HOLDER, Installation, open_installation

pytestmark = pytest.mark.anyio


async def outcomes(
    installation: Installation, way: LicenseReference | str, elements: dict[str, str]
) -> dict[str, tuple[str, str | None]]:
    question = (
        Question(credential=way, elements=elements)
        if isinstance(way, str)
        else Question(license=way, elements=elements)
    )
    body = await installation.ask(question)
    assert body["reason"] == "mismatch", body
    found: dict[str, tuple[str, str | None]] = {}
    for item in body["elements"]:  # type: ignore[attr-defined]
        found[item["name"]] = (item["outcome"], item.get("changed_on"))
    return found


async def test_an_old_file_answers_superseded_and_names_the_version_in_force_alone(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue(number=HOLDER.code)
        await amend(installation, license.id)
        third = await amend(installation, license.id, Amendment(elements={"address": "南京市示例路3号"}))
        for version in ("001", "002"):
            token = await old_credential(installation, license.id, version)
            body = await installation.ask(token)
            assert (body["verdict"], body["reason"], body["result_code"]) == ("invalid", "superseded", 3)
            assert body["superseded_by"] == third.identifier
            assert "示例路3号" not in str(body), "the content of the version in force is not told"
        body = await installation.ask(LicenseReference(identifier=license.identifier))
        assert (body["reason"], body["superseded_by"]) == ("superseded", third.identifier)
        for way in (
            LicenseReference(identifier=third.identifier),
            LicenseReference(number=HOLDER.code, type_code=BUSINESS_LICENSE),
            LicenseReference(holder_code=HOLDER.code, type_code=BUSINESS_LICENSE),
        ):
            body = await installation.ask(way)
            assert (body["reason"], body["superseded_by"]) == ("ok", None)


@pytest.mark.parametrize("ending", [Action.REVOKE, Action.CANCEL, Action.SUSPEND])
async def test_no_version_answers_better_than_superseded_after_the_license_ended(
    database_url: str, tmp_path: Path, ending: Action
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        second = await amend(installation, license.id)
        await act(installation, ending, license.id)
        old = await installation.ask(await old_credential(installation, license.id, "001"))
        assert (old["reason"], old["superseded_by"]) == ("superseded", second.identifier)
        assert (await installation.ask(await installation.credential(second)))["verdict"] == "invalid"


async def test_offline_an_old_file_answers_superseded_and_the_new_one_as_its_license(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license, held = await installation.issue(), await installation.issue()
        await amend(installation, license.id)
        await act(installation, Action.SUSPEND, held.id)
        await amend(installation, held.id)
        services = installation.services
        await services.status_lists.publish_due()
        await services.freshness.publish_due()
        evidence = gather_offline(
            trust_root=(await services.trust_list.root()).content,
            bundle=await services.freshness.bundle(),
            now=installation.clock.now(),
        )
        for of, version, reason in (
            (license, "001", "superseded"),
            (license, "002", "ok"),
            (held, "001", "superseded"),
            (held, "002", "suspended"),
        ):
            token = await old_credential(installation, of.id, version)
            report = verify_credential(token, evidence=evidence, policy=DEFAULT_POLICY)
            assert (report.reason, report.superseded_by) == (reason, None), (of.id, version)


async def test_a_value_that_was_right_before_a_change_is_told_with_the_day_it_changed(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        first_day = installation.services.licenses.today()
        license = await installation.issue(
            valid_until=date(2040, 1, 1),
            elements={
                "address": "南京市示例路1号(A座)",
                "company_type": "有限公司",
                "legal_representative": "张示例",
            },
        )
        await amend(installation, license.id, Amendment(elements={"address": "示例路2号"}))
        installation.clock.advance(days=3)
        second_day = installation.services.licenses.today()
        await amend(
            installation,
            license.id,
            Amendment(
                elements={"address": "示例路3号", "company_type": None},
                holder=HolderChange(name="新名称"),
            ),
        )
        await renew(installation, license.id, Renewal(valid_until=date(2045, 1, 1)))
        assert second_day == first_day + timedelta(days=3)
        current = await installation.services.licenses.get(
            license.id, caller=await installation.caller("authority")
        )
        changed, later = first_day.isoformat(), second_day.isoformat()
        asked = {
            "address": "南京市示例路１号【Ａ座】",
            "company_type": "有限公司",
            "legal_representative": "张示例 ",
            "holder_name": HOLDER.name,
            "valid_until": "2040-01-01",
            "valid_from": "2024-05-06",
            "number": "WRONG",
            "business_scope": "零售",
            "identifier": license.identifier,
            "version": "002",
        }
        expected = {
            "address": ("former_value", changed),
            "company_type": ("former_value", later),
            "legal_representative": ("match_normalized", None),
            "holder_name": ("former_value", later),
            "valid_until": ("former_value", later),
            "valid_from": ("match", None),
            "number": ("mismatch", None),
            "business_scope": ("not_on_license", None),
            "identifier": ("former_value", changed),
            "version": ("former_value", later),
        }
        ways = (
            LicenseReference(identifier=current.identifier),
            LicenseReference(identifier=license.identifier),
            LicenseReference(number=license.number, type_code=license.type_code),
            await installation.credential(current),
            select_disclosures(await installation.credential(current), []),
            await old_credential(installation, license.id, "001"),
        )
        for way in ways:
            assert await outcomes(installation, way, asked) == expected, way
        found = await outcomes(installation, ways[0], {"address": "示例路2号", "holder_name": "新名称"})
        assert found == {"address": ("former_value", later), "holder_name": ("match", None)}


async def test_a_value_that_came_back_is_right_again(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue(elements={"address": "一号"})
        for address in ("二号", "一号"):
            await amend(installation, license.id, Amendment(elements={"address": address}))
        way = LicenseReference(number=license.number, type_code=license.type_code)
        body = await installation.ask(Question(license=way, elements={"address": "一号"}))
        assert body["reason"] == "ok"
        found = await outcomes(installation, way, {"address": "二号"})
        assert found["address"][0] == "former_value"


async def test_a_revocation_is_told_by_its_kind_online(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        for kind, words in ((RevocationKind.PENALTY, "吊销"), (RevocationKind.ANNULLED, "撤销,自始无效")):
            license = await installation.issue()
            await installation.services.lifecycle.act(
                Action.REVOKE,
                license.id,
                reason_code="x",
                reason="x",
                caller=await installation.caller("authority"),
                call=None,
                kind=kind,
            )
            for way in (
                await installation.credential(license),
                LicenseReference(identifier=license.identifier),
            ):
                body = await installation.ask(way)
                assert body["reason"] == "revoked"
                (check,) = [c for c in body["checks"] if c["id"] == "status"]  # type: ignore[attr-defined]
                assert words in check["message"]
                assert words in str(body["message"])
