"""Suspend, resume, revoke, cancel: state, published value, log leaf, event, audit and answer in one transaction."""

from dataclasses import dataclass, replace

import structlog

from app.domain.api_client import Caller, ClientKind
from app.domain.errors import ConcurrentChange, DomainError, NotFound
from app.domain.license import STATUS_VALUE, Action, License, next_state
from app.ports import IdempotentCall, LicenseSnapshot, Store, StoredAnswer, UnitOfWork
from app.services import idempotency
from app.services.answers import changed_answer
from app.services.journal_rows import Change, make_audit, make_event, make_history, make_leaf
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

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The license after its change, or the answer a repeated call got the first time: exactly one of them."""

    license: License | None = None
    replayed: StoredAnswer | None = None


class LifecycleService:
    """Changes the state of licenses, each by its own authority alone."""

    def __init__(self, *, store: Store, signing_clock: SigningClock, guard: WriteGuard) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._guard = guard

    async def act(
        self,
        action: Action,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        caller: Caller,
        call: IdempotentCall | None,
    ) -> Changed:
        """Change the state of a license; the next verification anywhere sees it.

        Raises NotFound for another authority's license, DomainError state_conflict for a state in which the action
        is not allowed, idempotency_mismatch, idempotency_in_progress, unavailable, read_only.
        """
        self._guard.require_writable()

        async def work(unit: UnitOfWork) -> Changed:
            return await self._change(
                unit, action, license_id, reason_code=reason_code, reason=reason, caller=caller, call=call
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
        state = next_state(before.state, action)
        after = replace(before, state=state, updated_at=at, row_version=before.row_version + 1)
        entry = make_history(
            after,
            action=action.value,
            from_state=before.state.value,
            actor=caller.client.id,
            at=at,
            reason_code=reason_code,
            reason=reason,
        )
        await unit.licenses.change_state(
            license_id=license_id,
            expected_row_version=before.row_version,
            state=state,
            at=at,
            entry=entry,
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
        if row_id is not None:
            await idempotency.finish(
                unit, row_id, changed_answer(after, civil_today(at)), expires_at=at + idempotency.KEPT
            )
        return Changed(license=after)


def require_own(snapshot: LicenseSnapshot | None, caller: Caller) -> LicenseSnapshot:
    """Return the license if the caller is the authority that issued it. Raises NotFound otherwise."""
    client = caller.client
    if (
        snapshot is None
        or client.kind is not ClientKind.AUTHORITY
        or snapshot.license.authority_code != client.authority_code
    ):
        raise NotFound("license")
    return snapshot
