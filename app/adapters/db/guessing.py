"""Wrong guesses by caller and subject, and the alarms about them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import and_, bindparam, case, func, literal, or_, select, update

from app.adapters.db.cursors import decode_cursor, encode_cursor
from app.adapters.db.session import DIALECTS, Session, among, flat_values
from app.adapters.db.tables import guesses, guessing_alarms
from app.domain.good_time import TOLERANCE
from app.domain.guessing import Guesses, GuessingAlarm

_LISTING: Final = "alarms"
_guess = guesses.c
_alarm = guessing_alarms.c
_NEAR_BUDGET: Final = {
    dialect: select(_guess.client_id)
    .where(among(_guess.client_id, "clients", dialect), _guess.wrong >= bindparam("least"))
    .distinct()
    for dialect in DIALECTS
}


class SqlGuessing:
    """Implements `ports.GuessingRepository`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def get(self, client_id: str, subject: str) -> Guesses | None:
        """Return what a caller guessed about a subject, None if nothing is kept."""
        statement = select(guesses).where(_guess.client_id == client_id, _guess.subject == subject)
        row = await self._session.row(statement)
        return None if row is None else Guesses(**row._mapping)

    async def near_budget(self, client_ids: Sequence[str], *, least: int) -> frozenset[str]:
        """Return those clients that have at least so many wrong guesses about some subject."""
        statement = _NEAR_BUDGET[self._session.dialect]
        rows = await self._session.named_rows(statement, {"clients": list(client_ids), "least": least})
        return frozenset(row.client_id for row in rows)

    async def add(
        self, client_id: str, subject: str, *, times: int, at: datetime, before: datetime
    ) -> Guesses:
        """Count wrong guesses in one statement and return the row.

        A window begun by `before` is over, and one that begins ahead of `at` was begun by a wrong clock.
        """
        statement = self._session.insert(guesses).values(
            client_id=client_id, subject=subject, started_at=at, wrong=times, lowered_until=None
        )
        is_over = or_(_guess.started_at <= before, _guess.started_at > at + TOLERANCE)
        statement = statement.on_conflict_do_update(
            index_elements=["client_id", "subject"],
            set_={
                "wrong": case((is_over, times), else_=_guess.wrong + times),
                "started_at": case((is_over, literal(at, _guess.started_at.type)), else_=_guess.started_at),
            },
        )
        row = (await self._session.run(statement.returning(*guesses.columns))).one()
        return Guesses(**row._mapping)

    async def total(self, subject: str, *, since: datetime) -> tuple[int, int]:
        """Return the wrong guesses of all callers about a subject in windows begun after `since`, and how many."""
        statement = select(
            func.coalesce(func.sum(_guess.wrong), 0).label("wrong"), func.count().label("callers")
        ).where(_guess.subject == subject, _guess.started_at > since, _guess.wrong > 0)
        row = (await self._session.run(statement)).one()._mapping
        return int(row["wrong"]), int(row["callers"])

    async def lower(self, subject: str, *, since: datetime, until: datetime) -> None:
        """Lower the budget of those who guessed at a subject in windows begun after `since`."""
        guessed = and_(_guess.subject == subject, _guess.started_at > since, _guess.wrong > 0)
        await self._session.run(update(guesses).where(guessed).values(lowered_until=until))

    async def raise_alarm(self, alarm: GuessingAlarm, *, since: datetime) -> bool:
        """Store an alarm, or raise the figures of the one raised after `since`; tell whether it is a new one."""
        raised = and_(_alarm.license_id == alarm.license_id, _alarm.raised_at > since)
        grown = update(guessing_alarms).where(raised).values(wrong=alarm.wrong, callers=alarm.callers)
        if await self._session.changed(grown):
            return False
        await self._session.insert_many(guessing_alarms, [flat_values(alarm)])
        return True

    async def alarms(
        self, *, authority_code: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[GuessingAlarm], str | None]:
        """Return one page of an authority's alarms by id. Raises DomainError `invalid_request` for a bad cursor."""
        statement = select(guessing_alarms).where(_alarm.authority_code == authority_code)
        after = decode_cursor(cursor, _LISTING, parts=1)
        if after is not None:
            statement = statement.where(_alarm.id > after[0])
        rows = await self._session.rows(statement.order_by(_alarm.id).limit(limit + 1))
        page = [GuessingAlarm(**row._mapping) for row in rows[:limit]]
        return page, encode_cursor(_LISTING, page[-1].id) if len(rows) > limit else None

    async def sweep(self, *, now: datetime, before: datetime, limit: int) -> int:
        """Delete up to `limit` rows whose window began by `before` and whose budget is not lowered any more.

        Returns how many.
        """
        still = or_(_guess.lowered_until.is_(None), _guess.lowered_until <= now)
        over = and_(_guess.started_at <= before, still)
        return await self._session.delete_some(guesses, over, limit=limit)
