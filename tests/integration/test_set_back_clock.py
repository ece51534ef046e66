"""Status lists under a clock that goes back: the times of a list's versions never do, or the audit tells."""

from datetime import timedelta
from pathlib import Path

import pytest

from app.bootstrap import open_services
from app.domain.errors import ServiceRefusal
from app.domain.good_time import SIGNS_WITHIN
from app.domain.license import Action
from app.domain.publication import PublishedStatusList
from elicense import OfflineVerifier
from elicense.encoding import rfc3339
from tests.amending import act
from tests.audited import audit, publish
from tests.installation import Installation, MovableClock, open_installation
from tests.integration.http_service import open_http
from tests.integration.test_past_lists_offline import fetch
from tests.integration.test_past_moments import ask_at

pytestmark = pytest.mark.anyio


async def versions_of(installation: Installation) -> list[PublishedStatusList]:
    """Return every version of the one list there is, by number."""
    services = installation.services
    list_id = (await services.status_lists.uris())[0].rsplit("/", 1)[1]
    newest = await services.status_lists.served(list_id)
    return [await services.status_lists.version(list_id, seq) for seq in range(1, newest.seq + 1)]


async def publish_ahead(installation: Installation, *, seconds: float) -> None:
    """Change a license and publish it by a worker whose clock stands ahead."""
    ahead = MovableClock()
    ahead.advance(seconds=installation.clock.offset.total_seconds() + seconds)
    await act(installation, Action.SUSPEND, (await installation.issue()).id)
    async with open_services(installation.settings, clock=ahead) as services:
        assert await services.status_lists.publish_due() == 1


@pytest.mark.parametrize("back", [2, 50])
async def test_a_license_revoked_after_the_clock_went_back_is_revoked_from_the_next_list_on(
    database_url: str, tmp_path: Path, back: int
) -> None:
    async with open_http(database_url, tmp_path) as service:
        installation, services = service.installation, service.installation.services
        license, other = await installation.issue(), await installation.issue()
        token = await installation.credential(license)
        root = (await services.trust_list.root(1)).content
        await publish(installation)
        installation.clock.advance(seconds=200)
        await act(installation, Action.SUSPEND, other.id)
        await publish(installation)
        installation.clock.step(seconds=-back)
        await act(installation, Action.REVOKE, license.id)
        await publish(installation)
        _, before, shows_it = [one.issued_at for one in await versions_of(installation)]
        assert shows_it == before > installation.clock.now() - timedelta(seconds=1)
        installation.clock.advance(seconds=3000)
        await act(installation, Action.RESUME, other.id)
        await publish(installation)
        installation.clock.advance(seconds=5)
        for at in (shows_it, shows_it + timedelta(seconds=600)):
            assert (await service.verify(credential=token, at=rfc3339(at)))["reason"] == "revoked"
            update = await fetch(service, root=root, held=None, at=at)
            verifier = OfflineVerifier(trust_root=root, bundle=update.content, clock=installation.clock.now)
            offline = verifier.verify(token, at=at)
            assert (update.uncovered, offline.reason.value) == (0, "revoked")
            served, _ = await services.status_lists.at_time((await versions_of(installation))[0].list_id, at)
            assert served.seq == 3
        assert (await audit(installation)).clean


async def test_of_two_workers_whose_clocks_differ_neither_makes_times_run_backwards(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        await publish(installation)
        installation.clock.advance(seconds=300)
        await publish_ahead(installation, seconds=115)
        await act(installation, Action.REVOKE, license.id)
        await publish(installation)
        times = [one.issued_at for one in await versions_of(installation)]
        assert len(times) == 3 and times == sorted(times)


async def test_a_time_that_was_never_good_is_not_taken_over_and_the_audit_tells_of_the_break(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        token = await installation.credential(license)
        await publish(installation)
        installation.clock.advance(seconds=60)
        await publish_ahead(installation, seconds=3000)
        await act(installation, Action.REVOKE, license.id)
        await publish(installation)
        _, wrong, right = await versions_of(installation)
        assert right.issued_at <= installation.clock.now() < wrong.issued_at
        report = await audit(installation)
        assert [(one.identifier, one.where) for one in report.faults] == [
            (f"{right.uri}#{right.seq}", "status_list_versions.issued_at")
        ]
        # When the time has come that the wrong clock showed, the later list still is the later list.
        installation.clock.advance(seconds=3100)
        found, _ = await installation.services.status_lists.at_time(
            right.list_id, wrong.issued_at + timedelta(seconds=1)
        )
        assert found.seq == right.seq
        assert (await ask_at(installation, token, wrong.issued_at))["reason"] == "revoked"


@pytest.mark.parametrize("ahead", [59, 110])
async def test_what_a_clock_ahead_signs_is_taken_offline_or_nothing_is_signed(
    database_url: str, tmp_path: Path, ahead: int
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        license = await installation.issue()
        token = await installation.credential(license)
        root = (await services.trust_list.root(1)).content
        await publish(installation)
        installation.clock.advance(seconds=200)
        await act(installation, Action.SUSPEND, license.id)
        installation.clock.step(seconds=ahead)
        if ahead <= SIGNS_WITHIN.total_seconds():
            assert await services.status_lists.publish_due() == 1
        else:
            with pytest.raises(ServiceRefusal, match="clock_unreliable"):
                await services.status_lists.publish_due()
        installation.clock.step(seconds=-ahead)
        bundle = await services.freshness.bundle()
        verifier = OfflineVerifier(trust_root=root, bundle=bundle, clock=installation.clock.now)
        wanted = "suspended" if ahead <= SIGNS_WITHIN.total_seconds() else "ok"
        assert verifier.verify(token).reason.value == wanted
