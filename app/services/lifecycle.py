"""Suspend, resume, revoke, cancel: state, published value, log leaf, event, audit and answer in one transaction."""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from app.domain.api_client import Caller
from app.domain.errors import ConcurrentChange, DomainError
from app.domain.license import STATUS_VALUE, Action, RevocationKind, State, next_state
from app.domain.order import Order
from app.ports import IdempotentCall, LicenseSnapshot, Store, StoredAnswer, UnitOfWork
from app.services import idempotency
from app.services.answers import changed_answer
from app.services.journal_rows import Change, make_audit, make_event, make_history, make_leaf
from app.services.pending_orders import settle_pending
from app.services.performing import Changed, Together, VersionEffect, require_own
from app.services.signing_clock import SigningClock
from app.services.write_guard import WriteGuard
from elicense.encoding import civil_today

_ATTEMPTS = 10
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
        version = snapshot.version
        return (
            VersionEffect(
                version=version.version,
                identifier=version.identifier,
                from_state=version.state,
                to_state=self.next_state(order, snapshot.license.state),
                status_list_id=version.status_list_id,
                status_index=version.status_index,
            ),
        )

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

        async def work(unit: UnitOfWork) -> Changed:
            return await self._change(
                unit,
                action,
                license_id,
                reason_code=reason_code,
                reason=reason,
                caller=caller,
                call=call,
                revocation=revocation,
                together=together,
            )

        for _ in range(_ATTEMPTS):
            try:
                changed = await self._store.write(work)
            except ConcurrentChange:
                continue  # somebody changed the license in between: decide again on what it is now
            if changed.license is not None:
                log.info("license_changed", license=license_id, action=action.value, client=caller.client.id)
            return changed
        raise DomainError("unavailable", "this license is being changed by many at once")

    async def _change(
        self,
        unit: UnitOfWork,
        action: Action,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        caller: Caller,
        call: IdempotentCall | None,
        revocation: RevocationKind | None,
        together: Together | None,
    ) -> Changed:
        at = self._signing_clock.signing_time()
        row_id: str | None = None
        if call is not None:
            begun = await idempotency.begin(unit, call, now=at)
            if isinstance(begun, StoredAnswer):
                return Changed(replayed=begun)
            row_id = begun
        snapshot = require_own(await unit.licenses.snapshot(license_id), caller)
        before, version = snapshot.license, snapshot.version
        answer = await together.joined(unit, before, at) if together else None
        state = next_state(before.state, action)
        after = replace(
            before, state=state, updated_at=at, row_version=before.row_version + 1, revocation=revocation
        )
        entry = make_history(
            after,
            action=action.value,
            from_state=before.state.value,
            actor=caller.client.id,
            at=at,
            reason_code=reason_code,
            reason=reason,
            effective_at=together.effective_at if together else None,
            details={
                **({} if revocation is None else {"kind": revocation.value}),
                **(together.details if together else {}),
            },
        )
        await unit.licenses.change_state(
            license_id=license_id,
            expected_row_version=before.row_version,
            state=state,
            at=at,
            entry=entry,
            revocation=revocation,
        )
        await unit.status.set_values([(version.status_list_id, version.status_index, STATUS_VALUE[state])])
        change = Change(
            kind=_KINDS[action],
            license=after,
            entry=entry,
            env=version.env,
            signing_input_sha256=version.signing_input_sha256,
            status_list_id=version.status_list_id,
            status_index=version.status_index,
        )
        await unit.journal.add_leaves([make_leaf(change)])
        await unit.journal.add_events([make_event(change)])
        await unit.journal.add_audit(
            [
                make_audit(
                    action=f"license.{action.value}",
                    subject=license_id,
                    actor=caller.client.id,
                    at=at,
                    request_id=caller.request_id,
                )
            ]
        )
        await settle_pending(unit, after, caller=caller, at=at)
        if row_id is not None:
            answer = answer or changed_answer(after, civil_today(at))
            await idempotency.finish(unit, row_id, answer, expires_at=at + idempotency.KEPT)
        return Changed(license=after)


def _kind_of(order: Order) -> RevocationKind | None:
    kind = order.arguments.get("kind")
    return None if kind is None else RevocationKind(str(kind))
