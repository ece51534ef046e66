"""The public keys of authorities and services: which of them signs now.

What signs is decided by the published trust list, never by the register alone: a key signs only when the list names it,
in its window there, and not as compromised. So nothing is ever signed that a reader of the list would have to refuse,
and every process changes keys at the moment the list says.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.errors import ConcurrentChange, DomainError
from app.domain.publication import ServiceKey
from app.ports import Clock, Signers, Store, UnitOfWork
from app.services.recent import Recent
from app.services.trust_list import TrustListService
from elicense.evidence import TrustEvidence
from elicense.keys import PublicKey, Signer
from elicense.trust_list import AuthorityKey, Service, TrustList

CREDENTIAL = "credential"
STATUS = "status"
RECEIPT = "receipt"
FRESHNESS = "freshness"
LOG = "log"
RECEIPT_LOG = "receipt_log"
WITNESS = "witness"
WITNESS_SCHEME = "witness:"
"""Where a witness's private key lives: with the witness. What follows is its name."""


@dataclass(frozen=True, slots=True)
class _Held:
    keys: Mapping[str, ServiceKey]
    compromised: frozenset[str]


class KeyRegister:
    """The registered keys, at most a second old, and the way to the private part of each."""

    def __init__(self, store: Store, clock: Clock, signers: Signers, trust_list: TrustListService) -> None:
        self._store = store
        self._signers = signers
        self._trust_list = trust_list
        self._recent: Recent[_Held] = Recent(clock, self._load)
        self._public: dict[str, PublicKey] = {}

    async def current(
        self,
        use: str,
        *,
        now: datetime,
        authority_code: str | None = None,
        trust: TrustEvidence | None = None,
    ) -> ServiceKey:
        """Return the key that signs now: of those the trust list names and that are in their window, the newest.

        `trust` is the list to go by where the caller goes by one already, else the published one. Raises DomainError
        `unavailable` when there is none.
        """
        listed = (trust or await self._trust_list.evidence()).trust_list
        key = await self.by_kid(signing_kid(listed, use, now=now, authority_code=authority_code))
        if key is None:
            raise DomainError("unavailable", f"the {use} key of the trust list is not registered here")
        return key

    async def by_kid(self, kid: str) -> ServiceKey | None:
        """Return a registered key by its id; one that was registered this very second is found, too."""
        found = (await self._recent.get()).keys.get(kid)
        if found is None:
            self._recent.forget()
            found = (await self._recent.get()).keys.get(kid)
        return found

    async def of_log(self, origin: str, *, now: datetime) -> Sequence[ServiceKey]:
        """Return the keys that sign the checkpoints of a log now, in a fixed order: several while one follows another.

        A log's key is listed in the transaction that registers it, and begins later; so the register tells.
        """
        found = _keys_of(await self._recent.get(), origin, now)
        if not found:
            self._recent.forget()
            found = _keys_of(await self._recent.get(), origin, now)
        return found

    async def witnesses(self, *, now: datetime) -> Mapping[str, PublicKey]:
        """Return the keys of the witnesses registered now, by their names; compromised ones count no more."""
        held = await self._recent.get()
        return {
            key.uri.removeprefix(WITNESS_SCHEME): self.public_key(key)
            for key in held.keys.values()
            if key.use == WITNESS and key.in_window(now) and key.kid not in held.compromised
        }

    async def all_witnesses(self) -> Sequence[tuple[str, PublicKey]]:
        """Return name and key of all witnesses ever registered, retired ones included; a name may have several keys."""
        held = await self._recent.get()
        return [
            (key.uri.removeprefix(WITNESS_SCHEME), self.public_key(key))
            for key in sorted(held.keys.values(), key=lambda key: (key.valid_from, key.kid))
            if key.use == WITNESS
        ]

    def signer(self, key: ServiceKey) -> Signer:
        """Return the signer of a key. Raises DomainError `unavailable` when its private part is not here."""
        return self._signers.signer(key)

    def public_key(self, key: ServiceKey) -> PublicKey:
        """Return the registered public key, parsed once; never taken from the private part."""
        found = self._public.get(key.kid)
        if found is None:
            found = self._public[key.kid] = PublicKey.from_jwk(key.jwk, profile=key.profile)
        return found

    def forget(self) -> None:
        """Read keys and trust list anew at the next use."""
        self._recent.forget()
        self._trust_list.forget()

    async def _load(self, held: _Held | None) -> _Held:
        async def work(unit: UnitOfWork) -> _Held:
            keys = {key.kid: key for key in await unit.keys.all()}
            return _Held(keys, frozenset(one.kid for one in await unit.keys.compromises()))

        return await self._store.read(work)


def signing_kid(trust_list: TrustList, use: str, *, now: datetime, authority_code: str | None = None) -> str:
    """Return the id of the key that signs now according to a trust list; of several the one that began last.

    Raises DomainError `unavailable` when it names none.
    """
    entries: Iterable[AuthorityKey | Service]
    if use == CREDENTIAL:
        authority = trust_list.authorities.get(authority_code or "")
        entries = () if authority is None else authority.keys
    else:
        entries = (service for service in trust_list.services if service.use == use)
    good = [entry for entry in entries if entry.compromised is None and entry.valid_at(now)]
    if not good:
        raise DomainError("unavailable", f"the trust list names no {use} key that may sign now")
    return max(good, key=lambda entry: (entry.valid_from, entry.key.kid)).key.kid


async def require_sound(unit: UnitOfWork, *kids: str) -> None:
    """Raise ConcurrentChange when a key was declared compromised by now, as this transaction sees it.

    What is published with a key stays in force for an hour or more, so it is not enough that the key was good a moment
    ago: whoever publishes asks again where it commits.
    """
    if any(one.kid in kids for one in await unit.keys.compromises()):
        raise ConcurrentChange("the key was declared compromised meanwhile")


def _keys_of(held: _Held, origin: str, now: datetime) -> Sequence[ServiceKey]:
    own = [
        key
        for key in held.keys.values()
        if key.origin == origin and key.in_window(now) and key.kid not in held.compromised
    ]
    return sorted(own, key=lambda key: (key.valid_from, key.kid))
