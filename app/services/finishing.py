"""Finish promises: sign the promised bytes, check them, and store everything they bring in one transaction.

A first version becomes a license. A further version takes its predecessor's place, but only while the license still
has the row version and the state the promise was made on: any change in between, a revocation above all, goes before,
and the promise is given up in the same transaction. So no revoked license is ever made good by a late amendment.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from app.domain.errors import ConcurrentChange, DomainError
from app.domain.license import (
    STATUS_VALUE,
    HistoryEntry,
    Intent,
    IntentState,
    License,
    LicenseVersion,
    Replacement,
    State,
)
from app.ports import Store, UnitOfWork
from app.services import idempotency
from app.services.answers import changed_answer, issued_answer
from app.services.credential_maker import CredentialMaker
from app.services.journal_rows import ISSUED, Change, make_audit, make_event, make_history, make_leaf
from app.services.key_register import KeyRegister
from app.services.signing_clock import SigningClock
from elicense.encoding import civil_today, sha256_hex
from elicense.evidence import TrustEvidence

FULL_CHECK_EVERY = 100
STATUS_INVALID = 1
SUPERSEDED = "superseded"
VOIDED = "voided"
PREDECESSOR_CHANGED = "predecessor_changed"
KEY_LOST = "key_compromised"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    """A promise with its signature: what is stored if it may still be kept."""

    intent: Intent
    version: LicenseVersion
    entry: HistoryEntry

    @property
    def license(self) -> License:
        return self.intent.license


class IntentFinisher:
    """Ends promises, each for its current owner alone: kept and stored, or given up."""

    def __init__(
        self, *, store: Store, signing_clock: SigningClock, keys: KeyRegister, maker: CredentialMaker
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._keys = keys
        self._maker = maker

    async def finish(
        self, intents: Sequence[Intent], *, trust: TrustEvidence, request_id: str | None
    ) -> Sequence[License | None]:
        """Sign and store; return each license as promised, None where its predecessor changed and it was given up.

        A further version is given up too, and decided anew, when its key was declared compromised meanwhile. Raises
        ConcurrentChange when an intent is no longer ours, DomainError when a key cannot sign.
        """
        lost = [one for one in intents if one.replaces is not None and self._has_lost_key(one, trust)]
        for one in lost:
            await self.void(one, why=KEY_LOST, actor=one.actor, at=self._signing_clock.signing_time())
        given_up = {one.id for one in lost}
        kept = [one for one in intents if one.id not in given_up]
        done = iter(await self._finish(kept, trust=trust, request_id=request_id) if kept else ())
        return [None if one.id in given_up else next(done) for one in intents]

    async def _finish(
        self, intents: Sequence[Intent], *, trust: TrustEvidence, request_id: str | None
    ) -> Sequence[License | None]:
        versions = await self._sign(intents, trust=trust)
        at = self._signing_clock.signing_time()
        signed = [
            _Signed(intent=intent, version=version, entry=_history(intent, at=at))
            for intent, version in zip(intents, versions, strict=True)
        ]

        async def work(unit: UnitOfWork) -> frozenset[str]:
            return await self._store_all(unit, signed, at=at, request_id=request_id)

        kept = await self._store.write(work)
        return [intent.license if intent.id in kept else None for intent in intents]

    def _has_lost_key(self, intent: Intent, trust: TrustEvidence) -> bool:
        authority = trust.trust_list.authority_by_issuer(self._maker.issuer_of(intent.license.authority_code))
        entry = authority.key(intent.kid) if authority is not None else None
        return entry is not None and entry.compromised is not None

    async def finish_own(
        self, intents: Sequence[Intent], *, trust: TrustEvidence, request_id: str | None
    ) -> Sequence[License | None]:
        """Finish one's own promises as `finish` does; the outcome is recovery's where recovery was faster.

        Raises DomainError `unavailable` while recovery is still at it, or has given up a first version.
        """
        try:
            return await self.finish(intents, trust=trust, request_id=request_id)
        except ConcurrentChange:
            # Our lease ran out while we worked and recovery took over: its outcome is the truth.
            return [await self._outcome(intent) for intent in intents]

    async def void(self, intent: Intent, *, why: str, actor: str, at: datetime) -> None:
        """Give up: index invalid for ever, identifier burnt, number free if no license has it, the call's key freed."""
        change = self._voided(intent, why=why, actor=actor, at=at)

        async def work(unit: UnitOfWork) -> None:
            await unit.intents.void(intent)
            await _free_call(unit, intent)
            # Should the bytes have been signed somewhere and leaked, their entry says invalid.
            await unit.status.set_values([(intent.status_list_id, intent.status_index, STATUS_INVALID)])
            await _add_changes(unit, [change])
            await unit.journal.add_audit(
                [make_audit(action="intent.void", subject=intent.license.id, actor=actor, at=at, outcome=why)]
            )

        await self._store.write(work)
        log.info("intent_voided", intent=intent.id, why=why)

    async def _outcome(self, intent: Intent) -> License | None:
        found = await self._store.read(lambda unit: unit.intents.get(intent.id))
        if found is not None and found.state is IntentState.DONE:
            return found.license
        if found is not None and found.state is IntentState.VOIDED and found.replaces is not None:
            return None
        raise DomainError("unavailable", "issuing this license took too long and is being recovered")

    async def _store_all(
        self, unit: UnitOfWork, signed: Sequence[_Signed], *, at: datetime, request_id: str | None
    ) -> frozenset[str]:
        """Store what may be kept, give up the rest; return the ids of the promises kept."""
        firsts = [one for one in signed if one.intent.replaces is None]
        # In the order of licenses, so that two chunks over the same ones never wait for each other in a circle.
        further = sorted(
            (one for one in signed if one.intent.replaces is not None), key=lambda one: one.license.id
        )
        # Fenced first: whoever lost the lease writes nothing.
        await unit.intents.finish_many([one.intent for one in firsts])
        await unit.licenses.add_many([(one.license, one.version, one.entry) for one in firsts])
        kept = list(firsts)
        given_up: list[_Signed] = []
        for one in further:
            replaces = one.intent.replaces
            assert replaces is not None
            done = await unit.licenses.add_version(one.license, one.version, one.entry, expected=replaces)
            (kept if done else given_up).append(one)
        await unit.intents.finish_many([one.intent for one in kept if one.intent.replaces is not None])
        for one in given_up:
            await unit.intents.void(one.intent)
            await _free_call(unit, one.intent)
        # The status of a first version is the value 0 that its index has had since it was reserved: no published list
        # need change for it.
        values = [value for one in kept for value in _values_kept(one.intent)]
        values += [(one.intent.status_list_id, one.intent.status_index, STATUS_INVALID) for one in given_up]
        if values:
            await unit.status.set_values(values)
        changes = [change for one in kept for change in _changes_kept(one)]
        changes += [
            self._voided(one.intent, why=PREDECESSOR_CHANGED, actor=one.intent.actor, at=at)
            for one in given_up
        ]
        await _add_changes(unit, changes)
        outcomes = [(one, f"license.{one.entry.action}", "ok") for one in kept]
        outcomes += [(one, "intent.void", PREDECESSOR_CHANGED) for one in given_up]
        await unit.journal.add_audit(
            [
                make_audit(
                    action=action,
                    subject=one.license.id,
                    actor=one.intent.actor,
                    at=at,
                    outcome=outcome,
                    request_id=request_id,
                )
                for one, action, outcome in outcomes
            ]
        )
        for one in kept:
            if one.intent.idempotency_id is not None:
                answer = issued_answer if one.intent.replaces is None else changed_answer
                await idempotency.finish(
                    unit,
                    one.intent.idempotency_id,
                    answer(one.license, civil_today(at)),
                    expires_at=at + idempotency.KEPT,
                )
        return frozenset(one.intent.id for one in kept)

    async def _sign(self, intents: Sequence[Intent], *, trust: TrustEvidence) -> list[LicenseVersion]:
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
                now = self._signing_clock.signing_time()
                self._maker.judge_own_output(version, intent.license, trust=trust, at=now)
            signed.append(version)
        log.info("signed", count=len(signed), first_intent=intents[0].id)
        return signed

    def _voided(self, intent: Intent, *, why: str, actor: str, at: datetime) -> Change:
        return Change(
            kind=VOIDED,
            license=intent.license,
            entry=make_history(
                intent.license,
                action="void",
                from_state=None,
                to_state=VOIDED,
                actor=actor,
                at=at,
                reason_code=why,
            ),
            row_version=0,
            env=self._maker.env,
            signing_input_sha256=sha256_hex(intent.signing_input),
            status_list_id=intent.status_list_id,
            status_index=intent.status_index,
        )


def details_of(replaces: Replacement) -> dict[str, str]:
    """Return what the history keeps about a further version: the identifier before, and the names that changed."""
    details = {"previous": replaces.identifier}
    if replaces.changed:
        details["changed"] = " ".join(replaces.changed)
    return details


def _history(intent: Intent, *, at: datetime) -> HistoryEntry:
    replaces = intent.replaces
    if replaces is None:
        return make_history(intent.license, action="issue", from_state=None, actor=intent.actor, at=at)
    return make_history(
        intent.license,
        action=replaces.action.value,
        from_state=replaces.state.value,
        actor=intent.actor,
        at=at,
        reason_code=replaces.reason_code,
        reason=replaces.reason,
        details=details_of(replaces),
    )


def _values_kept(intent: Intent) -> list[tuple[str, int, int]]:
    """Return the status entries a kept promise sets: the old version superseded, the new one in the license's state.

    Also where that is the value 0 that it has: a list from before a further version was signed cannot tell, offline,
    whether a suspension carried over. So the list is published anew, were it not that of the old version.
    """
    replaces = intent.replaces
    if replaces is None:
        return []
    return [
        (replaces.status_list_id, replaces.status_index, STATUS_VALUE[State.SUPERSEDED]),
        (intent.status_list_id, intent.status_index, STATUS_VALUE[intent.license.state]),
    ]


def _changes_kept(one: _Signed) -> list[Change]:
    """Return what the log and the feed hear: one issuance, and before it the end of the version it replaces."""
    issued = Change(
        kind=ISSUED,
        license=one.license,
        # Of the version issued: it had no state before, whatever the license's was.
        entry=replace(one.entry, from_state=None),
        env=one.version.env,
        signing_input_sha256=one.version.signing_input_sha256,
        status_list_id=one.version.status_list_id,
        status_index=one.version.status_index,
    )
    replaces = one.intent.replaces
    if replaces is None:
        return [issued]
    ended = Change(
        kind=SUPERSEDED,
        license=one.license,
        entry=one.entry,
        env=one.version.env,
        signing_input_sha256=replaces.signing_input_sha256,
        status_list_id=replaces.status_list_id,
        status_index=replaces.status_index,
        identifier=replaces.identifier,
        version=replaces.version,
        to_state=State.SUPERSEDED.value,
    )
    return [ended, issued]


async def _add_changes(unit: UnitOfWork, changes: Sequence[Change]) -> None:
    await unit.journal.add_leaves([make_leaf(change) for change in changes])
    await unit.journal.add_events([make_event(change) for change in changes])


async def _free_call(unit: UnitOfWork, intent: Intent) -> None:
    if intent.idempotency_id is not None:
        await unit.idempotency.remove(intent.idempotency_id)
