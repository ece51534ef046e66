"""Public keys of clients, their access tokens, and the assertions that were used."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, delete, select, update

from app.adapters.db.api_clients import client_of
from app.adapters.db.session import Session, flat_values
from app.adapters.db.tables import access_tokens, api_clients, client_jwks, used_assertions
from app.domain.api_client import ApiClient, Scope
from app.domain.oauth import AccessToken, ClientJwk


class SqlOAuth:
    """Implements `caller_ports.OAuthRepository`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add_jwk(self, jwk: ClientJwk) -> None:
        """Store a key. Raises DomainError `conflict` when the client has registered it before."""
        await self._session.run(client_jwks.insert(), {**flat_values(jwk), "jwk": dict(jwk.jwk)})

    async def jwks(self, client_id: str) -> Sequence[ClientJwk]:
        """Return a client's keys, newest first, ended ones included."""
        found = select(client_jwks).where(client_jwks.c.client_id == client_id)
        rows = await self._session.rows(found.order_by(client_jwks.c.created_at.desc(), client_jwks.c.kid))
        return tuple(_jwk(row) for row in rows)

    async def jwks_of_all(self) -> Mapping[str, Sequence[ClientJwk]]:
        """Return the keys of all clients, newest first, by client id."""
        newest_first = select(client_jwks).order_by(client_jwks.c.created_at.desc(), client_jwks.c.kid)
        found: dict[str, list[ClientJwk]] = {}
        for row in await self._session.rows(newest_first):
            found.setdefault(row.client_id, []).append(_jwk(row))
        return found

    async def end_jwk(self, client_id: str, kid: str, *, at: datetime) -> bool:
        """End a live key and every token it got. False when there is none."""
        columns = client_jwks.c
        live = update(client_jwks).where(
            columns.client_id == client_id, columns.kid == kid, columns.ended_at.is_(None)
        )
        if await self._session.changed(live.values(ended_at=at)) == 0:
            return False
        tokens = access_tokens.c
        await self._session.run(delete(access_tokens).where(tokens.client_id == client_id, tokens.kid == kid))
        return True

    async def add_token(self, token: AccessToken) -> None:
        """Store a token's digest."""
        values = {**flat_values(token), "scopes": sorted(scope.value for scope in token.scopes)}
        await self._session.run(access_tokens.insert(), values)

    async def by_handle(self, handle: str) -> tuple[ApiClient, AccessToken] | None:
        """Return a token and its client, None once the key it was got with has ended.

        Whether token and client still count is the caller's to judge. The key is asked here: a token that is stored
        in the moment its key ends, which the end could not see to delete, never counts.
        """
        tokens, jwks = access_tokens.c, client_jwks.c
        live = and_(jwks.client_id == tokens.client_id, jwks.kid == tokens.kid, jwks.ended_at.is_(None))
        found = select(access_tokens).join(client_jwks, live).where(tokens.handle == handle)
        row = await self._session.row(found)
        if row is None:
            return None
        client = await self._session.row(select(api_clients).where(api_clients.c.id == row.client_id))
        if client is None:
            return None
        scopes = frozenset(Scope(scope) for scope in row.scopes)
        return client_of(client), AccessToken(**{**row._mapping, "scopes": scopes})

    async def is_used(self, client_id: str, jti_sha256: str) -> bool:
        """Tell whether an assertion was used before."""
        columns = used_assertions.c
        found = select(columns.jti_sha256).where(
            columns.client_id == client_id, columns.jti_sha256 == jti_sha256
        )
        return await self._session.row(found) is not None

    async def use_assertion(self, client_id: str, jti_sha256: str, *, expires_at: datetime) -> bool:
        """Mark an assertion as used; False when it was used before."""
        values = {"client_id": client_id, "jti_sha256": jti_sha256, "expires_at": expires_at}
        statement = self._session.insert(used_assertions).values(values).on_conflict_do_nothing()
        return await self._session.changed(statement) == 1

    async def sweep(self, *, now: datetime, limit: int) -> int:
        """Delete up to `limit` tokens and used assertions past their end; return how many."""
        swept = 0
        for table in (access_tokens, used_assertions):
            over = table.c.expires_at < now
            swept += await self._session.delete_some(table, over, limit=limit - swept)
        return swept


def _jwk(row: Row[Any]) -> ClientJwk:
    return ClientJwk(**row._mapping)
