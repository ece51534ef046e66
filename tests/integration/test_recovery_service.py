"""An older backup put back: nothing is signed, the loss is named, and after it was accepted nothing is used twice."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.adapters.high_water import HighWaterFile
from app.bootstrap import open_root_keys, open_services
from app.domain.authority import SetupPlan
from app.domain.errors import DomainError, ServiceRefusal
from app.domain.events import LogName
from app.domain.high_water import HighWaterMark, Part
from app.domain.license import Action
from app.domain.publication import DocumentKind, SignedDocument
from app.domain.transparency_log import PlacedLeaf
from app.ports import UnitOfWork
from app.services.container import Services
from app.services.recovery import ACCEPT_LOSS, MARGIN, RESTORE_ROOT
from elicense import OfflineVerifier
from elicense.client._evidence import update_bundle
from elicense.encoding import b64url_decode, sha256_hex
from elicense.jws import sign_general
from elicense.log_entry import EntryKind, loss_digest, parse_entry
from elicense.trust_root import TRUST_ROOT_TYP, TrustRoot, build_trust_root_payload, parse_trust_root
from tests.backups import Backups
from tests.faults.checker import check_register
from tests.installation import (
    AUTHORITY,
    BUSINESS_LICENSE,
    ISSUER_URL,
    OTHER_AREA,
    OTHER_AUTHORITY,
    Installation,
    open_again,
    open_installation,
    test_plan,
    test_settings,
)
from tests.integration.restored import NUMBERS, go_on, installed, issue, kept, places, signed_rows

pytestmark = pytest.mark.anyio


async def test_an_older_backup_is_read_only_and_says_what_it_lacks(
    database_url: str, tmp_path: Path, backups: Backups
) -> None:
    async with installed(database_url, tmp_path, backups) as installation:
        await go_on(installation)
        backups.put_back()
        async with open_again(installation) as restored:
            services = restored.services
            assert services.guard.reason == "rollback_detected"
            before = await signed_rows(services)
            root_keys = open_root_keys(restored.settings)
            for work in (
                lambda: restored.issue(number="N-20"),
                services.issuing.recover,
                services.status_lists.publish_due,
                services.freshness.publish_due,
                lambda: services.ceremony.publish_trust_list(root_keys=root_keys),
                services.idempotency.sweep,
            ):
                with pytest.raises(ServiceRefusal, match="rollback_detected"):
                    await work()
            assert await signed_rows(services) == before
            loss = await services.recovery.loss()
            assert loss is not None
            parts = {(one.part, one.name) for one in loss.missing}
            mine, other = (f"{code.lower()}-1" for code in (AUTHORITY, OTHER_AUTHORITY))
            assert parts >= {
                (Part.KEPT, ""),
                (Part.FRESHNESS, ""),
                (Part.STATUS_LIST, mine),
                (Part.STATUS_INDICES, mine),
                (Part.STATUS_LIST, other),
                (Part.STATUS_INDICES, other),
            }
            assert Part.TRUST_LIST not in {one.part for one in loss.missing}
            assert loss.rows == {"licenses": 5, "license_history": 6}
            assert loss.since is not None and loss.since <= loss.until == kept(restored).mark.time


async def test_after_the_loss_was_accepted_nothing_is_used_twice_and_relying_parties_go_on(
    database_url: str, tmp_path: Path, backups: Backups
) -> None:
    async with installed(database_url, tmp_path, backups) as installation:
        lost = await go_on(installation)
        backups.put_back()
        async with open_again(installation) as restored:
            services = restored.services
            recovered = await services.recovery.accept_loss(actor="recover")
            assert recovered is not None and recovered.todo == ()
            assert services.guard.reason is None
            entries, _ = await services.audit.page(cursor=None, limit=50)
            subjects = [entry.subject for entry in entries if entry.action == ACCEPT_LOSS]
            assert any(subject.startswith("gap ") for subject in subjects)
            assert "rows licenses -5" in subjects
            assert any(subject.startswith("freshness ") for subject in subjects)
            # Nothing that was given out is given out again.
            made = await issue(restored, NUMBERS[10:14])
            made += await issue(
                restored, NUMBERS[14:18], authority_code=OTHER_AUTHORITY, area_code=OTHER_AREA
            )
            assert lost.identifiers.isdisjoint({license.identifier for license in made})
            assert lost.places.isdisjoint(await places(services))
            lists = await services.store.read(lambda unit: unit.status.lists())
            assert {row.id for row in lists} == set(lost.list_versions)
            assert all(row.seq > lost.list_versions[row.id] + MARGIN for row in lists)
            assert (await services.freshness.current()).sequence > lost.freshness + MARGIN
            # Whoever saw the newer lists takes the ones that came after, and only those.
            root = (await services.trust_list.root()).content
            bundle = await services.freshness.bundle()
            update = update_bundle(bundle, trust_root=root, held=lost.bundle, now=restored.clock.now())
            assert update.changed
            # What the register has lost is vouched for by nobody any more.
            bank = OfflineVerifier(trust_root=root, bundle=bundle)
            for token in lost.tokens:
                assert bank.verify(token).reason == "revoked"
                assert (await restored.ask(token))["reason"] == "not_registered"
            mine = await restored.credential(made[0])
            await services.status_lists.publish_due()
            assert OfflineVerifier(trust_root=root, bundle=await services.freshness.bundle()).verify(mine)
            assert (await restored.ask(mine))["reason"] == "ok"
            await services.high_water.close()
        async with open_again(installation) as again:
            assert again.services.guard.reason is None
            assert await again.services.recovery.loss() is None
            assert await again.services.recovery.accept_loss(actor="recover") is None
            await issue(again, NUMBERS[20:22])
        backups.put_back()
        async with open_again(installation) as once_more:
            assert once_more.services.guard.reason == "rollback_detected"
            recovered = await once_more.services.recovery.accept_loss(actor="recover")
            assert recovered is not None and recovered.todo == ()
            seqs = {row.id: row.seq for row in lists}
            after = await once_more.services.store.read(lambda unit: unit.status.lists())
            assert all(row.seq > seqs[row.id] + MARGIN for row in after)


async def test_an_accepted_loss_is_told_by_the_public_log(
    database_url: str, tmp_path: Path, backups: Backups
) -> None:
    """The entry says which time is gone; what is gone stays in the audit, which opens the entry's digest."""
    async with installed(database_url, tmp_path, backups) as installation:
        await go_on(installation)
        backups.put_back()
        async with open_again(installation) as restored:
            services = restored.services
            recovered = await services.recovery.accept_loss(actor="recover")
            assert recovered is not None and recovered.loss.since is not None
            await services.log_sequencer.run_until_done()
            (leaf,) = await _placed_losses(services)
            content, salt = parse_entry(leaf.entry).content, b64url_decode(leaf.salt or "")
            assert (content["env"], content["since"]) == ("test", int(recovered.loss.since.timestamp()))
            assert int(str(content["since"])) <= int(str(content["until"])) <= int(str(content["iat"]))
            entries, _ = await services.audit.page(cursor=None, limit=50)
            lines = [entry.subject for entry in entries if entry.action == ACCEPT_LOSS]
            assert content["digest"] == loss_digest(lines, salt=salt) != loss_digest(lines[1:], salt=salt)


async def _placed_losses(services: Services) -> list[PlacedLeaf]:
    async def read(unit: UnitOfWork) -> list[PlacedLeaf]:
        head = await unit.transparency_log.open_head(LogName.REGISTER)
        assert head is not None
        found = [await unit.transparency_log.leaf_at(head.origin, at) for at in range(head.published_size)]
        return [leaf for leaf in found if leaf is not None and leaf.kind == EntryKind.LOSS]

    return await services.store.read(read)


async def test_a_backup_older_by_a_minute_without_any_publication_is_found(
    database_url: str, tmp_path: Path, backups: Backups
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await issue(installation, NUMBERS[:2])
        await installation.services.status_lists.publish_due()
        await installation.services.high_water.close()
    backups.take()
    async with open_again(installation) as later:
        license = (await later.services.store.read(_by_number(NUMBERS[0])))[NUMBERS[0]]
        await later.ask(await later.credential(license))  # a verification: an audit row and a receipt
        await later.services.high_water.keep()
    backups.put_back()
    async with open_again(installation) as restored:
        assert restored.services.guard.reason == "rollback_detected"
        loss = await restored.services.recovery.loss()
        assert loss is not None
        assert [one.part for one in loss.missing] == [Part.KEPT]
        assert await restored.services.recovery.accept_loss(actor="recover") is not None
        await issue(restored, NUMBERS[2:3])


def _by_number(number: str) -> Callable[[UnitOfWork], object]:
    return lambda unit: unit.licenses.by_numbers(type_code=BUSINESS_LICENSE, numbers=[number])


# On SQLite a file replaced beneath open connections is no database any more: they keep the old one.
@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_a_database_put_back_beneath_a_running_process_stops_it(
    database_url: str, tmp_path: Path, backups: Backups
) -> None:
    async with installed(database_url, tmp_path, backups) as installation:
        lost = await go_on(installation)
        async with open_again(installation) as running:
            await issue(running, NUMBERS[30:31])  # holds a block of indices of a database that will be gone
            await running.services.high_water.keep()
            held = await places(running.services)
            backups.put_back()
            await running.services.high_water.review()
            assert running.services.guard.reason == "rollback_detected"
            with pytest.raises(ServiceRefusal, match="rollback_detected"):
                await running.issue(number=NUMBERS[31])
            async with open_again(installation) as operator:
                assert await operator.services.recovery.accept_loss(actor="recover") is not None
            await running.services.high_water.review()
            assert running.services.guard.reason is None
            await issue(running, NUMBERS[32:34])
            assert (held | lost.places).isdisjoint(
                await places(running.services) - await places(running.services, NUMBERS[:4])
            )


async def test_a_lost_trust_list_keeps_the_service_read_only_until_a_newer_one_is_published(
    database_url: str, tmp_path: Path, backups: Backups
) -> None:
    async with installed(database_url, tmp_path, backups) as installation:
        async with open_again(installation) as later:
            plan = SetupPlan(authorities=[replace(test_plan().authorities[1], name="苏州市改名局")])
            await later.services.directory.apply(plan, dry_run=False, actor="test")
            root_keys = open_root_keys(later.settings)
            lost_list = await later.services.ceremony.publish_trust_list(root_keys=root_keys)
            assert lost_list.sequence == 2
            bundle = await later.services.freshness.bundle()
            await later.services.high_water.close()
        backups.put_back()
        async with open_again(installation) as restored:
            services = restored.services
            root_keys = open_root_keys(restored.settings)
            with pytest.raises(ServiceRefusal, match="rollback_detected"):
                await services.ceremony.publish_trust_list(root_keys=root_keys)
            for _ in range(2):
                recovered = await services.recovery.accept_loss(actor="recover")
                assert recovered is not None
                assert ["keys publish-trust-list" in text.en for text in recovered.todo] == [True]
            for work in (lambda: restored.issue(number="N-20"), services.freshness.publish_due):
                with pytest.raises(ServiceRefusal, match="rollback_detected"):
                    await work()
        async with open_again(installation) as ceremony:
            assert ceremony.services.guard.reason == "rollback_detected"
            published = await ceremony.services.ceremony.publish_trust_list(root_keys=root_keys)
            assert published.sequence == lost_list.sequence + 1
            await ceremony.services.high_water.review()
            assert ceremony.services.guard.reason is None
            await issue(ceremony, NUMBERS[20:21])
            await ceremony.services.status_lists.publish_due()
            root = (await ceremony.services.trust_list.root()).content
            newest = await ceremony.services.freshness.bundle()
            update = update_bundle(newest, trust_root=root, held=bundle, now=ceremony.clock.now())
            assert update.trust_list_sequence == 3


def _next_root(
    installation: Installation, before: TrustRoot, *, by_the_old: bool = True, env: str = "test"
) -> bytes:
    """Sign the root of version 2 with keys of another folder, and with those of the one before."""
    old = open_root_keys(installation.settings)
    new = open_root_keys(
        replace(installation.settings, root_keys_dir=installation.settings.data_dir / "new-root")
    )
    signers = new.make_root_keys(3, profile="es256")
    payload = build_trust_root_payload(
        env=env,
        version=2,
        root_keys=[signer.public_key for signer in signers],
        root_threshold=2,
        list_keys=before.list_keys,
        list_threshold=2,
        expires=before.expires + timedelta(days=1),
        type_base=before.type_base,
    )
    olds = old.make_root_keys(3, profile="es256") if by_the_old else []
    return sign_general(typ=TRUST_ROOT_TYP, payload=payload, signers=[*olds, *signers])


async def test_a_lost_trust_root_is_put_back_from_its_file_and_no_other_is_taken(
    database_url: str, tmp_path: Path, backups: Backups
) -> None:
    async with installed(database_url, tmp_path, backups) as installation:
        async with open_again(installation) as later:
            first = parse_trust_root((await later.services.trust_list.root()).content)
            second = _next_root(later, first)
            now = later.clock.now()
            document = SignedDocument(
                kind=DocumentKind.TRUST_ROOT,
                sequence=2,
                content=second,
                sha256=sha256_hex(second),
                issued_at=now,
                expires_at=first.expires,
            )
            await later.services.store.write(lambda unit: unit.documents.add(document))
            await later.services.high_water.close()
        assert kept(installation).mark.trust_root_version == 2
        backups.put_back()
        async with open_again(installation) as restored:
            services = restored.services
            recovered = await services.recovery.accept_loss(actor="recover")
            assert recovered is not None
            assert ["--trust-root" in text.en for text in recovered.todo] == [True]
            with pytest.raises(ServiceRefusal, match="rollback_detected"):
                await services.ceremony.publish_trust_list(root_keys=open_root_keys(restored.settings))
            for content in (
                b"{}",
                _next_root(restored, first, by_the_old=False),
                _next_root(restored, first, env="live"),
            ):
                with pytest.raises(DomainError, match="invalid_request"):
                    await services.recovery.restore_root(content, actor="recover")
            with pytest.raises(DomainError, match="conflict"):
                await services.recovery.restore_root(first.raw, actor="recover")
            assert await services.recovery.restore_root(second + b"\n", actor="recover") == 2
            assert services.guard.reason is None
            entries, _ = await services.audit.page(cursor=None, limit=5)
            assert RESTORE_ROOT in {entry.action for entry in entries}
            await issue(restored, NUMBERS[20:21])


async def test_a_bundle_of_the_gap_names_the_revocations_lost_and_holds_their_licenses(
    database_url: str, tmp_path: Path, backups: Backups
) -> None:
    async with installed(database_url, tmp_path, backups) as installation:
        async with open_again(installation) as later:
            older = await later.services.freshness.bundle()
            found = await later.services.store.read(
                lambda unit: unit.licenses.by_numbers(type_code=BUSINESS_LICENSE, numbers=NUMBERS[:3])
            )
            caller = await later.caller("authority")
            for number, action in ((NUMBERS[0], Action.REVOKE), (NUMBERS[1], Action.SUSPEND)):
                await later.services.lifecycle.act(
                    action, found[number].id, reason_code="x", reason="x", caller=caller, call=None
                )
            later.clock.advance(seconds=5)
            await later.services.status_lists.publish_due()
            bundle = await later.services.freshness.bundle()
            tokens = [await later.credential(found[number]) for number in NUMBERS[:3]]
            await later.services.high_water.close()
        backups.put_back()
        async with open_again(installation) as restored:
            recovery = restored.services.recovery
            named = {one.identifier: one.published for one in await recovery.lost_changes(bundle)}
            assert named == {found[NUMBERS[0]].identifier: 1, found[NUMBERS[1]].identifier: 2}
            for wrong in (older, b"{}"):
                with pytest.raises(DomainError, match="invalid_request"):
                    await recovery.accept_loss(actor="recover", bundle=wrong)
            recovered = await recovery.accept_loss(actor="recover", bundle=bundle)
            assert recovered is not None and len(recovered.held) == 2
            reasons = [(await restored.ask(token))["reason"] for token in tokens]
            assert reasons == ["suspended", "suspended", "ok"]
            root = (await restored.services.trust_list.root()).content
            bank = OfflineVerifier(trust_root=root, bundle=await restored.services.freshness.bundle())
            assert [bank.verify(token).reason for token in tokens] == reasons
            history = await restored.services.store.read(
                lambda unit: unit.licenses.history(found[NUMBERS[0]].id)
            )
            assert (history[-1].actor, history[-1].reason_code) == ("recover", "status_lost")
            assert await check_register(database_url) == []
            with pytest.raises(DomainError, match="conflict"):
                await recovery.lost_changes(bundle)


async def test_a_recovery_cut_off_after_its_commit_leaves_a_service_that_starts(
    database_url: str, tmp_path: Path, backups: Backups
) -> None:
    async with installed(database_url, tmp_path, backups) as installation:
        lost = await go_on(installation)
        backups.put_back()
        async with open_again(installation) as restored:
            (tmp_path / "keys" / "high-water.json.tmp").mkdir()
            with pytest.raises(ServiceRefusal, match="anchor_unavailable"):
                await restored.services.recovery.accept_loss(actor="recover")
            (tmp_path / "keys" / "high-water.json.tmp").rmdir()
        async with open_again(installation) as again:
            assert again.services.guard.reason is None
            await again.services.status_lists.publish_due()
            lists = await again.services.store.read(lambda unit: unit.status.lists())
            assert all(row.seq > lost.list_versions[row.id] for row in lists)


async def test_a_recovery_is_not_dated_by_a_clock_nobody_believes(
    database_url: str, tmp_path: Path, backups: Backups
) -> None:
    async with installed(database_url, tmp_path, backups) as installation:
        await go_on(installation)
        backups.put_back()
        installation.clock.step(seconds=-3600)
        async with open_again(installation) as restored:
            with pytest.raises(ServiceRefusal, match="clock_behind"):
                await restored.services.recovery.accept_loss(actor="recover")
            installation.clock.step(seconds=3600)
        async with open_again(installation) as restored:
            assert await restored.services.recovery.accept_loss(actor="recover") is not None


async def test_an_empty_database_beside_a_mark_is_told_apart_from_a_beginning(
    database_url: str, tmp_path: Path
) -> None:
    settings = test_settings(database_url, tmp_path)
    async with open_services(settings, uninitialized=True) as services:
        assert services.guard.reason is None
        now = services.clock.now()
    HighWaterFile(settings.keys_dir).raise_to(HighWaterMark(time=now, trust_list_sequence=5))
    async with open_services(settings, uninitialized=True) as services:
        assert services.guard.reason == "rollback_detected"
        with pytest.raises(ServiceRefusal, match="number 5 has been published"):
            await services.ceremony.init(root_keys=open_root_keys(settings), issuer_url=ISSUER_URL)
