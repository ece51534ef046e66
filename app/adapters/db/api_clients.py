"""API clients and their keys. Secrets are stored as digests only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, or_, select, update

from app.adapters.db.session import Session, flat_values
from app.adapters.db.tables import api_clients, api_keys
from app.domain.api_client import ApiClient, ApiKey, ClientKind, ClientWithKeys, Scope
from app.domain.ids import ClientId


class SqlApiClients:
    """Implements `ports.ApiClientRepository`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, client: ApiClient) -> None:
        """Store a client. Raises DomainError `conflict` when its name is taken."""
        values = {
            **flat_values(client),
            "kind": client.kind.value,
            "scopes": sorted(scope.value for scope in client.scopes),
            "purposes": list(client.purposes),
            "allowed_networks": list(client.allowed_networks),
        }
        await self._session.run(api_clients.insert(), values)

    async def get(self, client_id: str) -> ApiClient | None:
        """Return a client, revoked or not."""
        row = await self._session.row(select(api_clients).where(api_clients.c.id == client_id))
        return None if row is None else client_of(row)

    async def by_name(self, name: str) -> ApiClient | None:
        """Return the client of a name, revoked or not."""
        row = await self._session.row(select(api_clients).where(api_clients.c.name == name))
        return None if row is None else client_of(row)

    async def all(self) -> Sequence[ClientWithKeys]:
        """Return every client by name, each with its keys, newest first."""
        clients = await self._session.rows(select(api_clients).order_by(api_clients.c.name))
        newest_first = select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.handle)
        keys: dict[str, list[ApiKey]] = {}
        for row in await self._session.rows(newest_first):
            keys.setdefault(row.client_id, []).append(_key(row))
        return [ClientWithKeys(client=client_of(row), keys=tuple(keys.get(row.id, ()))) for row in clients]

    async def hold(self, client_id: str) -> None:
        """Change a client's row to what it is, so that of two transactions that do so at once one runs again.

        On PostgreSQL a lock would not do: who waited for it goes on with the snapshot of before.
        """
        held = update(api_clients).where(api_clients.c.id == client_id)
        await self._session.run(held.values(revoked_at=api_clients.c.revoked_at))

    async def add_key(self, key: ApiKey) -> None:
        """Store a key. Raises DomainError `not_found` for an unknown client, `conflict` for a known handle."""
        await self._session.run(api_keys.insert(), flat_values(key))

    async def by_handle(self, handle: str) -> tuple[ApiClient, ApiKey] | None:
        """Return the key of a handle and its client; whether they still count is the caller's to judge."""
        key = await self._session.row(select(api_keys).where(api_keys.c.handle == handle))
        if key is None:
            return None
        client = await self.get(key.client_id)
        return None if client is None else (client, _key(key))

    async def expire_keys(self, client_id: str, *, expires_at: datetime, except_handle: str) -> None:
        """Let a client's other keys end at a moment; a key that ends earlier keeps its end."""
        ends_later = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > expires_at)
        await self._session.run(
            update(api_keys)
            .where(api_keys.c.client_id == client_id, api_keys.c.handle != except_handle, ends_later)
            .values(expires_at=expires_at)
        )

    async def set_networks(self, client_id: str, networks: Sequence[str]) -> None:
        """Replace the networks a client may call from."""
        found = update(api_clients).where(api_clients.c.id == client_id)
        await self._session.run(found.values(allowed_networks=list(networks)))

    async def keys_of(self, client_id: str) -> Sequence[ApiKey]:
        """Return a client's keys, newest first."""
        found = select(api_keys).where(api_keys.c.client_id == client_id)
        rows = await self._session.rows(found.order_by(api_keys.c.created_at.desc(), api_keys.c.handle))
        return tuple(_key(row) for row in rows)

    async def end_key(self, handle: str, *, at: datetime) -> None:
        """Let one key end at a moment, unless it ends earlier."""
        ends_later = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > at)
        found = update(api_keys).where(api_keys.c.handle == handle, ends_later)
        await self._session.run(found.values(expires_at=at))

    async def revoke(self, client_id: str, *, at: datetime) -> bool:
        """Revoke a client and all its keys. Return False when it is unknown or was revoked before."""
        still_good = update(api_clients).where(
            api_clients.c.id == client_id, api_clients.c.revoked_at.is_(None)
        )
        if await self._session.changed(still_good.values(revoked_at=at)) == 0:
            return False
        keys = update(api_keys).where(api_keys.c.client_id == client_id, api_keys.c.revoked_at.is_(None))
        await self._session.run(keys.values(revoked_at=at))
        return True


def client_of(row: Row[Any]) -> ApiClient:
    """Make a client of its row."""
    return ApiClient(
        id=ClientId(row.id),
        name=row.name,
        kind=ClientKind(row.kind),
        authority_code=row.authority_code,
        holder_code=row.holder_code,
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        purposes=tuple(row.purposes),
        default_purpose=row.default_purpose,
        calls_per_minute=row.calls_per_minute,
        batch_limit=row.batch_limit,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        plan=row.plan,
        burst=row.burst,
        calls_per_day=row.calls_per_day,
        allowed_networks=tuple(row.allowed_networks),
    )


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(**row._mapping)
