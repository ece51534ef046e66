"""The worker: what it does without being asked, and that it ends when told."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.license import Action
from app.services.container import Services
from app.worker import run_with
from tests.installation import open_again, open_installation
from tests.integration.ordering import history_of, schedule

pytestmark = pytest.mark.anyio


async def test_a_change_is_published_within_seconds_and_the_worker_ends_when_told(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        license = await installation.issue()
        stop = asyncio.Event()
        workers = [asyncio.create_task(run_with(one.services, stop)) for one in (installation, other)]
        await installation.services.lifecycle.act(
            Action.REVOKE,
            license.id,
            reason_code="inspection",
            reason="x",
            caller=await installation.caller("authority"),
            call=None,
        )
        snapshot = await installation.services.store.read(lambda unit: unit.licenses.snapshot(license.id))
        assert snapshot is not None
        for _ in range(200):
            if await _is_published(installation.services, snapshot.version.status_list_id):
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the change was not published within ten seconds")
        stop.set()
        async with asyncio.timeout(10):
            await asyncio.gather(*workers)
        assert (tmp_path / "keys" / "high-water.json").exists()


async def _is_published(services: Services, list_id: str) -> bool:
    lists = await services.store.read(lambda unit: unit.status.lists())
    row = next(row for row in lists if row.id == list_id)
    return row.changes == row.published_changes > 0


async def test_a_scheduled_change_happens_within_seconds_of_its_time(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        license = await installation.issue()
        credential = await installation.credential(license)
        stop = asyncio.Event()
        workers = [asyncio.create_task(run_with(one.services, stop)) for one in (installation, other)]
        change = await schedule(installation, "revoke", license.id, seconds=2)
        while installation.clock.now() < change.effective_at - timedelta(seconds=0.5):
            assert (await installation.ask(credential))["reason"] == "ok"
            await asyncio.sleep(0.2)
        for _ in range(50):
            if (await installation.ask(credential))["reason"] == "revoked":
                break
            await asyncio.sleep(0.2)
        else:
            pytest.fail("the change did not happen within ten seconds of its time")
        stop.set()
        async with asyncio.timeout(10):
            await asyncio.gather(*workers)
        assert [entry.action for entry in await history_of(installation, license.id)] == ["revoke"]
