"""Request logs, and when each key was last used."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Table, and_, or_, select, update

from app.adapters.db.cursors import decode_cursor, encode_cursor, moment_of
from app.adapters.db.session import Session, flat_values
from app.adapters.db.tables import api_clients, api_keys, client_jwks, request_log
from app.domain.request_log import LoggedRequest

_LISTING = "requests"


class SqlRequestLog:
    """Implements `caller_ports.RequestLogRepository`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add_many(self, entries: Sequence[LoggedRequest]) -> None:
        """Store entries."""
        await self._session.insert_many(request_log, [flat_values(entry) for entry in entries])

    async def page(
        self, client_id: str, *, cursor: str | None, limit: int
    ) -> tuple[Sequence[LoggedRequest], str | None]:
        """Return one page of a client's requests, newest first, and the cursor of the next."""
        columns = request_log.c
        statement = select(request_log).where(columns.client_id == client_id)
        after = decode_cursor(cursor, _LISTING, parts=2)
        if after is not None:
            moment = moment_of(after[0])
            earlier = or_(columns.at < moment, and_(columns.at == moment, columns.id < after[1]))
            statement = statement.where(earlier)
        ordered = statement.order_by(columns.at.desc(), columns.id.desc()).limit(limit + 1)
        found = [LoggedRequest(**row._mapping) for row in await self._session.rows(ordered)]
        page = found[:limit]
        more = len(found) > limit
        return page, encode_cursor(_LISTING, page[-1].at.isoformat(), page[-1].id) if more else None

    async def sweep(self, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` entries older than a moment; return how many."""
        columns, swept = request_log.c, 0
        for row in await self._session.rows(select(api_clients.c.id)):
            if swept >= limit:
                break
            old = and_(columns.client_id == row.id, columns.at < before)
            swept += await self._session.delete_some(request_log, old, limit=limit - swept)
        return swept

    async def mark_used(
        self, used: Mapping[str, datetime], *, jwks: Mapping[tuple[str, str], datetime]
    ) -> None:
        """Keep when API keys (by handle) and public keys (by client and kid) were last used; later times stay.

        Several clients may have registered one key: a kid alone says nothing about whose use it was.
        """
        for handle in sorted(used):
            await self._mark(api_keys, used[handle], api_keys.c.handle == handle)
        own = client_jwks.c
        for client_id, kid in sorted(jwks):
            await self._mark(client_jwks, jwks[client_id, kid], own.client_id == client_id, own.kid == kid)

    async def _mark(self, table: Table, at: datetime, *found: ColumnElement[bool]) -> None:
        earlier = or_(table.c.last_used_at.is_(None), table.c.last_used_at < at)
        await self._session.run(update(table).where(*found, earlier).values(last_used_at=at))
