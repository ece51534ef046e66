"""The installation's fixed facts: one row."""

from sqlalchemy import select

from app.adapters.db.session import Session
from app.adapters.db.tables import installation
from app.domain.publication import Installation

_ONLY_ROW = 1


class SqlInstallation:
    """Implements `ports.InstallationRepository`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def get(self) -> Installation | None:
        """Return the facts, None before the first init."""
        row = await self._session.row(select(installation))
        if row is None:
            return None
        return Installation(issuer_url=row.issuer_url, env=row.env, created_at=row.created_at)

    async def create(self, facts: Installation) -> None:
        """Store the facts once. Raises DomainError `conflict` when they are stored already."""
        values = {
            "id": _ONLY_ROW,
            "issuer_url": facts.issuer_url,
            "env": facts.env,
            "created_at": facts.created_at,
        }
        await self._session.run(installation.insert(), values)
