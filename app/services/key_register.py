"""The public keys of authorities and services: which of them signs now."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from app.domain.errors import DomainError
from app.domain.publication import ServiceKey
from app.ports import Clock, Signers, Store, UnitOfWork
from app.services.recent import Recent
from elicense.keys import PublicKey, Signer

CREDENTIAL = "credential"
STATUS = "status"
RECEIPT = "receipt"
FRESHNESS = "freshness"
LOG = "log"
RECEIPT_LOG = "receipt_log"
WITNESS = "witness"
WITNESS_SCHEME = "witness:"
"""Where a witness's private key lives: with the witness. What follows is its name."""


class KeyRegister:
    """The registered keys, at most a second old, and the way to the private part of each."""

    def __init__(self, store: Store, clock: Clock, signers: Signers) -> None:
        self._store = store
        self._signers = signers
        self._recent: Recent[Mapping[str, ServiceKey]] = Recent(clock, self._load)
        self._public: dict[str, PublicKey] = {}

    async def current(self, use: str, *, now: datetime, authority_code: str | None = None) -> ServiceKey:
        """Return the key that signs now: of those in their window the one that began last.

        Raises DomainError `unavailable` when there is none.
        """
        keys = [
            key
            for key in (await self._recent.get()).values()
            if key.use == use
            and key.authority_code == authority_code
            and key.valid_from <= now < key.valid_until
        ]
        if not keys:
            raise DomainError("unavailable", f"there is no {use} key in its validity period")
        return max(keys, key=lambda key: (key.valid_from, key.kid))

    async def by_kid(self, kid: str) -> ServiceKey | None:
        """Return a registered key by its id."""
        return (await self._recent.get()).get(kid)

    async def witnesses(self, *, now: datetime) -> Mapping[str, PublicKey]:
        """Return the keys of the witnesses registered now, by their names."""
        return {
            key.uri.removeprefix(WITNESS_SCHEME): self.public_key(key)
            for key in (await self._recent.get()).values()
            if key.use == WITNESS and key.valid_from <= now < key.valid_until
        }

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
        """Read anew at the next use."""
        self._recent.forget()

    async def _load(self, held: Mapping[str, ServiceKey] | None) -> Mapping[str, ServiceKey]:
        async def work(unit: UnitOfWork) -> Sequence[ServiceKey]:
            return await unit.keys.all()

        return {key.kid: key for key in await self._store.read(work)}
