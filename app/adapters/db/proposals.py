"""Orders that wait for a second person."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, func, select, update

from app.adapters.db.cursors import decode_cursor, encode_cursor
from app.adapters.db.session import Session
from app.adapters.db.tables import proposals
from app.domain.errors import ConcurrentChange
from app.domain.order import Order
from app.domain.proposal import Proposal, ProposalStatus

_PAGE: Final = "proposals"
_OPEN: Final = ProposalStatus.OPEN.value
_table = proposals.c


class SqlProposals:
    """Implements `ports.ProposalRepository`. A proposal is decided once."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, proposal: Proposal) -> None:
        """Store an open proposal."""
        await self._session.run(proposals.insert(), _values(proposal))

    async def get(self, proposal_id: str) -> Proposal | None:
        """Return a proposal, whatever became of it."""
        row = await self._session.row(select(proposals).where(_table.id == proposal_id))
        return None if row is None else _proposal(row)

    async def page(
        self,
        *,
        authority_code: str,
        status: ProposalStatus | None,
        now: datetime,
        cursor: str | None,
        limit: int,
    ) -> tuple[Sequence[Proposal], str | None]:
        """Return one page of an authority's proposals in the order of ids, and the cursor of the next.

        `status` is what people see at `now`. Raises DomainError `invalid_request` for a cursor that is not ours.
        """
        statement = select(proposals).where(_table.authority_code == authority_code)
        if status is not None:
            statement = statement.where(_has_status(status, now))
        after = decode_cursor(cursor, _PAGE, parts=1)
        if after is not None:
            statement = statement.where(_table.id > after[0])
        rows = await self._session.rows(statement.order_by(_table.id).limit(limit + 1))
        shown = [_proposal(row) for row in rows[:limit]]
        return shown, encode_cursor(_PAGE, shown[-1].id) if len(rows) > limit else None

    async def count_open(self, license_id: str, *, now: datetime) -> int:
        """Count the proposals of one license that can still be approved."""
        still = select(func.count()).where(
            _table.license_id == license_id, _has_status(ProposalStatus.OPEN, now)
        )
        return int(await self._session.scalar(still) or 0)

    async def decide(self, decided: Proposal) -> None:
        """Store a decision if none has been made. Raises ConcurrentChange otherwise."""
        statement = (
            update(proposals)
            .where(_table.id == decided.id, _table.status == _OPEN)
            .values(
                status=decided.status.value,
                decided_by=decided.decided_by,
                decided_at=decided.decided_at,
                decision_reason=decided.decision_reason,
                scheduled_change_id=decided.scheduled_change_id,
            )
        )
        if await self._session.changed(statement) != 1:
            raise ConcurrentChange("this proposal was decided by somebody else")

    async def outdate_open(self, license_id: str, *, at: datetime, by: str) -> Sequence[str]:
        """Close the open proposals of a license that has changed; return the ids."""
        statement = (
            update(proposals)
            .where(_table.license_id == license_id, _table.status == _OPEN)
            .values(status=ProposalStatus.OUTDATED.value, decided_at=at, decided_by=by)
            .returning(_table.id)
        )
        return sorted(row.id for row in await self._session.rows(statement))


def _has_status(status: ProposalStatus, now: datetime) -> ColumnElement[bool]:
    """Say in SQL what `Proposal.status_at` says in Python."""
    if status is ProposalStatus.OPEN:
        return and_(_table.status == _OPEN, _table.expires_at > now)
    if status is ProposalStatus.EXPIRED:
        return and_(_table.status == _OPEN, _table.expires_at <= now)
    return _table.status == status.value


def _values(proposal: Proposal) -> dict[str, Any]:
    return {
        "id": proposal.id,
        "authority_code": proposal.authority_code,
        "license_id": proposal.order.license_id,
        "row_version": proposal.row_version,
        "action": proposal.order.action,
        "arguments": dict(proposal.order.arguments),
        "reason_code": proposal.order.reason_code,
        "reason": proposal.order.reason,
        "effective_at": proposal.effective_at,
        "status": proposal.status.value,
        "proposed_by": proposal.proposed_by,
        "proposed_at": proposal.proposed_at,
        "expires_at": proposal.expires_at,
        "decided_by": proposal.decided_by,
        "decided_at": proposal.decided_at,
        "decision_reason": proposal.decision_reason,
        "scheduled_change_id": proposal.scheduled_change_id,
    }


def _proposal(row: Row[Any]) -> Proposal:
    return Proposal(
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
        row_version=row.row_version,
        status=ProposalStatus(row.status),
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        expires_at=row.expires_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision_reason=row.decision_reason,
        scheduled_change_id=row.scheduled_change_id,
    )
