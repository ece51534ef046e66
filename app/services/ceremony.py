"""The key ceremony: the installation's identity, root, keys and trust lists. Only the `keys` commands run it.

Every step finds what an earlier run has done, so a ceremony that was cut off is simply run again: a key file written
without its row in the register is read and registered, a key registered without a trust list gets one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.authority import AuthorityStatus
from app.domain.errors import DomainError, NotFound
from app.domain.key_history import KeyChanges
from app.domain.publication import DocumentKind, Installation, ServiceKey, SignedDocument
from app.ports import KeyMaker, RootKeys, Store, UnitOfWork
from app.services.directory import read_directory
from app.services.journal_rows import make_audit
from app.services.key_making import PROFILE, make_service_key
from app.services.key_register import CREDENTIAL, FRESHNESS, RECEIPT, STATUS, WITNESS_SCHEME, KeyRegister
from app.services.log_keys import LogKeys
from app.services.signing_clock import SigningClock
from app.services.trust_publication import TrustPublisher, TrustState
from app.services.write_guard import WriteGuard
from elicense.jws import sign_general
from elicense.trust_root import TRUST_ROOT_TYP, TrustRoot, build_trust_root_payload, parse_trust_root

ROOT_KEYS, ROOT_THRESHOLD = 3, 2
LIST_KEYS, LIST_THRESHOLD = 3, 2
ROOT_LIFETIME = timedelta(days=3652)
ACTOR = "keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class CeremonyOutcome:
    """What a ceremony left: names of keys made now, root and trust list in force with their SHA-256 in hex."""

    made: tuple[str, ...]
    root_version: int
    root_sha256: str
    trust_list_sequence: int
    trust_list_sha256: str


class CeremonyService:
    """Makes and registers keys, signs root and trust lists."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        key_maker: KeyMaker,
        keys: KeyRegister,
        publisher: TrustPublisher,
        logs: LogKeys,
        guard: WriteGuard,
        env: str,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._key_maker = key_maker
        self._keys = keys
        self._publisher = publisher
        self._logs = logs
        self._guard = guard
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
        trust_list = await self._publisher.publish(root_keys=root_keys, issuer_url=issuer_url)
        return CeremonyOutcome(
            made=tuple(made),
            root_version=root.version,
            root_sha256=root.sha256,
            trust_list_sequence=trust_list.sequence,
            trust_list_sha256=trust_list.sha256,
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
        if installation is None or await self._store.read(_latest_root) is None:
            raise DomainError("unavailable", "there is no trust root yet: run `elicense keys init`")
        await self._ensure_service_keys()
        await self._logs.ensure(issuer_url=installation.issuer_url)
        await self._ensure_authority_keys()
        return await self._publisher.publish(root_keys=root_keys, issuer_url=installation.issuer_url)

    async def add_witness(self, name: str, vkey: str, *, root_keys: RootKeys) -> SignedDocument:
        """Register a witness of the log and publish the list that names it.

        Raises as `LogKeys.add_witness` and `publish_trust_list`; what was registered before a list could be signed is
        in the next one.
        """
        self._guard.require_writable()
        await self._logs.add_witness(name, vkey)
        return await self.publish_trust_list(root_keys=root_keys)

    async def retire_witness(self, name: str, *, root_keys: RootKeys) -> SignedDocument:
        """End the window of a witness's key now and publish the list that says so.

        It cosigns nothing more here; what it cosigned before keeps its worth. The name may get another key then.
        Raises NotFound for a name without a key in force, else as `publish_trust_list` and `conflict` when other
        publications were faster again and again.
        """
        self._guard.require_writable()
        installation = await self._store.read(lambda unit: unit.installation.get())
        if installation is None:
            raise DomainError("unavailable", "there is no trust root yet: run `elicense keys init`")

        async def plan(state: TrustState, now: datetime) -> KeyChanges:
            uri = f"{WITNESS_SCHEME}{name}"
            ended = {key.kid: now for key in state.keys if key.uri == uri and key.in_window(now)}
            if not ended:
                raise NotFound("witness with a key in force")
            return KeyChanges(ended=ended)

        return await self._publisher.publish(
            root_keys=root_keys, issuer_url=installation.issuer_url, plan=plan
        )

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
        held = await self._store.read(_latest_root)
        if held is None:
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
            await self._publisher.add_root(document, issuer_url=type_base)
            return root
        return parse_trust_root(held.content)

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
            name = await self._ensure_key(use, None)
            made += [name] if name is not None else []
        return made

    async def _ensure_authority_keys(self) -> list[str]:
        directory = await self._store.read(lambda unit: read_directory(unit.directory))
        made = []
        for authority in directory.authorities.values():
            if authority.status is AuthorityStatus.ACTIVE:
                name = await self._ensure_key(CREDENTIAL, authority.code)
                made += [name] if name is not None else []
        return made

    async def _ensure_key(self, use: str, authority_code: str | None) -> str | None:
        now = self._signing_clock.signing_time()
        own, lost = await self._store.read(lambda unit: _own_keys(unit, use, authority_code))
        if any(key.in_window(now) and key.kid not in lost for key in own):
            return None
        # It signs once the list names it.
        key = make_service_key(
            self._key_maker, use=use, authority_code=authority_code, number=len(own) + 1, valid_from=now
        )

        async def work(unit: UnitOfWork) -> None:
            await unit.keys.add(key)
            await unit.journal.add_audit(
                [make_audit(action="key.register", subject=key.kid, actor=ACTOR, at=now)]
            )

        await self._store.write(work)
        self._keys.forget()
        return key.uri.partition(":")[2]


async def _latest_root(unit: UnitOfWork) -> SignedDocument | None:
    return await unit.documents.latest(DocumentKind.TRUST_ROOT)


async def _own_keys(
    unit: UnitOfWork, use: str, authority_code: str | None
) -> tuple[list[ServiceKey], frozenset[str]]:
    keys = [one for one in await unit.keys.all() if (one.use, one.authority_code) == (use, authority_code)]
    return keys, frozenset(one.kid for one in await unit.keys.compromises())
