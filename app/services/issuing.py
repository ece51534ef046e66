"""Issue: decide → record the intent → sign → verify our own output → store everything at once → answer.

The order is the safety. Before the intent is committed nothing was promised. After it, the number is held and the
exact bytes are known, so that a crash at any line is finished (or given up) by recovery with the same bytes and never
with a second number. The answer leaves after the transaction that stores the license, its first version, its history,
log leaf, event, audit entry and the answer itself.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.domain.directory import Directory
from app.domain.errors import STOPS_EVERYTHING, ConcurrentChange, DomainError, NumberTaken
from app.domain.license import Intent, License, NewLicense
from app.ports import IdempotentCall, Store, StoredAnswer, UnitOfWork
from app.services import idempotency
from app.services.credential_maker import CredentialMaker
from app.services.deciding import permit
from app.services.directory import DirectoryService
from app.services.finishing import IntentFinisher
from app.services.intent_recovery import IntentRecovery
from app.services.key_register import KeyRegister
from app.services.signing_clock import SigningClock
from app.services.status_indices import StatusIndices
from app.services.trust_list import TrustListService
from app.services.write_guard import WriteGuard
from elicense.evidence import TrustEvidence

CHUNK = 500
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """The license just issued, or the answer a repeated call got the first time: exactly one of them."""

    license: License | None = None
    replayed: StoredAnswer | None = None


class IssuingService:
    """Issues licenses and finishes what a crash left behind."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        directory: DirectoryService,
        trust_list: TrustListService,
        keys: KeyRegister,
        indices: StatusIndices,
        maker: CredentialMaker,
        finisher: IntentFinisher,
        guard: WriteGuard,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._directory = directory
        self._trust_list = trust_list
        self._keys = keys
        self._indices = indices
        self._maker = maker
        self._finisher = finisher
        self._guard = guard
        self._recovery = IntentRecovery(
            store=store,
            signing_clock=signing_clock,
            directory=directory,
            trust_list=trust_list,
            keys=keys,
            maker=maker,
            finisher=finisher,
        )

    async def issue(
        self, new: NewLicense, *, actor: str, request_id: str | None, call: IdempotentCall | None
    ) -> Issued:
        """Issue one license; it is signed, checked and durable before this returns.

        Raises DomainError: every code of `judge_new_license`, number_taken, idempotency_mismatch,
        idempotency_in_progress, unavailable (nothing is lost: recovery finishes or gives up the intent), read_only.
        """
        self._guard.require_writable()
        directory, trust = await self._directory.snapshot(), await self._trust_list.evidence()
        intent = await self._decide(new, directory=directory, trust=trust, actor=actor)
        for _ in range(_ATTEMPTS):
            try:
                promised = await self._record(intent, call)
            except ConcurrentChange:
                continue  # another call with the same key was faster: look at what it left
            if isinstance(promised, StoredAnswer):
                return Issued(replayed=promised)
            # A crash from here on leaves the intent open; its lease runs out and recovery takes over.
            (license,) = await self._finisher.finish_own([promised], trust=trust, request_id=request_id)
            return Issued(license=license)
        raise DomainError("idempotency_in_progress", "calls with this key follow each other too fast")

    async def issue_many(
        self, rows: Sequence[NewLicense], *, actor: str, source_digests: Sequence[str | None] | None = None
    ) -> list[License | DomainError]:
        """Issue many licenses, two transactions for each chunk of 500; answer each row, in order.

        A refused row never holds up the others; of one number in several rows the first is taken. `source_digests`
        recognize the rows when the same file comes again. Raises DomainError only for what stops everything
        (unavailable, read_only); rows of earlier chunks are then issued and found again by their number.
        """
        self._guard.require_writable()
        digests = source_digests if source_digests is not None else [None] * len(rows)
        if len(digests) != len(rows):
            raise ValueError("there must be one source digest for each row")
        answers: list[License | DomainError] = []
        for start in range(0, len(rows), CHUNK):
            chunk = list(zip(rows[start : start + CHUNK], digests[start : start + CHUNK], strict=True))
            answers += await self._issue_chunk(chunk, actor=actor)
            await asyncio.sleep(0)
        return answers

    async def rehearse_many(self, rows: Sequence[NewLicense]) -> list[DomainError | None]:
        """Decide on many licenses as `issue_many` would, and promise nothing: the refusal of each row, or None.

        Whether a number is free is not asked. Raises DomainError for what would stop everything (unavailable).
        """
        directory, trust = await self._directory.snapshot(), await self._trust_list.evidence()
        answers: list[DomainError | None] = []
        for new in rows:
            try:
                await self._decide(new, directory=directory, trust=trust, actor="", rehearsed=True)
            except DomainError as error:
                if error.code in STOPS_EVERYTHING:
                    raise
                answers.append(error)
            else:
                answers.append(None)
        return answers

    async def recover(self) -> int:
        """Finish or give up intents whose lease ran out; return how many. Call it again until it returns 0."""
        self._guard.require_writable()
        return await self._recovery.run()

    async def _decide(
        self,
        new: NewLicense,
        *,
        directory: Directory,
        trust: TrustEvidence,
        actor: str,
        source_digest: str | None = None,
        rehearsed: bool = False,
    ) -> Intent:
        now = self._signing_clock.signing_time()
        judged, key = await permit(
            new, keys=self._keys, maker=self._maker, directory=directory, trust=trust, now=now
        )
        place = await self._indices.take_one(judged.authority_code, rehearsed=rehearsed)
        license = self._maker.new_license(judged, directory=directory, now=now, source_digest=source_digest)
        return self._maker.make_intent(
            license, directory=directory, trust=trust, key=key, place=place, now=now, actor=actor
        )

    async def _record(self, intent: Intent, call: IdempotentCall | None) -> Intent | StoredAnswer:
        """Commit the promise: number held, identifier and index taken, bytes fixed, the call's key reserved."""

        async def work(unit: UnitOfWork) -> Intent | StoredAnswer:
            recorded = intent
            if call is not None:
                begun = await idempotency.begin(unit, call, now=intent.issued_at)
                if isinstance(begun, StoredAnswer):
                    return begun
                recorded = replace(intent, idempotency_id=begun)
            await unit.intents.add_many([recorded])
            return recorded

        return await self._store.write(work)

    async def _issue_chunk(
        self, chunk: Sequence[tuple[NewLicense, str | None]], *, actor: str
    ) -> list[License | DomainError]:
        directory, trust = await self._directory.snapshot(), await self._trust_list.evidence()
        answers: list[License | DomainError | None] = [None] * len(chunk)
        intents: dict[int, Intent] = {}
        seen: set[tuple[str, str]] = set()
        for position, (new, digest) in enumerate(chunk):
            try:
                intent = await self._decide(
                    new, directory=directory, trust=trust, actor=actor, source_digest=digest
                )
            except DomainError as error:
                if error.code in STOPS_EVERYTHING:
                    raise
                answers[position] = error
                continue
            number = (intent.license.type_code, intent.license.number)
            if number in seen:
                answers[position] = NumberTaken()
            else:
                seen.add(number)
                intents[position] = intent
        promised = await self._record_free(intents)
        if promised:
            await self._finisher.finish_own(list(promised.values()), trust=trust, request_id=None)
        for position in intents:
            answers[position] = promised[position].license if position in promised else NumberTaken()
        return [answer for answer in answers if answer is not None]

    async def _record_free(self, intents: dict[int, Intent]) -> dict[int, Intent]:
        """Commit the promises whose numbers are free; leave the others out."""
        remaining = dict(intents)
        for _ in range(_ATTEMPTS):
            if not remaining:
                return {}
            try:
                return await self._store.write(lambda unit: _add_free(unit, remaining))
            except NumberTaken:
                continue  # a number was taken between the look and the insert: look again
        raise DomainError("unavailable", "too many others issue the same numbers at this moment")


async def _add_free(unit: UnitOfWork, intents: dict[int, Intent]) -> dict[int, Intent]:
    taken: set[tuple[str, str]] = set()
    for type_code in {intent.license.type_code for intent in intents.values()}:
        numbers = [i.license.number for i in intents.values() if i.license.type_code == type_code]
        held = await unit.intents.held_numbers(type_code=type_code, numbers=numbers)
        taken |= {(type_code, number) for number in held}
    free = {
        position: intent
        for position, intent in intents.items()
        if (intent.license.type_code, intent.license.number) not in taken
    }
    await unit.intents.add_many(list(free.values()))
    return free
