"""The sequencer's duty: everything committed gets a place, every head one signature, whatever dies in between."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.signed_heads import SignedHeadsFile
from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.bootstrap import open_root_keys
from app.domain.errors import DomainError
from app.domain.events import LogName
from app.domain.license import Action
from app.domain.publication import DocumentKind
from app.domain.transparency_log import LogHead, PublishedCheckpoint
from app.ports import Store, UnitOfWork
from app.services.container import Services
from app.services.freshness import read_statement
from app.services.log_sequencer import ANCHOR_EVERY
from elicense.bundle import parse_bundle
from elicense.encoding import sha256_hex
from elicense.log_entry import EntryKind, parse_entry
from elicense.receipt import parse_receipt
from elicense.signed_note import Checkpoint, open_checkpoint, parse_checkpoint_text, parse_note, sign_note
from tests.installation import ISSUER_URL, Installation, open_again, open_installation, services_over
from tests.log_checks import log_faults, read_logs

pytestmark = pytest.mark.anyio

T = TypeVar("T")
HOST = ISSUER_URL.removeprefix("https://")
PUBLIC, RECEIPTS = f"{HOST}/log", f"{HOST}/receipt-log"


async def served(installation: Installation, log: LogName = LogName.REGISTER) -> PublishedCheckpoint:
    found = await installation.services.store.read(lambda unit: unit.transparency_log.newest_checkpoint(log))
    assert found is not None
    return found


async def head_of(installation: Installation, log: LogName = LogName.REGISTER) -> LogHead:
    found = await installation.services.store.read(lambda unit: unit.transparency_log.open_head(log))
    assert found is not None
    return found


async def kinds(installation: Installation, origin: str) -> list[str]:
    entries = await installation.services.store.read(
        lambda unit: unit.transparency_log.entries(origin, first=0, count=100)
    )
    return [parse_entry(entry).kind.value for entry in entries]


def again(installation: Installation, store: Store) -> Services:
    folder = KeyFolder(path=installation.settings.keys_dir, development=True)
    return services_over(installation, store, FileSigners(folder))


class Dying:
    """A store whose process dies before, or right after, one of its writes (counted from 1)."""

    def __init__(self, store: Store, *, at: int, after_commit: bool) -> None:
        self._store, self._at, self._after = store, at, after_commit
        self.writes = 0

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        self.writes += 1
        if self.writes == self._at and not self._after:
            raise KeyboardInterrupt
        result = await self._store.write(work)
        if self.writes == self._at:
            raise KeyboardInterrupt
        return result

    async def read(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        return await self._store.read(work)

    async def ready(self) -> None:
        await self._store.ready()

    async def close(self) -> None:
        await self._store.close()


async def test_everything_committed_is_sequenced_and_published(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        license = await installation.issue()
        await services.lifecycle.act(
            Action.SUSPEND,
            license.id,
            reason_code="inspection",
            reason="x",
            caller=await installation.caller("authority"),
            call=None,
        )
        await services.status_lists.publish_due()
        await installation.ask(await installation.credential(license))
        assert await services.log_sequencer.run() == 6
        assert sorted(await kinds(installation, PUBLIC)) == sorted(
            ["trust_root", "trust_list", "issuance", "change", "status_list"]
        )
        assert await kinds(installation, RECEIPTS) == ["receipt"]
        for log, origin in ((LogName.REGISTER, PUBLIC), (LogName.RECEIPTS, RECEIPTS)):
            key = next(
                service.key
                for service in (await services.trust_list.evidence()).trust_list.services
                if service.origin == origin
            )
            checkpoint = open_checkpoint((await served(installation, log)).note, origin=origin, key=key)
            assert checkpoint == (await head_of(installation, log)).checkpoint
        await services.log_sequencer.run_until_done()
        assert await log_faults(database_url) == []


async def test_nothing_new_writes_nothing(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await installation.services.log_sequencer.run_until_done()
        before = await read_logs(database_url)
        assert await installation.services.log_sequencer.run() == 0
        assert await read_logs(database_url) == before


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("after_commit", [False, True])
async def test_a_sequencer_that_dies_anywhere_is_healed_by_the_next_with_the_same_bytes(
    database_url: str, tmp_path: Path, at: int, after_commit: bool
) -> None:
    """Writes of a run: event numbers, the batch, the checkpoint."""
    async with open_installation(database_url, tmp_path) as installation:
        await installation.issue()
        dying = Dying(installation.services.store, at=at, after_commit=after_commit)
        with pytest.raises(KeyboardInterrupt):
            await again(installation, dying).log_sequencer.run()
        left = await head_of(installation)
        assert (left.size, left.published_size) == {
            (1, False): (0, 0),
            (1, True): (0, 0),
            (2, False): (0, 0),
            (2, True): (3, 0),
            (3, False): (3, 0),
            (3, True): (3, 3),
        }[at, after_commit]
        async with open_again(installation) as other:
            assert other.services.guard.reason is None
            await other.services.log_sequencer.run_until_done()
            note = (await served(other)).note
        assert await log_faults(database_url) == []
        key = await installation.services.store.read(lambda unit: unit.keys.all())
        signer = FileSigners(KeyFolder(path=installation.settings.keys_dir, development=True)).signer(
            next(one for one in key if one.use == "log")
        )
        assert note == sign_note(parse_note(note).text, name=PUBLIC, signer=signer)


async def test_two_workers_publish_one_log(database_url: str, tmp_path: Path) -> None:
    async with (
        open_installation(database_url, tmp_path) as installation,
        open_again(installation) as second,
        open_again(installation) as third,
    ):
        working = True

        async def work(one: Installation) -> None:
            while working:
                await one.services.log_sequencer.run()
                await asyncio.sleep(0.002)

        async def issue() -> None:
            nonlocal working
            try:
                for _ in range(25):
                    await installation.issue()
            finally:
                working = False

        await asyncio.gather(issue(), work(second), work(third))
        await installation.services.log_sequencer.run_until_done()
        assert await log_faults(database_url) == []
        assert (await head_of(installation)).size == 27


async def test_events_get_their_places_and_status_speaks_of_them(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        token = await installation.credential(license)
        asked = await installation.ask(token)
        assert asked["status_source"]["event_seq"] == 0  # type: ignore[index]
        await installation.services.log_sequencer.run()
        await installation.issue()
        assert (await installation.ask(token))["status_source"]["event_seq"] == 1  # type: ignore[index]
        await installation.services.log_sequencer.run()
        assert (await installation.ask(token))["status_source"]["event_seq"] == 2  # type: ignore[index]
        await installation.services.status_lists.publish_due()
        (listed,) = await installation.services.store.read(lambda unit: unit.status.all_served())
        assert listed.event_seq == 2


async def test_every_published_document_is_a_leaf_that_names_the_one_before(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        license = await installation.issue()
        await services.status_lists.publish_due()
        await services.lifecycle.act(
            Action.REVOKE,
            license.id,
            reason_code="penalty",
            reason="x",
            caller=await installation.caller("authority"),
            call=None,
        )
        await services.status_lists.publish_due()
        installation.clock.advance(days=80)
        await services.ceremony.publish_trust_list(root_keys=open_root_keys(installation.settings))
        await services.log_sequencer.run_until_done()
        entries = await services.store.read(
            lambda unit: unit.transparency_log.entries(PUBLIC, first=0, count=100)
        )
        documents = [parse_entry(entry).content for entry in entries]

        def logged(kind: EntryKind) -> list[tuple[object, object, object]]:
            rows = [one for one in documents if one["kind"] == kind.value]
            return sorted((one["seq"], one["sha256"], one["previous"]) for one in rows)  # type: ignore[type-var]

        (root,) = await services.trust_list.roots()
        first = await services.store.read(lambda unit: unit.documents.all(DocumentKind.TRUST_LIST))
        assert logged(EntryKind.TRUST_ROOT) == [(1, root.sha256, None)]
        assert logged(EntryKind.TRUST_LIST) == [
            (1, first[0].sha256, None),
            (2, first[1].sha256, first[0].sha256),
        ]
        (listed,) = await services.store.read(lambda unit: unit.status.all_served())
        lists = logged(EntryKind.STATUS_LIST)
        assert [row[0] for row in lists] == [1, 2]
        assert lists[1][1:] == (listed.sha256, lists[0][1])
        assert lists[0][2] is None


async def test_a_receipt_names_the_newest_checkpoint_and_is_logged_by_its_digest(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        license = await installation.issue()
        token = await installation.credential(license)
        before = await installation.ask(token)
        assert parse_receipt(str(before["receipt"])).payload["checkpoint"] is None
        await services.log_sequencer.run()
        installation.clock.advance(seconds=2)
        after = await installation.ask(token)
        named = parse_receipt(str(after["receipt"])).payload["checkpoint"]
        assert named == (await served(installation)).text
        assert parse_checkpoint_text(str(named)).origin == PUBLIC
        await services.log_sequencer.run()
        leaf = await services.store.read(lambda unit: unit.transparency_log.leaf(str(after["id"])))
        assert leaf is not None and leaf.origin == RECEIPTS
        assert parse_entry(leaf.entry).content["digest"] == sha256_hex(str(after["receipt"]).encode())


async def test_the_receipts_state_becomes_a_leaf_of_the_public_log_within_a_minute(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        token = await installation.credential(await installation.issue())

        async def anchored() -> list[int]:
            await services.log_sequencer.run()
            await services.log_sequencer.run()
            entries = await services.store.read(
                lambda unit: unit.transparency_log.entries(PUBLIC, first=0, count=100)
            )
            read = [parse_entry(entry) for entry in entries]
            return [int(str(one.content["size"])) for one in read if one.kind is EntryKind.RECEIPTS]

        await installation.ask(token)
        assert await anchored() == [1]
        await installation.ask(token)
        assert await anchored() == [1], "not yet: the last is not half a minute old"
        installation.clock.advance(seconds=ANCHOR_EVERY.total_seconds())
        assert await anchored() == [1, 2]
        installation.clock.advance(seconds=3600)
        assert await anchored() == [1, 2, 2], "what has not grown is said again hourly"
        assert timedelta(seconds=55) >= ANCHOR_EVERY


async def test_freshness_and_bundle_carry_the_checkpoint_and_wait_for_no_other(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        await services.freshness.publish_due()
        assert read_statement(await services.freshness.current()).checkpoint is None
        await services.log_sequencer.run()
        assert await services.freshness.publish_due(), "the first checkpoint is stated at once"
        first = (await served(installation)).note
        assert read_statement(await services.freshness.current()).checkpoint == first
        assert parse_bundle(await services.freshness.bundle()).checkpoint == first
        await installation.issue()
        await services.log_sequencer.run()
        assert not await services.freshness.publish_due(), "no statement for every checkpoint"
        installation.clock.advance(seconds=3601)
        assert await services.freshness.publish_due()
        second = (await served(installation)).note
        assert second != first
        assert parse_bundle(await services.freshness.bundle()).checkpoint == second


async def test_a_database_older_than_what_was_signed_signs_no_other_tree(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await installation.services.log_sequencer.run()
        memory = SignedHeadsFile(installation.settings.keys_dir)
        signed = memory.load()[PUBLIC]
        assert signed == (await head_of(installation)).checkpoint
        for changed in (
            Checkpoint(PUBLIC, signed.size + 5, signed.root),
            Checkpoint(PUBLIC, signed.size, bytes(32)),
        ):
            path = installation.settings.keys_dir / "log-heads.json"
            path.unlink()
            assert memory.raise_to(changed, after=None)
            async with open_again(installation) as restored:
                assert restored.services.guard.reason == "rollback_detected"
                with pytest.raises(DomainError, match="read_only"):
                    await restored.services.log_sequencer.run()
        # Also while running: another process may have signed more than this database holds.
        await installation.issue()
        with pytest.raises(DomainError, match="read_only"):
            await installation.services.log_sequencer.run()
        assert (await served(installation)).size == signed.size


async def test_a_log_whose_tiles_were_changed_is_not_signed_on(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        await services.log_sequencer.run()
        size = (await served(installation)).size
        tiles = await services.store.read(lambda unit: unit.transparency_log.tiles(PUBLIC, [(0, 0)]))
        changed = {(0, 0): bytes([tiles[0, 0][0] ^ 1]) + tiles[0, 0][1:]}
        await services.store.write(lambda unit: unit.transparency_log.put_tiles(PUBLIC, changed))
        await installation.issue()
        await installation.ask("x")
        with pytest.raises(DomainError, match="internal"):
            await services.log_sequencer.run()
        assert (await served(installation)).size == size
        assert (await head_of(installation, LogName.RECEIPTS)).published_size == 1, "the other log goes on"


async def test_after_a_loss_the_log_goes_on_under_an_origin_never_signed_before(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        await services.log_sequencer.run()
        memory = SignedHeadsFile(installation.settings.keys_dir)
        lost = Checkpoint(PUBLIC, 900, bytes(32))  # signed, and lost with the database
        assert memory.raise_to(lost, after=memory.load()[PUBLIC])
        assert memory.raise_to(Checkpoint(f"{PUBLIC}/2", 5, bytes(32)), after=None)
        async with open_again(installation) as restored:
            assert restored.services.guard.reason == "rollback_detected"
            recovered = await restored.services.recovery.accept_loss(actor="recover")
            assert recovered is not None
            assert [f"as {PUBLIC}/3:" in one.en for one in recovered.todo] == [True]
            await restored.services.ceremony.publish_trust_list(root_keys=open_root_keys(restored.settings))
            assert (await head_of(restored)).origin == f"{PUBLIC}/3"
        async with open_again(installation) as after:
            assert after.services.guard.reason is None, "the lost origins are superseded"
            await after.issue()
            await after.services.log_sequencer.run_until_done()
            assert (await served(after)).origin == f"{PUBLIC}/3"
        assert await log_faults(database_url) == []


async def test_an_installation_from_before_the_logs_gets_them_with_its_next_trust_list(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await installation.issue()
        engine = create_async_engine(database_url)
        async with engine.begin() as connection:  # as it would stand after the migration
            await connection.execute(text("DELETE FROM log_heads"))
            await connection.execute(text("DELETE FROM service_keys WHERE use IN ('log', 'receipt_log')"))
            await connection.execute(text("DELETE FROM log_leaves WHERE kind LIKE 'trust%'"))
        await engine.dispose()
        for path in installation.settings.keys_dir.glob("*log-1*"):
            path.unlink()
        async with open_again(installation) as old:
            assert await old.services.log_sequencer.run() == 0
            assert await old.ask("x")
            published = await old.services.ceremony.publish_trust_list(
                root_keys=open_root_keys(installation.settings)
            )
            assert published.sequence == 2
            await old.services.log_sequencer.run_until_done()
            found = sorted(await kinds(old, PUBLIC))
            assert found == ["issuance", "receipts", "trust_list", "trust_list", "trust_root"]
            assert await kinds(old, RECEIPTS) == ["receipt"]
            again_published = await old.services.ceremony.publish_trust_list(
                root_keys=open_root_keys(installation.settings)
            )
            assert again_published.sequence == 2
