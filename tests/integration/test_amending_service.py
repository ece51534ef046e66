"""Amending and renewing on real databases: what the next version says, and what becomes of the one before."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.domain.amending import Amendment, HolderChange, Renewal
from app.domain.errors import DomainError, NotFound
from app.domain.license import Action, License, State
from app.ports import UnitOfWork
from elicense.cn import parse_identifier
from elicense.credential import parse_credential
from elicense.log_entry import LicenseEvent
from tests.amending import act, amend, history_of, renew, status_values, versions_of
from tests.installation import (
    FOOD_TYPE,
    HOLDER,
    OTHER_AREA,
    Installation,
    open_installation,
    services_over,
    uscc,
)
from tests.integration.bystander import open_bank
from tests.integration.test_issuing_service import intents

pytestmark = pytest.mark.anyio


async def test_an_amendment_makes_the_next_version_and_supersedes_the_one_before(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        first = await installation.issue()
        second = await amend(
            installation,
            first.id,
            Amendment(
                elements={
                    "address": "南京市示例路2号",
                    "legal_representative": None,
                    "company_type": "有限公司",
                },
                holder=HolderChange(name="南京示例商贸集团有限公司"),
                valid_until=date(2044, 5, 5),
            ),
        )
        assert (second.id, second.number, second.version, second.state, second.row_version) == (
            first.id,
            first.number,
            "002",
            State.ACTIVE,
            2,
        )
        assert dict(second.elements) == {"address": "南京市示例路2号", "company_type": "有限公司"}
        assert second.holder == replace(HOLDER, name="南京示例商贸集团有限公司")
        assert (second.valid_from, second.valid_until) == (first.valid_from, date(2044, 5, 5))
        before, after = parse_identifier(first.identifier), parse_identifier(second.identifier)
        assert (before.serial, before.version, after.version) == (after.serial, "001", "002")
        assert after.check_is_right
        old, new = await versions_of(installation, first.id)
        assert [(old.identifier, old.state), (new.identifier, new.state)] == [
            (first.identifier, State.SUPERSEDED),
            (second.identifier, State.ACTIVE),
        ]
        credential = parse_credential(new.credential)
        assert credential.claims.license.holder.name == "南京示例商贸集团有限公司"
        assert credential.claims.status_index == new.status_index != old.status_index
        assert await status_values(installation, first.id) == [3, 0]
        entry = (await history_of(installation, first.id))[1]
        caller = await installation.caller("authority")
        assert (entry.version, entry.action, entry.from_state, entry.to_state, entry.actor) == (
            "002",
            "amend",
            "active",
            "active",
            caller.client.id,
        )
        assert (entry.reason_code, entry.reason, entry.effective_at) == (
            "change_of_address",
            "住所变更",
            entry.recorded_at,
        )
        assert entry.details == {
            "previous": first.identifier,
            "changed": "address company_type holder_name legal_representative valid_until",
        }
        audit, _ = await installation.services.audit.page(cursor=None, limit=100)
        assert [e.action for e in audit if e.subject == first.id] == ["license.amend", "license.issue"]
        assert (await installation.ask(new.credential))["reason"] == "ok"


async def test_the_log_commits_to_the_end_of_one_version_and_the_issuance_of_the_next(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        first = await installation.issue()
        await act(installation, Action.SUSPEND, first.id)
        await amend(installation, first.id)
        old, new = await versions_of(installation, first.id)
        entry = (await history_of(installation, first.id))[-1]
        ended = LicenseEvent(
            env=old.env,
            kind="superseded",
            license_id=first.id,
            identifier=old.identifier,
            version="001",
            row_version=3,
            from_state="suspended",
            to_state="superseded",
            actor=entry.actor,
            recorded_at=entry.recorded_at,
            effective_at=entry.effective_at,
            reason_code=entry.reason_code,
            reason=entry.reason,
            signing_input_sha256=old.signing_input_sha256,
            status_list=old.status_list_id,
            status_index=old.status_index,
            details=entry.details,
        )
        issued = replace(
            ended,
            kind="issued",
            identifier=new.identifier,
            version="002",
            from_state=None,
            to_state="suspended",
            signing_input_sha256=new.signing_input_sha256,
            status_list=new.status_list_id,
            status_index=new.status_index,
        )
        engine = create_async_engine(database_url)
        async with engine.connect() as connection:
            rows = await connection.execute(
                text("SELECT kind, identifier, event_sha256 FROM log_leaves WHERE subject = :id"),
                {"id": first.id},
            )
            leaves = {(row.kind, row.identifier, row.event_sha256) for row in rows}
            events = await connection.execute(
                text("SELECT kind FROM events WHERE license_id = :id ORDER BY kind"), {"id": first.id}
            )
            assert [event.kind for event in events] == [
                "license.issued",
                "license.issued",
                "license.superseded",
                "license.suspended",
            ]
        await engine.dispose()
        assert len(leaves) == 4
        assert leaves >= {
            ("change", old.identifier, ended.sha256),
            ("issuance", new.identifier, issued.sha256),
        }


async def test_the_same_content_is_no_amendment(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        for amendment in (
            Amendment(elements={"address": license.elements["address"]}),
            Amendment(elements={"business_scope": None}),
            Amendment(holder=HolderChange(code=f" {HOLDER.code.lower()} ")),
            Amendment(valid_until=None),
        ):
            with pytest.raises(DomainError, match="no_change"):
                await amend(installation, license.id, amendment)
        assert len(await versions_of(installation, license.id)) == 1
        assert await intents(installation) == []


async def test_the_rules_of_issuing_hold_for_amendments(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        food = await installation.issue(type_code=FOOD_TYPE, elements={"premises": "一号"})
        cases: tuple[tuple[License, Amendment, str], ...] = (
            (license, Amendment(elements={"unknown": "x"}), "invalid_elements"),
            (license, Amendment(elements={"address": " x"}), "invalid_elements"),
            (food, Amendment(elements={"premises": None}), "invalid_elements"),
            (license, Amendment(valid_until=date(2020, 1, 1)), "invalid_dates"),
            (license, Amendment(area_code="999999"), "unknown_area"),
            (license, Amendment(area_code=OTHER_AREA), "not_authorized_to_issue"),
            (license, Amendment(holder=HolderChange(code="91320100MA0T00011X")), "invalid_uscc"),
            (license, Amendment(holder=HolderChange(code_type="111")), "holder_not_supported"),
            (license, Amendment(holder=HolderChange(name="甲\u202e乙")), "invalid_request"),
        )
        for of, amendment, code in cases:
            with pytest.raises(DomainError) as refused:
                await amend(installation, of.id, amendment)
            assert refused.value.code == code, amendment
        for of in (license, food):
            assert len(await versions_of(installation, of.id)) == 1


async def test_a_wrong_request_goes_before_a_wrong_state(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        await act(installation, Action.REVOKE, license.id)
        with pytest.raises(DomainError, match="invalid_elements"):
            await amend(installation, license.id, Amendment(elements={"unknown": "x"}))
        with pytest.raises(DomainError, match="state_conflict"):
            await amend(installation, license.id)


async def test_a_suspension_carries_over_and_an_ended_license_is_refused(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        await act(installation, Action.SUSPEND, license.id)
        second = await amend(installation, license.id)
        assert second.state is State.SUSPENDED
        assert [v.state for v in await versions_of(installation, license.id)] == [
            State.SUPERSEDED,
            State.SUSPENDED,
        ]
        assert await status_values(installation, license.id) == [3, 2]
        assert (await installation.ask(await installation.credential(second)))["reason"] == "suspended"
        await act(installation, Action.RESUME, license.id)
        assert await status_values(installation, license.id) == [3, 0]
        for ending in (Action.REVOKE, Action.CANCEL):
            ended = await installation.issue()
            await act(installation, ending, ended.id)
            with pytest.raises(DomainError, match="state_conflict"):
                await amend(installation, ended.id)
            with pytest.raises(DomainError, match="state_conflict"):
                await renew(installation, ended.id, Renewal(valid_until=None))
            assert len(await versions_of(installation, ended.id)) == 1


async def test_another_authoritys_license_looks_like_none(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        for role in ("other_authority", "holder", "platform", "operator"):
            with pytest.raises(NotFound):
                await amend(installation, license.id, role=role)


async def test_a_renewal_gives_a_new_period_and_a_fresh_file(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        today = installation.services.licenses.today()
        license = await installation.issue(valid_until=today + timedelta(days=20))
        longer = await renew(installation, license.id, Renewal(valid_until=today + timedelta(days=1500)))
        assert (longer.version, longer.valid_from, longer.issue_date) == ("002", license.valid_from, today)
        again = await renew(installation, license.id, Renewal(valid_until=longer.valid_until))
        assert (again.version, again.valid_until) == ("003", longer.valid_until)
        entries = await history_of(installation, license.id)
        assert [(e.action, e.details.get("changed")) for e in entries[1:]] == [
            ("renew", "issue_date valid_until"),
            ("renew", None),
        ]
        for renewal, pointer in (
            (Renewal(valid_until=today + timedelta(days=1499)), "/valid_until"),
            (Renewal(valid_until=None, valid_from=today + timedelta(days=1)), "/valid_from"),
        ):
            with pytest.raises(DomainError, match="invalid_dates") as refused:
                await renew(installation, license.id, renewal)
            assert [error.pointer for error in refused.value.errors] == [pointer]
        over = await installation.issue(valid_until=today - timedelta(days=3))
        later = await renew(
            installation,
            over.id,
            Renewal(valid_until=None, valid_from=today + timedelta(days=2), issue_date=today),
        )
        assert later.status_on(today) == "not_yet_valid"


async def test_versions_end_with_999_by_name(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        last = parse_identifier(license.identifier)
        engine = create_async_engine(database_url)
        async with engine.begin() as connection:
            for table, column in (("licenses", "id"), ("license_versions", "license_id")):
                await connection.execute(
                    text(f"UPDATE {table} SET version = '999' WHERE {column} = :id"), {"id": license.id}
                )
        await engine.dispose()
        assert last.version == "001"
        with pytest.raises(DomainError) as refused:
            await amend(installation, license.id)
        assert refused.value.code == "versions_exhausted"
        assert len(await versions_of(installation, license.id)) == 1


async def test_a_file_is_handed_out_without_reading_those_of_other_versions(
    database_url: str, tmp_path: Path, statements: list[tuple[str, object]]
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        await amend(installation, license.id)
        await installation.services.log_sequencer.run()
        caller = await installation.caller("authority")
        del statements[:]
        await installation.services.credentials.get(license.id, version="001", caller=caller)
        await installation.services.log_proofs.of_credential(license.id, version="001", caller=caller)
        reading = [values for sql, values in statements if "license_versions.credential" in sql]
        assert reading and all(isinstance(values, tuple) and "001" in values for values in reading)


async def test_a_holder_gets_the_new_file_and_keeps_the_old_one(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        await amend(installation, license.id)
        caller = await installation.caller("holder")
        credentials = installation.services.credentials
        current = await credentials.get(license.id, version=None, caller=caller)
        assert current == await credentials.get(license.id, version="002", caller=caller)
        old = await credentials.get(license.id, version="001", caller=caller)
        assert parse_credential(old).claims.license.identifier == license.identifier
        with pytest.raises(NotFound):
            await credentials.get(license.id, version="003", caller=caller)
        await amend(installation, license.id, Amendment(holder=HolderChange(code=uscc(2), name="另一家")))
        with pytest.raises(NotFound):
            await credentials.get(license.id, version="001", caller=caller)


async def another_process(installation: Installation) -> Installation:
    """Return the installation as a process sees it that holds no places in status lists yet."""
    signers = FileSigners(KeyFolder(path=installation.settings.keys_dir, development=True))
    services = services_over(installation, installation.services.store, signers)
    await services.high_water.compare()
    return replace(installation, services=services)


async def fill_lists(installation: Installation) -> None:
    async def work(unit: UnitOfWork) -> None:
        for row in await unit.status.lists():
            await unit.status.reserve(list_id=row.id, count=row.size - row.allocated)

    await installation.services.store.write(work)


async def test_the_list_of_a_further_version_is_published_anew_also_where_it_is_another_than_its_predecessors(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        licenses = [await installation.issue() for _ in range(2)]
        await fill_lists(installation)
        later = await another_process(installation)
        bank = await open_bank(later)
        for license in licenses:  # the first amendment makes the second list, the second finds it published
            later.clock.advance(seconds=600)
            amended = await amend(later, license.id)
            later.clock.advance(seconds=1)
            await later.services.status_lists.publish_due()
            assert await bank.reason(await later.credential(amended)) == "ok"
        places = [await versions_of(later, license.id) for license in licenses]
        assert {(old.status_list_id == new.status_list_id) for old, new in places} == {False}
