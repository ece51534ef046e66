"""Verifications made, by the client that made them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Select, and_, func, or_, select

from app.adapters.db.cursors import decode_cursor, encode_cursor, refused_cursor
from app.adapters.db.session import Session
from app.adapters.db.tables import verifications
from app.domain.ids import ClientId, VerificationId
from app.domain.verification import VerificationRecord

_BY_ID = "verifications"
_BY_DUE = "verifications-due"


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

    async def count_relying_parties(self, license_id: str, *, due_after: datetime) -> int:
        """Count the clients that verified a license and are to verify it again after a moment."""
        statement = select(func.count(verifications.c.client_id.distinct())).where(
            verifications.c.license_id == license_id, verifications.c.next_check_due > due_after
        )
        return int(await self._session.scalar(statement) or 0)


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
    try:
        moment = datetime.fromisoformat(after[0]).astimezone(UTC)
    except (ValueError, OverflowError):
        raise refused_cursor() from None
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
