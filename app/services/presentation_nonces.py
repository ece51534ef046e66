"""Nonces for presenters: fresh ones for whoever has none, and the memory that each counts once per client.

A nonce is used up before its question is judged, in a transaction of its own: of two processes asked at the same
moment one is first. It stays used whatever the answer is. Who repeats a call under its idempotency key is the same
user; a call without one that broke off in between has used its nonce, and its presenter needs a new one.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from app.domain.errors import ConcurrentChange, DomainError
from app.domain.ids import ClientId, new_id, new_nonce
from app.domain.presentation_nonce import KEPT, NonceUse, nonce_digest
from app.domain.verification import MalformedQuestion
from app.ports import Clock, IdempotentCall, Store, StoredAnswer, UnitOfWork
from app.services import idempotency
from app.services.answers import JSON
from app.services.sweeping import sweep_all
from app.services.verification_answers import AskedQuestion
from elicense.encoding import dump_json

_ATTEMPTS = 5

Item = TypeVar("Item", bound="AskedQuestion | MalformedQuestion")


@dataclass(frozen=True, slots=True, kw_only=True)
class NonceAnswer:
    """The answer that hands out a nonce; `replayed` when the same call got it before."""

    answer: StoredAnswer
    replayed: bool = False


class PresentationNonceService:
    """Hands out nonces, and remembers the used ones for a day."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def fresh(self, call: IdempotentCall | None) -> NonceAnswer:
        """Make a nonce of 128 random bits. Nothing is stored but the answer of a repeatable call.

        Raises DomainError idempotency_mismatch, idempotency_in_progress, read_only (both only for such a call).
        """
        made = StoredAnswer(
            status=200, headers={"Content-Type": JSON}, body=dump_json({"nonce": new_nonce()})
        )
        if call is None:
            return NonceAnswer(answer=made)
        repeatable, now = call, self._clock.now()

        async def work(unit: UnitOfWork) -> NonceAnswer:
            begun = await idempotency.begin(unit, repeatable, now=now)
            if isinstance(begun, StoredAnswer):
                return NonceAnswer(answer=begun, replayed=True)
            expires_at = now + idempotency.kept_for(repeatable)
            await idempotency.finish(unit, begun, made, expires_at=expires_at)
            return NonceAnswer(answer=made)

        for _ in range(_ATTEMPTS):
            try:
                return await self._store.write(work)
            except ConcurrentChange:
                continue  # the same call came twice at once: look at the other's answer
        raise DomainError("idempotency_in_progress", "calls with this key follow each other too fast")

    async def use_up(
        self, items: Sequence[Item], *, client_id: ClientId, call: IdempotentCall | None, now: datetime
    ) -> list[Item]:
        """Use up the nonces of the questions that ask for a key binding; mark those that were used before.

        Within one batch the first question with a nonce is its user. Without such a question nothing is read or
        written.
        """
        uses = _uses(items, client_id=client_id, user=_user(call), now=now)
        if not uses:
            return list(items)
        first = {use.nonce_sha256: use for use in reversed(uses.values())}

        async def work(unit: UnitOfWork) -> dict[str, str]:
            await unit.presentation_nonces.use(list(first.values()))
            return dict(await unit.presentation_nonces.users(client_id, list(first)))

        users = await self._store.write(work)
        judged = list(items)
        for index, use in uses.items():
            item = judged[index]
            if isinstance(item, AskedQuestion) and users.get(use.nonce_sha256) != use.used_by:
                judged[index] = replace(item, nonce_used=True)
        return judged

    async def sweep(self) -> int:
        """Forget nonces used longer ago than they are remembered; return how many."""
        before = self._clock.now() - KEPT
        return await sweep_all(
            self._store, lambda unit, limit: unit.presentation_nonces.sweep(before=before, limit=limit)
        )


def _user(call: IdempotentCall | None) -> str:
    if call is None:
        return new_id()
    named = "\n".join((call.method, call.path, call.key, call.body_sha256))
    return hashlib.sha256(named.encode()).hexdigest()


def _uses(
    items: Sequence["AskedQuestion | MalformedQuestion"], *, client_id: ClientId, user: str, now: datetime
) -> dict[int, NonceUse]:
    uses: dict[int, NonceUse] = {}
    for index, item in enumerate(items):
        asked = item.question.key_binding if isinstance(item, AskedQuestion) else None
        if asked is not None:
            uses[index] = NonceUse(
                client_id=client_id,
                nonce_sha256=nonce_digest(asked.nonce),
                used_by=f"{user}:{index}",
                used_at=now,
            )
    return uses
