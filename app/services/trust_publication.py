"""Publish the trust list: what directory and keys say now, signed by the root folder's keys, stored in one piece.

Whatever changes about keys (a new one, a shorter window, a compromise, a new root, a log's next origin) is stored in
the very transaction that publishes the list which says so, with the freshness statement that names it. So no process
ever sees a key that the list does not name, or a list whose keys are not there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.domain.directory import Directory
from app.domain.errors import ConcurrentChange, DomainError
from app.domain.good_time import TOLERANCE
from app.domain.high_water import Floors
from app.domain.ids import jitter
from app.domain.key_history import KeyChanges, KeyCompromise
from app.domain.publication import DocumentKind, ServiceKey, SignedDocument
from app.ports import RootKeys, Store, UnitOfWork
from app.services.anchor import Anchor
from app.services.directory import read_directory
from app.services.freshness import FreshnessWriter
from app.services.journal_rows import make_audit
from app.services.key_register import FRESHNESS, KeyRegister, signing_kid
from app.services.log_keys import store_generation
from app.services.log_leaves import make_document_leaf
from app.services.signing_clock import SigningClock
from app.services.trust_list import TrustListService, read_evidence
from app.services.trust_list_builder import NEXT_UPDATE, build_payload
from elicense.encoding import sha256_hex
from elicense.evidence import TrustEvidence
from elicense.jws import parse_general, sign_general
from elicense.keys import Signer
from elicense.trust_list import TRUST_LIST_TYP, TrustList, parse_trust_list
from elicense.trust_root import TrustRoot, parse_trust_root

RENEW_LIST_BEFORE = timedelta(days=14)
ACTOR = "keys"
_ATTEMPTS = 8
_PAUSE_SECONDS = 0.2

Plan = Callable[["TrustState", datetime], Awaitable[KeyChanges]]
"""Says what is to change about keys, given the state and the time of the list about to be published."""

Beside = Callable[[UnitOfWork], Awaitable[None]]
"""What is stored in the same transaction, after the list and before the freshness statement."""

Prepare = Callable[[TrustEvidence], Awaitable[Beside]]
"""Makes it, given the list about to be published; done anew for each attempt."""


@dataclass(frozen=True, slots=True)
class TrustState:
    """What the next list is made from: documents in force, directory, registered keys and declared compromises."""

    root: SignedDocument | None
    trust_list: SignedDocument | None
    directory: Directory
    keys: Sequence[ServiceKey]
    compromises: Mapping[str, KeyCompromise]
    floors: Floors

    def changed_by(self, changes: KeyChanges) -> "TrustState":
        """Return the state as it will be with the changes."""
        ended = changes.ended
        keys = [_ended(key, ended.get(key.kid)) for key in self.keys]
        compromises = {**self.compromises, **{one.kid: one for one in changes.compromised}}
        return replace(
            self,
            root=changes.root or self.root,
            keys=[*keys, *changes.added],
            compromises=compromises,
        )


class TrustPublisher:
    """Signs and stores trust lists and roots, one after another."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        keys: KeyRegister,
        trust_list: TrustListService,
        anchor: Anchor,
        env: str,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._keys = keys
        self._trust_list = trust_list
        self._anchor = anchor
        self._env = env

    async def state(self) -> TrustState:
        """Read what the next list is made from, in one snapshot."""
        return await self._store.read(read_state)

    async def publish(
        self,
        *,
        root_keys: RootKeys,
        issuer_url: str,
        plan: Plan | None = None,
        prepare: Prepare | None = None,
    ) -> SignedDocument:
        """Publish the next list with what is planned and what `prepare` makes; the one in force where nothing is new.

        Both are made anew when another publication was faster. Raises DomainError `unavailable` without a root or with
        too few trust-list keys at hand, `conflict` when others were faster again and again, and what `plan` raises.
        """
        for attempt in range(_ATTEMPTS if plan is not None else 1):
            try:
                return await self._publish(root_keys, issuer_url, plan, prepare)
            except ConcurrentChange:
                await asyncio.sleep(_PAUSE_SECONDS * (attempt + 1) * jitter())
        raise DomainError("conflict", "another publication was faster; run the command again")

    async def add_root(self, document: SignedDocument, *, issuer_url: str) -> None:
        """Store the first trust root with its leaf. Raises DomainError `conflict` when another one was faster."""
        await self._anchor.settle()
        now = self._signing_clock.signing_time()
        try:
            await self._store.write(
                lambda unit: self._add(unit, document, after=None, issuer_url=issuer_url, at=now)
            )
        except ConcurrentChange as error:
            raise DomainError("conflict", "another publication was faster; run the command again") from error
        self._trust_list.forget()
        await self._anchor.remember(trust_root_version=document.sequence)

    async def _publish(
        self, root_keys: RootKeys, issuer_url: str, plan: Plan | None, prepare: Prepare | None
    ) -> SignedDocument:
        await self._anchor.settle()
        now = self._signing_clock.signing_time()
        held = await self.state()
        changes = KeyChanges() if plan is None else await plan(held, now)
        state = held.changed_by(changes)
        if state.root is None:
            raise DomainError("unavailable", "there is no trust root yet: run `elicense keys init`")
        root = parse_trust_root(state.root.content)
        before = None
        if held.root is not None and held.trust_list is not None:
            before = read_evidence(held.root, held.trust_list).trust_list
            # One from the future was signed under a clock that was wrong; one below its floor was followed by others.
            current = before.issued_at <= now + TOLERANCE and before.sequence >= held.floors.trust_list
            if (
                changes.are_none
                and current
                and now < before.next_update - RENEW_LIST_BEFORE
                and self._says_the_same(before, root, state, issuer_url=issuer_url)
            ):
                return held.trust_list
        document, evidence = self._sign(root_keys, root, state, before, issuer_url=issuer_url, now=now)
        freshness = self._freshness_signer(evidence.trust_list, state.keys, now)
        beside = await prepare(evidence) if prepare is not None else None

        async def work(unit: UnitOfWork) -> int:
            if changes.root is not None:
                await self._add(unit, changes.root, after=held.root, issuer_url=issuer_url, at=now)
            await self._apply(unit, changes, issuer_url=issuer_url, at=now)
            await self._add(unit, document, after=held.trust_list, issuer_url=issuer_url, at=now)
            if beside is not None:
                await beside(unit)
            writer = FreshnessWriter(issuer_url=issuer_url, env=self._env)
            return await writer.add(unit, signer=freshness, now=now)

        stated = await self._store.write(work)
        # Also what `prepare` has made its own copy of: whoever asks next sees the keys of this list.
        self._keys.forget()
        self._trust_list.forget()
        await self._anchor.remember(
            trust_root_version=changes.root.sequence if changes.root is not None else 0,
            trust_list_sequence=document.sequence,
            freshness_sequence=stated,
        )
        return document

    def _sign(
        self,
        root_keys: RootKeys,
        root: TrustRoot,
        state: TrustState,
        before: TrustList | None,
        *,
        issuer_url: str,
        now: datetime,
    ) -> tuple[SignedDocument, TrustEvidence]:
        sequence = max(before.sequence if before is not None else 0, state.floors.trust_list) + 1
        payload = build_payload(
            issuer_url=issuer_url,
            env=self._env,
            sequence=sequence,
            issued_at=now,
            next_update=now + NEXT_UPDATE,
            directory=state.directory,
            keys=state.keys,
            compromises=state.compromises,
            before=before,
            root_version=root.version,
        )
        content = sign_general(typ=TRUST_LIST_TYP, payload=payload, signers=_list_signers(root_keys, root))
        document = SignedDocument(
            kind=DocumentKind.TRUST_LIST,
            sequence=sequence,
            content=content,
            sha256=sha256_hex(content),
            issued_at=now,
            expires_at=now + NEXT_UPDATE,
        )
        # With the eyes of everybody else, before anybody sees it: statements of compromised keys included.
        return document, TrustEvidence(root=root, trust_list=parse_trust_list(content, root=root), fresh=True)

    def _freshness_signer(self, trust_list: TrustList, keys: Sequence[ServiceKey], now: datetime) -> Signer:
        """Choose by the list about to be published: a statement about it must hold under it."""
        kid = signing_kid(trust_list, FRESHNESS, now=now)
        return self._keys.signer(next(key for key in keys if key.kid == kid))

    async def _apply(self, unit: UnitOfWork, changes: KeyChanges, *, issuer_url: str, at: datetime) -> None:
        audit = []
        for key in changes.added:
            await unit.keys.add(key)
            audit.append(make_audit(action="key.register", subject=key.kid, actor=ACTOR, at=at))
        for kid, valid_until in changes.ended.items():
            await unit.keys.end(kid, valid_until=valid_until)
            audit.append(make_audit(action="key.end", subject=kid, actor=ACTOR, at=at))
        for one in changes.compromised:
            await unit.keys.put_compromise(one)
            audit.append(make_audit(action="key.compromise", subject=one.kid, actor=ACTOR, at=at))
        if changes.generation is not None:
            await store_generation(unit, changes.generation, issuer_url=issuer_url, env=self._env, at=at)
        await unit.journal.add_audit(audit)

    async def _add(
        self,
        unit: UnitOfWork,
        document: SignedDocument,
        *,
        after: SignedDocument | None,
        issuer_url: str,
        at: datetime,
    ) -> None:
        """Store a document that follows another of its kind (None: the first), with its leaf and its audit entry."""
        previous, follows = (None, 0) if after is None else (after.sha256, after.sequence)
        await unit.documents.add(document, follows=follows)
        leaf = make_document_leaf(document, previous=previous, issuer_url=issuer_url, env=self._env, at=at)
        await unit.journal.add_leaves([leaf])
        action, subject = f"{document.kind.value}.publish", f"{document.kind.value}:{document.sequence}"
        await unit.journal.add_audit([make_audit(action=action, subject=subject, actor=ACTOR, at=at)])

    def _says_the_same(
        self, before: TrustList, root: TrustRoot, state: TrustState, *, issuer_url: str
    ) -> bool:
        """Tell whether the list in force says exactly what a new one would, its dates aside."""
        candidate = build_payload(
            issuer_url=issuer_url,
            env=self._env,
            sequence=before.sequence,
            issued_at=before.issued_at,
            next_update=before.next_update,
            directory=state.directory,
            keys=state.keys,
            compromises=state.compromises,
            before=before,
            root_version=root.version,
        )
        in_force = parse_general(before.raw, typ=TRUST_LIST_TYP, max_bytes=len(before.raw))
        return candidate == in_force.payload


async def read_state(unit: UnitOfWork) -> TrustState:
    """Read what the next list is made from."""
    return TrustState(
        await unit.documents.latest(DocumentKind.TRUST_ROOT),
        await unit.documents.latest(DocumentKind.TRUST_LIST),
        await read_directory(unit.directory),
        await unit.keys.all(),
        {one.kid: one for one in await unit.keys.compromises()},
        await unit.high_water.floors(),
    )


def _ended(key: ServiceKey, valid_until: datetime | None) -> ServiceKey:
    return key if valid_until is None else replace(key, valid_until=valid_until)


def _list_signers(root_keys: RootKeys, root: TrustRoot) -> Sequence[Signer]:
    wanted = {key.kid for key in root.list_keys}
    signers = [signer for signer in root_keys.list_signers() if signer.kid in wanted]
    if len(signers) < root.list_threshold:
        raise DomainError(
            "unavailable", f"{root.list_threshold} trust-list keys are needed, {len(signers)} are at hand"
        )
    return signers
