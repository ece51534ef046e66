"""A row that nobody can read or that fits nothing: the worker's duties go on with everybody else's."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from structlog.testing import capture_logs

from app.adapters.db import open_store
from app.domain.errors import DomainError
from app.domain.license import Action
from app.domain.scheduled_change import ChangeStatus
from app.services.diagnosis import diagnose
from app.services.due_changes import LEASE
from app.services.status_lists import BROKEN_PAUSE_SECONDS
from tests.amending import BrokenSigners, act
from tests.installation import (
    AUTHORITY,
    OTHER_AREA,
    OTHER_AUTHORITY,
    Installation,
    open_installation,
    services_over,
)
from tests.integration.ordering import schedule, scheduled_now

pytestmark = pytest.mark.anyio


async def by_hand(installation: Installation, statement: str, **values: Any) -> None:
    """Change the register behind the service's back."""
    engine = create_async_engine(installation.settings.database_url)
    async with engine.begin() as connection:
        await connection.execute(text(statement), values)
    await engine.dispose()


async def rows_of(installation: Installation, statement: str) -> Sequence[Any]:
    engine = create_async_engine(installation.settings.database_url)
    async with engine.begin() as connection:
        found = (await connection.execute(text(statement))).all()
    await engine.dispose()
    return found


@pytest.mark.parametrize(
    ("statement", "event"),
    [
        ("UPDATE licenses SET state = 'odd' WHERE id = :license", "scheduled_change_broke"),
        ("UPDATE scheduled_changes SET arguments = '{' WHERE id = :change", "row_not_readable"),
        # As a later program would write it.
        (
            """UPDATE scheduled_changes SET arguments = '{"kind":"forfeiture"}' WHERE id = :change""",
            "scheduled_change_broke",
        ),
    ],
)
async def test_one_scheduled_change_that_breaks_holds_up_no_other(
    database_url: str, tmp_path: Path, statement: str, event: str
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        changes = [
            await schedule(installation, "revoke", (await installation.issue()).id, seconds=60 + place)
            for place in range(4)
        ]
        broken = changes[0]
        named = {"license": broken.order.license_id} if ":license" in statement else {"change": broken.id}
        await by_hand(installation, statement, **named)
        installation.clock.advance(seconds=120)
        for done in (3, 0):
            with capture_logs() as logs:
                assert await installation.services.due_changes.perform_due() == done
            told = [one for one in logs if one["event"] == event]
            assert [one.get("change") or one.get("id") for one in told] == [broken.id], (
                "again and again, by its id"
            )
            assert told[0]["log_level"] == "error" and "reason" not in told[0]
            installation.clock.advance(seconds=LEASE.total_seconds() + 1)
        for change in changes[1:]:
            assert (await scheduled_now(installation, change)).status is ChangeStatus.DONE
        services = installation.services
        findings = await diagnose(
            store=services.store,
            clock=installation.clock,
            directory=services.directory,
            standing=await services.high_water.standing(),
            production=False,
        )
        assert [one.good for one in findings if "overdue" in one.en] == [False]


async def test_one_list_that_cannot_be_made_holds_up_no_other(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services
        mine = await installation.issue()
        other = await installation.issue(authority_code=OTHER_AUTHORITY, area_code=OTHER_AREA)
        assert await services.status_lists.publish_due() == 2
        broken, sound = (f"{code.lower()}-1" for code in (AUTHORITY, OTHER_AUTHORITY))
        await by_hand(
            installation,
            "INSERT INTO status_entries (list_id, idx, value) VALUES (:list, 99999999, 1)",
            list=broken,
        )
        await act(installation, Action.REVOKE, mine.id)
        await act(installation, Action.REVOKE, other.id, role="other_authority")
        with capture_logs() as logs:
            assert [await services.status_lists.publish_due() for _ in range(3)] == [1, 0, 0]
        assert (await services.status_lists.served(sound)).seq == 2
        told = [one for one in logs if one["event"] == "status_list_not_published"]
        assert [one["list"] for one in told] == [broken], "once, not four times a second"
        await by_hand(installation, "DELETE FROM status_entries WHERE idx = 99999999")
        installation.clock.advance(seconds=BROKEN_PAUSE_SECONDS)
        assert await services.status_lists.publish_due() == 1
        assert (await services.status_lists.served(broken)).seq == 2


@pytest.mark.parametrize(
    ("column", "damage", "event"),
    [
        ("license", "{", "row_not_readable"),
        ("license", json.dumps({"holder_name": "x"}), "row_not_readable"),
        ("license", "[]", "row_not_readable"),
        ("disclosures", "[1]", "intent_broke"),
    ],
)
async def test_one_promise_that_is_damaged_holds_up_no_other(
    database_url: str, tmp_path: Path, column: str, damage: str, event: str
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        store = open_store(installation.settings.database_url)
        dying = replace(installation, services=services_over(installation, store, BrokenSigners()))
        for _ in range(3):
            with pytest.raises(DomainError, match="unavailable"):
                await dying.issue()
        await store.close()
        first = (await rows_of(installation, "SELECT id FROM intents ORDER BY lease_until"))[0]
        await by_hand(
            installation,
            f"UPDATE intents SET {column} = :damage WHERE id = :id",
            damage=damage,
            id=first.id,
        )
        installation.clock.advance(seconds=120)
        with capture_logs() as logs:
            assert await installation.services.issuing.recover() == 2
        told = [one for one in logs if one["event"] == event]
        assert [one.get("intent") or one.get("id") for one in told] == [first.id]
        assert all(set(one) <= {"event", "log_level", "exc_info", "table", "id", "intent"} for one in told)
        left = await rows_of(installation, "SELECT id FROM intents WHERE state = 'open'")
        assert [row.id for row in left] == [first.id]
