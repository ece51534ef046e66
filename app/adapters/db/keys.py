"""Public keys of authorities and services. Private parts are never here."""

from collections.abc import Sequence

from sqlalchemy import select

from app.adapters.db.session import Session, flat_values
from app.adapters.db.tables import service_keys
from app.domain.publication import ServiceKey


class SqlKeys:
    """Implements `ports.KeyRepository`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def all(self) -> Sequence[ServiceKey]:
        """Return every key, the oldest first."""
        statement = select(service_keys).order_by(service_keys.c.valid_from, service_keys.c.kid)
        return [ServiceKey(**row._mapping) for row in await self._session.rows(statement)]

    async def add(self, key: ServiceKey) -> None:
        """Store a key. Raises DomainError `conflict` when the same key has a use already: one key, one use."""
        await self._session.run(service_keys.insert(), flat_values(key))
