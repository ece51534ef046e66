"""Verifications made, by the client that made them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, delete, func, or_, select

from app.adapters.db.cursors import decode_cursor, encode_cursor, moment_of
from app.adapters.db.session import Session
from app.adapters.db.tables import verifications
from app.adapters.db.types import UtcTime
from app.domain.ids import ClientId, VerificationId
from app.domain.purpose import PURPOSES
from app.domain.verification import VerificationRecord
from app.ports import KeptVerifications

_BY_ID = "verifications"
_BY_DUE = "verifications-due"
_BY_TIME = "verifications-time"


class SqlVerifications:
    """Implements `ports.VerificationRepository`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add_many(self, records: Sequence[VerificationRecord]) -> None:
        """Store verifications with one prepared statement."""
        await self._session.insert_many(verifications, [_values(record) for record in records])

    async def get(self, verification_id: str, *, client_id: str) -> VerificationRecord | None:
        """Return a client's own verification; another's is None, as if it did not exist."""
        statement = select(verifications).where(verifications.c.id == verification_id)
        row = await self._session.row(statement.where(verifications.c.client_id == client_id))
        return None if row is None else _record(row)

    async def page(
        self,
        *,
        client_id: str,
        reference: str | None,
        due_before: datetime | None,
        cursor: str | None,
        limit: int,
    ) -> tuple[Sequence[VerificationRecord], str | None]:
        """Return one page: by due date when `due_before` (exclusive) is given, else in the order of ids.

        Raises DomainError `invalid_request` for a cursor that is not ours or belongs to the other order.
        """
        statement = select(verifications).where(verifications.c.client_id == client_id).limit(limit + 1)
        if reference is not None:
            statement = statement.where(verifications.c.reference == reference)
        by_due = due_before is not None
        if due_before is not None:
            statement = _due_before(statement, due_before, cursor)
        else:
            statement = _after_id(statement, cursor)
        rows = [_record(row) for row in await self._session.rows(statement)]
        shown = rows[:limit]
        if len(rows) <= limit:
            return shown, None
        last = shown[-1]
        if by_due and last.next_check_due is not None:
            return shown, encode_cursor(_BY_DUE, last.next_check_due.isoformat(), last.id)
        return shown, encode_cursor(_BY_ID, last.id)

    async def between(
        self, *, client_id: str, since: datetime, until: datetime, cursor: str | None, limit: int
    ) -> tuple[Sequence[VerificationRecord], str | None]:
        """Return a client's verifications of a span, newest first (see `ports.VerificationRepository.between`)."""
        at, id_ = verifications.c.verified_at, verifications.c.id
        statement = select(verifications).where(_span(client_id, since, until))
        after = decode_cursor(cursor, _BY_TIME, parts=2)
        if after is not None:
            moment = moment_of(after[0])
            statement = statement.where(or_(at < moment, and_(at == moment, id_ < after[1])))
        rows = await self._session.rows(statement.order_by(at.desc(), id_.desc()).limit(limit + 1))
        shown = [_record(row) for row in rows[:limit]]
        if len(rows) <= limit:
            return shown, None
        return shown, encode_cursor(_BY_TIME, shown[-1].verified_at.isoformat(), shown[-1].id)

    async def count_between(self, *, client_id: str, since: datetime, until: datetime) -> int:
        """Count a client's verifications of a span (`until` excluded)."""
        statement = select(func.count()).select_from(verifications).where(_span(client_id, since, until))
        return int(await self._session.scalar(statement) or 0)

    async def is_kept_before(self, client_id: str, purpose: str, *, before: datetime) -> bool:
        """Tell whether a client has verifications for a purpose made before a moment."""
        statement = select(verifications.c.id).where(_kept_before(client_id, purpose, before)).limit(1)
        return await self._session.scalar(statement) is not None

    async def remove_before(self, client_id: str, purpose: str, *, before: datetime, limit: int) -> int:
        """Remove at most `limit` of them, the oldest first; return how many."""
        oldest = (
            select(verifications.c.id)
            .where(_kept_before(client_id, purpose, before))
            .order_by(verifications.c.verified_at)
            .limit(limit)
        )
        return await self._session.changed(delete(verifications).where(verifications.c.id.in_(oldest)))

    async def kept_by_purpose(self) -> Mapping[str, KeptVerifications]:
        """Count what is kept for each purpose, and find the oldest."""
        at, purpose = verifications.c.verified_at, verifications.c.purpose
        statement = select(
            purpose, func.count().label("held"), func.min(at, type_=UtcTime).label("oldest")
        ).group_by(purpose)
        return {
            row.purpose: KeptVerifications(count=row.held, oldest=row.oldest)
            for row in await self._session.rows(statement)
        }

    async def count_relying_parties(self, license_id: str, *, due_after: datetime) -> int:
        """Count the clients that verified a license and are to verify it again after a moment."""
        statement = select(func.count(verifications.c.client_id.distinct())).where(
            verifications.c.license_id == license_id, verifications.c.next_check_due > due_after
        )
        return int(await self._session.scalar(statement) or 0)


def _span(client_id: str, since: datetime, until: datetime) -> ColumnElement[bool]:
    # Purposes are a closed list: naming them all lets the index by client, purpose and time answer.
    return and_(
        verifications.c.client_id == client_id,
        verifications.c.purpose.in_(tuple(PURPOSES)),
        verifications.c.verified_at >= since,
        verifications.c.verified_at < until,
    )


def _kept_before(client_id: str, purpose: str, before: datetime) -> ColumnElement[bool]:
    return and_(
        verifications.c.client_id == client_id,
        verifications.c.purpose == purpose,
        verifications.c.verified_at < before,
    )


def _after_id(statement: Select[Any], cursor: str | None) -> Select[Any]:
    after = decode_cursor(cursor, _BY_ID, parts=1)
    if after is not None:
        statement = statement.where(verifications.c.id > after[0])
    return statement.order_by(verifications.c.id)


def _due_before(statement: Select[Any], due_before: datetime, cursor: str | None) -> Select[Any]:
    due = verifications.c.next_check_due
    statement = statement.where(due < due_before).order_by(due, verifications.c.id)
    after = decode_cursor(cursor, _BY_DUE, parts=2)
    if after is None:
        return statement
    moment = moment_of(after[0])
    return statement.where(or_(due > moment, and_(due == moment, verifications.c.id > after[1])))


def _values(record: VerificationRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "client_id": record.client_id,
        "kind": record.kind,
        "reference": record.reference,
        "purpose": record.purpose,
        "verdict": record.verdict,
        "reason": record.reason,
        "license_id": record.license_id,
        "verified_at": record.verified_at,
        "next_check_due": record.next_check_due,
        "batch_id": record.batch_id,
        "answer": dict(record.answer),
    }


def _record(row: Row[Any]) -> VerificationRecord:
    return VerificationRecord(
        id=VerificationId(row.id),
        client_id=ClientId(row.client_id),
        kind=row.kind,
        reference=row.reference,
        purpose=row.purpose,
        verdict=row.verdict,
        reason=row.reason,
        license_id=row.license_id,
        verified_at=row.verified_at,
        next_check_due=row.next_check_due,
        batch_id=row.batch_id,
        answer=row.answer,
    )
