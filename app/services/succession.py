"""Succession: record which licenses took the place of one that ends or has ended, and follow it to where it leads.

A license in force ends by it (`superseded`): whoever holds its file is told to ask for the successor. Of a license that
was cancelled or transferred before, the state stays and the record tells where its rights went. The newest record of a
license counts, so that a wrong one is corrected by recording again; all of them stay in the history.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import structlog

from app.domain.api_client import Caller
from app.domain.errors import NotFound
from app.domain.ids import LicenseId
from app.domain.license import ENDED, Action, License, State, next_state
from app.domain.order import Order
from app.domain.succession import Relation, Succession, judge_successors, wrong_successors
from app.ports import IdempotentCall, LicenseSnapshot, Store, StoredAnswer, UnitOfWork
from app.services.answers import changed_answer
from app.services.attempts import write_or_repeat
from app.services.performing import Changed, Together, VersionEffect, require_own, state_effect
from app.services.signing_clock import SigningClock
from app.services.state_change import StateChange, store_state_change
from app.services.write_guard import WriteGuard
from elicense.encoding import civil_today
from elicense.problems import Text

SUCCEEDED = "succeeded"
MOST_FOLLOWED = 64
"""How many licenses a succession is followed over: further than any real one, and an end for every chain."""

_LEADS_NOWHERE = Text("该证照已终止且无接续证照", "has ended, and nothing took its place")

log = structlog.get_logger()


class SuccessionService:
    """Records successions, each by the authority of the license that is succeeded (a `performing.Performer`)."""

    def __init__(self, *, store: Store, signing_clock: SigningClock, guard: WriteGuard) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._guard = guard

    def next_state(self, order: Order, state: State) -> State:
        """Return the state a license comes to by naming its successors. Raises DomainError `state_conflict`."""
        return next_state(state, Action.SUCCESSION)

    def effects(self, order: Order, snapshot: LicenseSnapshot) -> Sequence[VersionEffect]:
        """Return what becomes of the version in force. Raises as `next_state`."""
        return (state_effect(snapshot, self.next_state(order, snapshot.license.state)),)

    async def perform(
        self, order: Order, *, caller: Caller, call: IdempotentCall | None, together: Together | None
    ) -> Changed:
        """Perform an order made by `succession_order` as `record` does."""
        relation, named = _named_in(order)
        return await self.record(
            order.license_id,
            relation,
            named,
            reason_code=order.reason_code,
            reason=order.reason,
            caller=caller,
            call=call,
            together=together,
        )

    async def require_possible(self, unit: UnitOfWork, order: Order) -> None:
        """Raise what `record` would say about the successors that an order names, were it given now."""
        relation, named = _named_in(order)
        judge_successors(relation, named)
        license = await unit.licenses.get(order.license_id)
        if license is None:
            raise NotFound("license")
        await _find_successors(unit, named, of=license)

    async def record(
        self,
        license_id: str,
        relation: Relation,
        named: Sequence[str],
        *,
        reason_code: str,
        reason: str,
        caller: Caller,
        call: IdempotentCall | None,
        together: Together | None = None,
    ) -> Changed:
        """Record the successors of a license, each named by its identifier or (one's own) by its license id.

        `together` is what stands or falls with the record (an approval). Raises NotFound for another authority's
        license, DomainError invalid_succession (their number, one unknown, one that ended and leads nowhere itself,
        the license itself, a circle), state_conflict for a revoked license, idempotency_mismatch,
        idempotency_in_progress, unavailable, read_only.
        """
        self._guard.require_writable()
        judge_successors(relation, named)

        async def work(unit: UnitOfWork, at: datetime) -> tuple[License, StoredAnswer]:
            snapshot = require_own(await unit.licenses.snapshot(license_id), caller)
            answer = await together.joined(unit, snapshot.license, at) if together else None
            successors = await _find_successors(unit, named, of=snapshot.license)
            decided = StateChange(
                action=Action.SUCCESSION,
                kind=SUCCEEDED,
                state=next_state(snapshot.license.state, Action.SUCCESSION),
                reason_code=reason_code,
                reason=reason,
                details={
                    "relation": relation.value,
                    "successors": " ".join(license.identifier for license in successors),
                    **(together.details if together else {}),
                },
            )
            after = await store_state_change(unit, snapshot, decided, caller=caller, at=at)
            await unit.successions.add(
                Succession(
                    license_id=after.id,
                    row_version=after.row_version,
                    relation=relation,
                    successors=tuple(license.id for license in successors),
                )
            )
            return after, answer or changed_answer(after, civil_today(at))

        written = await write_or_repeat(
            self._store, self._signing_clock, work, call=call, subject="this license"
        )
        if isinstance(written, StoredAnswer):
            return Changed(replayed=written)
        log.info("license_succeeded", license=license_id, client=caller.client.id)
        return Changed(license=written)


def succession_order(
    license_id: str, relation: Relation, named: Sequence[str], *, reason_code: str, reason: str
) -> Order:
    """Return the order to record a license's successors."""
    return Order(
        action=Action.SUCCESSION.value,
        license_id=license_id,
        reason_code=reason_code,
        reason=reason,
        arguments={"relation": relation.value, "successors": list(named)},
    )


def _named_in(order: Order) -> tuple[Relation, list[str]]:
    named = order.arguments["successors"]
    assert isinstance(named, list)
    return Relation(str(order.arguments["relation"])), [str(one) for one in named]


async def follow(unit: UnitOfWork, license_ids: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Follow the succession of each license to its ends; return their identifiers in force, in the order named.

    Empty for one without a succession, and when it leads in circles alone or over more than 64 licenses: then nothing
    can be told. Whether an end is in force itself is told by asking about it. All are followed with as many statements
    as the longest succession has levels.
    """
    ends = await ends_of(unit, license_ids)
    held = await unit.licenses.found(sorted({end for some in ends.values() for end in some}))
    return {
        license_id: tuple(held[end].license.identifier for end in some if end in held)
        for license_id, some in ends.items()
    }


async def ends_of(
    unit: UnitOfWork, license_ids: Iterable[str], *, at: datetime | None = None
) -> Mapping[str, Sequence[str]]:
    """Follow as `follow` does, by what was recorded at a moment if one is given; return the ids of the ends."""
    walks = {license_id: _Walk([license_id]) for license_id in license_ids}
    await _walk(unit, list(walks.values()), at=at)
    return {
        license_id: [end for end, goes_on in walk.reached.items() if not goes_on and end != license_id]
        for license_id, walk in walks.items()
    }


class _Walk:
    """A walk from licenses to their successors, level by level.

    `reached` tells of each license reached whether it has any. No license is visited twice, so a circle ends the walk;
    beyond 64 licenses the walk is given up and `reached` is empty.
    """

    __slots__ = ("front", "reached")

    def __init__(self, start: Sequence[str]) -> None:
        self.reached: dict[str, bool] = dict.fromkeys(start, False)
        self.front = list(start)

    def go_on(self, found: Mapping[str, Succession]) -> None:
        """Take the step from the front to what succeeded it."""
        following: list[str] = []
        for license_id in self.front:
            if license_id in found:
                self.reached[license_id] = True
                for successor in found[license_id].successors:
                    if successor not in self.reached:
                        self.reached[successor] = False
                        following.append(successor)
        if len(self.reached) > MOST_FOLLOWED:
            self.reached, following = {}, []
        self.front = following


async def _walk(unit: UnitOfWork, walks: Sequence[_Walk], *, at: datetime | None = None) -> None:
    """Take walks to their ends, all of them step by step together."""
    while front := sorted({license_id for walk in walks for license_id in walk.front}):
        found = await unit.successions.of_many(front, at=at)
        for walk in walks:
            walk.go_on(found)


async def _find_successors(unit: UnitOfWork, named: Sequence[str], *, of: License) -> list[License]:
    found: list[License] = []
    for position, name in enumerate(named):
        license = await _find_one(unit, name, of=of)
        if license is None:
            raise wrong_successors(Text("查无此证照", "no such license is known"), position=position)
        if license.id == of.id:
            raise wrong_successors(
                Text("证照不能接续自身", "a license cannot succeed itself"), position=position
            )
        if license in found:
            raise wrong_successors(Text("不得重复", "must not name a license twice"), position=position)
        found.append(license)
    beyond = _Walk([license.id for license in found])
    await _walk(unit, [beyond])
    # Whoever names a successor of one of these at this moment goes before: two records never close a circle together.
    await unit.licenses.hold([of.id, *beyond.reached])
    if not beyond.reached or of.id in beyond.reached:
        raise wrong_successors(
            Text("接续关系不得成环或过长", "successions must neither lead back here nor be that long")
        )
    for position, license in enumerate(found):
        if license.state in ENDED and not beyond.reached[license.id]:
            raise wrong_successors(_LEADS_NOWHERE, position=position)
    return found


async def _find_one(unit: UnitOfWork, name: str, *, of: License) -> License | None:
    by_identifier = await unit.licenses.by_identifier(name)
    if by_identifier is not None:
        return by_identifier[0].license
    by_id: LicenseSnapshot | None = await unit.licenses.snapshot(LicenseId(name))
    # An identifier shows that its file was seen; an id alone must not tell whether another's license exists.
    if by_id is None or by_id.license.authority_code != of.authority_code:
        return None
    return by_id.license
