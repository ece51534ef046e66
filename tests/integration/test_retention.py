"""Retention: verifications go when their purpose's time is over, and what evidence needs of them stays."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.domain.errors import DomainError
from app.domain.purpose import PURPOSES
from app.domain.verification import LicenseReference, Question
from app.ports import UnitOfWork
from app.services import retention
from app.services.retention_diagnosis import diagnose_retention
from app.services.sweeping import Progress
from app.worker import duties_of, run_with
from tests.installation import ROLLED_BACK, Installation, open_installation

pytestmark = pytest.mark.anyio


@pytest.fixture
async def installation(database_url: str, tmp_path: Path) -> AsyncIterator[Installation]:
    async with open_installation(database_url, tmp_path) as opened:
        yield opened


async def ask(installation: Installation, *, role: str, purpose: str) -> str:
    """Verify a license and return the verification's id."""
    question = Question(
        license=LicenseReference(number="nobody's", type_code=installation.types[0]),
        purpose=purpose,
        reference="case-1",
    )
    answer = await installation.services.verification.verify(
        question, caller=await installation.caller(role), call=None
    )
    assert answer.record is not None
    return answer.record.id


async def kept(installation: Installation) -> set[str]:
    """Return the ids of all verifications kept."""

    async def read(unit: UnitOfWork) -> set[str]:
        found: set[str] = set()
        for client in await unit.api_clients.all():
            page, _ = await unit.verifications.page(
                client_id=client.client.id, reference=None, due_before=None, cursor=None, limit=200
            )
            found |= {record.id for record in page}
        return found

    return await installation.services.store.read(read)


async def test_each_purpose_keeps_its_own_time_and_evidence_stays(installation: Installation) -> None:
    services = installation.services
    made = {
        await ask(installation, role=role, purpose=code): purpose.retention_days
        for code, purpose in PURPOSES.items()
        for role in ("platform", "bank")
    }
    passed = 0.0
    for days in sorted(set(made.values())):
        installation.clock.advance(days=days - 0.5 - passed)
        assert await services.retention.purge() == 0
        installation.clock.advance(days=1)
        passed = days + 0.5
        assert await services.retention.purge() == list(made.values()).count(days)
        assert await kept(installation) == {one for one, longer in made.items() if longer > days}
    trail, _ = await services.audit.page(cursor=None, limit=200)
    assert set(made) == {entry.subject for entry in trail if entry.action == "verification.create"}
    purged = [entry.outcome for entry in trail if entry.action == "verification.purge"]
    assert sorted(purged) == sorted(f"{code}:1" for code in (*PURPOSES, *PURPOSES))
    for one in made:
        assert await services.store.read(lambda unit, one=one: unit.transparency_log.leaf(one)) is not None  # type: ignore[misc]


async def test_a_turn_is_bounded_the_next_goes_on_and_none_runs_while_read_only(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "MOST_A_TURN", 2)
    for _ in range(5):
        await ask(installation, role="platform", purpose="merchant_onboarding")
    installation.clock.advance(days=9999)
    service, guard = installation.services.retention, installation.services.guard
    guard.restrict(ROLLED_BACK)
    with pytest.raises(DomainError) as refused:
        await service.purge()
    assert refused.value.code == "read_only"
    guard.lift()
    assert [await service.purge() for _ in range(3)] == [4, 1, 0]


async def test_a_worker_that_is_behind_goes_on_at_once(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 1)
    monkeypatch.setattr(retention, "MOST_A_TURN", 1)
    for _ in range(3):
        await ask(installation, role="platform", purpose="merchant_onboarding")
    installation.clock.advance(days=9999)
    stop = asyncio.Event()
    worker = asyncio.create_task(run_with(installation.services, stop))
    try:
        for _ in range(300):
            if not await kept(installation):
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail("what is due was not removed within half a minute")
    finally:
        stop.set()
        await worker
    assert await installation.services.retention.take_turn() is Progress.DONE


async def test_doctor_shows_what_is_kept_and_warns_when_a_purge_is_behind(installation: Installation) -> None:
    services = installation.services
    purpose = PURPOSES["merchant_onboarding"]
    await ask(installation, role="platform", purpose=purpose.code)
    for days, good in ((purpose.retention_days + 1, True), (3, False)):
        installation.clock.advance(days=days)
        findings = {
            finding.en.split(":")[0]: finding
            for finding in await diagnose_retention(store=services.store, clock=services.clock)
        }
        assert set(findings) == {f"purpose {code}" for code in PURPOSES}
        finding = findings[f"purpose {purpose.code}"]
        assert (finding.good, "1 verifications kept" in finding.en) == (good, True)
        assert all(one.good for one in findings.values() if one is not finding)
    assert "purge_verifications" in {duty.name for duty in duties_of(services)}
