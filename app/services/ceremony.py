"""The key ceremony: the installation's identity, root, keys and trust lists. Only the `keys` commands run it.

Every step finds what an earlier run has done, so a ceremony that was cut off is simply run again: a key file written
without its row in the register is read and registered, a key registered without a trust list gets one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.domain.authority import AuthorityStatus
from app.domain.directory import Directory
from app.domain.errors import ConcurrentChange, DomainError
from app.domain.good_time import TOLERANCE
from app.domain.high_water import Floors
from app.domain.publication import DocumentKind, Installation, ServiceKey, SignedDocument
from app.domain.transparency_log import LogHead
from app.ports import KeyMaker, RootKeys, Store, UnitOfWork
from app.services.anchor import Anchor
from app.services.directory import read_directory
from app.services.freshness import FreshnessWriter
from app.services.journal_rows import make_audit
from app.services.key_register import CREDENTIAL, FRESHNESS, RECEIPT, STATUS, KeyRegister
from app.services.log_keys import LogKeys
from app.services.log_leaves import make_document_leaf
from app.services.signing_clock import SigningClock
from app.services.trust_list import TrustListService, read_evidence
from app.services.trust_list_builder import NEXT_UPDATE, build_payload
from app.services.write_guard import WriteGuard
from elicense.encoding import sha256_hex
from elicense.jws import parse_general, sign_general
from elicense.keys import Signer
from elicense.trust_list import TRUST_LIST_TYP, TrustList
from elicense.trust_root import TRUST_ROOT_TYP, TrustRoot, build_trust_root_payload, parse_trust_root

PROFILE = "es256"
ROOT_KEYS, ROOT_THRESHOLD = 3, 2
LIST_KEYS, LIST_THRESHOLD = 3, 2
ROOT_LIFETIME = timedelta(days=3652)
CREDENTIAL_KEY_LIFETIME = timedelta(days=3 * 365)
SERVICE_KEY_LIFETIME = timedelta(days=2 * 365)
RENEW_LIST_BEFORE = timedelta(days=14)
ACTOR = "keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class CeremonyOutcome:
    """What a ceremony left: names of keys made now, root version and trust list sequence in force."""

    made: tuple[str, ...]
    root_version: int
    trust_list_sequence: int


@dataclass(frozen=True, slots=True)
class _Documents:
    root: SignedDocument | None
    trust_list: SignedDocument | None


class CeremonyService:
    """Makes and registers keys, signs root and trust lists."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        key_maker: KeyMaker,
        keys: KeyRegister,
        trust_list: TrustListService,
        logs: LogKeys,
        guard: WriteGuard,
        anchor: Anchor,
        env: str,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._key_maker = key_maker
        self._keys = keys
        self._trust_list = trust_list
        self._logs = logs
        self._guard = guard
        self._anchor = anchor
        self._env = env

    async def init(self, *, root_keys: RootKeys, issuer_url: str) -> CeremonyOutcome:
        """Do whatever is missing, from the installation's first row to a current trust list; idempotent.

        Raises DomainError `conflict` when the database belongs to another issuer URL or environment,
        `invalid_request` without an issuer URL, `read_only` (allowed when the trust list is all that is missing).
        """
        with self._guard.opened_for_trust_list():
            return await self._init(root_keys, issuer_url=issuer_url)

    async def _init(self, root_keys: RootKeys, *, issuer_url: str) -> CeremonyOutcome:
        if not issuer_url:
            raise DomainError(
                "invalid_request", "the first init needs the issuer URL: set ELICENSE_ISSUER_URL"
            )
        await self._fix_installation(issuer_url)
        root = await self._ensure_root(root_keys, type_base=issuer_url)
        made = [
            *await self._ensure_service_keys(),
            *await self._logs.ensure(issuer_url=issuer_url),
            *await self._ensure_authority_keys(),
        ]
        trust_list = await self._ensure_trust_list(root_keys, root, issuer_url=issuer_url)
        return CeremonyOutcome(
            made=tuple(made), root_version=root.version, trust_list_sequence=trust_list.sequence
        )

    async def publish_trust_list(self, *, root_keys: RootKeys) -> SignedDocument:
        """Make keys for authorities, services and logs that have none and publish what directory and register now say.

        Publishes the list in force again only when nothing changed and it is not near its next update. Raises
        DomainError `unavailable` before `init`, or when too few trust-list keys are at hand; `read_only` (allowed
        when the trust list is all that is missing).
        """
        with self._guard.opened_for_trust_list():
            return await self._publish_trust_list(root_keys)

    async def _publish_trust_list(self, root_keys: RootKeys) -> SignedDocument:
        installation = await self._store.read(lambda unit: unit.installation.get())
        documents = await self._store.read(_documents)
        if installation is None or documents.root is None:
            raise DomainError("unavailable", "there is no trust root yet: run `elicense keys init`")
        await self._ensure_service_keys()
        await self._logs.ensure(issuer_url=installation.issuer_url)
        await self._ensure_authority_keys()
        root = parse_trust_root(documents.root.content)
        return await self._ensure_trust_list(root_keys, root, issuer_url=installation.issuer_url)

    async def add_witness(self, name: str, vkey: str, *, root_keys: RootKeys) -> SignedDocument:
        """Register a witness of the log and publish the list that names it.

        Raises as `LogKeys.add_witness` and `publish_trust_list`; what was registered before a list could be signed is
        in the next one.
        """
        self._guard.require_writable()
        await self._logs.add_witness(name, vkey)
        return await self.publish_trust_list(root_keys=root_keys)

    async def keys(self) -> Sequence[ServiceKey]:
        """Return every registered key (public parts)."""
        return await self._store.read(lambda unit: unit.keys.all())

    async def _fix_installation(self, issuer_url: str) -> None:
        wanted = Installation(
            issuer_url=issuer_url, env=self._env, created_at=self._signing_clock.signing_time()
        )

        async def work(unit: UnitOfWork) -> Installation:
            held = await unit.installation.get()
            if held is None:
                await unit.installation.create(wanted)
            return held or wanted

        held = await self._store.write(work)
        if (held.issuer_url, held.env) != (issuer_url, self._env):
            raise DomainError(
                "conflict", f"this database belongs to {held.issuer_url} ({held.env}) since its first init"
            )

    async def _ensure_root(self, root_keys: RootKeys, *, type_base: str) -> TrustRoot:
        documents = await self._store.read(_documents)
        if documents.root is None:
            content = self._sign_root(root_keys, type_base=type_base)
            root = parse_trust_root(content)
            document = SignedDocument(
                kind=DocumentKind.TRUST_ROOT,
                sequence=root.version,
                content=content,
                sha256=root.sha256,
                issued_at=self._signing_clock.signing_time(),
                expires_at=root.expires,
            )
            await self._add(document, previous=None, follows=0, issuer_url=type_base)
            return root
        return parse_trust_root(documents.root.content)

    def _sign_root(self, root_keys: RootKeys, *, type_base: str) -> bytes:
        root_signers = root_keys.make_root_keys(ROOT_KEYS, profile=PROFILE)
        list_signers = root_keys.make_list_keys(LIST_KEYS, profile=PROFILE)
        payload = build_trust_root_payload(
            env=self._env,
            version=1,
            root_keys=[signer.public_key for signer in root_signers],
            root_threshold=ROOT_THRESHOLD,
            list_keys=[signer.public_key for signer in list_signers],
            list_threshold=LIST_THRESHOLD,
            expires=self._signing_clock.signing_time() + ROOT_LIFETIME,
            type_base=type_base,
        )
        return sign_general(typ=TRUST_ROOT_TYP, payload=payload, signers=root_signers)

    async def _ensure_service_keys(self) -> list[str]:
        made = []
        for use in (STATUS, RECEIPT, FRESHNESS):
            name = await self._ensure_key(use, None, stem=use, lifetime=SERVICE_KEY_LIFETIME)
            made += [name] if name is not None else []
        return made

    async def _ensure_authority_keys(self) -> list[str]:
        directory = await self._store.read(lambda unit: read_directory(unit.directory))
        made = []
        for authority in directory.authorities.values():
            if authority.status is AuthorityStatus.ACTIVE:
                stem = f"authority-{authority.code.lower()}"
                name = await self._ensure_key(
                    CREDENTIAL, authority.code, stem=stem, lifetime=CREDENTIAL_KEY_LIFETIME
                )
                made += [name] if name is not None else []
        return made

    async def _ensure_key(
        self, use: str, authority_code: str | None, *, stem: str, lifetime: timedelta
    ) -> str | None:
        now = self._signing_clock.signing_time()
        own = [key for key in await self.keys() if key.use == use and key.authority_code == authority_code]
        if any(key.valid_from <= now < key.valid_until for key in own):
            return None
        name = f"{stem}-{len(own) + 1}"
        # The file first: a key registered without its file could be listed and never used.
        uri, public = self._key_maker.make_key(name, profile=PROFILE)
        key = ServiceKey(
            kid=public.kid,
            use=use,
            profile=PROFILE,
            jwk=dict(public.jwk),
            authority_code=authority_code,
            uri=uri,
            valid_from=now,
            valid_until=now + lifetime,
        )

        async def work(unit: UnitOfWork) -> None:
            await unit.keys.add(key)
            await unit.journal.add_audit(
                [make_audit(action="key.register", subject=key.kid, actor=ACTOR, at=now)]
            )

        await self._store.write(work)
        self._keys.forget()
        return name

    async def _ensure_trust_list(
        self, root_keys: RootKeys, root: TrustRoot, *, issuer_url: str
    ) -> SignedDocument:
        now = self._signing_clock.signing_time()
        documents, directory, keys, logs, floors = await self._store.read(_everything)
        before = None
        if documents.root is not None and documents.trust_list is not None:
            before = read_evidence(documents.root, documents.trust_list).trust_list
            unchanged = _same_content(
                before,
                root,
                issuer_url=issuer_url,
                env=self._env,
                directory=directory,
                keys=keys,
                logs=logs,
            )
            # One from the future was signed under a clock that was wrong; one below its floor was followed by others.
            current = before.issued_at <= now + TOLERANCE and before.sequence >= floors.trust_list
            if unchanged and current and now < before.next_update - RENEW_LIST_BEFORE:
                return documents.trust_list
        follows = before.sequence if before is not None else 0
        sequence = max(follows, floors.trust_list) + 1
        payload = build_payload(
            issuer_url=issuer_url,
            env=self._env,
            sequence=sequence,
            issued_at=now,
            next_update=now + NEXT_UPDATE,
            directory=directory,
            keys=keys,
            logs=logs,
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
        previous = before.sha256 if before is not None else None
        await self._add(document, previous=previous, follows=follows, issuer_url=issuer_url)
        return document

    async def _add(
        self, document: SignedDocument, *, previous: str | None, follows: int, issuer_url: str
    ) -> None:
        """Store a document with its leaf; a trust list together with the freshness statement that names it."""
        await self._anchor.settle()
        now = self._signing_clock.signing_time()
        leaf = make_document_leaf(document, previous=previous, issuer_url=issuer_url, env=self._env, at=now)
        signer: Signer | None = None
        if document.kind is DocumentKind.TRUST_LIST:
            signer = self._keys.signer(await self._keys.current(FRESHNESS, now=now))

        async def work(unit: UnitOfWork) -> int:
            await unit.documents.add(document, follows=follows)
            await unit.journal.add_leaves([leaf])
            freshness = 0
            if signer is not None:
                writer = FreshnessWriter(issuer_url=issuer_url, env=self._env)
                freshness = await writer.add(unit, signer=signer, now=now)
            action, subject = f"{document.kind.value}.publish", f"{document.kind.value}:{document.sequence}"
            await unit.journal.add_audit([make_audit(action=action, subject=subject, actor=ACTOR, at=now)])
            return freshness

        try:
            freshness = await self._store.write(work)
        except ConcurrentChange as error:
            raise DomainError("conflict", "another publication was faster; run the command again") from error
        self._trust_list.forget()
        if document.kind is DocumentKind.TRUST_LIST:
            await self._anchor.remember(trust_list_sequence=document.sequence, freshness_sequence=freshness)
        else:
            await self._anchor.remember(trust_root_version=document.sequence)


async def _documents(unit: UnitOfWork) -> _Documents:
    return _Documents(
        await unit.documents.latest(DocumentKind.TRUST_ROOT),
        await unit.documents.latest(DocumentKind.TRUST_LIST),
    )


async def _everything(
    unit: UnitOfWork,
) -> tuple[_Documents, Directory, Sequence[ServiceKey], Sequence[LogHead], Floors]:
    return (
        await _documents(unit),
        await read_directory(unit.directory),
        await unit.keys.all(),
        await unit.transparency_log.heads(),
        await unit.high_water.floors(),
    )


def _same_content(
    before: TrustList,
    root: TrustRoot,
    *,
    issuer_url: str,
    env: str,
    directory: Directory,
    keys: Sequence[ServiceKey],
    logs: Sequence[LogHead],
) -> bool:
    """Tell whether the list in force says exactly what a new one would, its dates aside."""
    candidate = build_payload(
        issuer_url=issuer_url,
        env=env,
        sequence=before.sequence,
        issued_at=before.issued_at,
        next_update=before.next_update,
        directory=directory,
        keys=keys,
        logs=logs,
        before=before,
        root_version=root.version,
    )
    in_force = parse_general(before.raw, typ=TRUST_LIST_TYP, max_bytes=len(before.raw))
    return candidate == in_force.payload


def _list_signers(root_keys: RootKeys, root: TrustRoot) -> Sequence[Signer]:
    wanted = {key.kid for key in root.list_keys}
    signers = [signer for signer in root_keys.list_signers() if signer.kid in wanted]
    if len(signers) < root.list_threshold:
        raise DomainError(
            "unavailable", f"{root.list_threshold} trust-list keys are needed, {len(signers)} are at hand"
        )
    return signers
