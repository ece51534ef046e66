"""Answers kept for repeated calls."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, delete, select, update

from app.adapters.db.session import Session
from app.adapters.db.tables import idempotency
from app.domain.errors import ConcurrentChange
from app.ports import IdempotencyRow, IdempotentCall, StoredAnswer

# Without the lease, which nobody reads: the script that drops its column must not break this program while it runs.
_COLUMNS = [column for column in idempotency.columns if column.name != "lease_until"]


class SqlIdempotency:
    """Implements `ports.IdempotencyRepository`. A row without an answer is a call still running."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def find(self, call: IdempotentCall) -> IdempotencyRow | None:
        """Find by client, method, path and key, whatever the body, running or finished, expired or not."""
        statement = select(*_COLUMNS).where(
            idempotency.c.client_id == call.client_id,
            idempotency.c.method == call.method,
            idempotency.c.path == call.path,
            idempotency.c.key == call.key,
        )
        row = await self._session.row(statement)
        return None if row is None else _row(row)

    async def add(self, row: IdempotencyRow) -> None:
        """Reserve a key. Raises ConcurrentChange when another call holds it; the transaction goes on."""
        values: dict[str, Any] = {
            "id": row.id,
            "client_id": row.call.client_id,
            "method": row.call.method,
            "path": row.call.path,
            "key": row.call.key,
            "body_sha256": row.call.body_sha256,
            "started_at": row.started_at,
            "expires_at": row.expires_at,
            "bound_to": [list(pair) for pair in row.bound_to],
            **_answer_values(row.answer),
        }
        statement = self._session.insert(idempotency).values(values)
        call = ["client_id", "method", "path", "key"]
        if await self._session.changed(statement.on_conflict_do_nothing(index_elements=call)) == 0:
            raise ConcurrentChange("another call holds this idempotency key")

    async def finish(
        self,
        row_id: str,
        answer: StoredAnswer,
        *,
        expires_at: datetime,
        bound_to: Sequence[tuple[str, int]] = (),
    ) -> None:
        """Keep the answer of a running call. Raises ConcurrentChange when the row is gone or has an answer."""
        running = and_(idempotency.c.id == row_id, idempotency.c.answer_status.is_(None))
        bound = [list(pair) for pair in bound_to]
        values = {**_answer_values(answer), "expires_at": expires_at, "bound_to": bound}
        if await self._session.changed(update(idempotency).where(running).values(values)) != 1:
            raise ConcurrentChange("this call was finished or given up")

    async def remove(self, row_id: str) -> None:
        """Forget a call; nothing happens when it is gone already."""
        await self._session.run(delete(idempotency).where(idempotency.c.id == row_id))

    async def sweep(self, *, now: datetime, limit: int) -> int:
        """Delete up to `limit` finished rows past their end; return how many."""
        over = and_(idempotency.c.answer_status.is_not(None), idempotency.c.expires_at <= now)
        return await self._session.delete_some(idempotency, over, limit=limit)


def _answer_values(answer: StoredAnswer | None) -> dict[str, Any]:
    if answer is None:
        return {"answer_status": None, "answer_headers": None, "answer_body": None}
    return {
        "answer_status": answer.status,
        "answer_headers": dict(answer.headers),
        "answer_body": answer.body,
    }


def _row(row: Row[Any]) -> IdempotencyRow:
    answer = None
    if row.answer_status is not None:
        body = bytes(row.answer_body)
        answer = StoredAnswer(status=row.answer_status, headers=row.answer_headers, body=body)
    call = IdempotentCall(
        client_id=row.client_id, method=row.method, path=row.path, key=row.key, body_sha256=row.body_sha256
    )
    return IdempotencyRow(
        id=row.id,
        call=call,
        started_at=row.started_at,
        expires_at=row.expires_at,
        answer=answer,
        bound_to=tuple((license_id, version) for license_id, version in row.bound_to),
    )
