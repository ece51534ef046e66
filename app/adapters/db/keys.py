"""Public keys of authorities and services, and which of them are compromised. Private parts are never here."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update

from app.adapters.db.session import Session, flat_values
from app.adapters.db.tables import key_compromises, service_keys
from app.domain.errors import ConcurrentChange
from app.domain.key_history import KeyCompromise
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

    async def end(self, kid: str, *, valid_until: datetime) -> None:
        """Cut a key's window. Raises ConcurrentChange unless that ends it earlier than it ended."""
        cut = update(service_keys).where(service_keys.c.kid == kid, service_keys.c.valid_until > valid_until)
        if await self._session.changed(cut.values(valid_until=valid_until)) != 1:
            raise ConcurrentChange("the window of this key has been cut by somebody else")

    async def compromises(self) -> Sequence[KeyCompromise]:
        """Return every key that was declared compromised, the first declared first."""
        statement = select(key_compromises).order_by(key_compromises.c.declared_at, key_compromises.c.kid)
        return [KeyCompromise(**row._mapping) for row in await self._session.rows(statement)]

    async def put_compromise(self, compromise: KeyCompromise) -> None:
        """Store a declaration, over an earlier one about the same key."""
        await self._session.put(key_compromises, flat_values(compromise))
