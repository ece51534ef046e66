"""Scheduled changes: ordered ahead, performed when their time has come, once, and ended by name when they cannot be."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.domain.errors import DomainError, NotFound
from app.domain.ids import new_id
from app.domain.scheduled_change import ChangeStatus
from app.ports import Store
from app.services.diagnosis import diagnose
from app.services.due_changes import LEASE
from app.services.scheduled_changes import MOST_WAITING
from elicense.encoding import civil_day_start, civil_today
from tests.faults.twins import UnfencedScheduledChanges
from tests.installation import (
    ROLLED_BACK,
    Installation,
    PausingStore,
    open_again,
    open_installation,
    services_over,
)
from tests.integration.ordering import (
    audit_of,
    body_of,
    client_id,
    history_of,
    order,
    schedule,
    scheduled_now,
    set_clock,
    state_of,
    utc,
)

pytestmark = pytest.mark.anyio


def signers_of(installation: Installation) -> FileSigners:
    return FileSigners(KeyFolder(path=installation.settings.keys_dir, development=True))


async def perform(installation: Installation) -> int:
    return await installation.services.due_changes.perform_due()


async def test_a_change_happens_when_its_time_has_come_and_not_before(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        credential = await installation.credential(license)
        change = await schedule(installation, "revoke", license.id, seconds=3600)
        actor = await client_id(installation, "authority")
        assert (change.status, change.ordered_by) == (ChangeStatus.SCHEDULED, actor)

        set_clock(installation, change.effective_at - timedelta(seconds=5))
        assert await perform(installation) == 0
        assert (await installation.ask(credential))["reason"] == "ok"

        set_clock(installation, change.effective_at)
        assert await perform(installation) == 1
        assert (await installation.ask(credential))["reason"] == "revoked"
        assert await perform(installation) == 0

        (entry,) = await history_of(installation, license.id)
        assert (entry.action, entry.actor, entry.reason) == ("revoke", actor, "现场检查")
        assert entry.effective_at == change.effective_at <= entry.recorded_at
        assert entry.details == {"kind": "penalty", "scheduled_change": change.id}
        done = await scheduled_now(installation, change)
        assert (done.status, done.outcome) == (ChangeStatus.DONE, "ok")
        assert await audit_of(installation, license.id, change.id) == [
            ("license.issue", "test", "ok"),
            ("license.revoke", actor, "ok"),
            ("license.revoke.schedule", actor, "ok"),
            ("scheduled_change.create", actor, "ok"),
            ("scheduled_change.perform", actor, "ok"),
        ]


async def test_late_workers_do_what_was_ordered_in_its_order(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        license = await installation.issue()
        suspend = await schedule(installation, "suspend", license.id, seconds=60)
        resume = await schedule(installation, "resume", license.id, seconds=120)
        again = await schedule(installation, "suspend", license.id, seconds=180)
        installation.clock.advance(days=2)
        ended = [await perform(each) for each in (other, installation, other)]
        assert sum(ended) == 3
        entries = await history_of(installation, license.id)
        assert [(entry.action, entry.effective_at) for entry in entries] == [
            ("suspend", suspend.effective_at),
            ("resume", resume.effective_at),
            ("suspend", again.effective_at),
        ]


async def test_what_is_no_longer_allowed_fails_by_name(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        change = await schedule(installation, "suspend", license.id, seconds=60)
        await order(installation, "suspend", license.id)  # somebody could not wait
        installation.clock.advance(seconds=61)
        assert await perform(installation) == 1
        failed = await scheduled_now(installation, change)
        assert (failed.status, failed.outcome) == (ChangeStatus.FAILED, "state_conflict")
        assert failed.ended_at is not None
        actor = await client_id(installation, "authority")
        assert (
            "scheduled_change.perform",
            actor,
            "state_conflict",
        ) in await audit_of(installation, change.id)
        assert len(await history_of(installation, license.id)) == 1
        installation.clock.advance(days=1)
        assert await perform(installation) == 0


async def test_the_end_of_a_license_cancels_what_is_scheduled(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        suspend = await schedule(installation, "suspend", license.id, seconds=60)
        revoke = await schedule(installation, "revoke", license.id, seconds=90)
        cancel = await schedule(installation, "resume", license.id, seconds=80)
        installation.clock.advance(seconds=61)
        assert await perform(installation) == 1  # a suspension ends nothing
        await order(installation, "cancel", license.id)
        actor = await client_id(installation, "authority")
        for change in (revoke, cancel):
            ended = await scheduled_now(installation, change)
            assert (ended.status, ended.outcome, ended.ended_by) == (
                ChangeStatus.CANCELLED,
                "license_ended",
                actor,
            )
            assert (
                "scheduled_change.cancel",
                actor,
                "license_ended",
            ) in await audit_of(installation, change.id)
        assert (await scheduled_now(installation, suspend)).status is ChangeStatus.DONE
        installation.clock.advance(days=1)
        assert await perform(installation) == 0


async def test_a_change_that_the_end_did_not_see_is_cancelled_at_its_time(
    database_url: str, tmp_path: Path
) -> None:
    """Two transactions at once: one schedules, one revokes, and neither sees the other's rows."""
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        seen = await schedule(installation, "suspend", license.id, seconds=60)
        await order(installation, "revoke", license.id)
        assert (await scheduled_now(installation, seen)).outcome == "license_ended"
        unseen = replace(seen, id=new_id())
        await installation.services.store.write(lambda unit: unit.scheduled_changes.add(unseen))
        installation.clock.advance(seconds=61)
        assert await perform(installation) == 1
        ended = await scheduled_now(installation, unseen)
        assert (ended.status, ended.outcome) == (ChangeStatus.CANCELLED, "license_ended")


async def test_a_civil_day_begins_at_midnight_in_china(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        tomorrow = civil_today(installation.clock.now()) + timedelta(days=2)  # never within the hour
        midnight = civil_day_start(tomorrow)
        assert (midnight.hour, midnight.minute) == (16, 0)  # 00:00 at +08:00
        set_clock(installation, midnight - timedelta(hours=1))
        license = await installation.issue()
        credential = await installation.credential(license)
        ordered = await order(installation, "suspend", license.id, effective_at=midnight)
        assert ordered.scheduled_change is not None
        set_clock(installation, midnight - timedelta(seconds=2))
        assert await perform(installation) == 0
        assert (await installation.ask(credential))["reason"] == "ok"
        set_clock(installation, midnight)
        assert await perform(installation) == 1
        assert (await installation.ask(credential))["reason"] == "suspended"
        (entry,) = await history_of(installation, license.id)
        assert entry.effective_at == midnight


async def test_the_time_of_effect_is_ahead_and_within_a_year(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        now = installation.clock.now()
        for moment in (
            now,
            now - timedelta(seconds=1),
            now + timedelta(milliseconds=1),  # whole seconds: that is now
            now + timedelta(days=366, seconds=5),
            utc(1970, 1, 1),
            utc(9999, 12, 31),
        ):
            with pytest.raises(DomainError) as refused:
                await order(installation, "suspend", license.id, effective_at=moment)
            assert refused.value.code == "invalid_effective_at"
            assert refused.value.errors[0].pointer == "/effective_at"
        kept = await schedule(installation, "suspend", license.id, seconds=366 * 86400 - 5)
        assert kept.effective_at.microsecond == 0


async def test_what_can_be_scheduled_is_judged_on_what_will_have_come_to_pass(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        with pytest.raises(DomainError, match="state_conflict"):
            await schedule(installation, "resume", license.id, seconds=120)
        await schedule(installation, "suspend", license.id, seconds=60)
        await schedule(installation, "resume", license.id, seconds=120)
        with pytest.raises(DomainError, match="state_conflict"):
            await schedule(installation, "suspend", license.id, seconds=90)
        await schedule(installation, "cancel", license.id, seconds=200)
        with pytest.raises(DomainError, match="state_conflict"):
            await schedule(installation, "suspend", license.id, seconds=201)
        await order(installation, "revoke", license.id)
        with pytest.raises(DomainError, match="state_conflict"):
            await schedule(installation, "suspend", license.id, seconds=60)


async def test_a_cancelled_change_never_happens(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        service = installation.services.scheduled_changes
        license = await installation.issue()
        change = await schedule(installation, "revoke", license.id, seconds=60)
        caller = await installation.caller("authority")
        for role in ("other_authority", "holder", "platform", "operator"):
            foreign = await installation.caller(role)
            with pytest.raises(NotFound):
                await service.cancel(change.id, reason=None, caller=foreign, call=None)
            with pytest.raises(NotFound):
                await service.get(change.id, caller=foreign)
        cancelled = (await service.cancel(change.id, reason="不再需要", caller=caller, call=None)).change
        assert cancelled is not None
        assert (cancelled.status, cancelled.end_reason) == (ChangeStatus.CANCELLED, "不再需要")
        assert await scheduled_now(installation, change) == cancelled
        with pytest.raises(DomainError, match="already_decided"):
            await service.cancel(change.id, reason=None, caller=caller, call=None)
        installation.clock.advance(seconds=61)
        assert await perform(installation) == 0
        assert await state_of(installation, license.id) == "active"


async def test_a_repeated_order_is_scheduled_once(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        moment = installation.clock.now() + timedelta(hours=1)
        first = await order(installation, "suspend", license.id, effective_at=moment, key="k")
        again = await order(installation, "suspend", license.id, effective_at=moment, key="k")
        assert first.scheduled_change is not None and again.replayed is not None
        assert again.replayed.status == 202
        assert again.replayed.headers["Location"] == f"/v1/scheduled-changes/{first.scheduled_change.id}"
        assert body_of(again.replayed)["id"] == first.scheduled_change.id
        store = installation.services.store
        assert await store.read(lambda unit: unit.scheduled_changes.count_waiting(license.id)) == 1


async def test_only_so_many_changes_wait_for_one_license(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        actions = ("suspend", "resume")
        for index in range(MOST_WAITING):
            await schedule(installation, actions[index % 2], license.id, seconds=60 + index)
        with pytest.raises(DomainError, match="conflict"):
            await schedule(installation, "suspend", license.id, seconds=3600)


async def _stall_between_claim_and_execution(installation: Installation, store: Store) -> list[str]:
    """Let a worker sleep over its lease while another does its work and a clerk undoes it; return the history."""
    license = await installation.issue()
    change = await schedule(installation, "suspend", license.id, seconds=60)
    installation.clock.advance(seconds=61)

    async def meanwhile() -> None:
        assert await perform(installation) == 0  # held by the one that stalls
        installation.clock.advance(seconds=LEASE.total_seconds() + 1)
        assert await perform(installation) == 1
        await order(installation, "resume", license.id)

    slow = PausingStore(store, before_write=2, pause=meanwhile)
    await services_over(installation, slow, signers_of(installation)).due_changes.perform_due()
    assert slow.writes == 2
    assert (await scheduled_now(installation, change)).status is ChangeStatus.DONE
    return [entry.action for entry in await history_of(installation, license.id)]


async def test_a_worker_that_was_slow_does_nothing_any_more(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        done = await _stall_between_claim_and_execution(installation, other.services.store)
        assert done == ["suspend", "resume"]


async def test_without_the_fence_a_slow_worker_would_do_it_twice(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        broken = UnfencedScheduledChanges(other.services.store)
        done = await _stall_between_claim_and_execution(installation, broken)
        assert done == ["suspend", "resume", "suspend"]


async def test_a_change_cancelled_while_a_worker_holds_it_is_not_done(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        change = await schedule(installation, "revoke", license.id, seconds=60)
        installation.clock.advance(seconds=61)
        caller = await installation.caller("authority")

        async def meanwhile() -> None:
            await installation.services.scheduled_changes.cancel(
                change.id, reason=None, caller=caller, call=None
            )

        slow = PausingStore(installation.services.store, before_write=2, pause=meanwhile)
        services = services_over(installation, slow, signers_of(installation))
        assert await services.due_changes.perform_due() == 0
        assert await state_of(installation, license.id) == "active"
        assert (await scheduled_now(installation, change)).status is ChangeStatus.CANCELLED


async def test_an_order_stands_when_the_key_it_was_given_with_is_gone(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        await schedule(installation, "revoke", license.id, seconds=60)
        await installation.services.api_clients.revoke("authority", actor="test")
        installation.clock.advance(seconds=61)
        assert await perform(installation) == 1
        assert await state_of(installation, license.id) == "revoked"


async def test_nothing_happens_while_the_clock_runs_backwards_or_nothing_may_be_written(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        await schedule(installation, "revoke", license.id, seconds=60)
        installation.clock.advance(days=1)
        assert installation.services.signing_clock.is_reliable()
        installation.clock.advance(seconds=-3600)
        with pytest.raises(DomainError, match="unavailable"):
            await perform(installation)
        installation.clock.advance(seconds=3600)
        installation.services.guard.restrict(ROLLED_BACK)
        with pytest.raises(DomainError, match="read_only"):
            await perform(installation)
        assert await state_of(installation, license.id) == "active"


async def test_doctor_names_changes_that_no_worker_does(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services

        async def overdue() -> list[bool]:
            found = await diagnose(
                store=services.store,
                clock=services.clock,
                directory=services.directory,
                standing=await services.high_water.standing(),
                production=False,
            )
            return [not finding.good for finding in found if "overdue" in finding.en]

        license = await installation.issue()
        await schedule(installation, "suspend", license.id, seconds=60)
        installation.clock.advance(seconds=100)
        assert await overdue() == [False]
        installation.clock.advance(seconds=30)
        assert await overdue() == [True]
        await perform(installation)
        assert await overdue() == [False]
