"""A key in other hands: what the log shows to be older stays good, the rest is lost, whatever times were signed."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.bootstrap import open_root_keys
from app.domain.amending import Amendment
from app.domain.errors import ConcurrentChange, DomainError, NotFound
from app.domain.license import Action
from app.services.freshness import FreshnessWriter
from app.services.key_compromise import Declared
from app.services.key_diagnosis import diagnose_keys
from elicense.evidence import gather_offline
from elicense.log_entry import EntryKind
from elicense.log_proof import ReceiptProof, parse_receipt_proof
from elicense.receipt import parse_receipt
from elicense.receipt_check import check_receipt
from elicense.receipt_file import ReceiptFile
from tests.installation import AUTHORITY, ISSUER_URL, Installation, open_again, open_installation
from tests.integration.bystander import (
    Bank,
    add_witness,
    forge,
    key_of,
    open_bank,
    stapled,
    steal,
    witness,
)
from tests.log_checks import log_faults

pytestmark = pytest.mark.anyio

ORIGIN = f"{ISSUER_URL.removeprefix('https://')}/log"
A_MINUTE = timedelta(minutes=1)


@pytest.fixture
async def installation(database_url: str, tmp_path: Path) -> AsyncIterator[Installation]:
    async with open_installation(database_url, tmp_path) as opened:
        await add_witness(opened)
        yield opened


async def declare(installation: Installation, kid: str, **more: object) -> Declared:
    return await installation.services.key_compromise.declare(
        kid,
        since=more.pop("since", installation.clock.now()),  # type: ignore[arg-type]
        reason="test",
        root_keys=open_root_keys(installation.settings),
        issuer_url=ISSUER_URL,
    )


async def settle(installation: Installation) -> None:
    """Let a second pass, in which every process hears of what has changed, and publish what is due."""
    installation.clock.advance(seconds=2)
    services = installation.services
    await services.status_lists.publish_due()
    await services.log_sequencer.run_until_done()
    await services.freshness.publish_due()


async def test_what_a_stolen_credential_key_signed_before_stays_good_and_nothing_else(
    installation: Installation,
) -> None:
    services, bank = installation.services, await open_bank(installation)
    key = await key_of(installation, "credential", AUTHORITY)
    old, neighbour = await installation.issue(), await installation.issue()
    await services.status_lists.publish_due()
    size = await witness(installation)
    installation.clock.advance(seconds=60)
    since = installation.clock.now() - timedelta(seconds=30)
    thief = steal(installation, key)
    late = await installation.issue()
    stolen = forge(await installation.credential(neighbour), thief, signed_at=since - timedelta(seconds=20))
    await settle(installation)
    assert await bank.reason(stolen) == "ok", "nobody knows yet"
    assert (await installation.ask(stolen))["reason"] == "not_registered"

    declared = await declare(installation, key.kid, since=since)
    assert declared.compromise is not None and declared.replacement is not None
    assert (declared.compromise.log_size, declared.compromise.witnessed) == (size, True)
    await settle(installation)
    good, lost = await installation.credential(old), await installation.credential(late)
    for online, reason in ((good, "ok"), (lost, "key_compromised"), (stolen, "not_registered")):
        assert (await installation.ask(online))["reason"] == reason
    for text, reason in (
        (await stapled(installation, old), "ok"),
        (good, "log_proof_missing"),
        (await stapled(installation, late), "key_compromised"),
        (stolen, "log_proof_missing"),
    ):
        assert await bank.reason(text) == reason
    fresh = await installation.issue()
    await settle(installation)
    assert await bank.reason(await installation.credential(fresh)) == "ok"
    # Declaring it again changes nothing, from an earlier moment on it does.
    again = await declare(installation, key.kid, since=since)
    assert (again.trust_list_sequence, again.replacement) == (declared.trust_list_sequence, None)
    earlier = await declare(installation, key.kid, since=since - timedelta(minutes=2))
    assert earlier.compromise is not None and earlier.compromise.log_size == 0
    await settle(installation)
    assert (await installation.ask(good))["reason"] == "key_compromised"


async def test_one_command_signs_again_what_is_affected_and_goes_on_where_it_stopped(
    installation: Installation,
) -> None:
    services, bank = installation.services, await open_bank(installation)
    key = await key_of(installation, "credential", AUTHORITY)
    old = await installation.issue()
    await witness(installation)
    installation.clock.advance(seconds=60)
    since = installation.clock.now() - timedelta(seconds=30)
    late = [await installation.issue() for _ in range(3)]
    caller = await installation.caller("authority")
    for license, action in ((late[1], Action.SUSPEND), (late[2], Action.REVOKE)):
        await services.lifecycle.act(
            action, license.id, reason_code="penalty", reason="x", caller=caller, call=None
        )
    await settle(installation)
    await declare(installation, key.kid, since=since)
    await settle(installation)
    assert [one.good for one in await diagnose_keys(services.resigning)] == [False]
    assert await services.resigning.count(None) == 2, "what has ended is not signed again"
    heard: list[int] = []
    done = await services.resigning.run(key.kid, progress=heard.append)
    assert (done.affected, done.resigned, done.refused, heard) == (2, 2, {}, [2])
    assert (await services.resigning.run(None, progress=heard.append)).affected == 0
    assert [one.good for one in await diagnose_keys(services.resigning)] == [True]
    await settle(installation)
    for license, reason in ((late[0], "ok"), (late[1], "suspended"), (old, "ok")):
        assert (await installation.ask(await installation.credential(license)))["reason"] == reason
    history = await services.store.read(lambda unit: unit.licenses.history(late[0].id))
    assert [(one.action, one.reason_code) for one in history] == [
        ("issue", None),
        ("reissue", "key_compromised"),
    ]
    assert await bank.reason(await stapled(installation, late[0]), policy="bank-strict") == "ok"
    before = await services.credentials.get(late[0].id, version="001", caller=caller)
    assert (await installation.ask(before))["reason"] == "key_compromised"
    with pytest.raises(NotFound):
        await services.resigning.run("unknown", progress=heard.append)


async def test_without_a_witness_the_registers_own_word_counts_and_is_said_to(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await installation.issue()
        await installation.services.log_sequencer.run_until_done()
        size = (await installation.services.transparency_log.checkpoint(None)).size
        installation.clock.advance(seconds=60)
        key = await key_of(installation, "credential", AUTHORITY)
        declared = (await declare(installation, key.kid)).compromise
        assert declared is not None
        assert (declared.log_size, declared.witnessed) == (size, False)


async def test_status_lists_are_signed_again_in_the_moment_their_key_is_given_up(
    installation: Installation,
) -> None:
    services, bank = installation.services, await open_bank(installation)
    token = await installation.credential(await installation.issue())
    await services.status_lists.publish_due()
    await witness(installation)
    key = await key_of(installation, "status")
    (before,) = await services.store.read(lambda unit: unit.status.all_served())
    declared = await declare(installation, key.kid)
    assert await bank.reason(token) == "ok", "no moment without a list that counts"
    (after,) = await services.store.read(lambda unit: unit.status.all_served())
    assert after.seq == before.seq + 1 and declared.replacement is not None
    assert await log_faults(installation.settings.database_url, drained=False) == []


async def test_a_publisher_that_has_not_heard_puts_nothing_back(installation: Installation) -> None:
    services = installation.services
    await installation.issue()
    keys = {use: await key_of(installation, use) for use in ("status", "freshness")}
    await services.status_lists.publish_due()
    await installation.issue()
    async with open_again(installation) as other:
        await other.services.log_sequencer._keys.current("status", now=installation.clock.now())
        for key in keys.values():
            await declare(installation, key.kid)
        with pytest.raises(ConcurrentChange, match="compromised meanwhile"):
            writer = FreshnessWriter(issuer_url=ISSUER_URL, env="test")
            signer = steal(installation, keys["freshness"])
            now = installation.clock.now().replace(microsecond=0)
            await services.store.write(lambda unit: writer.add(unit, signer=signer, now=now))


async def test_a_stolen_freshness_key_says_nothing_any_more(installation: Installation) -> None:
    services, bank = installation.services, await open_bank(installation)
    token = await installation.credential(await installation.issue())
    await services.status_lists.publish_due()
    await bank.update()
    key = await key_of(installation, "freshness")
    await declare(installation, key.kid)
    assert await bank.reason(token) == "ok"


async def receipt_report(bank: Bank, receipt: str, proof: ReceiptProof | None) -> str:
    evidence = gather_offline(trust_root=bank.root, bundle=bank.bundle, now=bank.installation.clock.now())
    parsed = None if proof is None else parse_receipt_proof(proof.to_json())
    return check_receipt(ReceiptFile(receipt=receipt), evidence=evidence, proof=parsed).reason.value


async def test_receipts_count_where_they_were_fixed_before(installation: Installation) -> None:
    services, bank = installation.services, await open_bank(installation)
    token = await installation.credential(await installation.issue())
    await services.status_lists.publish_due()
    caller = await installation.caller("platform")
    early = await installation.ask(token)
    await services.log_sequencer.run_until_done()
    await witness(installation)
    installation.clock.advance(seconds=60)
    key = await key_of(installation, "receipt")
    late = await installation.ask(token)
    await declare(installation, key.kid, since=installation.clock.now() - timedelta(seconds=30))
    installation.clock.advance(seconds=60)
    await settle(installation)
    await bank.update()
    proofs = [await services.log_proofs.of_receipt(str(one["id"]), caller=caller) for one in (early, late)]
    assert await receipt_report(bank, str(early["receipt"]), proofs[0]) == "ok"
    assert await receipt_report(bank, str(early["receipt"]), None) == "log_proof_missing"
    assert await receipt_report(bank, str(late["receipt"]), proofs[1]) == "key_compromised"
    after = await installation.ask(token)
    assert parse_receipt(str(after["receipt"])).kid != key.kid
    assert await receipt_report(bank, str(after["receipt"]), None) == "ok"


async def test_a_stolen_log_key_freezes_the_log_where_it_was_last_witnessed(
    installation: Installation,
) -> None:
    services, bank = installation.services, await open_bank(installation)
    old = await installation.issue()
    await services.status_lists.publish_due()
    size = await witness(installation)
    await bank.update()
    early = await stapled(installation, old)
    installation.clock.advance(seconds=60)
    late = await installation.issue()
    await settle(installation)
    tail = await stapled(installation, late)
    key = await key_of(installation, "log")
    declared = await declare(installation, key.kid, since=installation.clock.now() - timedelta(seconds=30))
    assert declared.next_origin == f"{ORIGIN}/2"
    kept = await services.transparency_log.checkpoint("log")
    assert kept.size == size
    await bank.update()
    await settle(installation)
    assert (await services.transparency_log.checkpoint(None)).origin == f"{ORIGIN}/2"
    await bank.update()
    # What was placed in the part that was cut away has a place in the next origin.
    leaf = await services.store.read(
        lambda unit: unit.transparency_log.leaf_of(late.identifier, kind=EntryKind.ISSUANCE)
    )
    assert leaf is not None and leaf.origin == f"{ORIGIN}/2"
    assert await bank.reason(await stapled(installation, late), policy="bank-strict") == "ok"
    assert await bank.reason(tail, policy="bank-strict") == "log_proof_missing"
    assert await bank.reason(await stapled(installation, old), policy="bank-strict") == "ok"
    assert await bank.reason(early, policy="bank-strict") == "ok", "it led to exactly the state that is kept"
    receipt = str((await installation.ask(early_token(early)))["receipt"])
    assert str(parse_receipt(receipt).payload["checkpoint"]).startswith(f"{ORIGIN}/2\n")
    assert await log_faults(installation.settings.database_url, drained=False) == []
    async with open_again(installation) as other:
        assert other.services.guard.reason is None
    # A credential key that is lost afterwards: both generations are older than its theft.
    await witness(installation)
    installation.clock.advance(seconds=60)
    credential_key = await key_of(installation, "credential", AUTHORITY)
    await declare(installation, credential_key.kid)
    await settle(installation)
    for license in (old, late):
        assert await bank.reason(await stapled(installation, license)) == "ok"
        assert (await installation.ask(await installation.credential(license)))["reason"] == "ok"
    assert await services.resigning.count(None) == 0


def early_token(text: str) -> str:
    return str(json.loads(text)["credential"])


async def test_a_stolen_key_of_the_receipts_log_loses_what_the_public_log_had_not_fixed(
    installation: Installation,
) -> None:
    services, bank = installation.services, await open_bank(installation)
    token = await installation.credential(await installation.issue())
    await services.status_lists.publish_due()
    early = await installation.ask(token)
    await services.log_sequencer.run_until_done()
    await services.log_sequencer.run_until_done()
    await witness(installation)
    installation.clock.advance(seconds=60)
    late = await installation.ask(token)
    await services.log_sequencer.run_until_done()
    key = await key_of(installation, "receipt_log")
    declared = await declare(installation, key.kid, since=installation.clock.now() - timedelta(seconds=30))
    assert declared.next_origin == f"{ISSUER_URL.removeprefix('https://')}/receipt-log/2"
    assert declared.compromise is not None and declared.compromise.log_size == 1
    installation.clock.advance(seconds=60)
    await settle(installation)
    await settle(installation)
    await bank.update()
    caller = await installation.caller("platform")
    for one in (early, late):
        proof = await services.log_proofs.of_receipt(str(one["id"]), caller=caller)
        assert await receipt_report(bank, str(one["receipt"]), proof) == "ok"


async def test_a_stolen_list_or_root_key_is_left_out_of_the_next_root(installation: Installation) -> None:
    services, bank = installation.services, await open_bank(installation)
    token = await installation.credential(await installation.issue())
    await services.status_lists.publish_due()
    root = (await services.trust_list.evidence()).root
    for version, kid in ((2, root.list_keys[0].kid), (3, root.root_keys[0].kid)):
        declared = await declare(installation, kid)
        assert declared.root is not None and declared.root.version == version
        services.trust_list.forget()
        after = (await services.trust_list.evidence()).root
        assert kid not in {key.kid for key in (*after.root_keys, *after.list_keys)}
        assert (len(after.root_keys), len(after.list_keys)) == (3, 3)
        assert await bank.reason(token) == "ok"
    with pytest.raises(NotFound):
        await declare(installation, "nobody's")
    with pytest.raises(DomainError, match="has passed"):
        key = await key_of(installation, "status")
        await declare(installation, key.kid, since=installation.clock.now() + A_MINUTE)


async def test_a_promise_made_with_a_key_that_was_lost_meanwhile_is_decided_anew(
    installation: Installation,
) -> None:
    license = await installation.issue()
    key = await key_of(installation, "credential", AUTHORITY)
    amending = installation.services.amending
    record = amending._record

    async def lose_the_key(*arguments: object) -> object:
        amending._record = record  # type: ignore[method-assign]
        promised = await record(*arguments)  # type: ignore[arg-type]
        await declare(installation, key.kid)
        return promised

    amending._record = lose_the_key  # type: ignore[method-assign, assignment]
    changed = await amending.amend(
        license.id,
        Amendment(elements={"address": "新地址"}),
        reason_code="moved",
        reason="x",
        caller=await installation.caller("authority"),
        call=None,
    )
    assert changed.license is not None
    versions = await installation.services.store.read(lambda unit: unit.licenses.versions(license.id))
    assert versions[-1].kid != key.kid
