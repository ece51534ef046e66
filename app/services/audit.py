"""The audit trail, read page by page."""

from collections.abc import Sequence

from app.domain.events import AuditEntry
from app.ports import Store, UnitOfWork


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
