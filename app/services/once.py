"""Write something once for a call that may be repeated: its effect and its stored answer stand in one transaction."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from app.domain.errors import ConcurrentChange, DomainError
from app.ports import IdempotentCall, Store, StoredAnswer, UnitOfWork
from app.services import idempotency

T = TypeVar("T")

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """A repeatable call, and the answer to keep for it, made of what the order returned. No secret belongs into it."""

    call: IdempotentCall
    answer: Callable[[Any], StoredAnswer]


class AnswerRepeated(Exception):
    """Hand the stored answer of an earlier call to the edge: nothing was done now."""

    def __init__(self, answer: StoredAnswer) -> None:
        super().__init__("this call was answered before")
        self.answer = answer


async def write_once(
    store: Store, work: Callable[[UnitOfWork], Awaitable[T]], once: Once | None, *, now: datetime
) -> T:
    """Run `work` in one transaction together with the answer to repeat, if the call may be repeated.

    Raises AnswerRepeated, DomainError idempotency_mismatch and idempotency_in_progress, and whatever `work` raises.
    """
    if once is None:
        return await store.write(work)

    async def whole(unit: UnitOfWork) -> T:
        begun = await idempotency.begin(unit, once.call, now=now)
        if isinstance(begun, StoredAnswer):
            raise AnswerRepeated(begun)
        result = await work(unit)
        expires_at = now + idempotency.kept_for(once.call)
        await idempotency.finish(unit, begun, once.answer(result), expires_at=expires_at)
        return result

    for _ in range(_ATTEMPTS):
        try:
            return await store.write(whole)
        except ConcurrentChange:
            continue  # another call with the same key was faster: look at its answer
    raise DomainError("idempotency_in_progress", "calls with this key follow each other too fast")
