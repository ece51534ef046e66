"""The keys of the transparency logs and of their witnesses: made or registered in the key ceremony.

A log's key and its origin belong together: the origin is the key's name in every checkpoint, and a log whose key must
be given up goes on under the next origin. So a key and the head of its (empty) log are stored in one transaction.
"""

from datetime import datetime, timedelta

from app.domain.errors import ConcurrentChange, DomainError
from app.domain.events import LogName
from app.domain.key_history import NextGeneration
from app.domain.publication import DocumentKind, ServiceKey
from app.domain.transparency_log import (
    LogState,
    PublishedCheckpoint,
    generation_of,
    new_head,
    origin_of,
)
from app.ports import KeyMaker, Store, UnitOfWork
from app.services.journal_rows import make_audit
from app.services.key_register import LOG, RECEIPT_LOG, WITNESS, WITNESS_SCHEME, KeyRegister
from app.services.log_leaves import make_document_leaf
from app.services.log_memory import LogMemory
from app.services.signing_clock import SigningClock
from elicense.keys import PublicKey
from elicense.problems import FormatError
from elicense.signed_note import NOTE_KEY_COSIGNATURE, Checkpoint, parse_verifier_key, sign_note

PROFILE = "eddsa"
LOG_KEY_LIFETIME = timedelta(days=3652)
"""As long as a root's: whoever follows a log pins its key, and a new one means a new origin."""

USES = {LogName.REGISTER: LOG, LogName.RECEIPTS: RECEIPT_LOG}
_STEMS = {LogName.REGISTER: "log", LogName.RECEIPTS: "receipt-log"}
ACTOR = "keys"
_FILE = "file:"


class LogKeys:
    """Makes the keys of logs, registers those of witnesses."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        key_maker: KeyMaker,
        keys: KeyRegister,
        memory: LogMemory,
        env: str,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._key_maker = key_maker
        self._keys = keys
        self._memory = memory
        self._env = env

    async def ensure(self, *, issuer_url: str) -> list[str]:
        """Give each log that has no origin in force a key and its next origin; return the names of keys made now.

        An installation from before the logs gets its first ones here, and its trust documents of then become the
        first leaves. A log that a recovery has frozen goes on here, under an origin of which nothing was ever signed.
        """
        heads = await self._store.read(lambda unit: unit.transparency_log.heads())
        made = []
        for log in LogName:
            own = [head for head in heads if head.log is log]
            if any(head.state is LogState.OPEN for head in own):
                continue
            signed = self._memory.last_generation(origin_of(issuer_url, log, 1))
            last = max([signed, *(head.generation for head in own)])
            made.append(await self._begin(log, generation=last + 1, issuer_url=issuer_url))
        return made

    async def plan_next(
        self, log: LogName, *, origin: str, keep: Checkpoint | None, issuer_url: str
    ) -> tuple[ServiceKey | None, NextGeneration]:
        """Make the key under which a log goes on after one of its keys was lost, and say what becomes of `origin`.

        The old origin keeps `keep` (None: nothing) and is frozen; the next one begins empty, with a signed checkpoint,
        so that what names the log's newest state always has one to name. No key and no next origin where `origin` had
        been frozen before. Nothing is stored yet (`store_generation`).
        """
        held = await self._store.read(lambda unit: unit.transparency_log.open_head(log))
        if held is None or held.origin != origin:
            return None, NextGeneration(log=log, origin=origin, keep=keep)
        generation = max(held.generation, self._memory.last_generation(held.origin)) + 1
        now = self._signing_clock.signing_time()
        key = self._make(log, generation=generation, issuer_url=issuer_url, now=now)
        head = new_head(issuer_url, log, generation=generation, kid=key.kid)
        note = sign_note(head.checkpoint.text, name=head.origin, signer=self._keys.signer(key))
        first = PublishedCheckpoint(origin=head.origin, size=0, note=note, published_at=now)
        return key, NextGeneration(log=log, origin=origin, keep=keep, head=head, first=first)

    def make_successor(self, key: ServiceKey, *, count: int, valid_from: datetime) -> ServiceKey:
        """Make the next key of the same origin: the log goes on, and both keys sign while they overlap.

        `count` is how many keys the origin has had.
        """
        log = next(log for log, use in USES.items() if use == key.use)
        name = f"{_STEMS[log]}-{generation_of(str(key.origin))[1]}-{count + 1}"
        uri, public = self._key_maker.make_key(name, profile=PROFILE)
        return _log_key(key.use, public, uri=uri, valid_from=valid_from, origin=key.origin)

    async def add_witness(self, name: str, vkey: str) -> ServiceKey:
        """Register the key of a witness; it counts from the next trust list on.

        Raises DomainError `invalid_request` for a key that is none, is no cosignature key, or is named differently;
        `conflict` for a key that is known already, or a name that has a key in force.
        """
        try:
            named, kind, public = parse_verifier_key(vkey)
        except FormatError as error:
            raise DomainError("invalid_request", error.detail) from error
        if named != name:
            raise DomainError("invalid_request", f"this key is named {named}, not {name}")
        if kind != NOTE_KEY_COSIGNATURE:
            raise DomainError("invalid_request", "this is no cosignature/v1 key of a witness")
        now = self._signing_clock.signing_time()
        key = ServiceKey(
            kid=public.kid,
            use=WITNESS,
            profile=PROFILE,
            jwk=dict(public.jwk),
            authority_code=None,
            uri=f"{WITNESS_SCHEME}{name}",
            valid_from=now,
            valid_until=now + LOG_KEY_LIFETIME,
        )

        async def work(unit: UnitOfWork) -> None:
            lost = {one.kid for one in await unit.keys.compromises()}
            held = [one for one in await unit.keys.all() if one.uri == key.uri and one.kid not in lost]
            if any(now < one.valid_until for one in held):
                raise DomainError("conflict", f"witness {name} has a key already")
            await unit.keys.add(key)
            audit = make_audit(action="witness.register", subject=key.kid, actor=ACTOR, at=now)
            await unit.journal.add_audit([audit])

        await self._store.write(work)
        self._keys.forget()
        return key

    async def _begin(self, log: LogName, *, generation: int, issuer_url: str) -> str:
        now = self._signing_clock.signing_time()
        key = self._make(log, generation=generation, issuer_url=issuer_url, now=now)
        head = new_head(issuer_url, log, generation=generation, kid=key.kid)

        async def work(unit: UnitOfWork) -> None:
            await unit.keys.add(key)
            await unit.transparency_log.add_head(head)
            if log is LogName.REGISTER:
                await _add_documents_of_before(unit, issuer_url=issuer_url, env=self._env, at=now)
            audit = make_audit(action="key.register", subject=key.kid, actor=ACTOR, at=now)
            await unit.journal.add_audit([audit])

        await self._store.write(work)
        self._keys.forget()
        return key.uri.removeprefix(_FILE)

    def _make(self, log: LogName, *, generation: int, issuer_url: str, now: datetime) -> ServiceKey:
        # The file first: a key registered without its file could be listed and never used. A crash here leaves a
        # file that the next run finds by its name.
        uri, public = self._key_maker.make_key(f"{_STEMS[log]}-{generation}", profile=PROFILE)
        origin = origin_of(issuer_url, log, generation)
        return _log_key(USES[log], public, uri=uri, valid_from=now, origin=origin)


async def store_generation(
    unit: UnitOfWork, change: NextGeneration, *, issuer_url: str, env: str, at: datetime
) -> None:
    """Cut the old origin back and open the next one, whose key this transaction registers.

    Raises ConcurrentChange when the old one is smaller than what it is to keep.
    """
    held = await unit.transparency_log.head(change.origin)
    if held is None:
        raise ConcurrentChange("this log is not there")
    await unit.transparency_log.cut(held, change.keep)
    if change.head is None or change.first is None:
        return
    await unit.transparency_log.add_head(change.head)
    await unit.transparency_log.publish_empty(change.first)
    if change.log is LogName.REGISTER:
        await _add_documents_of_before(unit, issuer_url=issuer_url, env=env, at=at)


def _log_key(
    use: str, public: PublicKey, *, uri: str, valid_from: datetime, origin: str | None
) -> ServiceKey:
    return ServiceKey(
        kid=public.kid,
        use=use,
        profile=PROFILE,
        jwk=dict(public.jwk),
        authority_code=None,
        uri=uri,
        valid_from=valid_from,
        valid_until=valid_from + LOG_KEY_LIFETIME,
        origin=origin,
    )


async def _add_documents_of_before(unit: UnitOfWork, *, issuer_url: str, env: str, at: datetime) -> None:
    """Add leaves for trust documents that were published before there was a log."""
    leaves = []
    for kind in (DocumentKind.TRUST_ROOT, DocumentKind.TRUST_LIST):
        previous = None
        for document in await unit.documents.all(kind):
            leaf = make_document_leaf(document, previous=previous, issuer_url=issuer_url, env=env, at=at)
            previous = document.sha256
            if await unit.transparency_log.leaf_of(str(leaf.identifier), kind=leaf.kind) is None:
                leaves.append(leaf)
    await unit.journal.add_leaves(leaves)
