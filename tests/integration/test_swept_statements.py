"""Freshness statements that ended are swept; an audit takes that for what it is, and finds a deletion by hand."""

from pathlib import Path

import pytest
from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.db.tables import signed_documents
from app.domain.errors import DomainError
from app.domain.publication import DocumentKind
from app.services.freshness import REFRESH_EVERY
from elicense.freshness import FRESHNESS_LIFETIME
from tests.audited import audit, lines, publish
from tests.installation import Installation, open_again, open_installation

pytestmark = pytest.mark.anyio

HOUR = REFRESH_EVERY.total_seconds()
LIFETIME = FRESHNESS_LIFETIME.total_seconds()
DAY = 86_400
FLOOR = "signed_documents.sequence"


async def _state(installation: Installation, *, statements: int) -> None:
    """State what is current so many times, an hour apart."""
    for _ in range(statements):
        await publish(installation)
        installation.clock.advance(seconds=HOUR)


async def _old(installation: Installation) -> None:
    """Give a register three statements that ended more than a day ago, and two that count."""
    await _state(installation, statements=3)
    installation.clock.advance(seconds=LIFETIME + DAY)
    await _state(installation, statements=2)


async def _kept(installation: Installation) -> list[int]:
    engine = create_async_engine(installation.settings.database_url)
    kind = DocumentKind.FRESHNESS.value
    own = select(signed_documents.c.sequence).where(signed_documents.c.kind == kind)
    async with engine.begin() as connection:
        found = (await connection.execute(own.order_by(signed_documents.c.sequence))).scalars().all()
    await engine.dispose()
    return list(found)


async def _by_hand(installation: Installation, *statements: str) -> None:
    engine = create_async_engine(installation.settings.database_url)
    async with engine.begin() as connection:
        for statement in statements:
            assert (await connection.execute(text(statement))).rowcount > 0
    await engine.dispose()


async def _faults(installation: Installation) -> set[str]:
    return {one.where for one in (await audit(installation)).faults}


async def test_statements_that_ended_are_swept_and_the_audit_stays_clean(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await _old(installation)
        before = await _kept(installation)
        bundle = await installation.services.freshness.bundle()
        ended = len(before) - 2
        assert await installation.services.freshness.sweep() == ended - 1
        assert await _kept(installation) == before[ended - 1 :]
        assert await installation.services.freshness.sweep() == 0
        assert await installation.services.freshness.bundle() == bundle
        assert lines(await audit(installation)) == []
        installation.clock.advance(seconds=LIFETIME + DAY + 1)
        await publish(installation)
        assert await installation.services.freshness.sweep() == 2
        async with open_again(installation) as again:
            assert lines(await audit(again)) == []


async def test_the_newest_statement_stays_when_all_have_ended(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await _state(installation, statements=3)
        newest = await installation.services.freshness.current()
        installation.clock.advance(seconds=LIFETIME + 2 * DAY)
        await installation.services.freshness.sweep()
        assert await installation.services.freshness.current() == newest
        await publish(installation)
        assert lines(await audit(installation)) == []


async def test_however_many_have_gathered_each_transaction_deletes_a_limited_number(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await _old(installation)
        store, now = installation.services.store, installation.clock.now()
        kind = DocumentKind.FRESHNESS
        ended = len(await _kept(installation)) - 2
        swept = [
            await store.write(lambda unit: unit.documents.sweep(kind, ended_before=now, limit=2))
            for _ in range(3)
        ]
        assert swept[0] == 2 and sum(swept) == ended - 1 and swept[-1] == 0
        assert lines(await audit(installation)) == []


async def test_nothing_is_swept_under_a_clock_that_was_moved(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await _old(installation)
        before = await _kept(installation)
        installation.clock.step(days=30)
        with pytest.raises(DomainError, match="clock"):
            await installation.services.freshness.sweep()
        assert await _kept(installation) == before


@pytest.mark.parametrize(
    "by_hand",
    [
        pytest.param(
            ["DELETE FROM signed_documents WHERE kind = 'freshness' AND sequence = {floor}"],
            id="the floor itself",
        ),
        pytest.param(
            ["DELETE FROM signed_documents WHERE kind = 'freshness' AND sequence = {floor} + 1"],
            id="one above the floor",
        ),
        pytest.param(
            [
                "DELETE FROM signed_documents WHERE kind = 'freshness' AND sequence <= {floor} + 1",
                "UPDATE counters SET value = {floor} + 2 WHERE name = 'swept.freshness'",
            ],
            id="one that counts, and the floor raised over it",
        ),
        pytest.param(
            ["UPDATE counters SET value = {floor} - 1 WHERE name = 'swept.freshness'"], id="the floor lowered"
        ),
        pytest.param(["DELETE FROM counters WHERE name = 'swept.freshness'"], id="the floor gone"),
        pytest.param(["DELETE FROM signed_documents WHERE kind = 'freshness'"], id="all statements"),
    ],
)
async def test_a_deletion_by_hand_is_found_beside_the_sweep(
    database_url: str, tmp_path: Path, by_hand: list[str]
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await _old(installation)
        await installation.services.freshness.sweep()
        floor = (await _kept(installation))[0]
        await _by_hand(installation, *(one.format(floor=floor) for one in by_hand))
        assert FLOOR in await _faults(installation)


class NoFloor:
    """Sweeps as the worker does and says nothing of it."""

    async def sweep(self, installation: Installation) -> None:
        kept = await _kept(installation)
        engine = create_async_engine(installation.settings.database_url)
        own = signed_documents.c
        async with engine.begin() as connection:
            await connection.execute(
                delete(signed_documents).where(own.kind == "freshness", own.sequence < kept[-3])
            )
        await engine.dispose()


class TooEarly:
    """Sweeps what still counts, and keeps the floor as it should."""

    async def sweep(self, installation: Installation) -> None:
        early = installation.clock.now() + FRESHNESS_LIFETIME
        await installation.services.store.write(
            lambda unit: unit.documents.sweep(DocumentKind.FRESHNESS, ended_before=early, limit=100)
        )


@pytest.mark.parametrize("broken", [NoFloor(), TooEarly()], ids=lambda one: type(one).__name__)
async def test_the_audit_finds_a_broken_sweep(
    database_url: str, tmp_path: Path, broken: NoFloor | TooEarly
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await _old(installation)
        before = await _kept(installation)
        await broken.sweep(installation)
        assert len(await _kept(installation)) < len(before)
        assert await _faults(installation) == {FLOOR}
