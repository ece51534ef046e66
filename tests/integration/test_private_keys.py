"""Private keys that cannot be used, as an operator sees them: `doctor` names each, `/readyz` refuses."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app.bootstrap import open_root_keys
from app.cli.processes import diagnose_services
from app.domain.publication import DocumentKind
from app.main import create_app
from app.ports import UnitOfWork
from app.services.container import Services
from app.services.key_register import RECEIPT
from tests.installation import AUTHORITY, ISSUER_URL, Installation, open_again, open_installation
from tests.integration.http_service import assert_problem

pytestmark = pytest.mark.anyio


async def key_file(installation: Installation, use: str, authority_code: str | None = None) -> Path:
    services = installation.services
    key = await services.keys.current(use, now=services.clock.now(), authority_code=authority_code)
    return installation.settings.keys_dir / f"{key.uri.removeprefix('file:')}.dev.pem"


async def complaints(services: Services) -> list[str]:
    found = await diagnose_services(services)
    return [finding.en for finding in found if not finding.good and "private" in finding.en]


async def readyz(installation: Installation) -> httpx.Response:
    app = create_app(installation.settings, services=installation.services)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service.example") as http:
        return await http.get("/readyz", headers={"Accept-Language": "en"})


async def test_doctor_names_every_private_key_that_cannot_be_used_and_what_to_do(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        (await key_file(installation, "status")).chmod(0o644)
        (await key_file(installation, "credential", AUTHORITY)).unlink()
        freshness, receipt = [await key_file(installation, use) for use in ("freshness", RECEIPT)]
        freshness.write_bytes(receipt.read_bytes())
        async with open_again(installation) as again:
            told = await complaints(again.services)
    assert len(told) == 3, told
    status, freshness_, credential = told
    assert "chmod 600" in status and "elicense keys rotate status" in status
    assert "another key" in freshness_ and "elicense keys rotate freshness" in freshness_
    assert "cannot be read" in credential and f"rotate credential --authority {AUTHORITY}" in credential


async def test_doctor_names_the_private_keys_of_logs_too_and_nothing_where_all_are_sound(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        async with open_again(installation) as again:
            found = await diagnose_services(again.services)
            assert [one.good for one in found if "private keys that can sign" in one.en] == [True]
        for file in installation.settings.keys_dir.glob("*log-*.pem"):
            file.rename(tmp_path / file.name)
        async with open_again(installation) as again:
            told = await complaints(again.services)
    assert {one.split(" cannot")[0] for one in told} == {
        "the private log key",
        "the private receipt_log key",
    }


async def test_a_key_that_no_longer_signs_may_lie_elsewhere(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        old = await key_file(installation, RECEIPT)
        rotated = await services.key_rotation.rotate(
            RECEIPT,
            authority_code=None,
            at=None,
            overlap=None,
            root_keys=open_root_keys(installation.settings),
            issuer_url=ISSUER_URL,
        )
        installation.clock.advance(seconds=60)
        assert rotated.old.in_window(installation.clock.now())
        old.unlink()
        async with open_again(installation) as again:
            assert await complaints(again.services) == []


@pytest.mark.parametrize("fault", ["missing", "open to others"])
async def test_readiness_is_refused_while_the_receipt_key_cannot_be_used(
    database_url: str, tmp_path: Path, fault: str
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        file, aside = await key_file(installation, RECEIPT), tmp_path / "aside.pem"
        async with open_again(installation) as again:
            file.rename(aside) if fault == "missing" else file.chmod(0o644)
            response = await readyz(again)
            assert_problem(response, "unavailable")
            assert "receipt key cannot be used here" in response.json()["detail"]
            assert str(tmp_path) not in response.text
            aside.rename(file) if fault == "missing" else file.chmod(0o600)
            assert (await readyz(again)).json() == {"status": "ready"}, "what was mended is seen at once"


async def test_altered_trust_documents_are_told_and_never_the_fault_of_who_asks(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:

        async def alter(unit: UnitOfWork) -> None:
            held = await unit.documents.latest(DocumentKind.TRUST_LIST)
            assert held is not None
            await unit.documents.add(
                replace(held, sequence=held.sequence + 1, content=b"{}", sha256="0" * 64)
            )

        await installation.services.store.write(alter)
        async with open_again(installation) as again:
            found = await diagnose_services(again.services)
            assert any("trust documents cannot be read" in one.en for one in found if not one.good)
            assert_problem(await readyz(again), "unavailable")
