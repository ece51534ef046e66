"""Deliberately broken stores of a server that answers relying parties: each lets an answer say what is no longer so, or
what nobody wrote down.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from app.domain.events import AuditEntry
from app.ports import IdempotencyRow, IdempotentCall, Store, UnitOfWork
from tests.faults.twins import Proxy, Wrapped

T = TypeVar("T")

_LATE_SECONDS = 0.5


class RememberedLicenses(Wrapped):
    """Answer from what was once read of a license, as a memo of verdicts that nothing invalidates would."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._seen: dict[object, Any] = {}

    async def read(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        return await self.inner.read(self._remembered(work))

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        return await self.inner.write(self._remembered(work))

    def _remembered(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> Callable[[UnitOfWork], Awaitable[T]]:
        async def remembered(unit: UnitOfWork) -> T:
            licenses = unit.licenses

            async def once(what: object, call: Callable[[], Awaitable[Any]]) -> Any:
                if what not in self._seen:
                    self._seen[what] = await call()
                return self._seen[what]

            async def by_identifier(identifier: str) -> Any:
                return await once(identifier, lambda: licenses.by_identifier(identifier))

            async def by_identifiers(identifiers: Sequence[str]) -> Any:
                found = {one: await by_identifier(one) for one in identifiers}
                return {one: held for one, held in found.items() if held is not None}

            async def find(**where: Any) -> Any:
                return await once(tuple(sorted(where.items())), lambda: licenses.find(**where))

            async def find_by_numbers(numbers: Sequence[str], *, type_code: str) -> Any:
                found = {one: await find(number=one, type_code=type_code) for one in numbers}
                return {one: held for one, held in found.items() if held}

            twin = Proxy(
                licenses,
                by_identifier=by_identifier,
                by_identifiers=by_identifiers,
                find=find,
                find_by_numbers=find_by_numbers,
            )
            return await work(Proxy(unit, licenses=twin))  # type: ignore[arg-type]

        return remembered


class UnboundReplays(Wrapped):
    """Repeat the answer of a verification whatever became of its license."""

    async def read(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        return await self.inner.read(lambda unit: work(_unbound(unit)))

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        return await self.inner.write(lambda unit: work(_unbound(unit)))


def _unbound(unit: UnitOfWork) -> UnitOfWork:
    async def find(call: IdempotentCall) -> IdempotencyRow | None:
        row = await unit.idempotency.find(call)
        return None if row is None else replace(row, bound_to=())

    twin: Any = Proxy(unit, idempotency=Proxy(unit.idempotency, find=find))
    unbound: UnitOfWork = twin
    return unbound


class LateAudit(Wrapped):
    """Answer, and write the audit entry a moment later."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._running: set[asyncio.Task[None]] = set()

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        kept: list[AuditEntry] = []

        async def without_audit(unit: UnitOfWork) -> T:
            kept.clear()

            async def keep(entries: Sequence[AuditEntry]) -> None:
                kept.extend(entries)

            journal = Proxy(unit.journal, add_audit=keep)
            return await work(Proxy(unit, journal=journal))  # type: ignore[arg-type]

        result = await self.inner.write(without_audit)
        if kept:
            task = asyncio.create_task(self._add(kept))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return result

    async def _add(self, entries: Sequence[AuditEntry]) -> None:
        await asyncio.sleep(_LATE_SECONDS)
        await self.inner.write(lambda unit: unit.journal.add_audit(entries))


ANSWER_TWINS: dict[str, Callable[[Store], Store]] = {
    "remembered_licenses": RememberedLicenses,
    "unbound_replays": UnboundReplays,
    "late_audit": LateAudit,
}
