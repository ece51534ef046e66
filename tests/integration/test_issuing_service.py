"""Issuing on real databases: one license per promise, whatever crashes, races or repeats."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.adapters.db import open_store
from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.bootstrap import open_root_keys
from app.domain.authority import SetupPlan
from app.domain.errors import DomainError, NumberTaken
from app.domain.license import Intent, IntentState, License
from app.domain.publication import ServiceKey
from app.ports import Signers, UnitOfWork
from app.services.container import Services
from elicense.credential import parse_credential
from elicense.encoding import sha256_hex
from elicense.keys import Signer
from tests.installation import (
    AUTHORITY,
    ISSUER_URL,
    Installation,
    PausingStore,
    idempotent,
    open_again,
    open_installation,
    services_over,
    test_plan,
)

pytestmark = pytest.mark.anyio


class BrokenSigners:
    """Signers whose credential keys are gone, as when a process dies before it signs."""

    def signer(self, key: ServiceKey) -> Signer:
        raise DomainError("unavailable", "the key is not here")


class WrongSigners:
    """Signers that sign with another key than the registered one."""

    def __init__(self, folder: KeyFolder) -> None:
        self._wrong = folder.make("wrong", profile="es256")

    def signer(self, key: ServiceKey) -> Signer:
        return self._wrong


def with_signers(installation: Installation, signers: Signers) -> Services:
    """Return another process' services over the same database, with other signers."""
    return services_over(installation, open_store(installation.settings.database_url), signers)


async def crash_after_the_intent(installation: Installation, *, number: str, key: str | None = None) -> None:
    """Issue in a process that dies between the intent and the signature."""
    services = with_signers(installation, BrokenSigners())
    new = replace(installation.new_license(), number=number)
    with pytest.raises(DomainError, match="unavailable"):
        await services.issuing.issue(
            new, actor="test", request_id=None, call=idempotent(key) if key is not None else None
        )
    await services.store.close()


async def intents(installation: Installation) -> Sequence[Intent]:
    """Claim nothing, look at every open intent: those whose lease has run out by far."""
    far = installation.clock.now() + timedelta(days=400)

    class LookedAt(Exception):
        """Rolls the look back."""

    found: list[Intent] = []

    async def work(unit: UnitOfWork) -> None:
        found.extend(await unit.intents.claim_expired(now=far, lease_until=far, limit=1000))
        raise LookedAt

    with pytest.raises(LookedAt):
        await installation.services.store.write(work)
    return found


async def by_number(installation: Installation, number: str) -> License | None:
    held = await installation.services.store.read(
        lambda unit: unit.licenses.by_numbers(type_code=installation.types[0], numbers=[number])
    )
    return held.get(number)


async def test_what_is_issued_stands_complete_in_the_register(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        snapshot = await installation.services.store.read(lambda unit: unit.licenses.snapshot(license.id))
        assert snapshot is not None and snapshot.license == license
        credential = parse_credential(snapshot.version.credential)
        assert snapshot.version.signing_input_sha256 == sha256_hex(credential.signing_input)
        assert credential.claims.license.identifier == license.identifier
        assert credential.claims.status_index == snapshot.version.status_index
        assert credential.claims.issuer == f"{ISSUER_URL}/authorities/{AUTHORITY}"
        assert credential.claims.vct == f"{ISSUER_URL}/types/{license.type_code}/1"
        assert dict(credential.elements) == dict(license.elements)
        history = await installation.services.licenses.history(
            license.id, caller=await installation.caller("authority")
        )
        assert [(entry.action, entry.to_state) for entry in history] == [("issue", "active")]
        audit, _ = await installation.services.audit.page(cursor=None, limit=100)
        assert [entry.action for entry in audit if entry.subject == license.id] == ["license.issue"]
        assert await intents(installation) == []


async def test_a_refused_license_leaves_nothing(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        with pytest.raises(DomainError, match="not_authorized_to_issue"):
            await installation.issue(area_code="320500", number="N-1")
        assert await intents(installation) == []
        assert (await installation.issue(number="N-1")).number == "N-1"


async def test_a_crash_before_the_signature_is_finished_with_the_same_bytes(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await crash_after_the_intent(installation, number="N-1", key="k")
        (promised,) = await intents(installation)
        with pytest.raises(NumberTaken):
            await installation.issue(number="N-1")
        with pytest.raises(DomainError, match="idempotency_in_progress"):
            await installation.services.idempotency.find(idempotent("k"))
        assert await installation.services.issuing.recover() == 0, "its owner may still be at work"
        installation.clock.advance(seconds=31)
        assert await installation.services.issuing.recover() == 1
        license = await by_number(installation, "N-1")
        assert license is not None and license.identifier == promised.license.identifier
        credential = parse_credential(await installation.credential(license))
        assert credential.signing_input == promised.signing_input
        replay = await installation.services.idempotency.find(idempotent("k"))
        assert replay is not None and replay.status == 201 and license.id in replay.headers["Location"]
        assert await installation.services.issuing.recover() == 0


async def test_a_promise_is_kept_under_a_trust_list_that_came_after_it(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await crash_after_the_intent(installation, number="N-1")
        (promised,) = await intents(installation)
        installation.clock.advance(seconds=3_600)
        await installation.services.key_rotation.rotate(
            "status",
            authority_code=None,
            at=None,
            overlap=None,
            root_keys=open_root_keys(installation.settings),
            issuer_url=ISSUER_URL,
        )
        assert await installation.services.issuing.recover() == 1
        license = await by_number(installation, "N-1")
        assert license is not None and license.identifier == promised.license.identifier


async def test_an_intent_older_than_a_day_is_given_up(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        await crash_after_the_intent(installation, number="N-1", key="k")
        (promised,) = await intents(installation)
        installation.clock.advance(days=1, seconds=60)
        assert await services.issuing.recover() == 1
        assert await by_number(installation, "N-1") is None
        value = await services.store.read(
            lambda unit: unit.status.value(list_id=promised.status_list_id, index=promised.status_index)
        )
        assert value == 1
        voided = await services.store.read(lambda unit: unit.intents.get(promised.id))
        assert voided is not None and voided.state is IntentState.VOIDED
        audit, _ = await services.audit.page(cursor=None, limit=100)
        assert [e.outcome for e in audit if e.action == "intent.void"] == ["too_old"]
        again = await services.issuing.issue(
            replace(installation.new_license(), number="N-1"),
            actor="test",
            request_id=None,
            call=idempotent("k"),
        )
        assert again.license is not None and again.license.identifier != promised.license.identifier


async def test_an_intent_whose_authority_lost_its_scope_is_given_up(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await crash_after_the_intent(installation, number="N-1")
        authority = next(item for item in test_plan().authorities if item.code == AUTHORITY)
        plan = SetupPlan(authorities=[replace(authority, scopes=())])
        await installation.services.directory.apply(plan, dry_run=False, actor="test")
        installation.clock.advance(seconds=31)
        assert await installation.services.issuing.recover() == 1
        assert await by_number(installation, "N-1") is None
        audit, _ = await installation.services.audit.page(cursor=None, limit=100)
        assert [e.outcome for e in audit if e.action == "intent.void"] == ["not_authorized_to_issue"]


async def test_an_owner_that_stalls_past_its_lease_writes_nothing_and_gets_the_truth(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:

        async def recovered() -> None:
            installation.clock.advance(seconds=31)
            assert await other.services.issuing.recover() == 1

        services = installation.services
        await installation.issue()  # so that this process holds a block of status indices
        store = PausingStore(services.store, before_write=3, pause=recovered)
        folder = KeyFolder(path=installation.settings.keys_dir, development=True)
        stalling = services_over(installation, store, FileSigners(folder))
        issued = await stalling.issuing.issue(
            installation.new_license(), actor="test", request_id=None, call=None
        )
        assert store.writes >= 3 and issued.license is not None
        license = issued.license
        assert await by_number(installation, license.number) == license
        versions = await services.store.read(lambda unit: unit.licenses.versions(license.id))
        assert len(versions) == 1


async def test_two_recoverers_finish_each_intent_once(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        for number in range(6):
            await crash_after_the_intent(installation, number=f"N-{number}")
        installation.clock.advance(seconds=31)
        ended = await asyncio.gather(
            *(services.issuing.recover() for services in (installation.services, other.services) * 2)
        )
        assert sum(ended) == 6
        for number in range(6):
            assert await by_number(installation, f"N-{number}") is not None


async def test_a_signature_of_another_key_is_caught_before_anything_is_stored(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        folder = KeyFolder(path=installation.settings.keys_dir, development=True)
        services = with_signers(installation, WrongSigners(folder))
        with pytest.raises(DomainError, match="internal"):
            await services.issuing.issue(
                replace(installation.new_license(), number="N-1"), actor="t", request_id=None, call=None
            )
        await services.store.close()
        assert await by_number(installation, "N-1") is None


async def test_nothing_is_signed_while_the_clock_runs_backwards(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        installation.clock.advance(seconds=300)
        await installation.issue()
        installation.clock.advance(seconds=-59)
        await installation.issue()
        installation.clock.advance(seconds=-3600)
        for work in (
            installation.issue(),
            installation.services.issuing.recover(),
            installation.services.status_lists.publish_due(),
        ):
            with pytest.raises(DomainError, match="clock_unreliable"):
                await work


async def test_a_license_is_not_issued_before_the_trust_list_names_its_authority(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        authority = next(item for item in test_plan().authorities if item.code == AUTHORITY)
        scopes = tuple(replace(scope, areas=("32",)) for scope in authority.scopes)
        wider = SetupPlan(authorities=[replace(authority, scopes=scopes)])
        await installation.services.directory.apply(wider, dry_run=False, actor="test")
        with pytest.raises(DomainError, match="publish the list first"):
            await installation.issue(area_code="320500")


async def test_the_same_call_again_gets_the_same_answer(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        issuing, new = installation.services.issuing, installation.new_license()
        first = await issuing.issue(new, actor="t", request_id=None, call=idempotent("k", body="a"))
        again = await issuing.issue(new, actor="t", request_id=None, call=idempotent("k", body="a"))
        assert first.license is not None and again.replayed is not None
        assert first.license.id in again.replayed.headers["Location"]
        with pytest.raises(DomainError, match="idempotency_mismatch"):
            await issuing.issue(new, actor="t", request_id=None, call=idempotent("k", body="b"))
        installation.clock.advance(days=1, seconds=1)
        with pytest.raises(NumberTaken):
            await issuing.issue(new, actor="t", request_id=None, call=idempotent("k", body="b"))


async def test_one_key_used_by_many_at_once_issues_one_license(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        for round_ in range(5):
            new = installation.new_license()
            outcomes = await asyncio.gather(
                *(
                    services.issuing.issue(
                        new, actor="t", request_id=None, call=idempotent(f"k-{round_}", body="a")
                    )
                    for services in (installation.services, other.services) * 4
                ),
                return_exceptions=True,
            )
            issued = [item for item in outcomes if not isinstance(item, BaseException) and item.license]
            refused = [item for item in outcomes if isinstance(item, BaseException)]
            assert len(issued) == 1
            assert all(isinstance(e, DomainError) and e.code == "idempotency_in_progress" for e in refused), (
                refused
            )


async def test_one_number_wanted_by_many_has_one_winner(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        for _ in range(5):
            new = installation.new_license()
            outcomes = await asyncio.gather(
                *(
                    services.issuing.issue(new, actor="t", request_id=None, call=None)
                    for services in (installation.services, other.services) * 4
                ),
                return_exceptions=True,
            )
            assert sum(not isinstance(item, BaseException) for item in outcomes) == 1
            assert sum(isinstance(item, NumberTaken) for item in outcomes) == 7


async def test_many_rows_are_answered_one_by_one_in_their_order(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await installation.issue(number="TAKEN")
        await crash_after_the_intent(installation, number="PROMISED")
        rows = [installation.new_license(number=f"ROW-{index}") for index in range(600)]
        rows[3] = replace(rows[3], number="TAKEN")
        rows[4] = replace(rows[4], area_code="320500")
        rows[5] = replace(rows[5], number="ROW-0")
        rows[6] = replace(rows[6], number="PROMISED")
        rows[599] = replace(rows[599], number="ROW-1")
        answers = await installation.services.issuing.issue_many(
            rows, actor="import", source_digests=[str(index) for index in range(600)]
        )
        refused = {i: a.code for i, a in enumerate(answers) if isinstance(a, DomainError)}
        assert refused == {
            3: "number_taken",
            4: "not_authorized_to_issue",
            5: "number_taken",
            6: "number_taken",
            599: "number_taken",
        }
        kept = [a for a in answers if isinstance(a, License)]
        assert [a.number for a in kept] == [row.number for i, row in enumerate(rows) if i not in refused]
        assert kept[0].source_digest == "0" and len({a.identifier for a in kept}) == len(kept)
        body = await installation.ask(await installation.credential(kept[-1]))
        assert body["reason"] == "ok"


async def test_indices_are_never_given_twice_and_tell_no_order(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        rows = [installation.new_license() for _ in range(40)]
        await asyncio.gather(
            installation.services.issuing.issue_many(rows[:20], actor="t"),
            other.services.issuing.issue_many(rows[20:], actor="t"),
        )
        places = []
        for row in rows:
            license = await by_number(installation, row.number)
            assert license is not None
            credential = parse_credential(await installation.credential(license))
            places.append((credential.claims.status_uri, credential.claims.status_index))
        assert len(set(places)) == 40
        first = [index for _, index in places[:20]]
        assert first != sorted(first)
