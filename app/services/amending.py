"""Amend and renew: the next version of a license, promised, signed and stored as the first one was.

Decide on what the license is now → record the promise, which remembers the predecessor's row version and state → sign
→ check → store everything in one transaction that compares both again. A change in between (a revocation, a suspension,
another amendment) goes before: the promise is given up, and what was asked is decided anew on what the license is then.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from app.domain.amending import Amendment, Renewal, amended, changed_names, next_version, renewed, unrenewable
from app.domain.api_client import Caller
from app.domain.errors import STOPS_EVERYTHING, ConcurrentChange, DomainError
from app.domain.ids import jitter
from app.domain.license import (
    Action,
    Intent,
    IntentState,
    License,
    NewLicense,
    Replacement,
    next_state,
)
from app.ports import IdempotentCall, LicenseSnapshot, Store, StoredAnswer, UnitOfWork
from app.services import idempotency
from app.services.credential_maker import CredentialMaker
from app.services.deciding import permit
from app.services.directory import DirectoryService
from app.services.finishing import IntentFinisher
from app.services.key_register import KeyRegister
from app.services.performing import Changed, require_own
from app.services.signing_clock import SigningClock
from app.services.status_indices import StatusIndices
from app.services.trust_list import TrustListService
from app.services.write_guard import WriteGuard
from elicense.encoding import civil_today

CHUNK = 500
_ATTEMPTS = 12
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5
_NO_PROMISES: Mapping[str, IntentState] = {}

log = structlog.get_logger()

Content = Callable[[License], NewLicense]
"""What the next version is to say, given what the license says now: decided anew whenever that has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRequest:
    """One further version as asked for: of which license, what it is to say, why, and in whose name.

    `unchanged_too` makes a version also where nothing differs: a renewal gives a fresh file, a reissue another key's.
    """

    license_id: str
    action: Action
    content: Content
    reason_code: str
    reason: str
    actor: str
    source_digest: str | None = None
    unchanged_too: bool = False


@dataclass(frozen=True, slots=True)
class _Held:
    """A license as one read saw it, with what became of every further version ever promised for it."""

    snapshot: LicenseSnapshot
    promised: Mapping[str, IntentState]

    @property
    def under_way(self) -> bool:
        """Tell whether somebody is making the next version at this moment (or died doing so)."""
        return IntentState.OPEN in self.promised.values()


class AmendingService:
    """Makes further versions of licenses, each for its own authority alone."""

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

    async def amend(
        self,
        license_id: str,
        amendment: Amendment,
        *,
        reason_code: str,
        reason: str,
        caller: Caller,
        call: IdempotentCall | None,
    ) -> Changed:
        """Make the next version with an amendment merged in; it is in force before this returns.

        Raises NotFound for another authority's license, DomainError: every code of `judge_new_license`,
        state_conflict (it has ended), no_change, versions_exhausted, idempotency_mismatch, idempotency_in_progress,
        unavailable, read_only.
        """
        types = (await self._directory.snapshot()).license_types
        request = VersionRequest(
            license_id=license_id,
            action=Action.AMEND,
            content=lambda license: amended(license, amendment, types.get(license.type_code)),
            reason_code=reason_code,
            reason=reason,
            actor=caller.client.id,
        )
        return await self._make(request, caller=caller, call=call)

    async def renew(
        self,
        license_id: str,
        renewal: Renewal,
        *,
        reason_code: str,
        reason: str,
        caller: Caller,
        call: IdempotentCall | None,
    ) -> Changed:
        """Make the next version with a new period. Raises as `amend`, but never `no_change`."""
        request = VersionRequest(
            license_id=license_id,
            action=Action.RENEW,
            content=lambda license: renewed(
                license, renewal, today=civil_today(self._signing_clock.signing_time())
            ),
            reason_code=reason_code,
            reason=reason,
            actor=caller.client.id,
            unchanged_too=True,
        )
        return await self._make(request, caller=caller, call=call)

    async def make_many(self, requests: Sequence[VersionRequest]) -> list[License | DomainError]:
        """Make further versions of many licenses, two transactions for each chunk of 500; answer each, in order.

        A refused one never holds up the others; each license is named once at most (ValueError). `conflict` answers
        for one that others kept changing. Raises DomainError only for what stops everything (unavailable, read_only).
        """
        self._guard.require_writable()
        if len({request.license_id for request in requests}) != len(requests):
            raise ValueError("a license can be amended once in one go")
        answers: list[License | DomainError] = []
        for start in range(0, len(requests), CHUNK):
            answers += await self._make_chunk(requests[start : start + CHUNK])
            await asyncio.sleep(0)
        return answers

    async def rehearse_many(self, requests: Sequence[VersionRequest]) -> list[DomainError | None]:
        """Decide on many further versions as `make_many` would, and promise nothing: each refusal, or None.

        Raises DomainError for what would stop everything (unavailable).
        """
        held = await self._look_at_many([request.license_id for request in requests])
        answers: list[DomainError | None] = []
        for request in requests:
            one = held.get(request.license_id)
            refusal = _no_such_license() if one is None else await self._refusal(request, one)
            answers.append(refusal)
        return answers

    async def _refusal(self, request: VersionRequest, held: _Held) -> DomainError | None:
        try:
            await self._decide(request, held, rehearsed=True)
        except DomainError as error:
            if error.code in STOPS_EVERYTHING:
                raise
            return error
        return None

    async def _make(self, request: VersionRequest, *, caller: Caller, call: IdempotentCall | None) -> Changed:
        self._guard.require_writable()
        for attempt in range(_ATTEMPTS):
            held = await self._look(request.license_id, caller=caller, call=call)
            if isinstance(held, StoredAnswer):
                return Changed(replayed=held)
            if held.under_way:
                await _pause(attempt)
                continue
            intent = await self._decide(request, held)
            try:
                promised = await self._record(intent, call)
            except ConcurrentChange:
                await _pause(attempt)
                continue  # the license changed, or somebody else promised its next version: look again
            if isinstance(promised, StoredAnswer):
                return Changed(replayed=promised)
            # A crash from here on leaves the promise open; its lease runs out and recovery takes over.
            trust = await self._trust_list.evidence()
            (license,) = await self._finisher.finish_own(
                [promised], trust=trust, request_id=caller.request_id
            )
            if license is not None:
                log.info("license_amended", license=license.id, action=request.action.value)
                return Changed(license=license)
        raise DomainError("unavailable", "this license is being changed by others at this moment")

    async def _look(
        self, license_id: str, *, caller: Caller, call: IdempotentCall | None
    ) -> _Held | StoredAnswer:
        """Read the license, and the answer of the same call if it is there: both from one snapshot.

        Or a repeated call, decided on what the first one made of the license, would be refused for changing nothing.
        """
        now = self._signing_clock.signing_time()

        async def work(unit: UnitOfWork) -> _Held | StoredAnswer:
            if call is not None:
                answer = await idempotency.find_answer(unit, call, now=now)
                if answer is not None:
                    return answer
            snapshot = require_own(await unit.licenses.snapshot(license_id), caller)
            promised = await unit.intents.promised_versions([license_id])
            return _Held(snapshot, promised.get(license_id, _NO_PROMISES))

        return await self._store.read(work)

    async def _decide(self, request: VersionRequest, held: _Held, *, rehearsed: bool = False) -> Intent:
        before, version = held.snapshot.license, held.snapshot.version
        now = self._signing_clock.signing_time()
        directory, trust = await self._directory.snapshot(), await self._trust_list.evidence()
        # What is wrong with the request goes before what is wrong with the license's state: 422 before 409.
        wanted = request.content(before)
        try:
            content, key = await permit(
                wanted,
                keys=self._keys,
                maker=self._maker,
                directory=directory,
                trust=trust,
                now=now,
                as_it_stands=request.action is Action.REISSUE,
            )
        except DomainError as refusal:
            if request.action is not Action.RENEW or not refusal.errors:
                raise
            raise unrenewable(refusal) from refusal
        next_state(before.state, request.action)
        changed = changed_names(before, content)
        if not changed and not request.unchanged_too:
            raise DomainError("no_change", "the license says this already")
        license = self._maker.next_license(
            before,
            content,
            version=next_version([before.version, *held.promised]),
            directory=directory,
            now=now,
            source_digest=request.source_digest,
        )
        place = await self._indices.take_one(before.authority_code, rehearsed=rehearsed)
        return self._maker.make_intent(
            license,
            directory=directory,
            trust=trust,
            key=key,
            place=place,
            now=now,
            actor=request.actor,
            replaces=Replacement(
                row_version=before.row_version,
                state=before.state,
                identifier=version.identifier,
                version=version.version,
                status_list_id=version.status_list_id,
                status_index=version.status_index,
                signing_input_sha256=version.signing_input_sha256,
                action=request.action,
                reason_code=request.reason_code,
                reason=request.reason,
                changed=changed,
            ),
        )

    async def _record(self, intent: Intent, call: IdempotentCall | None) -> Intent | StoredAnswer:
        """Commit the promise: identifier and index taken, bytes fixed, the call's key reserved.

        Raises ConcurrentChange when the license is no longer what was decided on: the promise could not be kept.
        """

        async def work(unit: UnitOfWork) -> Intent | StoredAnswer:
            recorded = intent
            if call is not None:
                begun = await idempotency.begin(unit, call, now=intent.issued_at)
                if isinstance(begun, StoredAnswer):
                    return begun
                recorded = replace(intent, idempotency_id=begun)
            if not await _still_stand(unit, [intent]):
                raise ConcurrentChange("the license changed since this was decided")
            await unit.intents.add_many([recorded])
            return recorded

        return await self._store.write(work)

    async def _make_chunk(self, requests: Sequence[VersionRequest]) -> list[License | DomainError]:
        answers: dict[str, License | DomainError] = {}
        for attempt in range(_ATTEMPTS):
            left = [request for request in requests if request.license_id not in answers]
            if not left:
                break
            if attempt:
                await _pause(attempt)
            answers |= await self._make_those_possible(left)
        busy = DomainError("conflict", "this license is being changed by others at this moment")
        return [answers.get(request.license_id, busy) for request in requests]

    async def _make_those_possible(
        self, requests: Sequence[VersionRequest]
    ) -> dict[str, License | DomainError]:
        """Make what can be made now; licenses that somebody else is changing are left out of the answer."""
        held = await self._look_at_many([request.license_id for request in requests])
        answers: dict[str, License | DomainError] = {}
        intents = []
        for request in requests:
            one = held.get(request.license_id)
            if one is None:
                answers[request.license_id] = _no_such_license()
                continue
            if one.under_way:
                continue
            try:
                intents.append(await self._decide(request, one))
            except DomainError as error:
                if error.code in STOPS_EVERYTHING:
                    raise
                answers[request.license_id] = error
        try:
            promised = await self._record_those_standing(intents)
        except ConcurrentChange:
            return answers
        if promised:
            made = await self._finisher.finish_own(
                promised, trust=await self._trust_list.evidence(), request_id=None
            )
            answers.update((license.id, license) for license in made if license is not None)
        return answers

    async def _look_at_many(self, license_ids: Sequence[str]) -> dict[str, _Held]:
        async def work(unit: UnitOfWork) -> dict[str, _Held]:
            snapshots = await unit.licenses.snapshots(license_ids)
            promised = await unit.intents.promised_versions(license_ids)
            return {id_: _Held(one, promised.get(id_, _NO_PROMISES)) for id_, one in snapshots.items()}

        return await self._store.read(work)

    async def _record_those_standing(self, intents: Sequence[Intent]) -> list[Intent]:
        """Commit the promises whose licenses did not change since they were decided; leave the others out."""

        async def work(unit: UnitOfWork) -> list[Intent]:
            standing = await _still_stand(unit, intents)
            await unit.intents.add_many(standing)
            return standing

        return await self._store.write(work)


def _no_such_license() -> DomainError:
    return DomainError("not_found", "no such license")


async def _still_stand(unit: UnitOfWork, intents: Sequence[Intent]) -> list[Intent]:
    """Return the promises whose licenses are still what was decided on: the others would burn their identifiers."""
    held = await unit.licenses.snapshots([intent.license.id for intent in intents])
    return [
        intent
        for intent in intents
        if intent.replaces is not None
        and (now := held.get(intent.license.id)) is not None
        and (now.license.row_version, now.license.state)
        == (intent.replaces.row_version, intent.replaces.state)
    ]


async def _pause(attempt: int) -> None:
    await asyncio.sleep(min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE) * jitter())
