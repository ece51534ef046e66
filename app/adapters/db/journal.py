"""Append-only rows that accompany changes: events, log leaves, audit."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import bindparam, select, update

from app.adapters.db.cursors import decode_cursor, encode_cursor
from app.adapters.db.session import Session, flat_values
from app.adapters.db.tables import audit, counters, events, log_leaves
from app.domain.errors import ConcurrentChange
from app.domain.events import AuditEntry, Event, LogLeaf

_AUDIT: Final = "audit"
_EVENT_COUNTER: Final = "events"
_LAST_EVENT: Final = select(counters.c.value).where(counters.c.name == bindparam("counter"))


class SqlJournal:
    """Implements `ports.JournalRepository`. Nothing here is ever changed or deleted, but for an event's `seq`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add_events(self, new_events: Sequence[Event]) -> None:
        """Store events without a sequence number; the sequencer gives it once they are committed."""
        rows = [{**_event_values(event), "seq": None} for event in new_events]
        await self._session.insert_many(events, rows)

    async def add_leaves(self, leaves: Sequence[LogLeaf]) -> None:
        """Store leaves that have no place in the log yet."""
        await self._session.insert_many(log_leaves, [_leaf_values(leaf) for leaf in leaves])

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        """Store audit entries."""
        await self._session.insert_many(audit, [flat_values(entry) for entry in entries])

    async def audit_page(self, *, cursor: str | None, limit: int) -> tuple[Sequence[AuditEntry], str | None]:
        """Return one page of audit entries, newest first."""
        statement = select(audit).order_by(audit.c.id.desc()).limit(limit + 1)
        before = decode_cursor(cursor, _AUDIT, parts=1)
        if before is not None:
            statement = statement.where(audit.c.id < before[0])
        entries = [AuditEntry(**row._mapping) for row in await self._session.rows(statement)]
        shown = entries[:limit]
        return shown, encode_cursor(_AUDIT, shown[-1].id) if len(entries) > limit else None

    async def sequence_events(self, *, limit: int) -> int:
        """Give up to `limit` committed events their place: gap-free numbers that readers follow. Return how many.

        Runs in a transaction of its own, after those that wrote the events: an id or a time says nothing about the
        order of commits, so only what is visible here is numbered. Two sequencers meet at the counter: the second
        is run again (PostgreSQL) or waits (SQLite). A crash before the commit leaves no number given.
        """
        oldest_first = select(events.c.id).where(events.c.seq.is_(None)).order_by(events.c.id).limit(limit)
        waiting = [row.id for row in await self._session.rows(oldest_first)]
        if not waiting:
            return 0
        last = await self._advance_counter(len(waiting))
        first = last - len(waiting) + 1
        numbered = update(events).where(events.c.id == bindparam("event_id"), events.c.seq.is_(None))
        await self._session.run(
            numbered.values(seq=bindparam("place")),
            [{"event_id": event_id, "place": first + offset} for offset, event_id in enumerate(waiting)],
        )
        return len(waiting)

    async def last_event_seq(self) -> int:
        """Return the highest `seq` given, as this snapshot sees it; 0 before the first.

        The counter moves in the transaction that numbers the events, so one short row says what the whole table would.
        """
        rows = await self._session.named_rows(_LAST_EVENT, {"counter": _EVENT_COUNTER})
        return int(rows[0].value) if rows else 0

    async def _advance_counter(self, count: int) -> int:
        statement = self._session.insert(counters).values(name=_EVENT_COUNTER, value=count)
        grown = statement.on_conflict_do_update(
            index_elements=["name"], set_={"value": counters.c.value + count}
        )
        value = await self._session.scalar(grown.returning(counters.c.value))
        if value is None:
            raise ConcurrentChange("the event counter is held by somebody else")
        return int(value)


def _event_values(event: Event) -> dict[str, Any]:
    return {**flat_values(event), "payload": dict(event.payload)}


def _leaf_values(leaf: LogLeaf) -> dict[str, Any]:
    return {**flat_values(leaf), "log": leaf.log.value}
