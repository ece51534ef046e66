"""Two hands at one client in the same moment: its keys, tokens and plan are as if one had come after the other."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.domain.errors import DomainError
from app.domain.oauth import OAuthRefusal
from app.services.api_clients import CACHE_AGE
from app.services.oauth import IssuedToken, OAuthService
from tests.client_assertions import good_claims, register_key, token_form
from tests.installation import ISSUER_URL, DawdlingStore, Installation, open_installation

pytestmark = pytest.mark.anyio


@pytest.fixture
async def installation(database_url: str, tmp_path: Path) -> AsyncIterator[Installation]:
    async with open_installation(database_url, tmp_path) as opened:
        yield opened


def slow_oauth(installation: Installation) -> OAuthService:
    """Return the service of a process whose transactions take long."""
    services = installation.services
    return OAuthService(
        store=DawdlingStore(services.store),
        clock=installation.clock,
        api_clients=services.api_clients,
        issuer_url=ISSUER_URL,
    )


async def bank_id(installation: Installation) -> str:
    return (await installation.caller("bank")).client.id


async def test_a_key_that_ends_after_its_proof_gets_no_token(installation: Installation) -> None:
    oauth, key = installation.services.oauth, await register_key(installation, "bank")
    form = token_form(key.assertion(good_claims(installation, await bank_id(installation))))
    proven = await oauth.prove(form)
    await oauth.end_jwk("bank", key.kid, actor="t")
    with pytest.raises(OAuthRefusal, match="no live key"):
        await oauth.issue(proven, form)


async def test_a_client_that_is_revoked_after_its_proof_gets_no_token(installation: Installation) -> None:
    oauth, key = installation.services.oauth, await register_key(installation, "bank")
    form = token_form(key.assertion(good_claims(installation, await bank_id(installation))))
    proven = await oauth.prove(form)
    await installation.services.api_clients.revoke("bank", actor="t")
    with pytest.raises(OAuthRefusal, match="no live key"):
        await oauth.issue(proven, form)


async def test_a_token_stored_in_the_moment_its_key_ends_never_counts(installation: Installation) -> None:
    oauth, key = slow_oauth(installation), await register_key(installation, "bank")
    form = token_form(key.assertion(good_claims(installation, await bank_id(installation))))
    proven = await oauth.prove(form)
    issued, ended = await asyncio.gather(
        oauth.issue(proven, form), oauth.end_jwk("bank", key.kid, actor="t"), return_exceptions=True
    )
    assert not isinstance(ended, BaseException)
    if not isinstance(issued, IssuedToken):
        assert isinstance(issued, OAuthRefusal)
        return
    installation.clock.advance(seconds=CACHE_AGE.total_seconds())
    with pytest.raises(DomainError) as refused:
        await installation.services.api_clients.authenticate(issued.secret)
    assert refused.value.code == "unauthenticated"
