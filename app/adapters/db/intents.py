"""Open promises to issue, and the numbers they hold."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, select, tuple_, update

from app.adapters.db.license_numbers import free_number, held_numbers, hold_numbers
from app.adapters.db.license_rows import (
    license_from_json,
    license_to_json,
    replacement_from_json,
    replacement_to_json,
)
from app.adapters.db.readable import readable
from app.adapters.db.session import Session
from app.adapters.db.tables import intents
from app.domain.errors import ConcurrentChange, DomainError
from app.domain.license import Intent, IntentState
from elicense.cn import parse_identifier

_KEYS_PER_STATEMENT: Final = 1000


class SqlIntents:
    """Implements `ports.IntentRepository`. Whoever writes to an intent shows its fence; an older one is refused."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add_many(self, new: Sequence[Intent]) -> None:
        """Store open intents and hold their numbers. Raises NumberTaken when one is held by somebody else.

        Raises ConcurrentChange when a further version of one of the licenses is promised already.
        """
        if not new:
            return
        await hold_numbers(self._session, [intent.license for intent in new])
        try:
            await self._session.insert_many(intents, [_values(intent) for intent in new])
        except DomainError as error:
            # The next identifier of a license is no secret: two who promise its next version at the same moment meet
            # at the identifier before they meet at the license. Fresh identifiers are random and never meet.
            if error.code == "conflict" and any(intent.replaces is not None for intent in new):
                raise ConcurrentChange("somebody else promised this version first") from error
            raise

    async def held_numbers(self, *, type_code: str, numbers: Sequence[str]) -> frozenset[str]:
        """Return those numbers that a license or an intent not voided holds: a bulk issuer leaves them out."""
        return await held_numbers(self._session, type_code=type_code, numbers=numbers)

    async def get(self, intent_id: str) -> Intent | None:
        """Return an intent, whatever its state."""
        row = await self._session.row(select(intents).where(intents.c.id == intent_id))
        return None if row is None else _intent(row)

    async def finish_many(self, done: Sequence[Intent]) -> None:
        """Mark done where still open under the same fence. Raises ConcurrentChange when any is not."""
        for start in range(0, len(done), _KEYS_PER_STATEMENT):
            await self._leave_open(done[start : start + _KEYS_PER_STATEMENT], IntentState.DONE)

    async def void(self, intent: Intent) -> None:
        """Give up: the row stays, so that its identifier is never made twice; the number of a license that never came
        to be is free again. A further version that is given up frees nothing: its license holds the number.

        Raises ConcurrentChange as `finish_many`.
        """
        await self._leave_open([intent], IntentState.VOIDED)
        if intent.replaces is None:
            await free_number(self._session, intent.license)

    async def promised_versions(self, license_ids: Sequence[str]) -> Mapping[str, Mapping[str, IntentState]]:
        """Return the further versions ever promised for each license, with what became of the promise."""
        promised: dict[str, dict[str, IntentState]] = {}
        for start in range(0, len(license_ids), _KEYS_PER_STATEMENT):
            some = intents.c.predecessor_id.in_(license_ids[start : start + _KEYS_PER_STATEMENT])
            statement = select(intents.c.predecessor_id, intents.c.identifier, intents.c.state).where(some)
            for row in await self._session.rows(statement):
                version = parse_identifier(row.identifier).version
                promised.setdefault(row.predecessor_id, {})[version] = IntentState(row.state)
        return promised

    async def claim_expired(self, *, now: datetime, lease_until: datetime, limit: int) -> Sequence[Intent]:
        """Take over open intents whose lease ran out, the longest expired first: new lease, fence + 1.

        One statement claims them. One that cannot be read is logged and left out, until its new lease has run out as
        well. Two claimers never get the same intent: on PostgreSQL the second skips rows the first has
        locked, on SQLite it comes after the first's commit and finds their leases renewed.
        """
        expired = (intents.c.state == IntentState.OPEN.value, intents.c.lease_until <= now)
        chosen = (
            select(intents.c.id)
            .where(*expired)
            .order_by(intents.c.lease_until)
            .limit(limit)
            .with_for_update(skip_locked=True)
            # Materialized, or PostgreSQL may run it once per row, each time skipping what it has just locked.
            .cte("chosen")
            .prefix_with("MATERIALIZED")
        )
        claim = (
            update(intents)
            .where(intents.c.id.in_(select(chosen.c.id)), *expired)
            .values(lease_until=lease_until, fence=intents.c.fence + 1)
            .returning(intents.c.id)
        )
        claimed = [row.id for row in await self._session.rows(claim)]
        return await readable(self._session, intents, claimed, _intent)

    async def _leave_open(self, some: Sequence[Intent], state: IntentState) -> None:
        mine = tuple_(intents.c.id, intents.c.fence).in_([(intent.id, intent.fence) for intent in some])
        statement = (
            update(intents).where(intents.c.state == IntentState.OPEN.value, mine).values(state=state.value)
        )
        if await self._session.changed(statement) != len(some):
            raise ConcurrentChange("an intent was finished, voided or taken over by somebody else")


def _values(intent: Intent) -> dict[str, Any]:
    return {
        "id": intent.id,
        "identifier": intent.license.identifier,
        "license": license_to_json(intent.license),
        "signing_input": intent.signing_input,
        "disclosures": list(intent.disclosures),
        "kid": intent.kid,
        "status_list_id": intent.status_list_id,
        "status_index": intent.status_index,
        "issued_at": intent.issued_at,
        "actor": intent.actor,
        "state": intent.state.value,
        "lease_until": intent.lease_until,
        "fence": intent.fence,
        "idempotency_id": intent.idempotency_id,
        "predecessor_id": None if intent.replaces is None else intent.license.id,
        "replaces": replacement_to_json(intent.replaces),
    }


def _intent(row: Row[Any]) -> Intent:
    return Intent(
        id=row.id,
        license=license_from_json(row.license),
        signing_input=bytes(row.signing_input),
        disclosures=tuple(row.disclosures),
        kid=row.kid,
        status_list_id=row.status_list_id,
        status_index=row.status_index,
        issued_at=row.issued_at,
        actor=row.actor,
        state=IntentState(row.state),
        lease_until=row.lease_until,
        fence=row.fence,
        idempotency_id=row.idempotency_id,
        replaces=replacement_from_json(row.replaces),
    )
