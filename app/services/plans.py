"""Plans: named quotas that operators set and give to clients."""

import re
from collections.abc import Sequence

from app.domain.api_client import ApiClient
from app.domain.errors import DomainError, FieldError
from app.domain.plan import CUSTOM_PLAN, Plan, require_sound_quotas
from app.ports import Clock, Store, UnitOfWork
from app.services.api_clients import ApiClientService
from app.services.journal_rows import make_audit
from app.services.named import client_named, plan_named
from app.services.once import Once, write_once

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


class PlanService:
    """Keeps plans; what a change of one means for the clients on it counts at once."""

    def __init__(self, store: Store, clock: Clock, *, api_clients: ApiClientService) -> None:
        """Use the clients' service: what it remembers of clients says what they may spend."""
        self._store = store
        self._clock = clock
        self._api_clients = api_clients

    async def list(self) -> Sequence[Plan]:
        """Return all plans by name."""
        return await self._store.read(lambda unit: unit.plans.all())

    async def put(self, plan: Plan, *, actor: str, once: Once | None = None) -> Plan:
        """Set a plan; the clients that are on it have its figures at once. Raises DomainError `invalid_request`."""
        if _NAME.fullmatch(plan.name) is None or plan.name == CUSTOM_PLAN:
            raise _wrong(
                "/name",
                f"must be a-z, 0-9 and hyphens, at most 40, and not {CUSTOM_PLAN}",
                f"应为 a-z、0-9 与连字符,至多 40 个字符,且不得为 {CUSTOM_PLAN}",
            )
        require_sound_quotas(
            calls_per_minute=plan.calls_per_minute,
            burst=plan.burst,
            calls_per_day=plan.calls_per_day,
            batch_limit=plan.batch_limit,
        )
        now = self._clock.now()

        async def work(unit: UnitOfWork) -> Plan:
            await unit.plans.put(plan)
            await unit.journal.add_audit(
                [make_audit(action="plan.put", subject=plan.name, actor=actor, at=now)]
            )
            return plan

        made = await write_once(self._store, work, once, now=now)
        self._api_clients.forget_recent()
        return made

    async def give(
        self, client_name: str, plan_name: str, *, actor: str, once: Once | None = None
    ) -> ApiClient:
        """Put a client on a plan. Raises NotFound for the client, DomainError `invalid_request` for the plan."""
        now = self._clock.now()

        async def work(unit: UnitOfWork) -> ApiClient:
            client = await client_named(unit, client_name)
            await unit.plans.give(client.id, await plan_named(unit, plan_name))
            entry = make_audit(
                action="client.plan", subject=client.id, actor=actor, at=now, outcome=plan_name
            )
            await unit.journal.add_audit([entry])
            return await unit.api_clients.get(client.id) or client

        given = await write_once(self._store, work, once, now=now)
        self._api_clients.forget_recent()
        return given


def _wrong(pointer: str, detail: str, detail_zh: str) -> DomainError:
    return DomainError("invalid_request", detail, errors=[FieldError(pointer, detail, detail_zh)])
