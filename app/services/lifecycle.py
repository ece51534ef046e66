"""Suspend, resume, revoke, cancel: state, published value, log leaf, event, audit and answer in one transaction."""

from collections.abc import Sequence
from datetime import datetime

import structlog

from app.domain.api_client import Caller
from app.domain.license import Action, License, RevocationKind, State, next_state
from app.domain.order import Order
from app.ports import IdempotentCall, LicenseSnapshot, Store, StoredAnswer, UnitOfWork
from app.services.answers import changed_answer
from app.services.attempts import write_or_repeat
from app.services.performing import Changed, Together, VersionEffect, require_own, state_effect
from app.services.signing_clock import SigningClock
from app.services.state_change import StateChange, store_state_change
from app.services.write_guard import WriteGuard
from elicense.encoding import civil_today

_KINDS = {
    Action.SUSPEND: "suspended",
    Action.RESUME: "resumed",
    Action.REVOKE: "revoked",
    Action.CANCEL: "cancelled",
}

PERFORMS = tuple(_KINDS)
"""The actions this service performs."""

log = structlog.get_logger()


class LifecycleService:
    """Changes the state of licenses, each by its own authority alone (implements `performing.Performer`)."""

    def __init__(self, *, store: Store, signing_clock: SigningClock, guard: WriteGuard) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._guard = guard

    def next_state(self, order: Order, state: State) -> State:
        """Return the state an order leads to. Raises DomainError `state_conflict` where it is not allowed."""
        return next_state(state, Action(order.action))

    def effects(self, order: Order, snapshot: LicenseSnapshot) -> Sequence[VersionEffect]:
        """Return what would change: the current version's state and its entry. Raises as `next_state`."""
        return (state_effect(snapshot, self.next_state(order, snapshot.license.state)),)

    async def perform(
        self, order: Order, *, caller: Caller, call: IdempotentCall | None, together: Together | None
    ) -> Changed:
        """Perform an order as `act` does."""
        return await self.act(
            Action(order.action),
            order.license_id,
            reason_code=order.reason_code,
            reason=order.reason,
            caller=caller,
            call=call,
            kind=_kind_of(order),
            together=together,
        )

    async def act(
        self,
        action: Action,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        caller: Caller,
        call: IdempotentCall | None,
        kind: RevocationKind | None = None,
        together: Together | None = None,
    ) -> Changed:
        """Change the state of a license; the next verification anywhere sees it.

        `kind` says of which kind a revocation is, a penalty unless said otherwise; ValueError beside another action,
        and for an action that does more than change the state. `together` is what stands or falls with the change (an
        approval, the end of a scheduled change). Raises NotFound for another authority's license, DomainError
        state_conflict for a state in which the action is not allowed, idempotency_mismatch, idempotency_in_progress,
        unavailable, read_only.
        """
        if action not in _KINDS or (kind is not None and action is not Action.REVOKE):
            raise ValueError(f"{action} is no change of state, or has no kind")
        self._guard.require_writable()
        revocation = (kind or RevocationKind.PENALTY) if action is Action.REVOKE else None

        async def work(unit: UnitOfWork, at: datetime) -> tuple[License, StoredAnswer]:
            snapshot = require_own(await unit.licenses.snapshot(license_id), caller)
            answer = await together.joined(unit, snapshot.license, at) if together else None
            decided = StateChange(
                action=action,
                kind=_KINDS[action],
                state=next_state(snapshot.license.state, action),
                reason_code=reason_code,
                reason=reason,
                revocation=revocation,
                effective_at=together.effective_at if together else None,
                details={
                    **({} if revocation is None else {"kind": revocation.value}),
                    **(together.details if together else {}),
                },
            )
            after = await store_state_change(unit, snapshot, decided, caller=caller, at=at)
            return after, answer or changed_answer(after, civil_today(at))

        written = await write_or_repeat(
            self._store, self._signing_clock, work, call=call, subject="this license"
        )
        if isinstance(written, StoredAnswer):
            return Changed(replayed=written)
        log.info("license_changed", license=license_id, action=action.value, client=caller.client.id)
        return Changed(license=written)


def _kind_of(order: Order) -> RevocationKind | None:
    kind = order.arguments.get("kind")
    return None if kind is None else RevocationKind(str(kind))
