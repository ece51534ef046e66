"""Issue: decide → record the intent → sign → verify our own output → store everything at once → answer.

The order is the safety. Before the intent is committed nothing was promised. After it, the number is held and the
exact bytes are known, so that a crash at any line is finished (or given up) by recovery with the same bytes and never
with a second number. The answer leaves after the transaction that stores the license, its first version, its history,
log leaf, event, audit entry and the answer itself.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from app.domain.directory import Directory
from app.domain.errors import ConcurrentChange, DomainError, NumberTaken
from app.domain.issuing_rules import judge_new_license
from app.domain.license import Intent, IntentState, License, LicenseVersion, NewLicense
from app.ports import IdempotentCall, Store, StoredAnswer, UnitOfWork
from app.services import idempotency
from app.services.answers import issued_answer
from app.services.credential_maker import CredentialMaker, require_listed
from app.services.directory import DirectoryService
from app.services.intent_recovery import IntentRecovery
from app.services.journal_rows import ISSUED, Change, make_audit, make_event, make_history, make_leaf
from app.services.key_register import CREDENTIAL, KeyRegister
from app.services.signing_clock import SigningClock
from app.services.status_indices import StatusIndices
from app.services.trust_list import TrustListService
from app.services.write_guard import WriteGuard
from elicense.encoding import civil_today
from elicense.evidence import TrustEvidence

CHUNK = 500
FULL_CHECK_EVERY = 100
_ATTEMPTS = 5

log = structlog.get_logger()


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
        guard: WriteGuard,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._directory = directory
        self._trust_list = trust_list
        self._keys = keys
        self._indices = indices
        self._maker = maker
        self._guard = guard
        self._recovery = IntentRecovery(
            store=store,
            signing_clock=signing_clock,
            directory=directory,
            trust_list=trust_list,
            keys=keys,
            maker=maker,
            finish=self._finish,
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
            (license,) = await self._finish_own([promised], trust=trust, request_id=request_id)
            return Issued(license=license)
        raise DomainError("idempotency_in_progress", "calls with this key follow each other too fast")

    async def issue_many(
        self, rows: Sequence[NewLicense], *, actor: str, source_digests: Sequence[str | None] | None = None
    ) -> list[License | DomainError]:
        """Issue many licenses, two transactions for each chunk of 500; answer each row, in order.

        A refused row never holds up the others; of one number in several rows the first is taken. `source_digests`
        recognise the rows when the same file comes again. Raises DomainError only for what stops everything
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
    ) -> Intent:
        now = self._signing_clock.signing_time()
        judged = judge_new_license(new, directory, today=civil_today(now))
        key = await self._keys.current(CREDENTIAL, now=now, authority_code=judged.authority_code)
        require_listed(
            trust,
            issuer=self._maker.issuer_of(judged.authority_code),
            kid=key.kid,
            type_code=judged.type_code,
            area_code=judged.area_code,
            now=now,
        )
        (place,) = await self._indices.take(judged.authority_code)
        return self._maker.make_intent(
            judged,
            directory=directory,
            trust=trust,
            key=key,
            place=place,
            now=now,
            actor=actor,
            source_digest=source_digest,
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

    async def _finish_own(
        self, intents: Sequence[Intent], *, trust: TrustEvidence, request_id: str | None
    ) -> Sequence[License]:
        try:
            return await self._finish(intents, trust=trust, request_id=request_id)
        except ConcurrentChange:
            # Our lease ran out while we worked and recovery took over: its outcome is the truth.
            return [await self._outcome(intent) for intent in intents]

    async def _outcome(self, intent: Intent) -> License:
        async def work(unit: UnitOfWork) -> tuple[Intent | None, License | None]:
            return await unit.intents.get(intent.id), await unit.licenses.get(intent.license.id)

        found, license = await self._store.read(work)
        if found is not None and found.state is IntentState.DONE and license is not None:
            return license
        raise DomainError("unavailable", "issuing this license took too long and is being recovered")

    async def _finish(
        self, intents: Sequence[Intent], *, trust: TrustEvidence, request_id: str | None
    ) -> Sequence[License]:
        """Sign the promised bytes, check them, and store everything in one transaction.

        Raises ConcurrentChange when an intent is no longer ours, DomainError when a key cannot sign.
        """
        signed = await self._sign(intents, trust=trust)
        at = self._signing_clock.signing_time()
        rows = [
            (
                intent.license,
                version,
                make_history(intent.license, action="issue", from_state=None, actor=intent.actor, at=at),
            )
            for intent, version in signed
        ]
        changes = [
            Change(
                kind=ISSUED,
                license=license,
                entry=entry,
                env=version.env,
                signing_input_sha256=version.signing_input_sha256,
                status_list_id=version.status_list_id,
                status_index=version.status_index,
            )
            for license, version, entry in rows
        ]

        async def work(unit: UnitOfWork) -> None:
            # Fenced first: whoever lost the lease writes nothing. The status of a new license is the value 0 that
            # its index has had since it was reserved, so the published list need not change.
            await unit.intents.finish_many(intents)
            await unit.licenses.add_many(rows)
            await unit.journal.add_leaves([make_leaf(change) for change in changes])
            await unit.journal.add_events([make_event(change) for change in changes])
            await unit.journal.add_audit(
                [
                    make_audit(
                        action="license.issue",
                        subject=intent.license.id,
                        actor=intent.actor,
                        at=at,
                        request_id=request_id,
                    )
                    for intent in intents
                ]
            )
            for intent in intents:
                if intent.idempotency_id is not None:
                    await idempotency.finish(
                        unit,
                        intent.idempotency_id,
                        issued_answer(intent.license, civil_today(at)),
                        expires_at=at + idempotency.KEPT,
                    )

        await self._store.write(work)
        return [intent.license for intent in intents]

    async def _sign(
        self, intents: Sequence[Intent], *, trust: TrustEvidence
    ) -> list[tuple[Intent, LicenseVersion]]:
        signed = []
        log.info("signing", count=len(intents), first_intent=intents[0].id, kid=intents[0].kid)
        for position, intent in enumerate(intents):
            key = await self._keys.by_kid(intent.kid)
            if key is None:
                raise DomainError("unavailable", "the key of an intent is not registered")
            signature = self._keys.signer(key).sign(intent.signing_input)
            # Against the registered public key, never the signer's own idea of it.
            if not self._keys.public_key(key).verify(signature, intent.signing_input):
                raise DomainError("internal", "a signature just made does not verify")
            version = self._maker.make_version(intent, signature)
            if position % FULL_CHECK_EVERY == 0:
                self._maker.judge_own_output(version, intent.license, trust=trust)
            signed.append((intent, version))
        log.info("signed", count=len(signed), first_intent=intents[0].id)
        return signed

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
                if error.code in _STOPS_EVERYTHING:
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
            await self._finish_own(list(promised.values()), trust=trust, request_id=None)
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


_STOPS_EVERYTHING = frozenset({"unavailable", "read_only", "internal"})


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
