"""How far everything in this database is, and the numbers that a recovery gives up.

Floors and the count of keepings are counters: they rise only, and a database put back has lower ones.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, and_, case, func, select, union, update

from app.adapters.db.session import Session
from app.adapters.db.status_lists import SqlStatusLists
from app.adapters.db.tables import (
    counters,
    intents,
    license_history,
    license_versions,
    licenses,
    signed_documents,
    status_entries,
    status_lists,
)
from app.domain.high_water import GIVEN_UP, Floors, HighWaterMark, ListMark, LogMark
from app.domain.publication import DocumentKind

_KEPT: Final = "high_water.kept"
_EVENTS: Final = "events"
_TRUST_LIST: Final = "floor.trust_list"
_FRESHNESS: Final = "floor.freshness"
_LIST: Final = "floor.status_list."
_LOG: Final = "floor.log."
_INVALID: Final = 1
_COUNTED: Final = (licenses, license_history)


class SqlHighWater:
    """Implements `ports.HighWaterRepository`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def standing(self) -> HighWaterMark | None:
        """Return how far everything is, floors counted in; None before the first trust list.

        The time is that of the newest trust list or freshness statement. Of logs only those given up are known here.
        """
        trust_list = await self._newest(DocumentKind.TRUST_LIST)
        if trust_list is None:
            return None
        freshness = await self._newest(DocumentKind.FRESHNESS)
        root = await self._newest(DocumentKind.TRUST_ROOT)
        counted = await self._counters()
        floors = _floors(counted)
        return HighWaterMark(
            time=max(one.issued_at for one in (trust_list, freshness) if one is not None),
            kept=counted.get(_KEPT, 0),
            trust_root_version=0 if root is None else root.sequence,
            trust_list_sequence=trust_list.sequence,
            freshness_sequence=max(0 if freshness is None else freshness.sequence, floors.freshness),
            event_seq=counted.get(_EVENTS, 0),
            status_lists=await self._lists(floors),
            logs={origin: LogMark(size=size, root=GIVEN_UP) for origin, size in floors.logs.items()},
        )

    async def floors(self) -> Floors:
        """Return the numbers given up; all 0 where nothing was ever recovered."""
        return _floors(await self._counters())

    async def keep(self, *, to: int | None = None) -> int:
        """Raise how often the mark was kept by one, or to a number if that is more; return it."""
        if to is not None:
            await self._raise_counter(_KEPT, to)
            return (await self._counters()).get(_KEPT, 0)
        statement = self._session.insert(counters).values(name=_KEPT, value=1)
        grown = statement.on_conflict_do_update(
            index_elements=["name"], set_={"value": counters.c.value + 1}
        ).returning(counters.c.value)
        return int(await self._session.scalar(grown))

    async def count_rows(self) -> Mapping[str, int]:
        """Count the tables whose rows are never deleted."""
        return {
            table.name: int(await self._session.scalar(select(func.count()).select_from(table)) or 0)
            for table in _COUNTED
        }

    async def give_up(self, mark: HighWaterMark, *, margin: int, event_margin: int) -> None:
        """Move every number past the mark (see `ports.HighWaterRepository.give_up`)."""
        await self._raise_counter(_TRUST_LIST, mark.trust_list_sequence)
        await self._raise_counter(_FRESHNESS, mark.freshness_sequence + margin)
        if mark.event_seq > 0:
            await self._raise_counter(_EVENTS, mark.event_seq + event_margin)
        await self._raise_counter(_KEPT, mark.kept)
        for origin, head in mark.logs.items():
            await self._raise_counter(f"{_LOG}{origin}", head.size)
        for list_id, seen in mark.status_lists.items():
            await self._raise_counter(f"{_LIST}{list_id}", seen.seq + margin)
            behind = and_(status_lists.c.id == list_id, status_lists.c.allocated < seen.allocated)
            await self._session.run(update(status_lists).where(behind).values(allocated=seen.allocated))

    async def owners(self, list_id: str) -> Sequence[tuple[int, str, str]]:
        """Return (index, identifier, license id) of every version whose status is in a list, by index."""
        versions = license_versions.c
        statement = (
            select(versions.status_index, versions.identifier, versions.license_id)
            .where(versions.status_list_id == list_id)
            .order_by(versions.status_index)
        )
        rows = await self._session.rows(statement)
        return [(row.status_index, row.identifier, row.license_id) for row in rows]

    async def void_unowned(self, list_id: str) -> int:
        """Set every reserved index of a list that nobody owns to 1; return how many were not set before."""
        allocated = await self._session.scalar(
            select(status_lists.c.allocated).where(status_lists.c.id == list_id)
        )
        owned = union(
            select(license_versions.c.status_index.label("idx")).where(
                license_versions.c.status_list_id == list_id
            ),
            select(intents.c.status_index.label("idx")).where(intents.c.status_list_id == list_id),
            select(status_entries.c.idx.label("idx")).where(status_entries.c.list_id == list_id),
        )
        taken = {row.idx for row in await self._session.rows(owned)}
        unowned = [index for index in range(int(allocated or 0)) if index not in taken]
        if unowned:
            lists = SqlStatusLists(self._session)
            await lists.set_values([(list_id, index, _INVALID) for index in unowned])
        return len(unowned)

    async def _newest(self, kind: DocumentKind) -> Row[Any] | None:
        statement = (
            select(signed_documents.c.sequence, signed_documents.c.issued_at)
            .where(signed_documents.c.kind == kind.value)
            .order_by(signed_documents.c.sequence.desc())
            .limit(1)
        )
        return await self._session.row(statement)

    async def _lists(self, floors: Floors) -> dict[str, ListMark]:
        statement = select(
            status_lists.c.id, status_lists.c.authority_code, status_lists.c.allocated, status_lists.c.seq
        )
        return {
            row.id: ListMark(
                authority_code=row.authority_code,
                allocated=row.allocated,
                seq=max(row.seq, floors.status_lists.get(row.id, 0)),
            )
            for row in await self._session.rows(statement)
        }

    async def _counters(self) -> dict[str, int]:
        return {row.name: row.value for row in await self._session.rows(select(counters))}

    async def _raise_counter(self, name: str, value: int) -> None:
        statement = self._session.insert(counters).values(name=name, value=value)
        higher = case((counters.c.value < value, value), else_=counters.c.value)
        await self._session.run(
            statement.on_conflict_do_update(index_elements=["name"], set_={"value": higher})
        )


def _floors(counted: Mapping[str, int]) -> Floors:
    return Floors(
        trust_list=counted.get(_TRUST_LIST, 0),
        freshness=counted.get(_FRESHNESS, 0),
        status_lists=_named(counted, _LIST),
        logs=_named(counted, _LOG),
    )


def _named(counted: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): value for name, value in counted.items() if name.startswith(prefix)}
