"""Write and answer at once: begun again when somebody else was faster, answered as before when asked for again."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from app.domain.errors import ConcurrentChange, DomainError
from app.ports import IdempotentCall, Store, StoredAnswer, UnitOfWork
from app.services import idempotency
from app.services.signing_clock import SigningClock

T = TypeVar("T")

_ATTEMPTS = 10


async def write_or_repeat(
    store: Store,
    clock: SigningClock,
    work: Callable[[UnitOfWork, datetime], Awaitable[tuple[T, StoredAnswer]]],
    *,
    call: IdempotentCall | None,
    subject: str = "this",
) -> T | StoredAnswer:
    """Run `work` at the signing time in one transaction; return its value, or the answer this call got before.

    The answer that `work` gives is kept for the call in the same transaction. A compare-and-swap that loses begins
    again, and decides anew on what is there now. Raises DomainError `unavailable`, about `subject`, when it keeps
    losing, the refusals of the idempotency key, and whatever `work` and the store raise.
    """

    async def write(unit: UnitOfWork) -> T | StoredAnswer:
        at = clock.signing_time()
        row_id: str | None = None
        if call is not None:
            begun = await idempotency.begin(unit, call, now=at)
            if isinstance(begun, StoredAnswer):
                return begun
            row_id = begun
        value, answer = await work(unit, at)
        if row_id is not None:
            await idempotency.finish(unit, row_id, answer, expires_at=at + idempotency.KEPT)
        return value

    for _ in range(_ATTEMPTS):
        try:
            return await store.write(write)
        except ConcurrentChange:
            continue
    raise DomainError("unavailable", f"{subject} is being changed by many at once")
