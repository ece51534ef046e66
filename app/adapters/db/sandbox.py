"""What the sandbox remembers of its clients."""

from sqlalchemy import select

from app.adapters.db.session import Session, flat_values
from app.adapters.db.tables import sandbox_callers
from app.domain.sandbox import SandboxCaller


class SqlSandbox:
    """Implements `caller_ports.SandboxRepository`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def get(self, client_id: str) -> SandboxCaller | None:
        """Return what is remembered of a client, None for nothing."""
        statement = select(sandbox_callers).where(sandbox_callers.c.client_id == client_id)
        row = await self._session.row(statement)
        return None if row is None else SandboxCaller(**row._mapping)

    async def put(self, caller: SandboxCaller) -> None:
        """Store what is remembered.

        SQLite has one writer; on PostgreSQL a row that changed since this snapshot asks for the transaction again.
        """
        await self._session.put(sandbox_callers, flat_values(caller))
