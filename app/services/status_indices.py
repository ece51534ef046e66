"""Places in status lists: handed out in random order from blocks reserved in the database, never twice.

A block is reserved by advancing the list's counter in a transaction of its own, and shuffled here: two licenses
issued one after the other have nothing in common in their indices. What is left of a block at a crash is lost, which
is the price for never giving an index twice.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.errors import ConcurrentChange, DomainError
from app.domain.high_water import ListMark
from app.domain.ids import shuffled
from app.domain.publication import StatusListRow
from app.ports import Store, UnitOfWork
from app.services.anchor import Anchor
from app.services.write_guard import WriteGuard

LIST_SIZE = 1 << 17
BLOCK = 1024
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class StatusPlace:
    """One entry of one status list."""

    list_id: str
    uri: str
    index: int


def list_uri(issuer_url: str, list_id: str) -> str:
    """Return the URI of a status list: what credentials name and its token's `sub` says."""
    return f"{issuer_url}/v1/status-lists/{list_id}"


class StatusIndices:
    """Hands out places for the licenses of each authority; one list per authority, another when it is full."""

    def __init__(self, store: Store, *, anchor: Anchor, guard: WriteGuard, issuer_url: str) -> None:
        self._store = store
        self._anchor = anchor
        self._guard = guard
        self._issuer_url = issuer_url
        self._free: dict[str, list[StatusPlace]] = {}
        self._turn = asyncio.Lock()
        self._times_restricted = guard.times_restricted

    async def take(self, authority_code: str, count: int = 1) -> Sequence[StatusPlace]:
        """Return `count` places no one else has. Raises DomainError `unavailable` when none can be reserved now."""
        async with self._turn:
            if self._times_restricted != self._guard.times_restricted:
                # The database was put back beneath us: what we hold was reserved in one that is gone.
                self._free.clear()
                self._times_restricted = self._guard.times_restricted
            free = self._free.setdefault(authority_code, [])
            while len(free) < count:
                free.extend(await self._reserve(authority_code))
            taken, self._free[authority_code] = free[:count], free[count:]
            return taken

    async def take_one(self, authority_code: str, *, rehearsed: bool = False) -> StatusPlace:
        """Return one place as `take` does; with `rehearsed` an example, nobody's and not reserved."""
        if rehearsed:
            return self._example(authority_code)
        (place,) = await self.take(authority_code)
        return place

    def _example(self, authority_code: str) -> StatusPlace:
        # As long as any: what fits into a credential with it fits with the place it will get.
        list_id = _list_id(authority_code, 1)
        return StatusPlace(list_id, list_uri(self._issuer_url, list_id), LIST_SIZE - 1)

    async def _reserve(self, authority_code: str) -> list[StatusPlace]:
        await self._anchor.settle()
        for _ in range(_ATTEMPTS):
            try:
                row, first = await self._store.write(lambda unit: self._reserve_block(unit, authority_code))
            except ConcurrentChange:
                continue  # another process filled or made the list at this moment: look again
            # Before any index is given out: a backup put back must never give it out again.
            await self._remember(row, allocated=first + BLOCK)
            indices = shuffled(list(range(first, first + BLOCK)))
            return [StatusPlace(row.id, row.uri, index) for index in indices]
        raise DomainError("unavailable", "no status list entry could be reserved")

    async def _remember(self, row: StatusListRow, *, allocated: int) -> None:
        mark = ListMark(authority_code=row.authority_code, allocated=allocated)
        await self._anchor.remember(status_lists={row.id: mark})

    async def _reserve_block(self, unit: UnitOfWork, authority_code: str) -> tuple[StatusListRow, int]:
        own = [row for row in await unit.status.lists() if row.authority_code == authority_code]
        with_room = [row for row in own if row.size - row.allocated >= BLOCK]
        row = with_room[0] if with_room else await self._add_list(unit, authority_code, len(own) + 1)
        return row, await unit.status.reserve(list_id=row.id, count=BLOCK)

    async def _add_list(self, unit: UnitOfWork, authority_code: str, number: int) -> StatusListRow:
        # The id is derived, so that two processes that both miss a list make the same one, and one of them loses.
        list_id = _list_id(authority_code, number)
        row = StatusListRow(
            id=list_id,
            uri=list_uri(self._issuer_url, list_id),
            authority_code=authority_code,
            size=LIST_SIZE,
            allocated=0,
            changes=0,
            published_changes=0,
            seq=0,
        )
        try:
            await unit.status.add_list(row)
        except DomainError as error:
            if error.code == "conflict":
                raise ConcurrentChange("the list was made by another process") from error
            raise
        return row


def _list_id(authority_code: str, number: int) -> str:
    return f"{authority_code.lower()}-{number}"
