"""Looking ahead: what an order would do to a license and what hangs on it. Nothing changes; the look is audited."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.api_client import Caller
from app.domain.license import STATUS_VALUE, License, State
from app.domain.order import Order
from app.ports import Store, UnitOfWork
from app.services.audit import add_audit
from app.services.dependants import DependantCount, Dependants
from app.services.orders import OrderService
from app.services.performing import Performers, VersionEffect, performer_of, require_own
from app.services.signing_clock import SigningClock
from app.services.write_guard import WriteGuard
from elicense.encoding import rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an action would do now: to the license, to its versions' entries, and how much hangs on it."""

    action: str
    license: License
    to_state: State
    two_person: bool
    effects: Sequence[VersionEffect]
    status_list_uris: Sequence[str]
    dependants: Sequence[DependantCount]
    as_of: datetime


class PreviewService:
    """Answers what an action would touch."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        guard: WriteGuard,
        orders: OrderService,
        performers: Performers,
        dependants: Sequence[Dependants],
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._guard = guard
        self._orders = orders
        self._performers = performers
        self._dependants = tuple(dependants)

    async def preview(self, action: str, license_id: str, *, caller: Caller) -> Preview:
        """Look ahead from one snapshot, and answer once the look stands in the audit.

        Raises NotFound for another authority's license, and what the action itself would raise: state_conflict.
        """
        self._guard.require_writable()  # no audit, no answer
        two_person = await self._orders.needs_second_person(action, license_id, caller=caller)
        at = self._signing_clock.signing_time()
        order = Order(action=action, license_id=license_id, reason_code="preview", reason="preview")

        async def look(unit: UnitOfWork) -> Preview:
            snapshot = require_own(await unit.licenses.snapshot(license_id), caller)
            performer = performer_of(action, self._performers)
            effects = performer.effects(order, snapshot)
            uris = {row.id: row.uri for row in await unit.status.lists()}
            counts = [await each.count(unit, snapshot.license) for each in self._dependants]
            return Preview(
                action=action,
                license=snapshot.license,
                to_state=performer.next_state(order, snapshot.license.state),
                two_person=two_person,
                effects=effects,
                status_list_uris=[uris[effect.status_list_id] for effect in effects],
                dependants=[one for some in counts for one in some],
                as_of=at,
            )

        preview = await self._store.read(look)
        looked = (f"license.{action}.preview", license_id)
        await self._store.write(lambda unit: add_audit(unit, looked, caller=caller, at=at))
        return preview


def preview_json(preview: Preview) -> dict[str, object]:
    """Return a preview as the API shows it. States are those stored; what the clock adds stands with the license."""
    return {
        "license_id": preview.license.id,
        "identifier": preview.license.identifier,
        "action": preview.action,
        "from_state": preview.license.state.value,
        "to_state": preview.to_state.value,
        "two_person": preview.two_person,
        "versions": [
            {
                "version": effect.version,
                "identifier": effect.identifier,
                "from_state": effect.from_state.value,
                "to_state": effect.to_state.value,
                "status_list": uri,
                "status_index": effect.status_index,
                "from_value": STATUS_VALUE[effect.from_state],
                "to_value": STATUS_VALUE[effect.to_state],
            }
            for effect, uri in zip(preview.effects, preview.status_list_uris, strict=True)
        ],
        "dependants": [
            {"kind": one.kind, "count": one.count, "text": {"zh": one.text_zh, "en": one.text_en}}
            for one in preview.dependants
        ],
        "as_of": rfc3339(preview.as_of),
    }
