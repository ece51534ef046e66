"""The clock and the mark outside the database: what makes a service read-only, who sees it, and what ends it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from app.adapters.high_water import HighWaterFile
from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.bootstrap import open_root_keys
from app.domain.errors import DomainError, ServiceRefusal
from app.domain.high_water import KeptOutside
from app.domain.license import Action, LicenseFilter
from app.main import create_app
from app.ports import Store, UnitOfWork
from app.services.container import Services
from app.services.diagnosis import diagnose
from app.services.status_indices import BLOCK
from tests.installation import (
    Installation,
    MovableClock,
    open_again,
    open_installation,
    services_over,
    test_plan,
)

pytestmark = pytest.mark.anyio
T = TypeVar("T")


def kept(installation: Installation) -> KeptOutside:
    held = HighWaterFile(installation.settings.keys_dir).load()
    assert held is not None
    return held


async def writes(installation: Installation, token: str) -> dict[str, str]:
    """Try everything that writes or signs; return by name the reason it was refused with, `done` if it was not."""
    services = installation.services
    root_keys = open_root_keys(installation.settings)
    page = lambda unit: unit.licenses.page(LicenseFilter(), cursor=None, limit=1)  # noqa: E731
    ((license,), _) = await services.store.read(page)
    caller = await installation.caller("authority")
    act, publish = services.lifecycle.act, services.ceremony.publish_trust_list
    tries: dict[str, Callable[[], Awaitable[object]]] = {
        "issue": installation.issue,
        "recover": services.issuing.recover,
        "suspend": lambda: act(
            Action.SUSPEND, license.id, reason_code="x", reason="x", caller=caller, call=None
        ),
        "verify": lambda: installation.ask(token),
        "publish": services.status_lists.publish_due,
        "freshness": services.freshness.publish_due,
        "trust_list": lambda: publish(root_keys=root_keys),
        "directory": lambda: services.directory.apply(test_plan(), dry_run=False, actor="test"),
        "client": lambda: services.api_clients.rotate("bank", actor="test"),
        "sweep": services.idempotency.sweep,
    }
    outcomes = {}
    for name, work in tries.items():
        try:
            await work()
            outcomes[name] = "done"
        except ServiceRefusal as refusal:
            outcomes[name] = refusal.reason.value
    return outcomes


async def findings(services: Services) -> list[str]:
    """Return what doctor finds wrong with clock and mark."""
    found = await diagnose(
        store=services.store,
        clock=services.clock,
        directory=services.directory,
        standing=await services.high_water.standing(),
        production=services.high_water.production,
    )
    return [finding.en for finding in found if not finding.good and "[" in finding.en]


@asynccontextmanager
async def served(installation: Installation) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(installation.settings, services=installation.services)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service.example") as http:
        yield http


ALL = (
    "issue",
    "recover",
    "suspend",
    "verify",
    "publish",
    "freshness",
    "trust_list",
    "directory",
    "client",
    "sweep",
)


async def test_a_start_an_hour_behind_is_read_only_until_the_clock_is_right(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        token = await installation.credential(await installation.issue())
        await installation.services.high_water.keep()
        installation.clock.step(seconds=-3600)
        async with open_again(installation) as behind:
            assert behind.services.guard.reason == "clock_behind"
            assert await writes(behind, token) == dict.fromkeys(ALL, "clock_behind")
            (finding,) = await findings(behind.services)
            assert "clock_behind" in finding and "--accept-time" in finding
            await behind.services.high_water.review()
            assert behind.services.guard.reason == "clock_behind"
            installation.clock.step(seconds=3600)
            await behind.services.high_water.review()
            assert set((await writes(behind, token)).values()) == {"done"}
            assert await findings(behind.services) == []


async def test_a_start_within_two_minutes_is_not_behind(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        installation.clock.advance(seconds=300)
        await installation.services.high_water.keep()
        installation.clock.step(seconds=-110)
        async with open_again(installation) as again:
            assert again.services.guard.reason is None
            await again.issue()


async def test_a_clock_behind_what_the_database_signed_is_behind_without_any_mark(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        (tmp_path / "keys" / "high-water.json").unlink()
        installation.clock.step(seconds=-3600)
        async with open_again(installation) as behind:
            assert behind.services.guard.reason == "clock_behind"
        installation.clock.step(seconds=3600)
        async with open_again(installation) as again:
            wrong = await diagnose(
                store=again.services.store,
                clock=again.clock,
                directory=again.services.directory,
                standing=await again.services.high_water.standing(),
                production=False,
            )
            assert any("no high-water.json" in finding.en and not finding.good for finding in wrong)
            await again.services.high_water.keep()
            assert kept(again).mark.trust_list_sequence == 1


async def test_a_start_eight_days_later_is_read_only_in_production_until_accepted(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await installation.services.high_water.keep()
        folder = KeyFolder(path=installation.settings.keys_dir, development=True)

        def started(env: str) -> Services:
            return services_over(installation, installation.services.store, FileSigners(folder), env=env)

        installation.clock.advance(days=6.9)
        soon = started("live")
        await soon.high_water.compare()
        assert soon.guard.reason is None
        installation.clock.advance(days=1.1)
        development, late = started("test"), started("live")
        await development.high_water.compare()
        assert development.guard.reason is None
        await late.high_water.compare()
        assert late.guard.reason == "clock_ahead"
        await late.high_water.review()
        assert late.guard.reason == "clock_ahead"
        with pytest.raises(ServiceRefusal, match="clock_ahead"):
            await late.freshness.publish_due()
        (finding,) = await findings(late)
        assert "clock_ahead" in finding
        doctor = started("live")
        await doctor.high_water.compare()
        await doctor.high_water.accept_time(actor="doctor")
        assert (doctor.guard.reason, kept(installation).acceptance is not None) == (None, True)
        await late.high_water.review()
        assert late.guard.reason is None
        assert await late.freshness.publish_due()


@pytest.mark.parametrize("step", [{"seconds": -3600}, {"days": 365}])
async def test_a_clock_moved_while_running_stops_every_signature_until_it_agrees_again(
    database_url: str, tmp_path: Path, step: dict[str, float]
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        token = await installation.credential(await installation.issue())
        await installation.services.high_water.keep()
        before = kept(installation).mark
        installation.clock.step(**step)
        outcomes = await writes(installation, token)
        signing = ("issue", "recover", "suspend", "verify", "publish", "freshness", "trust_list")
        assert {name: outcomes[name] for name in signing} == dict.fromkeys(signing, "clock_unreliable")
        await installation.services.high_water.keep()
        assert kept(installation).mark.time == before.time
        installation.clock.step(**{unit: -amount for unit, amount in step.items()})
        assert set((await writes(installation, token)).values()) == {"done"}


@pytest.mark.parametrize("step", [{"seconds": -3600}, {"days": 3}])
async def test_an_accepted_time_is_audited_kept_and_taken_up_by_running_processes(
    database_url: str, tmp_path: Path, step: dict[str, float]
) -> None:
    async with open_installation(database_url, tmp_path) as running:
        services = running.services
        running.clock.advance(seconds=7200)  # the keys are older than the step back
        token = await running.credential(await running.issue())
        await services.status_lists.publish_due()
        await services.high_water.keep()
        running.clock.step(**step)
        await services.high_water.review()
        assert not services.signing_clock.is_reliable()
        trouble = kept(running).trouble
        assert trouble is not None and abs(trouble.deviation - timedelta(**step).total_seconds()) <= 1
        async with open_again(running) as doctor:
            assert any("clock_unreliable" in line for line in await findings(doctor.services))
            accepted = await doctor.services.high_water.accept_time(actor="doctor")
            assert await findings(doctor.services) == []
        now = running.clock.now()
        assert abs(accepted.time - now) < timedelta(seconds=10)
        entries, _ = await services.audit.page(cursor=None, limit=5)
        (entry,) = [one for one in entries if one.action == "clock.accept"]
        assert accepted.time.strftime("%Y-%m-%dT%H:%M:%SZ") in entry.subject
        outside = kept(running)
        assert outside.trouble is None and outside.acceptance is not None
        assert (outside.acceptance.number, outside.mark.time) == (1, accepted.time)
        await services.high_water.review()
        assert set((await writes(running, token)).values()) == {"done"}
        assert abs((await services.freshness.current()).issued_at - now) < timedelta(seconds=30)
        await services.high_water.keep()
        async with open_again(running) as later:
            assert later.services.guard.reason is None


async def test_an_acceptance_of_another_time_is_not_taken_up(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as running:
        await running.services.high_water.keep()
        running.clock.step(days=30)
        await running.services.high_water.review()
        other = MovableClock()
        other.step(days=2)
        async with open_again(
            Installation(running.services, running.settings, other, running.keys)
        ) as doctor:
            await doctor.services.high_water.accept_time(actor="doctor")
        await running.services.high_water.review()
        assert not running.services.signing_clock.is_reliable()


async def test_ready_and_every_problem_name_the_reason_in_both_languages(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        await installation.services.high_water.keep()
        async with served(installation) as http:
            assert (await http.get("/readyz")).json() == {"status": "ready"}
            installation.clock.step(seconds=-3600)
            key = {"Authorization": f"Bearer {installation.keys['platform']}"}
            question = {"license": {"identifier": license.identifier}}
            for language, word in (("zh-CN", "时钟"), ("en", "clock")):
                headers = {**key, "Accept-Language": language}
                ready = await http.get("/readyz", headers=headers)
                answer = await http.post("/v1/verifications", headers=headers, json=question)
                for response in (ready, answer):
                    document = response.json()
                    assert (response.status_code, document["code"]) == (503, "unavailable")
                    assert document["reason"] == "clock_unreliable"
                    assert word in document["detail"] and "doctor --accept-time" in document["detail"]
                    assert response.headers["content-language"] == language
            assert (await http.get("/v1/bundle")).status_code == 200, "reading goes on"
            assert (await http.get("/healthz")).status_code == 200
        async with open_again(installation) as behind, served(behind) as http:
            document = (await http.get("/readyz", headers={"Accept-Language": "en"})).json()
            assert (document["code"], document["reason"]) == ("read_only", "clock_behind")
            client = {"Authorization": f"Bearer {installation.keys['authority']}", "Idempotency-Key": "k"}
            refused = await http.post(f"/v1/licenses/{license.id}/suspend", headers=client, json={})
            assert refused.status_code == 422, (
                "a refusal of the request itself stands, though it cannot be kept"
            )
            body = {"reason_code": "x", "reason": "x"}
            refused = await http.post(f"/v1/licenses/{license.id}/suspend", headers=client, json=body)
            assert (refused.status_code, refused.json()["reason"]) == (503, "clock_behind")
            reasons = (await http.get("/v1/reasons?limit=200")).json()["data"]
            assert {one["code"] for one in reasons if one["kind"] == "service"} >= {
                "clock_behind",
                "clock_ahead",
            }


async def test_publishing_and_reserving_raise_the_mark_at_once(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        first = kept(installation).mark
        assert (first.trust_root_version, first.trust_list_sequence, first.freshness_sequence) == (1, 1, 1)
        license = await installation.issue()
        version = (await installation.services.store.read(lambda unit: unit.licenses.versions(license.id)))[0]
        assert kept(installation).mark.status_lists[version.status_list_id].allocated == BLOCK
        await installation.services.status_lists.publish_due()
        raised = kept(installation).mark
        assert (raised.status_lists[version.status_list_id].seq, raised.freshness_sequence) == (1, 2)
        installation.clock.advance(seconds=3601)
        assert await installation.services.freshness.publish_due()
        assert kept(installation).mark.freshness_sequence == 3


async def test_rows_are_counted_before_the_mark_is_locked(
    database_url: str, tmp_path: Path, statements: list[tuple[str, object]]
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await installation.issue()
        del statements[:]
        await installation.services.high_water.keep(last=True)
        assert kept(installation).mark.rows == {"licenses": 1, "license_history": 1}
    counted = [place for place, (sql, _) in enumerate(statements) if "count(*)" in sql]
    locked = [place for place, (sql, _) in enumerate(statements) if sql.startswith("INSERT INTO counters")]
    assert counted and locked and max(counted) < min(locked)


async def test_what_cannot_be_remembered_outside_is_not_given_out(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        in_the_way = tmp_path / "keys" / "high-water.json.tmp"
        in_the_way.mkdir()
        for _ in range(2):
            with pytest.raises(ServiceRefusal, match="anchor_unavailable"):
                await installation.issue()
        in_the_way.rmdir()
        license = await installation.issue()
        assert kept(installation).mark.status_lists[f"{license.authority_code.lower()}-1"].allocated >= BLOCK
        in_the_way.mkdir()
        with pytest.raises(ServiceRefusal, match="anchor_unavailable"):
            await installation.services.status_lists.publish_due()
        lists = await installation.services.store.read(lambda unit: unit.status.lists())
        assert [row.seq for row in lists if row.seq] == [1]
        with pytest.raises(ServiceRefusal, match="anchor_unavailable"):
            await installation.services.freshness.publish_due()
        in_the_way.rmdir()
        await installation.services.status_lists.publish_due()
        assert max(one.seq for one in kept(installation).mark.status_lists.values()) == 1


async def test_a_mark_that_cannot_be_understood_keeps_the_service_from_starting(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        (tmp_path / "keys" / "high-water.json").write_text("{")
        with pytest.raises(DomainError, match="anchor_unavailable"):
            async with open_again(installation):
                raise AssertionError("it started")


async def test_a_running_api_process_watches_by_itself_and_keeps_the_mark_at_its_end(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        before = kept(installation).mark.kept
        app = create_app(installation.settings)
        async with app.router.lifespan_context(app):
            await asyncio.sleep(0)
        assert kept(installation).mark.kept == before + 1
        assert kept(installation).mark.rows == {"licenses": 0, "license_history": 0}
        content = json.loads((tmp_path / "keys" / "high-water.json").read_text())
        assert content["fmt"] == 2


class BreaksOnce:
    """A store that breaks at its first read in a way that nobody has foreseen."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads = 0
        self.read_again = asyncio.Event()

    async def read(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        self.reads += 1
        if self.reads == 1:
            raise RuntimeError("a fault of ours")
        self.read_again.set()
        return await self._store.read(work)

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        return await self._store.write(work)


async def test_a_comparison_that_breaks_is_not_the_last_one(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        store = BreaksOnce(installation.services.store)
        signers = FileSigners(KeyFolder(path=installation.settings.keys_dir, development=True))
        services = services_over(installation, store, signers)  # type: ignore[arg-type]
        async with asyncio.timeout(10), services.high_water.watching(every=0.01):
            await store.read_again.wait()
