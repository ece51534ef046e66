"""Amendments that crash, race and repeat: one promise at a time, and whatever changed the license goes before it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from app.adapters.db import open_store
from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.domain.amending import Amendment
from app.domain.errors import DomainError
from app.domain.license import Action, IntentState, License, State
from app.services.amending import VersionRequest
from app.services.lifecycle import Changed
from elicense.credential import parse_credential
from tests.amending import (
    act,
    amend,
    amend_call,
    crash_while_amending,
    history_of,
    status_values,
    versions_of,
)
from tests.installation import PausingStore, open_again, open_installation, services_over
from tests.integration.test_issuing_service import intents

pytestmark = pytest.mark.anyio


async def test_a_crash_before_the_signature_is_finished_with_the_same_bytes(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        await crash_while_amending(installation, license.id, key="k")
        (promised,) = await intents(installation)
        assert promised.replaces is not None
        assert (promised.license.id, promised.replaces.row_version, promised.replaces.state) == (
            license.id,
            1,
            State.ACTIVE,
        )
        assert (await installation.ask(await installation.credential(license)))["reason"] == "ok"
        with pytest.raises(DomainError, match="unavailable"):
            await amend(installation, license.id, Amendment(elements={"company_type": "有限公司"}))
        installation.clock.advance(seconds=31)
        assert await installation.services.issuing.recover() == 1
        old, new = await versions_of(installation, license.id)
        assert parse_credential(new.credential).signing_input == promised.signing_input
        assert await status_values(installation, license.id) == [3, 0]
        replay = await amend_call(installation, license.id, key="k")
        assert replay.replayed is not None and replay.replayed.status == 200
        assert new.identifier.encode() in replay.replayed.body
        assert (await installation.ask(old.credential))["superseded_by"] == new.identifier


@pytest.mark.parametrize("change", [Action.REVOKE, Action.SUSPEND, Action.CANCEL])
async def test_recovery_gives_up_an_amendment_whose_license_changed(
    database_url: str, tmp_path: Path, change: Action
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        await crash_while_amending(installation, license.id, key="k")
        (promised,) = await intents(installation)
        await act(installation, change, license.id)
        installation.clock.advance(seconds=31)
        services = installation.services
        assert await services.issuing.recover() == 1
        assert len(await versions_of(installation, license.id)) == 1
        value = await services.store.read(
            lambda unit: unit.status.value(list_id=promised.status_list_id, index=promised.status_index)
        )
        assert value == 1
        voided = await services.store.read(lambda unit: unit.intents.get(promised.id))
        assert voided is not None and voided.state is IntentState.VOIDED
        audit, _ = await services.audit.page(cursor=None, limit=100)
        assert [e.outcome for e in audit if e.action == "intent.void"] == ["predecessor_changed"]
        held = await services.store.read(
            lambda unit: unit.intents.held_numbers(type_code=license.type_code, numbers=[license.number])
        )
        assert held == {license.number}, "a voided amendment never frees its license's number"
        with pytest.raises(DomainError, match="number_taken"):
            await installation.issue(number=license.number)
        if change is not Action.SUSPEND:
            return
        # The call's key is free again, and the identifier of the promise that was given up stays burnt.
        after = await amend(installation, license.id, key="k")
        assert (after.version, after.state) == ("003", State.SUSPENDED)


async def test_an_amendment_older_than_a_day_is_given_up(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        await crash_while_amending(installation, license.id)
        installation.clock.advance(days=1, seconds=60)
        assert await installation.services.issuing.recover() == 1
        with pytest.raises(DomainError, match="number_taken"):
            await installation.issue(number=license.number)
        assert (await installation.ask(await installation.credential(license)))["reason"] == "ok"


@pytest.mark.parametrize("change", [Action.REVOKE, Action.SUSPEND])
async def test_a_change_while_an_amendment_signs_goes_before_it(
    database_url: str, tmp_path: Path, change: Action
) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        await installation.issue()  # so that this process holds a block of status indices
        license = await installation.issue()

        async def changed() -> None:
            await act(other, change, license.id)

        folder = KeyFolder(path=installation.settings.keys_dir, development=True)
        store = PausingStore(open_store(database_url), before_write=3, pause=changed)
        services = services_over(installation, store, FileSigners(folder))
        amending = replace(installation, services=services)
        if change is Action.REVOKE:
            with pytest.raises(DomainError, match="state_conflict"):
                await amend(amending, license.id, key="k")
            assert [v.version for v in await versions_of(installation, license.id)] == ["001"]
            with pytest.raises(DomainError, match="state_conflict"):
                await amend(installation, license.id, key="k")
        else:
            second = await amend(amending, license.id, key="k")
            assert second.state is State.SUSPENDED, "decided anew on what the license is then"
            assert await status_values(installation, license.id) == [3, 2]
        assert store.writes >= 3
        await store.close()


async def test_of_many_amendments_at_once_each_counts_one_after_the_other(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        license = await installation.issue()
        outcomes = await asyncio.gather(
            *(
                amend(each, license.id, Amendment(elements={"business_scope": f"范围{index}"}))
                for index, each in enumerate((installation, other) * 2)
            ),
            return_exceptions=True,
        )
        made = [item for item in outcomes if isinstance(item, License)]
        busy = [item for item in outcomes if isinstance(item, BaseException)]
        assert made
        assert all(isinstance(item, DomainError) and item.code == "unavailable" for item in busy), busy
        versions = await versions_of(installation, license.id)
        assert len(versions) == len(made) + 1
        assert {item.identifier for item in made} == {version.identifier for version in versions[1:]}
        assert [entry.action for entry in await history_of(installation, license.id)] == [
            "issue",
            *["amend"] * len(made),
        ]
        assert await status_values(installation, license.id) == [*[3] * len(made), 0]


async def test_one_key_used_by_many_at_once_amends_once(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        for round_ in range(5):
            license = await installation.issue()
            outcomes = await asyncio.gather(
                *(amend_call(each, license.id, key=f"k-{round_}") for each in (installation, other) * 4),
                return_exceptions=True,
            )
            made = [o for o in outcomes if isinstance(o, Changed) and o.license is not None]
            refused = [o for o in outcomes if isinstance(o, BaseException)]
            assert len(made) == 1
            assert all(isinstance(e, DomainError) and e.code == "idempotency_in_progress" for e in refused), (
                refused
            )
            assert len(await versions_of(installation, license.id)) == 2


async def test_many_are_amended_in_one_go_each_answered_in_its_place(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        licenses = [await installation.issue() for _ in range(6)]
        await act(installation, Action.REVOKE, licenses[1].id)
        await act(installation, Action.SUSPEND, licenses[2].id)
        await crash_while_amending(installation, licenses[3].id)

        def request(license_id: str, **elements: str | None) -> VersionRequest:
            return VersionRequest(
                license_id=license_id,
                action=Action.AMEND,
                content=lambda before: replace(
                    installation.new_license(number=before.number),
                    elements={**before.elements, **elements},
                ),
                reason_code="import",
                reason="导入",
                actor="import",
                source_digest="digest",
            )

        requests = [request(license.id, address="新址") for license in licenses]
        requests[4] = request(licenses[4].id)
        requests.append(request("0191d000-0000-7000-8000-000000000000"))
        answers = await installation.services.amending.make_many(requests)
        codes = {i: a.code for i, a in enumerate(answers) if isinstance(a, DomainError)}
        assert codes == {1: "state_conflict", 3: "conflict", 4: "no_change", 6: "not_found"}
        made = [a for a in answers if isinstance(a, License)]
        assert [(a.id, a.version, a.state, a.source_digest) for a in made] == [
            (licenses[0].id, "002", State.ACTIVE, "digest"),
            (licenses[2].id, "002", State.SUSPENDED, "digest"),
            (licenses[5].id, "002", State.ACTIVE, "digest"),
        ]
        with pytest.raises(ValueError, match="once"):
            await installation.services.amending.make_many([requests[0], requests[0]])
