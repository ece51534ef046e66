"""Status lists: bookkeeping, entries that are not valid, changes not yet published, published versions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, and_, delete, func, select, tuple_, update

from app.adapters.db.journal import SqlJournal
from app.adapters.db.session import Session, flat_values
from app.adapters.db.tables import status_entries, status_list_versions, status_lists, status_marks
from app.domain.errors import ConcurrentChange
from app.domain.ids import new_id
from app.domain.publication import (
    ListSpan,
    PublishedStatusList,
    ServedStamp,
    StatusListRow,
    StatusListVersion,
)

_VALID: Final = 0
_KEYS_PER_STATEMENT: Final = 1000
_OUT_OF_ORDER_AT_MOST: Final = 512

_WAITING = (
    select(status_marks.c.list_id, func.count().label("waiting"))
    .group_by(status_marks.c.list_id)
    .subquery("marked")
)
_LISTS: Final[Select[Any]] = select(
    *status_lists.columns,
    (status_lists.c.published_changes + func.coalesce(_WAITING.c.waiting, 0)).label("changes"),
).outerjoin(_WAITING, _WAITING.c.list_id == status_lists.c.id)
_SERVED: Final[Select[Any]] = select(*status_list_versions.columns).join(
    status_lists,
    and_(
        status_lists.c.id == status_list_versions.c.list_id, status_lists.c.seq == status_list_versions.c.seq
    ),
)
# Read with every publication, under the lock of the lists it swaps: their tokens are nearly all of the rows.
_ALL_SERVED: Final = _SERVED.with_only_columns(
    *(column for column in status_list_versions.columns if column.name != "token"), maintain_column_froms=True
).order_by(status_lists.c.id)


class SqlStatusLists:
    """Implements `ports.StatusRepository`.

    `changes` is counted: what was published plus one per mark still waiting. A change writes its entries and a mark
    in one transaction, so that whoever reads both from one snapshot sees both or neither.
    """

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def lists(self) -> Sequence[StatusListRow]:
        """Return the bookkeeping of every list, by id."""
        return [_list(row) for row in await self._session.rows(_LISTS.order_by(status_lists.c.id))]

    async def add_list(self, row: StatusListRow) -> None:
        """Store a new list. Raises DomainError `conflict` when its id or URI exists.

        Changes the row already speaks of count as not published.
        """
        values = flat_values(row)
        del values["changes"]
        await self._session.run(status_lists.insert(), values)
        await self._mark(row.id, row.changes - row.published_changes)

    async def reserve(self, *, list_id: str, count: int) -> int:
        """Advance `allocated` by count and return its old value. Raises ConcurrentChange when the list is full.

        What was reserved and is lost in a crash is never handed out again.
        """
        grown = (
            update(status_lists)
            .where(status_lists.c.id == list_id, status_lists.c.allocated + count <= status_lists.c.size)
            .values(allocated=status_lists.c.allocated + count)
            .returning(status_lists.c.allocated)
        )
        allocated = await self._session.scalar(grown)
        if allocated is None:
            raise ConcurrentChange("this status list is full")
        return int(allocated) - count

    async def set_values(self, values: Sequence[tuple[str, int, int]]) -> None:
        """Set (list id, index, value) entries and raise `changes` of each list by one.

        Value 0 needs no row. In the order of the key, so that two bulk changes cannot block each other. Of several
        values for one entry the last counts.
        """
        wanted = {(list_id, index): value for list_id, index, value in values}
        valid = sorted(key for key, value in wanted.items() if value == _VALID)
        for start in range(0, len(valid), _KEYS_PER_STATEMENT):
            some = tuple_(status_entries.c.list_id, status_entries.c.idx).in_(
                valid[start : start + _KEYS_PER_STATEMENT]
            )
            await self._session.run(delete(status_entries).where(some))
        rows = [
            {"list_id": list_id, "idx": index, "value": value}
            for (list_id, index), value in sorted(wanted.items())
            if value != _VALID
        ]
        if rows:
            statement = self._session.insert(status_entries)
            replaced = statement.on_conflict_do_update(
                index_elements=["list_id", "idx"], set_={"value": statement.excluded.value}
            )
            await self._session.run(replaced, rows)
        for list_id in sorted({list_id for list_id, _ in wanted}):
            await self._mark(list_id, 1)

    async def read_for_publication(
        self, list_id: str
    ) -> tuple[StatusListRow, Sequence[tuple[int, int]], int]:
        """Return the row, all (index, value) other than 0 by index, and the highest event sequence, of one snapshot.

        The transaction is the snapshot (REPEATABLE READ, or SQLite's): a change that commits meanwhile is in none
        of the three answers, and its mark stays after `publish`. Raises ConcurrentChange for an unknown list.
        """
        row = await self._session.row(_LISTS.where(status_lists.c.id == list_id))
        if row is None:
            raise ConcurrentChange("there is no such status list")
        entries = select(status_entries.c.idx, status_entries.c.value).where(
            status_entries.c.list_id == list_id
        )
        values = [
            (entry.idx, entry.value)
            for entry in await self._session.rows(entries.order_by(status_entries.c.idx))
        ]
        return _list(row), values, await SqlJournal(self._session).last_event_seq()

    async def publish(self, published: PublishedStatusList, *, expected_seq: int, changes: int) -> None:
        """Store a version and make it the served one, if the served one still is `expected_seq`.

        `changes` is what `read_for_publication` gave with these bits: that many are published now, later ones keep
        their marks and the list stays dirty. Raises ConcurrentChange when another publisher was first, or when the
        new `seq` is not higher: a stalled publisher cannot put back an older list.
        """
        if published.seq <= expected_seq:
            raise ConcurrentChange("a status list version must be newer than the one it follows")
        before = await self._session.scalar(
            select(status_lists.c.published_changes).where(
                status_lists.c.id == published.list_id, status_lists.c.seq == expected_seq
            )
        )
        swap = (
            update(status_lists)
            .where(status_lists.c.id == published.list_id, status_lists.c.seq == expected_seq)
            .values(seq=published.seq, published_changes=changes)
        )
        if before is None or await self._session.changed(swap) != 1:
            raise ConcurrentChange("another version of this status list was published first")
        await self._session.run(status_list_versions.insert(), flat_values(published))
        await self._unmark(published.list_id, changes - int(before))

    async def served(self, list_id: str) -> PublishedStatusList | None:
        """Return the version served now, None before the first."""
        row = await self._session.row(_SERVED.where(status_lists.c.id == list_id))
        return None if row is None else PublishedStatusList(**row._mapping)

    async def served_stamp(self, list_id: str) -> ServedStamp | None:
        """Return digest and time of the served version without reading its megabytes, None before the first."""
        versions = status_list_versions.c
        statement = _SERVED.with_only_columns(versions.sha256, versions.issued_at, maintain_column_froms=True)
        row = await self._session.row(statement.where(status_lists.c.id == list_id))
        return None if row is None else ServedStamp(sha256=row.sha256, issued_at=row.issued_at)

    async def all_served(self) -> Sequence[StatusListVersion]:
        """Return which version is served of every list that has one, by list id, without reading the tokens."""
        rows = await self._session.rows(_ALL_SERVED)
        return [StatusListVersion(**row._mapping) for row in rows]

    async def versions(self, wanted: Mapping[str, int]) -> Sequence[PublishedStatusList]:
        """Return one published version of each list, by URI and `seq`, in the order of `all_served`; none unknown."""
        uris = sorted(wanted)
        keys: list[tuple[str, int]] = []
        for start in range(0, len(uris), _KEYS_PER_STATEMENT):
            named = status_lists.c.uri.in_(uris[start : start + _KEYS_PER_STATEMENT])
            rows = await self._session.rows(select(status_lists.c.id, status_lists.c.uri).where(named))
            keys += ((row.id, wanted[row.uri]) for row in rows)
        keys.sort()
        found: list[PublishedStatusList] = []
        for start in range(0, len(keys), _KEYS_PER_STATEMENT):
            key = tuple_(status_list_versions.c.list_id, status_list_versions.c.seq)
            some = select(*status_list_versions.columns).where(
                key.in_(keys[start : start + _KEYS_PER_STATEMENT])
            )
            versions = await self._session.rows(some.order_by(status_list_versions.c.list_id))
            found += (PublishedStatusList(**row._mapping) for row in versions)
        return found

    async def newest_at(self, list_id: str, at: datetime) -> ListSpan | None:
        """Return which version was the newest at a moment, and until when; None before the first.

        The highest number counts, not the latest time: where a clock went back, the later version holds the later
        bits. Asking for the highest number alone would read every version since; so it is looked for among the last
        few hundred by their time, more than any clock that went back unnoticed can have put out of order.
        """
        versions = status_list_versions.c
        latest = (
            select(versions.seq)
            .where(versions.list_id == list_id, versions.issued_at <= at)
            .order_by(versions.issued_at.desc(), versions.seq.desc())
            .limit(_OUT_OF_ORDER_AT_MOST)
        )
        newest = select(versions.seq, versions.issued_at).where(
            versions.list_id == list_id, versions.seq.in_(latest)
        )
        row = await self._session.row(newest.order_by(versions.seq.desc()).limit(1))
        if row is None:
            return None
        following = select(versions.issued_at).where(versions.list_id == list_id, versions.seq == row.seq + 1)
        return ListSpan(seq=row.seq, since=row.issued_at, until=await self._session.scalar(following))

    async def version(self, list_id: str, seq: int) -> PublishedStatusList | None:
        """Return one published version, None when there is none of this number."""
        statement = select(*status_list_versions.columns).where(
            status_list_versions.c.list_id == list_id, status_list_versions.c.seq == seq
        )
        row = await self._session.row(statement)
        return None if row is None else PublishedStatusList(**row._mapping)

    async def value(self, *, list_id: str, index: int) -> int | None:
        """Return the value of one entry as stored now; None for an index never handed out or an unknown list."""
        statement = (
            select(func.coalesce(status_entries.c.value, _VALID))
            .select_from(status_lists)
            .outerjoin(
                status_entries,
                and_(status_entries.c.list_id == status_lists.c.id, status_entries.c.idx == index),
            )
            .where(status_lists.c.id == list_id, status_lists.c.allocated > index)
        )
        value = await self._session.scalar(statement)
        return None if value is None or index < 0 else int(value)

    async def _mark(self, list_id: str, count: int) -> None:
        await self._session.insert_many(
            status_marks, [{"list_id": list_id, "id": new_id()} for _ in range(count)]
        )

    async def _unmark(self, list_id: str, count: int) -> None:
        """Remove as many marks as were published. Which ones does not matter: only their number says anything.

        Those counted when the bits were read are all visible here, and nobody else removes marks of a list whose
        version we have just swapped.
        """
        oldest = select(status_marks.c.id).where(status_marks.c.list_id == list_id)
        chosen = oldest.order_by(status_marks.c.id).limit(count)
        removed = delete(status_marks).where(status_marks.c.list_id == list_id, status_marks.c.id.in_(chosen))
        if await self._session.changed(removed) != count:
            raise ConcurrentChange("the changes of this status list were published by somebody else")


def _list(row: Row[Any]) -> StatusListRow:
    return StatusListRow(
        id=row.id,
        uri=row.uri,
        authority_code=row.authority_code,
        size=row.size,
        allocated=row.allocated,
        changes=row.changes,
        published_changes=row.published_changes,
        seq=row.seq,
    )
