"""A past moment beyond one license: where its succession led then, what was void, and what was only promised."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.license import RevocationKind
from app.domain.verification import LicenseReference
from tests.amending import BrokenSigners, amend
from tests.installation import BUSINESS_LICENSE, Installation, open_installation, services_over
from tests.integration.ordering import history_of, schedule
from tests.integration.test_past_moments import HOLDER_REFERENCE, ask_at, later, revoke
from tests.integration.test_succession_service import succeed

pytestmark = pytest.mark.anyio


async def test_a_succession_is_followed_as_far_as_it_led_then(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        first, second, third = [await installation.issue() for _ in range(3)]
        token = await installation.credential(first)
        await later(installation)
        await succeed(installation, first, second.id)
        moments = [await later(installation)]
        second_amended = await amend(installation, second.id)
        moments.append(await later(installation))
        await succeed(installation, second, third.id)
        moments.append(await later(installation))
        third_amended = await amend(installation, third.id)
        moments.append(await later(installation))
        await succeed(installation, first, third.id)
        ways = (token, LicenseReference(identifier=first.identifier))
        led_to = (second, second_amended, third, third_amended)
        for way in ways:
            for at, expected in zip(moments, led_to, strict=True):
                then = await ask_at(installation, way, at)
                assert (then["reason"], then["superseded_by"]) == ("superseded", expected.identifier)
                assert then["successors"] == [expected.identifier]
            now = await installation.ask(way)
            assert now["superseded_by"] == third_amended.identifier


async def test_what_is_annulled_by_now_leaves_nothing_ambiguous(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        void, kept = await installation.issue(), await installation.issue()
        both = await later(installation)
        assert (await ask_at(installation, HOLDER_REFERENCE, both))["reason"] == "ambiguous"
        await revoke(installation, void, RevocationKind.ANNULLED)
        assert (await installation.ask(HOLDER_REFERENCE))["reason"] == "ok"
        elements = {"number": kept.number}
        then = await ask_at(installation, HOLDER_REFERENCE, both, elements=elements)
        assert then["reason"] == "ok", "the other one was void then, too"


async def test_a_change_that_was_done_late_leaves_the_time_since_its_effect_open(
    database_url: str, tmp_path: Path
) -> None:
    """No worker was at work for hours: what the license was meanwhile is not told as if nothing had been ordered."""
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        ways = (await installation.credential(license), LicenseReference(identifier=license.identifier))
        await later(installation)
        change = await schedule(installation, "revoke", license.id, seconds=3600)
        installation.clock.advance(seconds=3 * 3600)
        assert await installation.services.due_changes.perform_due() == 1
        done = (await history_of(installation, license.id))[-1].recorded_at
        after = await later(installation)
        second = timedelta(seconds=1)
        moments = (change.effective_at - second, change.effective_at, done - second, after)
        for way in ways:
            reasons = [(await ask_at(installation, way, at))["reason"] for at in moments]
            assert reasons == ["ok", "status_unavailable", "status_unavailable", "revoked"]


async def die_while_issuing(installation: Installation, number: str) -> None:
    """Issue in a process that dies between the promise and the signature."""
    store = installation.services.store
    services = services_over(installation, store, BrokenSigners())
    with pytest.raises(Exception, match="unavailable"):
        await replace(installation, services=services).issue(number=number)


async def test_what_was_promised_and_held_only_later_was_not_in_force_meanwhile(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await installation.issue()
        await die_while_issuing(installation, "LATE-1")
        await later(installation)
        promised = installation.clock.now().replace(microsecond=0) - timedelta(seconds=5)
        installation.clock.advance(seconds=61)
        await installation.services.issuing.recover()
        held = await later(installation)
        reference = LicenseReference(number="LATE-1", type_code=BUSINESS_LICENSE)
        assert (await installation.ask(reference))["reason"] == "ok"
        assert (await ask_at(installation, reference, promised))["reason"] == "status_unavailable"
        assert (await ask_at(installation, reference, held))["reason"] == "ok"
