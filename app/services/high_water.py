"""The high-water mark: what has been published stays known outside the database.

A database restored from a backup would sign sequence numbers and hand out numbers a second time. The mark in the keys
folder tells: a database that lacks what was published before starts read-only.
"""

from datetime import datetime

from app.domain.publication import DocumentKind
from app.ports import HighWaterKeeper, HighWaterMark, Store, UnitOfWork
from app.services.signing_clock import SigningClock
from app.services.write_guard import WriteGuard

ROLLBACK = "rollback_detected"


class HighWaterService:
    """Compares the database with the mark at start-up, and raises the mark while running."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        keeper: HighWaterKeeper,
        guard: WriteGuard,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._keeper = keeper
        self._guard = guard

    async def compare(self) -> None:
        """Take over the highest time seen, and make the service read-only if the database lacks what was published."""
        mark = self._keeper.load()
        stored = await self._store.read(_stored)
        if stored is not None:
            self._signing_clock.observe(stored.time)
        if mark is None:
            return
        self._signing_clock.observe(mark.time)
        if (
            stored is None
            or stored.trust_list_sequence < mark.trust_list_sequence
            or stored.freshness_sequence < mark.freshness_sequence
        ):
            self._guard.reason = ROLLBACK

    async def keep(self) -> None:
        """Raise the mark to what is published now; does nothing while read-only."""
        if self._guard.reason is not None or not self._signing_clock.is_reliable():
            return
        stored = await self._store.read(_stored)
        if stored is not None:
            self._keeper.raise_to(
                HighWaterMark(
                    time=_whole(self._signing_clock.highest),
                    trust_list_sequence=stored.trust_list_sequence,
                    freshness_sequence=stored.freshness_sequence,
                )
            )


async def _stored(unit: UnitOfWork) -> HighWaterMark | None:
    trust_list = await unit.documents.latest(DocumentKind.TRUST_LIST)
    freshness = await unit.documents.latest(DocumentKind.FRESHNESS)
    if trust_list is None:
        return None
    seen = [trust_list.issued_at, *([freshness.issued_at] if freshness is not None else [])]
    return HighWaterMark(
        time=max(seen),
        trust_list_sequence=trust_list.sequence,
        freshness_sequence=freshness.sequence if freshness is not None else 0,
    )


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
