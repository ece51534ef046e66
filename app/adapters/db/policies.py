"""Policies of relying parties: every version kept as it was made."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, func, select

from app.adapters.db.errors import unavailable
from app.adapters.db.session import Session
from app.adapters.db.tables import policies
from app.domain.ids import ClientId
from app.domain.policy import OwnPolicy
from elicense.own_policy import PolicyError, make_policy, parts_of

_table: Final = policies.c


class SqlPolicies:
    """Implements `ports.PolicyRepository`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, own: OwnPolicy) -> None:
        """Store a version. Raises ConcurrentChange when this version has been made by somebody else."""
        policy = own.policy
        values = {
            "client_id": own.client_id,
            "name": policy.id,
            "version": policy.version,
            "parts": parts_of(policy),
            "sha256": policy.sha256,
            "created_at": own.created_at,
        }
        await self._session.run(policies.insert(), values)

    async def get(self, client_id: str, name: str, *, version: int | None = None) -> OwnPolicy | None:
        """Return one version of a client's policy, the newest when none is named."""
        statement = select(policies).where(_table.client_id == client_id, _table.name == name)
        if version is not None:
            statement = statement.where(_table.version == version)
        row = await self._session.row(statement.order_by(_table.version.desc()).limit(1))
        return None if row is None else _policy(row)

    async def page(self, client_id: str, *, after: str, limit: int) -> Sequence[OwnPolicy]:
        """Return the newest version of each of a client's policies, by name, from `after` (excluded) on."""
        newest = (
            select(_table.name, func.max(_table.version).label("version"))
            .where(_table.client_id == client_id, _table.name > after)
            .group_by(_table.name)
            .order_by(_table.name)
            .limit(limit)
            .subquery()
        )
        statement = (
            select(policies)
            .join(newest, (_table.name == newest.c.name) & (_table.version == newest.c.version))
            .where(_table.client_id == client_id)
            .order_by(_table.name)
        )
        return [_policy(row) for row in await self._session.rows(statement)]


def _policy(row: Row[Any]) -> OwnPolicy:
    try:
        policy = make_policy(row.name, row.parts, version=row.version)
    except PolicyError:
        policy = None
    if policy is None or policy.sha256 != row.sha256:
        # Made by a newer program from parts unknown here: judging without them would be more lenient than was meant.
        raise unavailable("this process does not know all parts of a stored policy")
    return OwnPolicy(client_id=ClientId(row.client_id), policy=policy, created_at=row.created_at)
