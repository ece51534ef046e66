"""Declare a key compromised: what the log shows to be older stays good, the rest is lost, and another key takes over.

No time that a stolen key has signed is believed. What counts is the last state of the log before the theft
(`last_state`); a statement about it is signed by the root's threshold and stands in the trust list. In the transaction
that publishes that list the replacement begins, and what would otherwise be left without a good signature is signed
again: status lists by the new status key, the freshness statement by a key that is good, and a log goes on under its
next origin with everything that only the lost part of the old one held.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from app.domain.errors import DomainError, NotFound
from app.domain.events import LogName
from app.domain.key_history import KeyChanges, KeyCompromise
from app.domain.publication import ServiceKey
from app.ports import KeyMaker, RootKeys, Store, UnitOfWork
from app.services.key_making import make_service_key
from app.services.key_register import CREDENTIAL, STATUS, WITNESS, KeyRegister, signing_kid
from app.services.last_state import LastState, public_state_before, receipts_state_before
from app.services.log_keys import USES as LOG_USES
from app.services.log_keys import LogKeys
from app.services.root_rotation import RootRotation, RotatedRoot, sign_statement, signers_of
from app.services.signing_clock import SigningClock
from app.services.status_lists import StatusListService
from app.services.trust_list_builder import listed_use
from app.services.trust_publication import Beside, TrustPublisher, TrustState
from app.services.write_guard import WriteGuard
from elicense.evidence import TrustEvidence
from elicense.trust_root import TrustRoot, parse_trust_root


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What was declared about a key and what took its place.

    `replacement` is None where another good key is in force already, for a witness (which brings its own), and where
    nothing was left to declare. `next_origin` is where a log goes on. `root` is set when the key was one of the trust
    root's own: then the next root is without it and nothing stands in the list.
    """

    compromise: KeyCompromise | None
    replacement: ServiceKey | None
    next_origin: str | None
    root: RotatedRoot | None
    trust_list_sequence: int


class KeyCompromiseService:
    """Declares keys compromised and replaces them at once."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        key_maker: KeyMaker,
        keys: KeyRegister,
        publisher: TrustPublisher,
        logs: LogKeys,
        roots: RootRotation,
        status_lists: StatusListService,
        guard: WriteGuard,
        env: str,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._key_maker = key_maker
        self._keys = keys
        self._publisher = publisher
        self._logs = logs
        self._roots = roots
        self._status_lists = status_lists
        self._guard = guard
        self._env = env

    async def declare(
        self, kid: str, *, since: datetime, reason: str | None, root_keys: RootKeys, issuer_url: str
    ) -> Declared:
        """Declare a key compromised from `since` on; every process judges and signs accordingly within a second.

        Declaring it again changes nothing, unless from an earlier moment on. Raises NotFound for an unknown key,
        DomainError `invalid_request` for a moment to come, `unavailable` with too few keys in the root folder,
        `conflict` when others were faster, `read_only`.
        """
        self._guard.require_writable()
        now = self._signing_clock.signing_time()
        since = since.replace(microsecond=0)
        if since > now:
            raise DomainError(
                "invalid_request", "a key is declared compromised from a moment that has passed"
            )
        state = await self._publisher.state()
        if state.root is None or state.trust_list is None:
            raise DomainError("unavailable", "there is no trust list yet: run `elicense keys init`")
        root = parse_trust_root(state.root.content)
        key = next((one for one in state.keys if one.kid == kid), None)
        if key is None:
            return await self._drop_from_root(root, kid, root_keys=root_keys, issuer_url=issuer_url)
        held = state.compromises.get(kid)
        if held is not None and held.since <= since:
            return Declared(
                compromise=held,
                replacement=None,
                next_origin=None,
                root=None,
                trust_list_sequence=state.trust_list.sequence,
            )
        return await self._publish(key, since, reason=reason, root_keys=root_keys, issuer_url=issuer_url)

    async def _drop_from_root(
        self, root: TrustRoot, kid: str, *, root_keys: RootKeys, issuer_url: str
    ) -> Declared:
        if kid not in {key.kid for key in (*root.root_keys, *root.list_keys)}:
            raise NotFound("key")
        rotated = await self._roots.rotate(root_keys=root_keys, issuer_url=issuer_url, dropped=[kid])
        return Declared(
            compromise=None,
            replacement=None,
            next_origin=None,
            root=rotated,
            trust_list_sequence=rotated.trust_list_sequence,
        )

    async def _last_state(self, key: ServiceKey, since: datetime, state: TrustState) -> LastState:
        witnesses = [
            (name, public)
            for name, public in await self._keys.all_witnesses()
            if public.kid not in (key.kid, *state.compromises)
        ]

        async def work(unit: UnitOfWork) -> LastState:
            if key.use == LOG_USES[LogName.REGISTER]:
                return await public_state_before(unit, since, witnesses=witnesses, origin=key.origin)
            public = await public_state_before(unit, since, witnesses=witnesses)
            if key.use == LOG_USES[LogName.RECEIPTS]:
                return await receipts_state_before(unit, str(key.origin), public)
            return public

        return await self._store.read(work)

    def _make(
        self,
        key: ServiceKey,
        since: datetime,
        last: LastState,
        *,
        reason: str | None,
        root: TrustRoot,
        root_keys: RootKeys,
        now: datetime,
    ) -> KeyCompromise:
        checkpoint = last.checkpoint
        unsigned = KeyCompromise(
            kid=key.kid,
            use=CREDENTIAL if key.use == CREDENTIAL else listed_use(key.use).value,
            since=since,
            log_origin=checkpoint.origin if checkpoint is not None else None,
            log_size=checkpoint.size if checkpoint is not None else 0,
            log_root=checkpoint.root if checkpoint is not None else None,
            witnessed=last.witnessed,
            statement=b"",
            root_version=root.version,
            declared_at=now,
            reason=reason,
        )
        signers = signers_of(root_keys, root.root_keys, root.root_threshold)
        return replace(unsigned, statement=sign_statement(unsigned, env=self._env, signers=signers))

    async def _publish(
        self,
        key: ServiceKey,
        since: datetime,
        *,
        reason: str | None,
        root_keys: RootKeys,
        issuer_url: str,
    ) -> Declared:
        planned: list[tuple[TrustState, KeyChanges]] = []

        async def plan(state: TrustState, now: datetime) -> KeyChanges:
            if state.root is None:
                raise DomainError("unavailable", "there is no trust root yet: run `elicense keys init`")
            last = await self._last_state(key, since, state)
            compromise = self._make(
                key,
                since,
                last,
                reason=reason,
                root=parse_trust_root(state.root.content),
                root_keys=root_keys,
                now=now,
            )
            if key.origin is not None:
                changes = await self._leave_log(key, compromise, state, issuer_url=issuer_url, now=now)
            else:
                replacement = self._replacement(key, state, now)
                added = [replacement] if replacement is not None else []
                changes = KeyChanges(added=added, compromised=[compromise])
            planned.append((state, changes))
            return changes

        async def sign_lists_again(trust: TrustEvidence) -> Beside:
            state, changes = planned[-1]
            kid = signing_kid(trust.trust_list, STATUS, now=trust.trust_list.issued_at)
            known = (*state.keys, *changes.added)
            signer = self._keys.signer(next(one for one in known if one.kid == kid))
            return await self._status_lists.sign_again(signer)

        document = await self._publisher.publish(
            root_keys=root_keys,
            issuer_url=issuer_url,
            plan=plan,
            prepare=sign_lists_again if key.use == STATUS else None,
        )
        _, changes = planned[-1]
        head = changes.generation.head if changes.generation is not None else None
        return Declared(
            compromise=changes.compromised[0],
            replacement=changes.added[0] if changes.added else None,
            next_origin=head.origin if head is not None else None,
            root=None,
            trust_list_sequence=document.sequence,
        )

    async def _leave_log(
        self,
        key: ServiceKey,
        compromise: KeyCompromise,
        state: TrustState,
        *,
        issuer_url: str,
        now: datetime,
    ) -> KeyChanges:
        log = next(log for log, use in LOG_USES.items() if use == key.use)
        replacement, generation = await self._logs.plan_next(
            log, origin=str(key.origin), keep=compromise.checkpoint, issuer_url=issuer_url
        )
        # Whatever other keys the old origin had: it is frozen, nothing is signed for it any more.
        others = [one for one in state.keys if one.origin == key.origin and one.kid != key.kid]
        return KeyChanges(
            added=[replacement] if replacement is not None else [],
            ended={one.kid: now for one in others if one.valid_from < now < one.valid_until},
            compromised=[compromise],
            generation=generation,
        )

    def _replacement(self, key: ServiceKey, state: TrustState, now: datetime) -> ServiceKey | None:
        """Make the key that signs from now on, where no other good one does already."""
        own = [one for one in state.keys if (one.use, one.authority_code) == (key.use, key.authority_code)]
        others = [one for one in own if one.kid != key.kid and one.kid not in state.compromises]
        if key.use == WITNESS or any(one.in_window(now) for one in others):
            return None
        return make_service_key(
            self._key_maker,
            use=key.use,
            authority_code=key.authority_code,
            number=len(own) + 1,
            valid_from=now,
        )
