"""Renewal of keys: listed before they sign, the old one good to the end of its window, roots one version at a time."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from app.bootstrap import open_root_keys
from app.domain.errors import DomainError
from app.services.key_rotation import OVERLAP, Rotated
from elicense.client._evidence import verify_receipt_with
from elicense.compromise import parse_compromise
from elicense.signed_note import is_signed_by, parse_note
from elicense.trust_list import ServiceUse
from elicense.trust_root import parse_trust_root, verify_root_chain
from tests.installation import AUTHORITY, ISSUER_URL, Installation, open_again, open_installation
from tests.integration.bystander import key_of, open_bank, stapled

pytestmark = pytest.mark.anyio

LEAD = timedelta(seconds=5)


async def rotate(
    installation: Installation, use: str, *, overlap: timedelta | None = None, **more: object
) -> Rotated:
    return await installation.services.key_rotation.rotate(
        use,
        authority_code=AUTHORITY if use == "credential" else None,
        at=None,
        overlap=overlap,
        root_keys=open_root_keys(installation.settings),
        issuer_url=ISSUER_URL,
        **more,  # type: ignore[arg-type]
    )


async def rotate_root(installation: Installation, *, root: bool = True, trust_list: bool = False) -> int:
    rotated = await installation.services.key_rotation.rotate_root(
        root=root,
        trust_list=trust_list,
        root_keys=open_root_keys(installation.settings),
        issuer_url=ISSUER_URL,
    )
    return rotated.version


async def test_a_new_credential_key_is_listed_first_and_signs_when_its_time_has_come(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services, bank = installation.services, await open_bank(installation)
        before = await installation.issue()
        old = await installation.credential(before)
        rotated = await rotate(installation, "credential")
        listed = (await services.trust_list.evidence()).trust_list
        entry = listed.authorities[AUTHORITY].key(rotated.new.kid)
        assert entry is not None and entry.valid_from >= listed.issued_at + LEAD
        meanwhile = await installation.issue()
        assert (await _kid(installation, meanwhile.id)) == rotated.old.kid
        with pytest.raises(DomainError, match="listed already"):
            await rotate(installation, "credential")
        await services.status_lists.publish_due()
        await bank.update()
        installation.clock.advance(seconds=LEAD.total_seconds() + 1)
        after = await installation.issue()
        assert (await _kid(installation, after.id)) == rotated.new.kid
        # A bundle fetched before the key signed knows it.
        assert (await bank.judge(await installation.credential(after))).reason == "ok"
        assert (await bank.judge(old)).reason == "ok"
        installation.clock.advance(seconds=OVERLAP.total_seconds() + 60)
        await services.status_lists.publish_due()
        assert await bank.reason(old) == "ok"
        assert (await installation.ask(old))["reason"] == "ok"
        (cut,) = [one for one in await services.ceremony.keys() if one.kid == rotated.old.kid]
        assert cut.valid_until == rotated.new.valid_from + OVERLAP


async def test_service_keys_take_over_at_the_listed_moment(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services, bank = installation.services, await open_bank(installation)
        token = await installation.credential(await installation.issue())
        await services.status_lists.publish_due()
        made = [await rotate(installation, use) for use in ("status", "receipt", "freshness")]
        assert await bank.reason(token) == "ok"
        first = str((await installation.ask(token))["receipt"])
        installation.clock.advance(seconds=LEAD.total_seconds() + 1)
        second = str((await installation.ask(token))["receipt"])
        for use, rotated in zip(("status", "receipt", "freshness"), made, strict=True):
            key = await services.log_sequencer._keys.current(use, now=installation.clock.now())
            assert key.kid == rotated.new.kid
        installation.clock.advance(seconds=3700)
        await services.status_lists.publish_due()
        assert await bank.reason(token) == "ok"
        for receipt in (first, second):
            verify_receipt_with(
                receipt, trust_root=bank.root, bundle=bank.bundle or b"", now=installation.clock.now()
            )


async def test_a_log_goes_on_under_the_same_origin_with_both_keys_while_they_overlap(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services, bank = installation.services, await open_bank(installation)
        license = await installation.issue()
        await services.status_lists.publish_due()
        await services.log_sequencer.run_until_done()
        early = await stapled(installation, license)
        for use in ("log", "receipt_log"):
            await rotate(installation, use, overlap=timedelta(hours=2))
        installation.clock.advance(seconds=LEAD.total_seconds() + 1)
        await installation.issue()
        await services.log_sequencer.run_until_done()
        note = parse_note((await services.transparency_log.checkpoint(None)).note)
        origin = note.text.splitlines()[0]
        listed = (await services.trust_list.evidence()).trust_list
        keys = [one.key for one in listed.services if one.use is ServiceUse.LOG and one.origin == origin]
        assert len(keys) == 2 and all(is_signed_by(note, name=origin, key=key) for key in keys)
        both = await stapled(installation, license)
        for text in (early, both):
            assert await bank.reason(text, policy="bank-strict") == "ok"
        installation.clock.advance(seconds=2 * 3600 + 60)
        await installation.issue()
        await services.status_lists.publish_due()
        await services.log_sequencer.run_until_done()
        note = parse_note((await services.transparency_log.checkpoint(None)).note)
        assert [is_signed_by(note, name=origin, key=key) for key in sorted_by_age(listed, origin)] == [
            False,
            True,
        ]
        installation.clock.advance(seconds=2)
        await services.freshness.publish_due()
        assert await bank.reason(both, policy="bank-strict") == "ok", "the new key signed it, too"
        async with open_again(installation) as other:
            assert other.services.guard.reason is None


def sorted_by_age(listed: object, origin: str) -> list[object]:
    services = [one for one in listed.services if one.origin == origin]  # type: ignore[attr-defined]
    return [one.key for one in sorted(services, key=lambda one: one.valid_from)]


async def test_a_root_follows_the_one_before_and_whoever_pinned_the_first_follows_all(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services, bank = installation.services, await open_bank(installation)
        token = await installation.credential(await installation.issue())
        await services.status_lists.publish_due()
        key = await key_of(installation, "receipt")
        await services.key_compromise.declare(
            key.kid,
            since=installation.clock.now(),
            reason=None,
            root_keys=open_root_keys(installation.settings),
            issuer_url=ISSUER_URL,
        )
        assert await bank.reason(token) == "ok"
        assert await rotate_root(installation) == 2
        assert await bank.reason(token) == "ok"
        assert await rotate_root(installation, root=False, trust_list=True) == 3
        assert await rotate_root(installation, trust_list=True) == 4
        assert await bank.reason(token) == "ok"
        roots = [document.content for document in await services.trust_list.roots()]
        assert len(roots) == 4
        newest = verify_root_chain(bank.root, roots)
        parsed = [parse_trust_root(root) for root in roots]
        assert not {key.kid for key in parsed[0].root_keys} & {key.kid for key in newest.root_keys}
        assert {key.kid for key in parsed[0].list_keys} == {key.kid for key in parsed[1].list_keys}
        listed = (await services.trust_list.evidence()).trust_list
        (lost,) = [one for one in listed.services if one.compromised is not None]
        assert lost.compromised is not None
        parse_compromise(lost.compromised.statement, root=newest, kid=lost.key.kid, use="receipt")
        assert listed.root_version == 4
        # Every list ever published is served.
        assert (await services.trust_list.trust_list(1)).sequence == 1


async def test_a_root_needs_the_old_keys_as_much_as_the_new(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        folder = installation.settings.root_keys_dir
        for number in (1, 2):
            (folder / f"root-{number}.dev.pem").rename(tmp_path / f"root-{number}.dev.pem")
        with pytest.raises(DomainError, match="2 root keys are needed, 1"):
            await rotate_root(installation)
        (tmp_path / "root-1.dev.pem").rename(folder / "root-1.dev.pem")
        assert await rotate_root(installation) == 2, "two of three are enough"


@pytest.mark.parametrize(
    ("use", "authority", "message"),
    [
        ("witness", None, "no keys of use"),
        ("credential", None, "an authority is named"),
        ("status", AUTHORITY, "an authority is named"),
    ],
)
async def test_what_cannot_be_rotated_is_refused_by_name(
    database_url: str, tmp_path: Path, use: str, authority: str | None, message: str
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        with pytest.raises(DomainError, match=message):
            await installation.services.key_rotation.rotate(
                use,
                authority_code=authority,
                at=None,
                overlap=None,
                root_keys=open_root_keys(installation.settings),
                issuer_url=ISSUER_URL,
            )


async def test_a_moment_before_the_margin_is_refused(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        with pytest.raises(DomainError, match="at least 5 s after"):
            await installation.services.key_rotation.rotate(
                "status",
                authority_code=None,
                at=installation.clock.now(),
                overlap=None,
                root_keys=open_root_keys(installation.settings),
                issuer_url=ISSUER_URL,
            )


async def test_a_moment_after_the_end_of_the_key_in_force_is_refused(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:

        async def begin(at: datetime) -> Rotated:
            return await installation.services.key_rotation.rotate(
                "status",
                authority_code=None,
                at=at,
                overlap=None,
                root_keys=open_root_keys(installation.settings),
                issuer_url=ISSUER_URL,
            )

        keys = await installation.services.ceremony.keys()
        (ends,) = (key.valid_until for key in keys if key.use == "status")
        with pytest.raises(DomainError, match="begins then at the latest") as refused:
            await begin(ends + timedelta(seconds=1))
        assert refused.value.code == "invalid_request"
        assert (await begin(ends)).new.valid_from == ends  # nothing was listed by the attempt


async def _kid(installation: Installation, license_id: str) -> str:
    versions = await installation.services.store.read(lambda unit: unit.licenses.versions(license_id))
    return versions[-1].kid
