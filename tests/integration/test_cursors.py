"""Cursors that carry a time: whatever is no moment is refused in every list, and is no fault of the database."""

from collections.abc import Awaitable, Callable, Mapping

import pytest

from app.adapters.db import SqlStore
from app.adapters.db.cursors import encode_cursor
from app.domain.errors import DomainError
from app.ports import UnitOfWork
from tests.builders import AUTHORITY_CODE, NOON, minutes

pytestmark = pytest.mark.anyio

NO_MOMENTS = (
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-01-01T00:00:00",
    "2026-01-01",
    "2026-13-01T00:00:00+00:00",
    "",
)
FIRST_AND_LAST = ("0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00", "2026-01-01T00:00:00+08:00")

LISTS: Mapping[str, Callable[[UnitOfWork, str], Awaitable[object]]] = {
    "requests": lambda unit, cursor: unit.request_log.page("c", cursor=cursor, limit=2),
    "scheduled-changes": lambda unit, cursor: unit.scheduled_changes.page(
        authority_code=AUTHORITY_CODE, license_id=None, status=None, cursor=cursor, limit=2
    ),
    "verifications-due": lambda unit, cursor: unit.verifications.page(
        client_id="c", reference=None, due_before=NOON, cursor=cursor, limit=2
    ),
    "verifications-time": lambda unit, cursor: unit.verifications.between(
        client_id="c", since=NOON - minutes(1), until=NOON, cursor=cursor, limit=2
    ),
}


@pytest.mark.parametrize("listing", LISTS)
async def test_a_cursor_that_names_no_moment_is_refused(store: SqlStore, listing: str) -> None:
    for text in NO_MOMENTS:
        cursor = encode_cursor(listing, text, "x")
        with pytest.raises(DomainError) as refused:
            await store.read(lambda unit, cursor=cursor: LISTS[listing](unit, cursor))  # type: ignore[misc]
        assert refused.value.code == "invalid_request", text


@pytest.mark.parametrize("listing", LISTS)
async def test_a_cursor_at_either_end_of_the_calendar_is_taken(store: SqlStore, listing: str) -> None:
    for text in FIRST_AND_LAST:
        cursor = encode_cursor(listing, text, "x")
        await store.read(lambda unit, cursor=cursor: LISTS[listing](unit, cursor))  # type: ignore[misc]
