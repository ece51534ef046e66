"""Two hands at one client in the same moment: its keys, tokens and plan are as if one had come after the other."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.domain.api_client import ClientKind
from app.domain.errors import DomainError
from app.domain.oauth import OAuthRefusal
from app.domain.plan import Plan
from app.services.api_clients import CACHE_AGE, ApiClientService
from app.services.oauth import IssuedToken, OAuthService
from app.services.plans import PlanService
from tests.client_assertions import BankKey, good_claims, register_key, token_form
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


async def test_no_third_public_key_is_live_however_many_register_at_once(installation: Installation) -> None:
    slow = slow_oauth(installation)
    await installation.services.oauth.register_jwk("bank", BankKey().jwk, actor="t")
    registered = await asyncio.gather(
        *(slow.register_jwk("bank", BankKey().jwk, actor="t") for _ in range(3)), return_exceptions=True
    )
    refused = [one for one in registered if isinstance(one, DomainError)]
    assert [one.code for one in refused] == ["conflict", "conflict"]
    held = await installation.services.oauth.jwks_of(await bank_id(installation))
    assert len([one for one in held if one.ended_at is None]) == 2


def plan(name: str, calls_per_minute: int) -> Plan:
    return Plan(name=name, calls_per_minute=calls_per_minute, burst=None, calls_per_day=None, batch_limit=1)


async def test_a_client_given_a_plan_as_it_changes_has_its_new_figures(installation: Installation) -> None:
    plans = installation.services.plans
    store = DawdlingStore(installation.services.store)
    slow = PlanService(store, installation.clock, api_clients=installation.services.api_clients)
    await plans.put(plan("gold", 1), actor="t")
    await asyncio.gather(slow.give("bank", "gold", actor="t"), slow.put(plan("gold", 9), actor="t"))
    bank = (await installation.services.api_clients.get(await bank_id(installation))).client
    assert (bank.plan, bank.calls_per_minute) == ("gold", 9)


async def test_a_changed_plan_counts_with_the_very_next_call(installation: Installation) -> None:
    services, secret = installation.services, installation.keys["bank"]

    async def calls_per_minute() -> int:
        return (await services.api_clients.authenticate(secret)).client.calls_per_minute

    before = await calls_per_minute()
    await services.plans.put(plan("gold", before + 1), actor="t")
    await services.plans.give("bank", "gold", actor="t")
    assert await calls_per_minute() == before + 1
    await services.plans.put(plan("gold", before + 2), actor="t")
    assert await calls_per_minute() == before + 2


async def test_a_client_made_on_a_plan_as_it_changes_has_its_new_figures(installation: Installation) -> None:
    plans, store = installation.services.plans, DawdlingStore(installation.services.store)
    clients = ApiClientService(store, installation.clock)
    slow = PlanService(store, installation.clock, api_clients=clients)
    await plans.put(plan("gold", 1), actor="t")
    made, _ = await asyncio.gather(
        clients.create(name="new", kind=ClientKind.PLATFORM, plan="gold", actor="t"),
        slow.put(plan("gold", 9), actor="t"),
    )
    new = (await installation.services.api_clients.get(made.client.id)).client
    assert (new.plan, new.calls_per_minute) == ("gold", 9)


async def test_clients_made_at_once_on_one_plan_are_all_made(installation: Installation) -> None:
    clients = installation.services.api_clients
    made = await asyncio.gather(
        *(clients.create(name=f"new {one}", kind=ClientKind.PLATFORM, actor="t") for one in range(6))
    )
    assert {one.client.plan for one in made} == {"standard"}
