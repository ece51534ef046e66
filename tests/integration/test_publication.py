"""Publishing status lists, freshness and bundles: nothing lost, nothing older, nothing that does not fit together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.bootstrap import open_root_keys
from app.domain.authority import SetupPlan
from app.domain.errors import DomainError
from app.domain.license import STATUS_VALUE, Action, License, State
from app.ports import Store, UnitOfWork
from app.services.freshness import read_statement
from app.services.status_lists import GATHER_SECONDS
from elicense.bundle import parse_bundle
from elicense.encoding import sha256_hex
from elicense.evidence import Evidence, ListStatus, gather_offline
from elicense.freshness import FRESHNESS_LIFETIME
from elicense.status_list import parse_status_list
from tests.installation import (
    Installation,
    PausingStore,
    open_again,
    open_installation,
    services_over,
    test_plan,
)

pytestmark = pytest.mark.anyio
T = TypeVar("T")


async def act(installation: Installation, action: Action, license: License) -> None:
    await installation.services.lifecycle.act(
        action,
        license.id,
        reason_code="inspection",
        reason="x",
        caller=await installation.caller("authority"),
        call=None,
    )


async def gather(installation: Installation) -> Evidence:
    services = installation.services
    root = await services.trust_list.root()
    return gather_offline(
        trust_root=root.content, bundle=await services.freshness.bundle(), now=installation.clock.now()
    )


async def published_value(installation: Installation, license: License) -> int:
    snapshot = await installation.services.store.read(lambda unit: unit.licenses.snapshot(license.id))
    assert snapshot is not None
    evidence = await gather(installation)
    assert evidence.refused() == () and isinstance(evidence.status, ListStatus)
    uri = f"{installation.services.issuer_url}/v1/status-lists/{snapshot.version.status_list_id}"
    part = evidence.status.lists[uri]
    return int(part.status_list.lookup(snapshot.version.status_index))  # type: ignore[union-attr]


async def issue_many(installation: Installation, count: int) -> Sequence[License]:
    rows = [installation.new_license() for _ in range(count)]
    answers = await installation.services.issuing.issue_many(rows, actor="t")
    return [answer for answer in answers if isinstance(answer, License)]


async def test_a_list_is_published_once_per_change(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        publish = installation.services.status_lists.publish_due
        license = await installation.issue()
        assert [await publish(), await publish()] == [1, 0]
        await installation.issue()
        assert await publish() == 0, "a new license is valid, as its bits have been all along"
        await act(installation, Action.SUSPEND, license)
        assert [await publish(), await publish()] == [1, 0]
        assert await published_value(installation, license) == STATUS_VALUE[State.SUSPENDED]


async def test_changes_that_follow_one_another_closely_are_published_together(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        licenses = await issue_many(installation, 4)
        publish = installation.services.status_lists.publish_gathered
        assert [await publish(), await publish()] == [1, 0]
        for license in licenses[:3]:
            await act(installation, Action.SUSPEND, license)
            assert await publish() == 0
            installation.clock.advance(seconds=1)
        installation.clock.advance(seconds=GATHER_SECONDS - 3)
        assert [await publish(), await publish()] == [1, 0]
        for license in licenses[:3]:
            assert await published_value(installation, license) == STATUS_VALUE[State.SUSPENDED]
        statement = await installation.services.freshness.current()
        lists = read_statement(statement).status_lists
        assert [one.seq for one in lists.values()] == [2], "two publications of four changes"
        # After a quiet time the first change does not wait.
        installation.clock.advance(seconds=GATHER_SECONDS)
        await act(installation, Action.SUSPEND, licenses[3])
        assert await publish() == 1


async def test_lists_and_freshness_are_signed_again_every_hour(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        await installation.issue()
        await services.status_lists.publish_due()
        assert not await services.freshness.publish_due()
        installation.clock.advance(seconds=3601)
        assert await services.freshness.publish_due()
        assert await services.status_lists.publish_due() == 1
        served = await services.status_lists.served((await services.status_lists.uris())[0].rsplit("/", 1)[1])
        claims = parse_status_list(served.token).claims
        assert served.seq == 2 and claims.ttl == 300
        assert claims.expires_at - claims.issued_at == timedelta(days=7)
        assert claims.aggregation_uri.endswith("/v1/status-lists")


async def test_a_statement_is_never_older_than_the_list_it_names(database_url: str, tmp_path: Path) -> None:
    """The clock of the next machine stands most of a minute behind that of the one which signed the trust list."""
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        await installation.services.status_lists.publish_due()
        installation.clock.advance(seconds=3600)
        plan = SetupPlan(authorities=[replace(test_plan().authorities[1], name="苏州市改名局")])
        await installation.services.directory.apply(plan, dry_run=False, actor="test")
        root_keys = open_root_keys(installation.settings)
        await installation.services.ceremony.publish_trust_list(root_keys=root_keys)
        installation.clock.advance(seconds=-50)
        await act(installation, Action.SUSPEND, license)
        assert await installation.services.status_lists.publish_due() == 1
        evidence = await gather(installation)
        assert evidence.refused() == () and evidence.trust is not None
        stated, trust_list = evidence.trust.freshness, evidence.trust.trust_list
        assert stated is not None and stated.issued_at == trust_list.issued_at > installation.clock.now()
        assert stated.expires_at - stated.issued_at == FRESHNESS_LIFETIME


async def test_every_bundle_fits_together_while_many_publish_and_change(
    database_url: str, tmp_path: Path
) -> None:
    async with (
        open_installation(database_url, tmp_path) as installation,
        open_again(installation) as second,
        open_again(installation) as third,
    ):
        licenses = await issue_many(installation, 30)
        everyone = (installation, second, third)
        await installation.services.status_lists.publish_due()
        changing = True
        sequences: list[int] = []

        async def publish(one: Installation) -> None:
            while changing:
                await one.services.status_lists.publish_due()
                await asyncio.sleep(0.002)

        async def look() -> None:
            while changing:
                bundle = parse_bundle(await second.services.freshness.bundle())
                assert (await gather(third)).refused() == ()
                token = next(iter(bundle.status_lists.values()))
                sequences.append(parse_status_list(token).claims.seq)

        async def change() -> None:
            nonlocal changing
            try:
                for position, license in enumerate(licenses):
                    await act(everyone[position % 3], Action.REVOKE, license)
            finally:
                changing = False

        await asyncio.gather(change(), look(), *(publish(one) for one in everyone))
        assert sequences == sorted(sequences)
        while await installation.services.status_lists.publish_due():
            pass
        assert {await published_value(installation, license) for license in licenses} == {1}


async def test_a_publisher_that_stalls_puts_back_nothing(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        license = await installation.issue()
        await installation.services.status_lists.publish_due()
        await act(installation, Action.SUSPEND, license)

        async def overtaken() -> None:
            await act(other, Action.REVOKE, license)
            assert await other.services.status_lists.publish_due() == 1

        folder = KeyFolder(path=installation.settings.keys_dir, development=True)
        store = PausingStore(installation.services.store, before_write=1, pause=overtaken)
        stalling = services_over(installation, store, FileSigners(folder))
        assert await stalling.status_lists.publish_due() == 0
        assert await published_value(installation, license) == STATUS_VALUE[State.REVOKED]
        (uri,) = await installation.services.status_lists.uris()
        assert (await installation.services.status_lists.served(uri.rsplit("/", 1)[1])).seq == 2


async def test_a_new_trust_list_comes_with_the_freshness_that_names_it(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        root_keys = open_root_keys(installation.settings)
        before = await services.trust_list.trust_list()
        assert (await services.ceremony.publish_trust_list(root_keys=root_keys)).sequence == before.sequence
        plan = SetupPlan(authorities=[replace(test_plan().authorities[1], name="苏州市改名局")])
        await services.directory.apply(plan, dry_run=False, actor="test")
        published = await services.ceremony.publish_trust_list(root_keys=root_keys)
        assert published.sequence == before.sequence + 1
        named = read_statement(await services.freshness.current())
        assert named.trust_list_sha256 == published.sha256 == sha256_hex(published.content)
        assert (await gather(installation)).refused() == ()


async def test_a_restored_backup_is_read_only(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        token = await installation.credential(license)
        await installation.services.high_water.keep()
        async with open_again(installation) as same:
            assert same.services.guard.reason is None
        mark = tmp_path / "keys" / "high-water.json"
        mark.write_text(mark.read_text().replace('"freshness_sequence": 1', '"freshness_sequence": 99'))
        async with open_again(installation) as restored:
            assert restored.services.guard.reason == "rollback_detected"
            for work in (
                restored.issue(),
                act(restored, Action.REVOKE, license),
                restored.services.status_lists.publish_due(),
                restored.services.freshness.publish_due(),
                restored.services.ceremony.publish_trust_list(root_keys=open_root_keys(restored.settings)),
                restored.ask(token),
            ):
                with pytest.raises(DomainError, match="read_only"):
                    await work
            assert await restored.credential(license) == token


class CountingStore(PausingStore):
    """A store that counts its reads, says when so many have begun, and lets others come in before each of them."""

    def __init__(self, store: Store, *, awaited: int) -> None:
        super().__init__(store, before_write=0, pause=store.ready)
        self.reads = 0
        self.reached = asyncio.Event()
        self._awaited = awaited

    async def read(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        self.reads += 1
        if self.reads == self._awaited:
            self.reached.set()
        await asyncio.sleep(0)
        return await super().read(work)


async def test_a_bundle_is_made_once_for_all_who_ask_after_a_new_statement(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        await act(installation, Action.REVOKE, license)
        await installation.services.status_lists.publish_due()
        folder = KeyFolder(path=installation.settings.keys_dir, development=True)
        store = CountingStore(installation.services.store, awaited=21)
        freshness = services_over(installation, store, FileSigners(folder)).freshness
        asked = [asyncio.create_task(freshness.served_bundle()) for _ in range(20)]
        await store.reached.wait()
        asked[0].cancel()
        first, *found = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(first, asyncio.CancelledError)
        again = await freshness.served_bundle()
        assert all(one is again for one in found)
        assert again.sha256 == sha256_hex(again.content)
        assert store.reads == 20 + 1 + 1, (
            "everybody looks for the newest statement, one of them makes the bundle"
        )
