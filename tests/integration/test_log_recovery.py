"""A log that was seen longer than a restored backup holds: given up, never continued; the next one takes its place."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.adapters.signed_heads import SignedHeadsFile
from app.bootstrap import open_root_keys
from app.domain.errors import DomainError, ServiceRefusal
from app.domain.events import LogName
from app.domain.high_water import Part
from app.domain.transparency_log import LogHead, LogState
from app.services.log_recovery import GIVE_UP
from app.services.recovery import TAKE_LOG
from elicense.bundle import parse_bundle
from elicense.client._evidence import update_bundle
from elicense.evidence import gather_offline
from elicense.log_entry import EntryKind, parse_entry
from elicense.signed_note import Checkpoint, parse_note
from tests.backups import Backups
from tests.installation import ISSUER_URL, Installation, open_again, open_installation
from tests.integration.http_service import assert_problem, open_http
from tests.integration.restored import NUMBERS, go_on, issue
from tests.log_checks import log_faults

pytestmark = pytest.mark.anyio

HOST = ISSUER_URL.removeprefix("https://")
PUBLIC, RECEIPTS = f"{HOST}/log", f"{HOST}/receipt-log"


async def heads_of(installation: Installation) -> dict[str, LogHead]:
    heads = await installation.services.store.read(lambda unit: unit.transparency_log.heads())
    return {head.origin: head for head in heads}


async def sequence(installation: Installation) -> None:
    await installation.services.log_sequencer.run_until_done()
    await installation.services.high_water.close()


async def test_a_restored_log_is_frozen_and_its_next_generation_begins_in_the_ceremony(
    database_url: str, tmp_path: Path, backups: Backups
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        (license,) = await issue(installation, NUMBERS[:1])
        mine = await installation.credential(license)
        await installation.ask("x")
        await installation.services.status_lists.publish_due()
        await sequence(installation)
        held = await heads_of(installation)
    backups.take()
    await go_on(installation)
    async with open_again(installation) as later:
        await sequence(later)
        later.clock.advance(seconds=3601)
        assert await later.services.freshness.publish_due()
        seen_bundle = await later.services.freshness.bundle()
        await sequence(later)
        signed = SignedHeadsFile(later.settings.keys_dir).load()
        assert signed[PUBLIC].size > held[PUBLIC].size
        assert signed[RECEIPTS].size == held[RECEIPTS].size
    backups.put_back()

    async with open_again(installation) as restored:
        services = restored.services
        loss = await services.recovery.loss()
        assert loss is not None
        logs = [(one.part, one.name, one.have, one.seen) for one in loss.missing if one.part is Part.LOG]
        assert logs == [(Part.LOG, PUBLIC, held[PUBLIC].size, signed[PUBLIC].size)]
        recovered = await services.recovery.accept_loss(actor="recover")
        assert recovered is not None
        assert [(f"{PUBLIC}/2" in one.zh, f"{PUBLIC}/2" in one.en) for one in recovered.todo] == [
            (True, True)
        ]
        frozen = (await heads_of(restored))[PUBLIC]
        assert (frozen.state, frozen.size) == (LogState.FROZEN, held[PUBLIC].size)
        assert (await heads_of(restored))[RECEIPTS].state is LogState.OPEN, "nothing of it was lost"
        entries, _ = await services.audit.page(cursor=None, limit=50)
        assert GIVE_UP in {entry.action for entry in entries}

        # Until its key is listed nobody could check a checkpoint: none is made, and all else goes on.
        assert services.guard.reason is None
        await issue(restored, NUMBERS[20:21])
        await services.log_sequencer.run_until_done()
        await services.high_water.review()
        assert services.guard.reason is None
        assert (await heads_of(restored))[PUBLIC] == frozen
        assert parse_bundle(await services.freshness.bundle()).checkpoint is None

        await services.ceremony.publish_trust_list(root_keys=open_root_keys(restored.settings))
        await sequence(restored)
        heads = await heads_of(restored)
        assert (heads[PUBLIC], heads[f"{PUBLIC}/2"].state) == (frozen, LogState.OPEN)
        assert heads[f"{PUBLIC}/2"].published_size == heads[f"{PUBLIC}/2"].size > 0
        begun = await services.store.read(
            lambda unit: unit.transparency_log.entries(f"{PUBLIC}/2", first=0, count=50)
        )
        assert [parse_entry(entry).kind for entry in begun].count(EntryKind.LOSS) == 1
        listed = (await services.trust_list.evidence()).trust_list.services
        assert {PUBLIC, f"{PUBLIC}/2", RECEIPTS} <= {service.origin for service in listed}
        assert await log_faults(database_url) == []

        # Whoever has seen the lost log takes what comes after, under the new origin alone.
        await services.status_lists.publish_due()
        await services.freshness.publish_due()
        bundle = await services.freshness.bundle()
        note = parse_bundle(bundle).checkpoint
        assert note is not None and parse_note(note).text.startswith(f"{PUBLIC}/2\n")
        root = (await services.trust_list.root()).content
        assert update_bundle(bundle, trust_root=root, held=seen_bundle, now=restored.clock.now()).changed
        assert gather_offline(trust_root=root, bundle=bundle, now=restored.clock.now()).refused() == ()
        assert (await restored.ask(mine))["reason"] == "ok"
        assert await services.recovery.accept_loss(actor="recover") is None
        await services.high_water.close()
    async with open_again(installation) as again:
        assert again.services.guard.reason is None
        assert SignedHeadsFile(again.settings.keys_dir).load()[PUBLIC] == signed[PUBLIC]


@pytest.mark.parametrize(
    ("seen", "part"),
    [
        (lambda head: Checkpoint(PUBLIC, head.size, bytes(32)), Part.LOG_ROOT),
        (lambda head: Checkpoint(PUBLIC, head.size - 1, bytes(32)), Part.LOG_ROOT),
        (lambda head: Checkpoint(PUBLIC, head.size + 7, bytes(32)), Part.LOG),
    ],
    ids=["same length", "shorter", "longer"],
)
async def test_a_log_with_another_history_than_was_signed_is_given_up(
    database_url: str, tmp_path: Path, seen: Callable[[Checkpoint], Checkpoint], part: Part
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await issue(installation, NUMBERS[:1])
        await sequence(installation)
        memory = SignedHeadsFile(installation.settings.keys_dir)
        head = memory.load()[PUBLIC]
        assert memory.raise_to(seen(head), after=head)
        async with open_again(installation) as restored:
            services = restored.services
            assert services.guard.reason == "rollback_detected"
            loss = await services.recovery.loss()
            assert loss is not None and [one.part for one in loss.missing] == [part]
            assert await services.recovery.accept_loss(actor="recover") is not None
            await services.ceremony.publish_trust_list(root_keys=open_root_keys(restored.settings))
            await issue(restored, NUMBERS[1:2])
            await sequence(restored)
            assert (await heads_of(restored))[f"{PUBLIC}/2"].published_size > 0
        async with open_again(installation) as again:
            assert again.services.guard.reason is None


async def test_entries_that_were_committed_and_never_published_go_to_the_next_generation(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        await sequence(installation)
        published = (await heads_of(installation))[PUBLIC].size

        async def die(origin: str) -> None:
            raise DomainError("unavailable", origin)

        (license,) = await issue(installation, NUMBERS[:1])
        with monkeypatch.context() as dying:
            dying.setattr(services.log_memory, "head_to_sign", die)
            with pytest.raises(DomainError, match="unavailable"):
                await services.log_sequencer.run()
        assert (await heads_of(installation))[PUBLIC].size > published
        memory = SignedHeadsFile(installation.settings.keys_dir)
        assert memory.raise_to(Checkpoint(PUBLIC, 900, bytes(32)), after=memory.load()[PUBLIC])
        async with open_again(installation) as restored:
            assert await restored.services.recovery.accept_loss(actor="recover") is not None
            frozen = (await heads_of(restored))[PUBLIC]
            assert (frozen.size, frozen.published_size) == (published, published)
            await restored.services.ceremony.publish_trust_list(root_keys=open_root_keys(restored.settings))
            await sequence(restored)
            leaf = await restored.services.store.read(
                lambda unit: unit.transparency_log.leaf_of(license.identifier, kind="issuance")
            )
            assert leaf is not None and leaf.origin == f"{PUBLIC}/2"
        assert await log_faults(database_url) == []


async def test_a_memory_of_the_logs_that_cannot_be_read_stops_the_start_by_name(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await sequence(installation)
        (installation.settings.keys_dir / "log-heads.json").write_text("x")
        with pytest.raises(ServiceRefusal, match=r"log-heads\.json"):
            async with open_again(installation):
                pass


async def test_signed_heads_alone_find_an_older_database(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await sequence(installation)
        memory = SignedHeadsFile(installation.settings.keys_dir)
        assert memory.raise_to(Checkpoint(RECEIPTS, 5, bytes(32)), after=memory.load().get(RECEIPTS))
        (installation.settings.keys_dir / "high-water.json").unlink()
        async with open_again(installation) as restored:
            assert restored.services.guard.reason == "rollback_detected"
            assert await restored.services.recovery.accept_loss(actor="recover") is not None
            assert restored.services.guard.reason is None
            heads = await restored.services.store.read(
                lambda unit: unit.transparency_log.open_head(LogName.RECEIPTS)
            )
            assert heads is None


async def test_a_memory_that_is_gone_is_not_begun_anew(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await installation.issue()
        await sequence(installation)
        path = installation.settings.keys_dir / "log-heads.json"
        before, published = path.read_bytes(), (await heads_of(installation))[PUBLIC].published_size
        path.unlink()
        await installation.issue()
        async with open_again(installation) as again:
            for process in (installation, again):
                with pytest.raises(ServiceRefusal, match="accept-loss") as refused:
                    await process.services.log_sequencer.run()
                assert refused.value.reason == "anchor_unavailable"
            assert not path.exists() and (await heads_of(again))[PUBLIC].published_size == published
            forgotten = await again.services.recovery.forgotten_logs()
            assert [(one.origin, one.size) for one in forgotten] == [(PUBLIC, published)]
        path.write_bytes(before)
        await sequence(installation)
        assert (await heads_of(installation))[PUBLIC].published_size == published + 1


async def test_on_an_operators_word_the_log_goes_on_from_what_was_published(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await installation.issue()
        await sequence(installation)
        path = installation.settings.keys_dir / "log-heads.json"
        path.unlink()
        await installation.issue()
        recovery = installation.services.recovery
        assert await recovery.accept_loss(actor="recover") is None, "the database lacks nothing"
        (taken,) = await recovery.accept_forgotten_logs(actor="recover")
        assert taken.origin == PUBLIC
        assert await recovery.accept_forgotten_logs(actor="recover") == []
        entries, _ = await installation.services.audit.page(cursor=None, limit=5)
        assert (entries[0].action, entries[0].subject) == (TAKE_LOG, f"{PUBLIC} at {taken.size}")
        await sequence(installation)
        head = (await heads_of(installation))[PUBLIC]
        assert head.published_size == head.size == taken.size + 1
        assert SignedHeadsFile(installation.settings.keys_dir).load()[PUBLIC] == head.checkpoint
    assert await log_faults(database_url) == []


async def test_a_memory_that_cannot_be_written_is_told_and_stops_nothing_else(
    database_url: str, tmp_path: Path
) -> None:
    async with open_http(database_url, tmp_path) as service:
        installation = service.installation
        await installation.ask(await installation.credential(await installation.issue()))
        await sequence(installation)
        await installation.issue()
        blocked = installation.settings.keys_dir / "log-heads.json.tmp"
        blocked.mkdir()
        with pytest.raises(ServiceRefusal, match=r"log-heads\.json") as refused:
            await installation.services.log_sequencer.run()
        assert (refused.value.code, refused.value.reason) == ("unavailable", "anchor_unavailable")
        assert (await service.http.get("/readyz")).status_code == 200
        installation.clock.advance(seconds=180)
        response = await service.http.get("/readyz", headers={"Accept-Language": "en"})
        assert_problem(response, "unavailable")
        assert PUBLIC in response.json()["detail"]
        blocked.rmdir()
        await sequence(installation)
        assert (await service.http.get("/readyz")).status_code == 200
