"""Recovery: intents whose owner is gone are decided again, then finished with the same bytes or given up.

A lease tells when an owner counts as gone, a fencing token makes sure of it: taking over raises the fence, and the
finishing transaction of whoever holds an older one writes nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from app.domain.directory import Directory
from app.domain.errors import ConcurrentChange, DomainError
from app.domain.issuing_rules import require_authority
from app.domain.license import Intent
from app.ports import Store, UnitOfWork
from app.services.credential_maker import LEASE, CredentialMaker, require_listed
from app.services.directory import DirectoryService
from app.services.finishing import IntentFinisher
from app.services.key_register import KeyRegister
from app.services.one_of_many import concerns_one
from app.services.signing_clock import MAX_STEP_BACK, SigningClock
from app.services.trust_list import TrustListService
from elicense.encoding import civil_today
from elicense.evidence import TrustEvidence

MAX_INTENT_AGE = timedelta(hours=24)
ACTOR = "recovery"
_LIMIT = 100

log = structlog.get_logger()


class IntentRecovery:
    """Takes over intents whose lease ran out."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        directory: DirectoryService,
        trust_list: TrustListService,
        keys: KeyRegister,
        maker: CredentialMaker,
        finisher: IntentFinisher,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._directory = directory
        self._trust_list = trust_list
        self._keys = keys
        self._maker = maker
        self._finisher = finisher

    async def run(self) -> int:
        """Claim up to 100 expired intents and end each; return how many were finished or given up.

        One that breaks is logged and claimed again when its lease has run out; the others do not wait for it.
        Raises DomainError `unavailable` while the clock runs backwards: nothing may be signed then.
        """
        now = self._signing_clock.signing_time()

        async def claim(unit: UnitOfWork) -> Sequence[Intent]:
            return await unit.intents.claim_expired(now=now, lease_until=now + LEASE, limit=_LIMIT)

        ended = 0
        for intent in await self._store.write(claim):
            try:
                ended += await self._end(intent, now=now)
            except ConcurrentChange:
                log.info("intent_lost", intent=intent.id)  # somebody else holds a newer fence
            except Exception as error:
                if not concerns_one(error):
                    raise
                log.exception("intent_broke", intent=intent.id)
        return ended

    async def _end(self, intent: Intent, *, now: datetime) -> bool:
        if intent.issued_at > now + MAX_STEP_BACK:
            return False  # promised in a future this clock has not reached: wait for it
        directory, trust = await self._directory.snapshot(), await self._trust_list.evidence()
        refusal = await self._refusal(intent, directory=directory, trust=trust, now=now)
        if refusal is not None:
            await self._finisher.void(intent, why=refusal, actor=ACTOR, at=now)
            return True
        try:
            # A further version is held against its predecessor once more where it is stored, in that transaction.
            (license,) = await self._finisher.finish([intent], trust=trust, request_id=None)
        except DomainError as error:
            # The key is elsewhere or the database is busy: the lease runs out again and somebody else tries.
            log.warning("intent_not_finished", intent=intent.id, code=error.code)
            return False
        log.info("intent_finished", intent=intent.id, kept=license is not None)
        return True

    async def _refusal(
        self, intent: Intent, *, directory: Directory, trust: TrustEvidence, now: datetime
    ) -> str | None:
        """Decide again: return why the promise may not be kept any more, or None."""
        license = intent.license
        if now - intent.issued_at > MAX_INTENT_AGE:
            return "too_old"
        if license.type_code not in directory.license_types:
            return "unknown_type"
        key = await self._keys.by_kid(intent.kid)
        if key is None or not key.valid_from <= now < key.valid_until:
            return "key_not_valid"
        try:
            require_authority(
                directory,
                authority_code=license.authority_code,
                type_code=license.type_code,
                area_code=license.area_code,
                today=civil_today(now),
            )
            require_listed(
                trust,
                issuer=self._maker.issuer_of(license.authority_code),
                kid=intent.kid,
                type_code=license.type_code,
                area_code=license.area_code,
                now=now,
            )
        except DomainError as error:
            return error.code
        return None
