"""Changes of licenses that were ordered ahead of their time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, and_, exists, func, or_, select, update

from app.adapters.db.cursors import decode_cursor, encode_cursor, moment_of
from app.adapters.db.readable import readable
from app.adapters.db.session import Session
from app.adapters.db.tables import scheduled_changes
from app.domain.errors import ConcurrentChange
from app.domain.order import Order
from app.domain.scheduled_change import ChangeStatus, ScheduledChange

_PAGE: Final = "scheduled-changes"
_WAITING: Final = ChangeStatus.SCHEDULED.value
_table = scheduled_changes.c


class SqlScheduledChanges:
    """Implements `ports.ScheduledChangeRepository`. Whoever ends a change shows its fence; an older one is refused."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, change: ScheduledChange) -> None:
        """Store a change that waits for its time."""
        await self._session.run(scheduled_changes.insert(), _values(change))

    async def get(self, change_id: str) -> ScheduledChange | None:
        """Return a change, whatever became of it."""
        row = await self._session.row(select(scheduled_changes).where(_table.id == change_id))
        return None if row is None else _change(row)

    async def waiting_of(self, license_id: str) -> Sequence[ScheduledChange]:
        """Return what still waits for one license, in the order in which it will be done."""
        waiting = select(scheduled_changes).where(_table.license_id == license_id, _table.status == _WAITING)
        rows = await self._session.rows(waiting.order_by(_table.effective_at, _table.id))
        return [_change(row) for row in rows]

    async def page(
        self,
        *,
        authority_code: str,
        license_id: str | None,
        status: ChangeStatus | None,
        cursor: str | None,
        limit: int,
    ) -> tuple[Sequence[ScheduledChange], str | None]:
        """Return one page of an authority's changes by their time of effect, and the cursor of the next.

        Raises DomainError `invalid_request` for a cursor that is not ours.
        """
        statement = select(scheduled_changes).where(_table.authority_code == authority_code)
        if license_id is not None:
            statement = statement.where(_table.license_id == license_id)
        if status is not None:
            statement = statement.where(_table.status == status.value)
        after = decode_cursor(cursor, _PAGE, parts=2)
        if after is not None:
            moment = moment_of(after[0])
            later = and_(_table.effective_at == moment, _table.id > after[1])
            statement = statement.where(or_(_table.effective_at > moment, later))
        ordered = statement.order_by(_table.effective_at, _table.id).limit(limit + 1)
        found = [_change(row) for row in await self._session.rows(ordered)]
        shown = found[:limit]
        if len(found) <= limit:
            return shown, None
        return shown, encode_cursor(_PAGE, shown[-1].effective_at.isoformat(), shown[-1].id)

    async def count_waiting(self, license_id: str) -> int:
        """Count what still waits for one license."""
        waiting = select(func.count()).where(_table.license_id == license_id, _table.status == _WAITING)
        return int(await self._session.scalar(waiting) or 0)

    async def is_due(self, now: datetime) -> bool:
        """Tell whether anything waits whose time has come and that nobody holds."""
        due = select(_table.id).where(*_claimable(now)).limit(1)
        return await self._session.row(due) is not None

    async def is_overdue(self, since: datetime) -> bool:
        """Tell whether anything still waits whose time had come by then, whoever holds it."""
        late = select(_table.id).where(_table.status == _WAITING, _table.effective_at <= since).limit(1)
        return await self._session.row(late) is not None

    async def overdue_among(self, license_ids: Sequence[str], since: datetime) -> frozenset[str]:
        """Return those licenses for which a change still waits whose time had come by then."""
        about = _table.license_id.in_(license_ids)
        late = select(_table.license_id).where(about, _table.status == _WAITING, _table.effective_at <= since)
        return frozenset(row.license_id for row in await self._session.rows(late.distinct()))

    async def claim_due(
        self, *, now: datetime, lease_until: datetime, limit: int
    ) -> Sequence[ScheduledChange]:
        """Take changes whose time has come, the longest due first: new lease, fence + 1.

        One statement claims them, and of each license only the first that waits: what was ordered for an earlier
        moment is done earlier, also by many workers that were all asleep. Two claimers never get the same change: on
        PostgreSQL the second skips rows the first has locked, on SQLite it comes after the first's commit. One that
        cannot be read is logged and left out, until its lease has run out.
        """
        chosen = (
            select(_table.id)
            .where(*_claimable(now))
            .order_by(_table.effective_at, _table.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
            # Materialized, or PostgreSQL may run it once per row, each time skipping what it has just locked.
            .cte("chosen")
            .prefix_with("MATERIALIZED")
        )
        claim = (
            update(scheduled_changes)
            .where(_table.id.in_(select(chosen.c.id)), _table.status == _WAITING, _table.lease_until <= now)
            .values(lease_until=lease_until, fence=_table.fence + 1)
            .returning(_table.id)
        )
        ids = [row.id for row in await self._session.rows(claim)]
        claimed = await readable(self._session, scheduled_changes, ids, _change)
        return sorted(claimed, key=lambda change: (change.effective_at, change.id))

    async def end(self, ended: ScheduledChange) -> None:
        """Store how a change ended, if it still waits under the fence shown. Raises ConcurrentChange otherwise."""
        statement = (
            update(scheduled_changes)
            .where(_table.id == ended.id, _table.status == _WAITING, _table.fence == ended.fence)
            .values(
                status=ended.status.value,
                ended_at=ended.ended_at,
                ended_by=ended.ended_by,
                end_reason=ended.end_reason,
                outcome=ended.outcome,
            )
        )
        if await self._session.changed(statement) != 1:
            raise ConcurrentChange("this change was ended or taken over by somebody else")

    async def cancel_waiting(self, license_id: str, *, at: datetime, by: str, outcome: str) -> Sequence[str]:
        """Cancel whatever waits for one license, whoever holds it; return the ids."""
        statement = (
            update(scheduled_changes)
            .where(_table.license_id == license_id, _table.status == _WAITING)
            .values(status=ChangeStatus.CANCELLED.value, ended_at=at, ended_by=by, outcome=outcome)
            .returning(_table.id)
        )
        return sorted(row.id for row in await self._session.rows(statement))


def _claimable(now: datetime) -> tuple[Any, ...]:
    before = scheduled_changes.alias("before")
    earlier = or_(
        before.c.effective_at < _table.effective_at,
        and_(before.c.effective_at == _table.effective_at, before.c.id < _table.id),
    )
    goes_first = exists().where(
        before.c.license_id == _table.license_id, before.c.status == _WAITING, earlier
    )
    return _table.status == _WAITING, _table.effective_at <= now, _table.lease_until <= now, ~goes_first


def _values(change: ScheduledChange) -> dict[str, Any]:
    return {
        "id": change.id,
        "authority_code": change.authority_code,
        "license_id": change.order.license_id,
        "action": change.order.action,
        "arguments": dict(change.order.arguments),
        "reason_code": change.order.reason_code,
        "reason": change.order.reason,
        "effective_at": change.effective_at,
        "status": change.status.value,
        "ordered_by": change.ordered_by,
        "ordered_at": change.ordered_at,
        "request_id": change.request_id,
        "proposal_id": change.proposal_id,
        "proposed_by": change.proposed_by,
        "lease_until": change.lease_until,
        "fence": change.fence,
        "ended_at": change.ended_at,
        "ended_by": change.ended_by,
        "end_reason": change.end_reason,
        "outcome": change.outcome,
    }


def _change(row: Row[Any]) -> ScheduledChange:
    return ScheduledChange(
        id=row.id,
        authority_code=row.authority_code,
        order=Order(
            action=row.action,
            license_id=row.license_id,
            reason_code=row.reason_code,
            reason=row.reason,
            arguments=row.arguments,
        ),
        effective_at=row.effective_at,
        status=ChangeStatus(row.status),
        ordered_by=row.ordered_by,
        ordered_at=row.ordered_at,
        request_id=row.request_id,
        proposal_id=row.proposal_id,
        proposed_by=row.proposed_by,
        lease_until=row.lease_until,
        fence=row.fence,
        ended_at=row.ended_at,
        ended_by=row.ended_by,
        end_reason=row.end_reason,
        outcome=row.outcome,
    )
