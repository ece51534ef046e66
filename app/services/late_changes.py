"""Changes whose time has come and that nobody has done yet: what they are about cannot be called in force meanwhile.

With a worker at work there are none. Whether there are any is looked at once a second; only then are those looked up
that the licenses asked about have.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from app.ports import Store, UnitOfWork
from app.services.recent import Recent
from app.services.signing_clock import SigningClock

LATE: Final = timedelta(seconds=10)
"""How long after its time a change counts as late: several turns of a worker, and what clocks may differ."""


class LateChanges:
    """Tells whether changes are late, by what was found within the last second."""

    def __init__(self, *, store: Store, signing_clock: SigningClock) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._are_late: Recent[bool] = Recent(signing_clock, self._look)

    async def since(self, now: datetime) -> datetime | None:
        """Return the moment by which what still waits is late, None where nothing is. Raises as `Store.read`."""
        return now - LATE if await self._are_late.get() else None

    async def _look(self, _: bool | None) -> bool:
        before = self._signing_clock.signing_time() - LATE
        return await self._store.read(lambda unit: unit.scheduled_changes.is_overdue(before))


async def late_among(unit: UnitOfWork, license_ids: Iterable[str], since: datetime | None) -> frozenset[str]:
    """Return those licenses that a late change is about; `since` as `LateChanges.since` told it."""
    ids = sorted(license_ids)
    if since is None or not ids:
        return frozenset()
    return await unit.scheduled_changes.overdue_among(ids, since)
