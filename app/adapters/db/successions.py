"""Which licenses took the place of which."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import and_, select

from app.adapters.db.session import Session
from app.adapters.db.tables import license_history, license_successors
from app.domain.ids import LicenseId
from app.domain.succession import Relation, Succession

_KEYS_PER_QUERY: Final = 1000
_RECORDED: Final = and_(
    license_history.c.license_id == license_successors.c.license_id,
    license_history.c.row_version == license_successors.c.row_version,
)


class SqlSuccessions:
    """Implements `ports.SuccessionRepository`. Records are only added; the newest of a license counts."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, succession: Succession) -> None:
        """Store a record of a license, its successors in the order named."""
        await self._session.insert_many(
            license_successors,
            [
                {
                    "license_id": succession.license_id,
                    "row_version": succession.row_version,
                    "position": position,
                    "relation": succession.relation.value,
                    "successor_id": successor,
                }
                for position, successor in enumerate(succession.successors)
            ],
        )

    async def of_many(
        self, license_ids: Sequence[str], *, at: datetime | None = None
    ) -> Mapping[str, Succession]:
        """Return the newest record of each license, or the one that was the newest at a moment; those without one
        are left out.
        """
        newest: dict[str, Succession] = {}
        for start in range(0, len(license_ids), _KEYS_PER_QUERY):
            some = license_successors.c.license_id.in_(license_ids[start : start + _KEYS_PER_QUERY])
            statement = select(license_successors).where(some)
            if at is not None:
                statement = statement.join(license_history, _RECORDED).where(
                    license_history.c.recorded_at <= at
                )
            ordered = statement.order_by(license_successors.c.row_version, license_successors.c.position)
            for row in await self._session.rows(ordered):
                held = newest.get(row.license_id)
                earlier = held.successors if held is not None and held.row_version == row.row_version else ()
                newest[row.license_id] = Succession(
                    license_id=LicenseId(row.license_id),
                    row_version=row.row_version,
                    relation=Relation(row.relation),
                    successors=(*earlier, LicenseId(row.successor_id)),
                )
        return newest
