"""Orders by name: an action that nobody has thought of yet is scheduled, proposed and approved like any other."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.api_client import Caller
from app.domain.errors import DomainError
from app.domain.license import State
from app.domain.order import ORDERS, Order
from app.ports import IdempotentCall, LicenseSnapshot
from app.services.due_changes import DueChangeService
from app.services.lifecycle import LifecycleService
from app.services.orders import OrderService
from app.services.performing import Changed, Together, VersionEffect
from app.services.proposals import ProposalService
from app.services.scheduled_changes import ScheduledChangeService
from tests.installation import Installation, open_installation
from tests.integration.ordering import add_colleague, approve, history_of, need_two_persons
from tests.integration.ordering import order as order_action

pytestmark = pytest.mark.anyio

ARGUMENTS = {"elements": {"address": "新址", "note": None}, "count": 2}


class Sealing:
    """Suspends under another name, with arguments of its own."""

    def __init__(self, lifecycle: LifecycleService) -> None:
        self._lifecycle = lifecycle
        self.performed: list[Order] = []

    def next_state(self, order: Order, state: State) -> State:
        return self._lifecycle.next_state(replace(order, action="suspend"), state)

    def effects(self, order: Order, snapshot: LicenseSnapshot) -> Sequence[VersionEffect]:
        return self._lifecycle.effects(replace(order, action="suspend"), snapshot)

    async def perform(
        self, order: Order, *, caller: Caller, call: IdempotentCall | None, together: Together | None
    ) -> Changed:
        self.performed.append(order)
        return await self._lifecycle.perform(
            replace(order, action="suspend"), caller=caller, call=call, together=together
        )


def with_sealing(installation: Installation) -> tuple[Installation, Sealing]:
    """Join one more action, as `bootstrap` would."""
    services = installation.services
    sealing = Sealing(services.lifecycle)
    common = {"store": services.store, "guard": services.guard, "performers": {"seal": sealing}}
    timed = {**common, "signing_clock": services.signing_clock}
    scheduled = ScheduledChangeService(**timed)
    proposals = ProposalService(**timed, scheduled=scheduled)
    orders = OrderService(**common, directory=services.directory, scheduled=scheduled, proposals=proposals)
    joined = replace(
        services,
        orders=orders,
        scheduled_changes=scheduled,
        proposals=proposals,
        due_changes=DueChangeService(**timed),
    )
    return replace(installation, services=joined), sealing


async def test_every_order_has_its_performer(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        assert installation.services.orders.names == set(ORDERS)


@pytest.mark.parametrize("two_persons", [False, True])
@pytest.mark.parametrize("later", [False, True])
async def test_any_action_can_be_ordered_by_name_with_its_arguments(
    database_url: str, tmp_path: Path, two_persons: bool, later: bool
) -> None:
    async with open_installation(database_url, tmp_path) as opened:
        installation, sealing = with_sealing(opened)
        await add_colleague(installation)
        if two_persons:
            await need_two_persons(installation, "seal")
        license = await installation.issue()
        order = Order(
            action="seal", license_id=license.id, reason_code="x", reason="封存", arguments=ARGUMENTS
        )
        ordered = await installation.services.orders.order(
            order,
            effective_at=installation.clock.now() + timedelta(hours=1) if later else None,
            caller=await installation.caller("authority"),
            call=None,
        )
        assert (ordered.proposal is not None) is two_persons
        if ordered.proposal is not None:
            assert sealing.performed == []
            await approve(installation, ordered.proposal.id)
        if later:
            assert sealing.performed == []
            installation.clock.advance(seconds=3601)
            assert await installation.services.due_changes.perform_due() == 1
        assert sealing.performed == [order]
        (entry,) = await history_of(installation, license.id)
        assert ("approved_by" in entry.details) is two_persons
        assert ("scheduled_change" in entry.details) is later


async def test_a_program_that_does_not_know_an_action_leaves_it_to_one_that_does(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as older:
        newer, sealing = with_sealing(older)
        license = await older.issue()
        order = Order(action="seal", license_id=license.id, reason_code="x", reason="封存")
        await newer.services.orders.order(
            order,
            effective_at=older.clock.now() + timedelta(hours=1),
            caller=await older.caller("authority"),
            call=None,
        )
        later = older.clock.now() + timedelta(hours=2)
        await order_action(
            older, "suspend", license.id, effective_at=later
        )  # judged without what it does not know
        with pytest.raises(DomainError, match="unavailable"):
            await older.services.orders.order(
                order, effective_at=None, caller=await older.caller("authority"), call=None
            )
        older.clock.advance(seconds=3601)
        assert await older.services.due_changes.perform_due() == 0
        older.clock.advance(seconds=60)
        assert await newer.services.due_changes.perform_due() == 1
        assert sealing.performed == [order]
