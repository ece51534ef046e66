"""Nonces that were used, by the client that used them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select

from app.adapters.db.session import Session, flat_values
from app.adapters.db.tables import presentation_nonces
from app.domain.presentation_nonce import NonceUse


class SqlPresentationNonces:
    """Implements `ports.PresentationNonceRepository`. The primary key decides who was first."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def use(self, uses: Sequence[NonceUse]) -> None:
        """Store uses; of a nonce that its client has used already nothing changes."""
        if not uses:
            return
        # Always in one order: two calls that use the same nonces must not wait for each other.
        rows = [flat_values(use) for use in sorted(uses, key=lambda use: use.nonce_sha256)]
        statement = self._session.insert(presentation_nonces).on_conflict_do_nothing(
            index_elements=["client_id", "nonce_sha256"]
        )
        await self._session.run(statement, rows)

    async def users(self, client_id: str, nonces: Sequence[str]) -> Mapping[str, str]:
        """Return by whom a client's nonces (digests) were used; those nobody used are left out."""
        statement = select(presentation_nonces.c.nonce_sha256, presentation_nonces.c.used_by).where(
            presentation_nonces.c.client_id == client_id, presentation_nonces.c.nonce_sha256.in_(nonces)
        )
        return {row.nonce_sha256: row.used_by for row in await self._session.rows(statement)}

    async def sweep(self, *, before: datetime, limit: int) -> int:
        """Forget up to `limit` nonces used before a moment; return how many."""
        over = presentation_nonces.c.used_at < before
        return await self._session.delete_some(presentation_nonces, over, limit=limit)
