"""Cancelling what two persons scheduled: an order of its own, since one of them must not undo what both decided.

It waits as a proposal, as the order itself did, and is done with the approval of a second client. The license does not
change by it: what was going to happen to it is taken back.
"""

from collections.abc import Sequence
from datetime import datetime

from app.domain.api_client import Caller
from app.domain.errors import NotFound
from app.domain.license import License, State
from app.domain.order import CANCEL_SCHEDULED, Order
from app.domain.scheduled_change import CANCELLED, ChangeStatus, ScheduledChange
from app.ports import IdempotentCall, LicenseSnapshot, Store, StoredAnswer, UnitOfWork
from app.services.attempts import write_or_repeat
from app.services.audit import add_audit
from app.services.performing import Changed, Together, VersionEffect, require_own
from app.services.signing_clock import SigningClock
from app.services.write_guard import WriteGuard

_CHANGE = "scheduled_change_id"


def cancelling_order(change: ScheduledChange, *, reason: str | None) -> Order:
    """Return the order to cancel a scheduled change, for a second person to approve."""
    return Order(
        action=CANCEL_SCHEDULED,
        license_id=change.order.license_id,
        reason_code=CANCEL_SCHEDULED,
        reason=reason or "",
        arguments={_CHANGE: change.id},
    )


class ChangeCancelling:
    """Cancels a scheduled change once a second person approved that (implements `performing.Performer`)."""

    def __init__(self, *, store: Store, signing_clock: SigningClock, guard: WriteGuard) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._guard = guard

    def next_state(self, order: Order, state: State) -> State:
        """Return the same state: the license is left as it is."""
        return state

    def effects(self, order: Order, snapshot: LicenseSnapshot) -> Sequence[VersionEffect]:
        """Return nothing: no version changes."""
        return ()

    async def perform(
        self, order: Order, *, caller: Caller, call: IdempotentCall | None, together: Together | None
    ) -> Changed:
        """Cancel the change with its approval, and return its license.

        ValueError without an approval: one person alone never cancels it. Raises NotFound for another authority's,
        DomainError already_decided for a change that is done, being done or cancelled.
        """
        if together is None:
            raise ValueError("what two persons scheduled is cancelled by two persons")
        self._guard.require_writable()

        async def work(unit: UnitOfWork, at: datetime) -> tuple[License, StoredAnswer]:
            license = require_own(await unit.licenses.snapshot(order.license_id), caller).license
            answer = await together.joined(unit, license, at)
            assert answer is not None
            change = await unit.scheduled_changes.get(str(order.arguments[_CHANGE]))
            if change is None:
                raise NotFound("scheduled change")
            ended = change.ended(
                ChangeStatus.CANCELLED,
                at=at,
                outcome=CANCELLED,
                by=caller.client.id,
                reason=order.reason or None,
            )
            await unit.scheduled_changes.end(ended)
            await add_audit(unit, ("scheduled_change.cancel", change.id), caller=caller, at=at)
            return license, answer

        written = await write_or_repeat(self._store, self._signing_clock, work, call=call)
        return Changed(replayed=written) if isinstance(written, StoredAnswer) else Changed(license=written)
