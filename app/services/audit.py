"""The audit trail, read page by page, and how a caller's deeds are written into it."""

from collections.abc import Sequence
from datetime import datetime

from app.domain.api_client import Caller
from app.domain.events import AuditEntry
from app.ports import Store, UnitOfWork
from app.services.journal_rows import make_audit


async def add_audit(
    unit: UnitOfWork, *done: tuple[str, str], caller: Caller, at: datetime, outcome: str = "ok"
) -> None:
    """Write what a caller did, as (action, subject) each, in the transaction in which it is done."""
    await unit.journal.add_audit(
        [
            make_audit(
                action=action,
                subject=subject,
                actor=caller.client.id,
                at=at,
                outcome=outcome,
                request_id=caller.request_id,
            )
            for action, subject in done
        ]
    )


class AuditService:
    """Reads who did what. Entries are written only by the transactions they speak of."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, *, cursor: str | None, limit: int) -> tuple[Sequence[AuditEntry], str | None]:
        """Return one page of the trail and the cursor of the next, None at the end.

        Raises DomainError `invalid_request` for a cursor that is not ours.
        """

        async def read(work: UnitOfWork) -> tuple[Sequence[AuditEntry], str | None]:
            return await work.journal.audit_page(cursor=cursor, limit=limit)

        return await self._store.read(read)
