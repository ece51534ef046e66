"""Plans and what each client has spent of its quotas."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select, update

from app.adapters.db.session import Session, flat_values
from app.adapters.db.tables import api_clients, client_quotas, plans
from app.domain.plan import Plan, QuotaState


class SqlPlans:
    """Implements `caller_ports.PlanRepository`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def all(self) -> Sequence[Plan]:
        """Return every plan by name."""
        return [_plan(row) for row in await self._session.rows(select(plans).order_by(plans.c.name))]

    async def held(self, name: str) -> Plan | None:
        """Return a plan, its row changed to what it is: of this and a change of the plan at once, one runs again.

        On PostgreSQL a lock would not do: a change that waited for it goes on with the snapshot of before, in which
        the client is not on the plan yet.
        """
        found = update(plans).where(plans.c.name == name).values(batch_limit=plans.c.batch_limit)
        row = await self._session.row(found.returning(plans))
        return None if row is None else _plan(row)

    async def put(self, plan: Plan) -> None:
        """Store a plan; the clients that are on it get its figures."""
        await self._session.put(plans, flat_values(plan))
        on_it = update(api_clients).where(api_clients.c.plan == plan.name)
        await self._session.run(on_it.values(**_figures(plan)))

    async def give(self, client_id: str, plan: Plan) -> None:
        """Give one client a plan's name and figures."""
        found = update(api_clients).where(api_clients.c.id == client_id)
        await self._session.run(found.values(plan=plan.name, **_figures(plan)))

    async def spent(self, client_id: str) -> QuotaState | None:
        """Return what a client has spent, None before its first call."""
        row = await self._session.row(select(client_quotas).where(client_quotas.c.client_id == client_id))
        return None if row is None else QuotaState(**row._mapping)

    async def keep_spent(self, state: QuotaState) -> None:
        """Store what a client has spent.

        SQLite has one writer; on PostgreSQL a row that changed since this snapshot asks for the transaction again.
        """
        await self._session.put(client_quotas, flat_values(state))


def _figures(plan: Plan) -> dict[str, Any]:
    return {
        "calls_per_minute": plan.calls_per_minute,
        "burst": plan.burst,
        "calls_per_day": plan.calls_per_day,
        "batch_limit": plan.batch_limit,
    }


def _plan(row: Row[Any]) -> Plan:
    return Plan(**row._mapping)
