"""Looking ahead: what an action would touch, counted and never named, with nothing changed but the audit."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.errors import DomainError, NotFound
from app.domain.license import Holder, License, State
from app.domain.verification import LicenseReference
from app.ports import UnitOfWork
from app.services.dependants import DependantCount
from app.services.previews import Preview, PreviewService, preview_json
from tests.installation import (
    BUSINESS_LICENSE,
    OTHER_AREA,
    OTHER_AUTHORITY,
    ROLLED_BACK,
    TRANSPORT_TYPE,
    Installation,
    open_installation,
    uscc,
)
from tests.integration.ordering import (
    add_colleague,
    audit_of,
    client_id,
    history_of,
    need_two_persons,
    order,
    propose,
    schedule,
    state_of,
)

pytestmark = pytest.mark.anyio


async def look(
    installation: Installation, action: str, license: License, *, role: str = "authority"
) -> Preview:
    return await installation.services.previews.preview(
        action, license.id, caller=await installation.caller(role)
    )


def counts(preview: Preview) -> dict[str, int]:
    return {one.kind: one.count for one in preview.dependants}


async def test_a_preview_tells_what_an_action_would_do_and_does_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        await order(installation, "suspend", license.id)
        preview = await look(installation, "revoke", license)
        assert (preview.license.state, preview.to_state) == (State.SUSPENDED, State.REVOKED)
        snapshot = await installation.services.store.read(lambda unit: unit.licenses.snapshot(license.id))
        assert snapshot is not None
        shown = preview_json(preview)
        assert not preview.two_person
        assert shown["versions"] == [
            {
                "version": "001",
                "identifier": license.identifier,
                "from_state": "suspended",
                "to_state": "revoked",
                "status_list": f"https://issuer.test.example/v1/status-lists/{snapshot.version.status_list_id}",
                "status_index": snapshot.version.status_index,
                "from_value": 2,
                "to_value": 1,
            }
        ]
        assert await state_of(installation, license.id) == "suspended"
        assert len(await history_of(installation, license.id)) == 1
        actor = await client_id(installation, "authority")
        assert ("license.revoke.preview", actor, "ok") in await audit_of(installation, license.id)
        assert (await order(installation, "revoke", license.id)).license is not None


async def test_a_preview_is_refused_as_the_action_would_be(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        with pytest.raises(DomainError, match="state_conflict"):
            await look(installation, "resume", license)
        for role in ("other_authority", "holder", "platform", "operator"):
            with pytest.raises(NotFound):
                await look(installation, "revoke", license, role=role)
        assert await audit_of(installation, license.id) == [("license.issue", "test", "ok")]
        installation.services.guard.restrict(ROLLED_BACK)
        with pytest.raises(DomainError, match="read_only"):
            await look(installation, "revoke", license)


async def test_a_preview_says_when_a_second_person_is_needed(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await need_two_persons(installation, "revoke")
        license = await installation.issue()
        assert (await look(installation, "revoke", license)).two_person
        assert not (await look(installation, "suspend", license)).two_person


async def test_relying_parties_with_a_check_to_come_are_counted_once_each(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license, other = await installation.issue(), await installation.issue()
        credential = await installation.credential(license)
        assert counts(await look(installation, "revoke", license))["relying_parties"] == 0
        for role in ("platform", "platform", "bank"):
            await installation.ask(credential, role=role)
        await installation.ask(LicenseReference(identifier=license.identifier), role="platform")
        await installation.ask(await installation.credential(other), role="bank")
        preview = await look(installation, "revoke", license)
        assert counts(preview)["relying_parties"] == 2
        for role in ("platform", "bank"):
            assert await client_id(installation, role) not in str(preview_json(preview))
        installation.clock.advance(days=200)  # nobody has to come back any more
        assert counts(await look(installation, "revoke", license))["relying_parties"] == 0


async def test_the_holder_s_other_live_licenses_are_counted(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        today = installation.services.licenses.today()
        own, ended = await installation.issue(), await installation.issue()
        await order(installation, "suspend", own.id)
        await order(installation, "cancel", ended.id)
        await installation.issue(valid_until=today)  # its last day
        await installation.issue(valid_until=today.replace(year=today.year - 1))  # expired
        await installation.issue(holder=Holder(code=uscc(2), code_type="001", name="另一家公司"))
        elsewhere = {"authority_code": OTHER_AUTHORITY, "area_code": OTHER_AREA}
        await installation.issue(**elsewhere, type_code=TRANSPORT_TYPE, elements={})
        await installation.issue(**elsewhere, type_code=BUSINESS_LICENSE)
        found = counts(await look(installation, "revoke", license))
        assert found["licenses_of_holder"] == 2
        assert found["licenses_of_holder_elsewhere"] == 2


async def test_what_waits_for_the_license_is_counted(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await need_two_persons(installation, "revoke")
        await add_colleague(installation)
        license = await installation.issue()
        await schedule(installation, "suspend", license.id, seconds=60)
        for _ in range(2):
            await propose(installation, "revoke", license.id)
        found = counts(await look(installation, "cancel", license))
        assert (found["scheduled_changes"], found["proposals"]) == (1, 2)
        installation.clock.advance(days=8)
        assert counts(await look(installation, "cancel", license))["proposals"] == 0


class _Watches:
    """What a later part brings: one object."""

    async def count(self, unit: UnitOfWork, license: License) -> Sequence[DependantCount]:
        assert await unit.licenses.get(license.id) == license
        return (DependantCount(kind="watches", count=7, text_zh="7 个关注", text_en="7 watches"),)


async def test_a_part_joins_the_dependants_by_one_object(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        joined = PreviewService(
            store=services.store,
            signing_clock=services.signing_clock,
            guard=services.guard,
            orders=services.orders,
            performers={"revoke": services.lifecycle},
            dependants=[_Watches()],
        )
        wider = replace(installation, services=replace(services, previews=joined))
        preview = await look(wider, "revoke", await installation.issue())
        assert preview_json(preview)["dependants"] == [
            {"kind": "watches", "count": 7, "text": {"zh": "7 个关注", "en": "7 watches"}}
        ]
