"""API clients: what a key proves, how long, and what is kept of it."""

from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.api_client import ClientKind, Scope
from app.domain.errors import DomainError, NotFound
from tests.installation import AUTHORITY, Installation, open_again, open_installation

pytestmark = pytest.mark.anyio


async def refusal(installation: Installation, bearer: str) -> str:
    with pytest.raises(DomainError) as caught:
        await installation.services.api_clients.authenticate(bearer)
    return caught.value.code


async def test_a_key_names_its_client_and_anything_else_names_nobody(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        secret = installation.keys["platform"]
        found = await installation.services.api_clients.authenticate(secret)
        assert found.client.name == "platform" and found.handle in secret
        other = installation.keys["bank"]
        mixed = f"{secret[: secret.index('_', 10)]}{other[other.index('_', 10) :]}"
        for bearer in (
            "",
            "x",
            secret[:-1],
            secret + "A",
            secret.upper(),
            mixed,
            f"elk_live_{'0' * 12}_{'A' * 43}",
        ):
            assert await refusal(installation, bearer) == "unauthenticated", bearer
        assert await refusal(installation, secret.replace("live", "test")) == "wrong_environment"


async def test_only_a_digest_of_the_secret_is_kept(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        kept = str(await installation.services.api_clients.list())
        for secret in installation.keys.values():
            assert secret.split("_", 3)[3] not in kept and secret not in kept


async def test_a_revoked_key_stops_everywhere_within_a_second(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        secret = installation.keys["platform"]
        await other.services.api_clients.authenticate(secret)
        await installation.services.api_clients.revoke("platform", actor="t")
        assert await refusal(installation, secret) == "key_revoked"
        installation.clock.advance(seconds=1)
        assert await refusal(other, secret) == "key_revoked"


async def test_a_rotation_leaves_the_old_key_its_time(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        clients, old = installation.services.api_clients, installation.keys["bank"]
        new = await clients.rotate("bank", overlap=timedelta(hours=1), actor="t")
        assert (await clients.authenticate(old)).client == (await clients.authenticate(new.secret)).client
        installation.clock.advance(seconds=3601)
        assert await refusal(installation, old) == "key_expired"
        await clients.authenticate(new.secret)
        await clients.revoke("bank", actor="t")
        with pytest.raises(DomainError, match="conflict"):
            await clients.rotate("bank", actor="t")
        with pytest.raises(NotFound):
            await clients.revoke("nobody", actor="t")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"name": "platform", "kind": ClientKind.PLATFORM}, "conflict"),
        ({"name": "", "kind": ClientKind.PLATFORM}, "invalid_request"),
        ({"name": "a", "kind": ClientKind.AUTHORITY}, "invalid_request"),
        ({"name": "a", "kind": ClientKind.AUTHORITY, "authority_code": "unknown"}, "invalid_request"),
        ({"name": "a", "kind": ClientKind.PLATFORM, "authority_code": AUTHORITY}, "invalid_request"),
        ({"name": "a", "kind": ClientKind.HOLDER}, "invalid_request"),
        ({"name": "a", "kind": ClientKind.PLATFORM, "scopes": [Scope.LICENSES_WRITE]}, "invalid_request"),
        ({"name": "a", "kind": ClientKind.PLATFORM, "purposes": ["curiosity"]}, "invalid_request"),
        ({"name": "a", "kind": ClientKind.BANK, "default_purpose": "curiosity"}, "invalid_request"),
        ({"name": "a", "kind": ClientKind.PLATFORM, "purposes": []}, "invalid_request"),
        ({"name": "a", "kind": ClientKind.OPERATOR, "purposes": ["account_opening"]}, "invalid_request"),
        ({"name": "a", "kind": ClientKind.OPERATOR, "purposes": ["curiosity"]}, "invalid_request"),
        ({"name": "a", "kind": ClientKind.OPERATOR, "default_purpose": "account_opening"}, "invalid_request"),
        ({"name": "a", "kind": ClientKind.OPERATOR, "default_purpose": "curiosity"}, "invalid_request"),
        ({"name": "a\x1b[31m", "kind": ClientKind.PLATFORM}, "invalid_request"),
        ({"name": "a\nb", "kind": ClientKind.PLATFORM}, "invalid_request"),
        ({"name": "a\x85b", "kind": ClientKind.PLATFORM}, "invalid_request"),
        ({"name": "a", "kind": ClientKind.BANK, "batch_limit": 1001}, "invalid_request"),
    ],
)
async def test_a_client_that_makes_no_sense_is_refused(
    database_url: str, tmp_path: Path, options: dict[str, object], code: str
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        with pytest.raises(DomainError) as caught:
            await installation.services.api_clients.create(actor="t", **options)  # type: ignore[arg-type]
        assert caught.value.code == code


async def test_a_purpose_named_twice_is_held_once(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        purposes = ["periodic_reverification", "account_opening", "periodic_reverification"]
        made = await installation.services.api_clients.create(
            name="a", kind=ClientKind.BANK, purposes=purposes, actor="t"
        )
        assert made.client.purposes == ("periodic_reverification", "account_opening")
        assert made.client.default_purpose == "account_opening"
