"""The key ceremony: idempotent, finishing what was cut off, fixed to one issuer URL; production without demo keys."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.bootstrap import open_root_keys, open_services
from app.domain.errors import DomainError
from app.settings import SettingsError, load_settings
from elicense.trust_list import ServiceUse, parse_trust_list
from elicense.trust_root import parse_trust_root
from tests.installation import (
    AUTHORITY,
    ISSUER_URL,
    OTHER_AUTHORITY,
    open_installation,
    test_plan,
    test_settings,
)

pytestmark = pytest.mark.anyio


async def test_a_second_ceremony_changes_nothing(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        before = (await services.ceremony.keys(), await services.trust_list.trust_list())
        outcome = await services.ceremony.init(
            root_keys=open_root_keys(installation.settings), issuer_url=ISSUER_URL
        )
        assert (outcome.made, outcome.root_version, outcome.trust_list_sequence) == ((), 1, 1)
        assert (await services.ceremony.keys(), await services.trust_list.trust_list()) == before


async def test_the_documents_name_every_authority_key_and_service(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        root = parse_trust_root((await services.trust_list.root()).content)
        listed = parse_trust_list((await services.trust_list.trust_list()).content, root=root)
        assert (root.env, root.type_base, len(root.root_keys), root.root_threshold) == (
            "test",
            ISSUER_URL,
            3,
            2,
        )
        assert set(listed.authorities) == {AUTHORITY, OTHER_AUTHORITY}
        assert all(len(item.keys) == 1 and item.scopes for item in listed.authorities.values())
        uses = sorted(service.use.value for service in listed.services)
        assert uses == ["freshness", "log", "log", "receipt", "status"]
        logs = [service for service in listed.services if service.use is ServiceUse.LOG]
        host = ISSUER_URL.removeprefix("https://")
        assert {service.origin for service in logs} == {f"{host}/log", f"{host}/receipt-log"}
        assert {service.key.profile.name for service in logs} == {"eddsa"}


async def test_the_issuer_url_and_environment_are_fixed_at_the_first_init(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        with pytest.raises(DomainError, match="conflict"):
            await installation.services.ceremony.init(
                root_keys=open_root_keys(installation.settings), issuer_url="https://other.example"
            )
    settings = test_settings(database_url, tmp_path)
    for changed in (
        replace(settings, issuer_url="https://other.example"),
        replace(settings, environment="production"),
    ):
        with pytest.raises(SettingsError, match="ELICENSE_"):
            async with open_services(changed):
                pass


async def test_a_ceremony_cut_off_after_the_key_files_finishes_with_the_same_keys(
    database_url: str, tmp_path: Path
) -> None:
    settings = test_settings(database_url, tmp_path)
    root_keys = open_root_keys(settings)
    made = root_keys.make_root_keys(3, profile="es256")
    async with open_installation(database_url, tmp_path) as installation:
        root = parse_trust_root((await installation.services.trust_list.root()).content)
        assert [key.kid for key in root.root_keys] == [signer.kid for signer in made]


async def test_too_few_trust_list_keys_publish_nothing(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        root_folder = installation.settings.root_keys_dir
        for number in (1, 2):
            (root_folder / f"trust-list-{number}.dev.pem").unlink()
        plan = replace(test_plan(), authorities=(replace(test_plan().authorities[0], name="改名"),))
        await installation.services.directory.apply(plan, dry_run=False, actor="t")
        with pytest.raises(DomainError, match="2 trust-list keys are needed"):
            await installation.services.ceremony.publish_trust_list(
                root_keys=open_root_keys(installation.settings)
            )


async def test_serving_never_needs_the_root_folder(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        folder = installation.settings.root_keys_dir
        folder.rename(tmp_path / "in-the-safe")
        async with open_services(installation.settings, clock=installation.clock) as services:
            license = await installation.issue()
            await services.status_lists.publish_due()
            assert (await installation.ask(await installation.credential(license)))["reason"] == "ok"
        assert not folder.exists()


async def test_production_makes_live_objects_and_refuses_development_keys(
    database_url: str, tmp_path: Path
) -> None:
    settings = load_settings(
        tmp_path, environ={}, database_url=database_url, issuer_url=ISSUER_URL, keys_dir=tmp_path / "keys"
    )
    async with open_services(settings, uninitialized=True) as services:
        await services.directory.apply(test_plan(), dry_run=False, actor="t")
        await services.ceremony.init(root_keys=open_root_keys(settings), issuer_url=ISSUER_URL)
        assert (await services.trust_list.evidence()).trust_list.env == "live"
    for path in (tmp_path / "keys").glob("*.pem"):
        content = path.read_bytes()
        path.write_bytes(
            b"elicense development key: made on first run, never trusted in production\n" + content
        )
    async with open_services(settings) as services:
        key = next(key for key in await services.ceremony.keys() if key.use == "receipt")
        with pytest.raises(DomainError, match="unavailable"):
            (await services.receipts.pen(now=key.valid_from)).sign(
                {}, receipt_id="x", audience="y", now=key.valid_from
            )


async def test_an_uninitialized_database_serves_nothing(database_url: str, tmp_path: Path) -> None:
    settings = replace(test_settings(database_url, tmp_path), issuer_url=None, environment="production")
    with pytest.raises(DomainError, match="keys init"):
        async with open_services(settings):
            pass
    async with open_services(settings, uninitialized=True) as services:
        with pytest.raises(DomainError, match="ELICENSE_ISSUER_URL"):
            await services.ceremony.init(root_keys=open_root_keys(settings), issuer_url=services.issuer_url)
