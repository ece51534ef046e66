"""Calls that may be repeated: the same key and body get the same answer, whatever happened in between.

The row of a call is written in the transaction of what the call does, so that there is never an answer without its
effect, nor an effect whose repetition would be done twice.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.domain.errors import ConcurrentChange, DomainError
from app.domain.ids import new_id
from app.ports import Clock, IdempotencyRow, IdempotentCall, Store, StoredAnswer, UnitOfWork
from app.services.sweeping import sweep_all

KEPT = timedelta(hours=24)
KEPT_VERIFICATION = timedelta(minutes=10)

_VERIFICATIONS = "/v1/verifications"


def kept_for(call: IdempotentCall) -> timedelta:
    """Return how long the answer of a call is kept: 10 minutes for verifications, else 24 hours."""
    return KEPT_VERIFICATION if call.path.startswith(_VERIFICATIONS) else KEPT


async def find_answer(unit: UnitOfWork, call: IdempotentCall, *, now: datetime) -> StoredAnswer | None:
    """Return the answer to repeat, or None when the call has to be made.

    Raises DomainError `idempotency_mismatch` for another body under the key, `idempotency_in_progress` while the
    first call runs (or its recovery is still to come).
    """
    row = await unit.idempotency.find(call)
    if row is None or await _is_over(unit, row, now=now):
        return None
    if row.call.body_sha256 != call.body_sha256:
        raise DomainError("idempotency_mismatch", "this key was used with another body")
    if row.answer is None:
        raise DomainError("idempotency_in_progress", "the first call with this key has not finished")
    return row.answer


async def begin(unit: UnitOfWork, call: IdempotentCall, *, now: datetime) -> str | StoredAnswer:
    """Reserve the call's key inside the caller's transaction and return its row id, or the answer to repeat.

    Raises as `find_answer`, and ConcurrentChange when another call takes the key at this moment: the caller lets
    its transaction go and begins again.
    """
    answer = await find_answer(unit, call, now=now)
    if answer is not None:
        return answer
    over = await unit.idempotency.find(call)
    if over is not None:
        await unit.idempotency.remove(over.id)
    row = IdempotencyRow(
        id=new_id(),
        call=call,
        started_at=now,
        expires_at=now + kept_for(call),
        answer=None,
    )
    await unit.idempotency.add(row)
    return row.id


async def finish(
    unit: UnitOfWork,
    row_id: str,
    answer: StoredAnswer,
    *,
    expires_at: datetime,
    bound_to: Sequence[tuple[str, int]] = (),
) -> None:
    """Store the answer in the transaction of its effect. `bound_to`: (license id, row version) that end it early."""
    await unit.idempotency.finish(row_id, answer, expires_at=expires_at, bound_to=bound_to)


async def _is_over(unit: UnitOfWork, row: IdempotencyRow, *, now: datetime) -> bool:
    if row.answer is None:
        # A running call is over only when its effect was given up, which removes the row. Forgetting it by time
        # alone could issue a second license for one call.
        return False
    if now >= row.expires_at:
        return True
    for license_id, row_version in row.bound_to:
        held = await unit.licenses.get(license_id)
        if held is None or held.row_version != row_version:
            return True
    return False


class IdempotencyService:
    """What the edge and the worker need beyond the transactions of the services."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def find(self, call: IdempotentCall) -> StoredAnswer | None:
        """Return the answer to repeat, or None. Raises as `find_answer`."""

        async def work(unit: UnitOfWork) -> StoredAnswer | None:
            return await find_answer(unit, call, now=self._clock.now())

        return await self._store.read(work)

    async def keep_refusal(self, call: IdempotentCall, answer: StoredAnswer) -> None:
        """Keep the refusal (4xx) of a call that changed nothing; one that holds the key already stays.

        While the service is read-only nothing is kept: the repeated call is refused anew.
        """
        now = self._clock.now()

        async def work(unit: UnitOfWork) -> None:
            begun = await begin(unit, call, now=now)
            if isinstance(begun, str):
                await finish(unit, begun, answer, expires_at=now + kept_for(call))

        try:
            await self._store.write(work)
        except ConcurrentChange:
            return  # another call took the key in between; its answer is the one that counts
        except DomainError as error:
            if not error.code.startswith("idempotency_") and error.code != "read_only":
                raise

    async def sweep(self) -> int:
        """Delete answers past their end; return how many."""
        now = self._clock.now()
        return await sweep_all(self._store, lambda unit, limit: unit.idempotency.sweep(now=now, limit=limit))
