"""Requests that cannot be written wait, and where there is no more room the oldest are the ones that go."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.errors import DomainError
from app.domain.request_log import LoggedRequest
from app.services.request_log import RequestLogService

pytestmark = pytest.mark.anyio
ROOM = 4


class NoonClock:
    """It is noon."""

    def now(self) -> datetime:
        return datetime(2026, 11, 24, 4, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


class Shut:
    """A store that refuses to write until it is opened; `meanwhile` happens during the next write."""

    request_log: "Shut"

    def __init__(self) -> None:
        self.request_log = self
        self.open = False
        self.meanwhile: Callable[[], None] = lambda: None
        self.written: list[str] = []

    async def write(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        happens, self.meanwhile = self.meanwhile, lambda: None
        happens()
        if not self.open:
            raise DomainError("unavailable", "no writes now")
        return await work(self)

    async def add_many(self, entries: Sequence[LoggedRequest]) -> None:
        self.written += [entry.request_id for entry in entries]

    async def mark_used(self, keys: object, *, jwks: object) -> None:
        """Take no notice."""


def note(log: RequestLogService, *names: str) -> None:
    for name in names:
        log.note(
            client_id="c",
            handle="h",
            kid=None,
            method="GET",
            route="/v1/verifications",
            status=200,
            request_id=name,
            seconds=0.001,
        )


@pytest.mark.parametrize(
    ("meanwhile", "left"),
    [
        ([], ["a", "b", "c", "d"]),
        (["e"], ["b", "c", "d", "e"]),
        (["e", "f", "g"], ["d", "e", "f", "g"]),
        (["e", "f", "g", "h"], ["e", "f", "g", "h"]),
        (["e", "f", "g", "h", "i"], ["f", "g", "h", "i"]),
    ],
)
async def test_what_came_during_a_write_that_failed_stays_before_what_is_older(
    meanwhile: list[str], left: list[str]
) -> None:
    store: Any = Shut()
    log = RequestLogService(store, NoonClock(), days=30, most_waiting=ROOM)
    note(log, "a", "b", "c", "d")
    store.meanwhile = lambda: note(log, *meanwhile)
    await log.flush()
    store.open = True
    await log.flush()
    assert store.written == left
