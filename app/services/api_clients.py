"""API clients and their keys: `elk_live_<handle>_<secret>`, of which only a digest is kept."""

import hmac
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.api_client import (
    DEFAULT_SCOPES,
    RELYING_PARTIES,
    ApiClient,
    ApiKey,
    ClientKind,
    ClientWithKeys,
    Scope,
)
from app.domain.errors import DomainError, FieldError, NotFound
from app.domain.ids import ClientId, new_id, new_public_handle, new_secret
from app.domain.license import stored_holder_code
from app.domain.verification import PURPOSES
from app.ports import Clock, Store, UnitOfWork
from app.services.journal_rows import make_audit
from elicense.encoding import sha256_hex

PREFIX = "elk_live_"
OTHER_PREFIX = "elk_test_"
CACHE_AGE = timedelta(seconds=1)
_CACHE_SIZE = 4096
_KEY = re.compile(r"elk_(live|test)_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_DEFAULT_PURPOSE = {ClientKind.BANK: "account_opening"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """The client a key belongs to, and the public handle of the key."""

    client: ApiClient
    handle: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key just made. `secret` is its whole text: shown once, stored nowhere."""

    client: ApiClient
    key: ApiKey
    secret: str


class ApiClientService:
    """Knows who calls, and manages clients."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        # By digest of the secret, so that no secret stays in memory; at most a second old, so that a revoked key
        # stops within one.
        self._recent: OrderedDict[str, tuple[datetime, Authenticated]] = OrderedDict()

    async def authenticate(self, bearer: str) -> Authenticated:
        """Return whose key this is.

        Raises DomainError unauthenticated, wrong_environment, key_revoked, key_expired; all of them 401. The last two
        are told only to who knows the secret.
        """
        found = _KEY.fullmatch(bearer)
        if found is None:
            raise DomainError("unauthenticated", "this is no API key")
        if found[1] != "live":
            raise DomainError("wrong_environment", "sandbox keys are not accepted here")
        digest, now = sha256_hex(bearer.encode("ascii")), self._clock.now()
        recent = self._recent.get(digest)
        if recent is not None and abs(now - recent[0]) < CACHE_AGE:
            return recent[1]
        handle = found[2]
        held = await self._store.read(lambda unit: unit.api_clients.by_handle(handle))
        # Compared in constant time, and against something even when the handle is unknown.
        expected = held[1].secret_sha256 if held is not None else sha256_hex(b"no such key")
        if not hmac.compare_digest(expected, digest) or held is None:
            raise DomainError("unauthenticated", "this API key is not known")
        client, key = held
        if client.revoked_at is not None or key.revoked_at is not None:
            raise DomainError("key_revoked", "this API key was revoked")
        if key.expires_at is not None and now >= key.expires_at:
            raise DomainError("key_expired", "this API key has expired")
        authenticated = Authenticated(client=client, handle=handle)
        self._recent[digest] = (now, authenticated)
        self._recent.move_to_end(digest)
        if len(self._recent) > _CACHE_SIZE:
            self._recent.popitem(last=False)
        return authenticated

    async def create(
        self,
        *,
        name: str,
        kind: ClientKind,
        authority_code: str | None = None,
        holder_code: str | None = None,
        scopes: Iterable[Scope] | None = None,
        purposes: Sequence[str] | None = None,
        default_purpose: str | None = None,
        calls_per_minute: int = 2000,
        batch_limit: int = 1000,
        actor: str,
    ) -> NewKey:
        """Create a client with its first key.

        Raises DomainError `conflict` for a name in use, `invalid_request` for a binding, scope or purpose that does
        not fit the kind.
        """
        allowed = tuple(purposes) if purposes is not None else tuple(PURPOSES)
        client = ApiClient(
            id=ClientId(new_id()),
            name=name,
            kind=kind,
            authority_code=authority_code,
            holder_code=None if holder_code is None else stored_holder_code(holder_code),
            scopes=frozenset(scopes) if scopes is not None else DEFAULT_SCOPES[kind],
            purposes=allowed if kind in RELYING_PARTIES else (),
            default_purpose=default_purpose or _default_purpose(kind, allowed),
            calls_per_minute=calls_per_minute,
            batch_limit=batch_limit,
            created_at=self._clock.now(),
        )
        _require_sound(client)
        key, secret = self._make_key(client)

        async def work(unit: UnitOfWork) -> None:
            if await unit.api_clients.by_name(name) is not None:
                raise DomainError("conflict", "a client of this name exists")
            if authority_code is not None:
                codes = {authority.code for authority in await unit.directory.authorities()}
                if authority_code not in codes:
                    raise _invalid("/authority_code", "names no defined authority")
            await unit.api_clients.add(client)
            await unit.api_clients.add_key(key)
            await self._audit(unit, "client.create", client, actor)

        await self._store.write(work)
        return NewKey(client=client, key=key, secret=secret)

    async def list(self) -> Sequence[ClientWithKeys]:
        """Return all clients with their keys, no secrets."""
        return await self._store.read(lambda unit: unit.api_clients.all())

    async def rotate(self, name: str, *, overlap: timedelta = timedelta(hours=24), actor: str) -> NewKey:
        """Give a client another key; its earlier ones end after `overlap`. Raises NotFound, `conflict` if revoked."""

        async def work(unit: UnitOfWork) -> NewKey:
            client = await _by_name(unit, name)
            if client.revoked_at is not None:
                raise DomainError("conflict", "this client was revoked")
            key, secret = self._make_key(client)
            await unit.api_clients.add_key(key)
            await unit.api_clients.expire_keys(
                client.id, expires_at=self._clock.now() + overlap, except_handle=key.handle
            )
            await self._audit(unit, "client.rotate", client, actor)
            return NewKey(client=client, key=key, secret=secret)

        made = await self._store.write(work)
        self._recent.clear()
        return made

    async def revoke(self, name: str, *, actor: str) -> ApiClient:
        """Revoke a client and every key of it, within a second everywhere. Raises NotFound."""

        async def work(unit: UnitOfWork) -> ApiClient:
            client = await _by_name(unit, name)
            if await unit.api_clients.revoke(client.id, at=self._clock.now()):
                await self._audit(unit, "client.revoke", client, actor)
            return await unit.api_clients.get(client.id) or client

        revoked = await self._store.write(work)
        self._recent.clear()
        return revoked

    def _make_key(self, client: ApiClient) -> tuple[ApiKey, str]:
        handle = new_public_handle()
        secret = f"{PREFIX}{handle}_{new_secret()}"
        key = ApiKey(
            handle=handle,
            client_id=client.id,
            secret_sha256=sha256_hex(secret.encode("ascii")),
            prefix=PREFIX,
            created_at=self._clock.now(),
        )
        return key, secret

    async def _audit(self, unit: UnitOfWork, action: str, client: ApiClient, actor: str) -> None:
        entry = make_audit(action=action, subject=client.id, actor=actor, at=self._clock.now())
        await unit.journal.add_audit([entry])


async def _by_name(unit: UnitOfWork, name: str) -> ApiClient:
    client = await unit.api_clients.by_name(name)
    if client is None:
        raise NotFound("client")
    return client


def _default_purpose(kind: ClientKind, allowed: Sequence[str]) -> str:
    wanted = _DEFAULT_PURPOSE.get(kind, "merchant_onboarding")
    return wanted if wanted in allowed or not allowed else allowed[0]


def _require_sound(client: ApiClient) -> None:
    if not client.name.strip() or len(client.name) > 100:
        raise _invalid("/name", "must have 1 to 100 characters")
    if (client.kind is ClientKind.AUTHORITY) != (client.authority_code is not None):
        raise _invalid("/authority_code", "belongs to clients of kind authority, and only to them")
    if (client.kind is ClientKind.HOLDER) != (client.holder_code is not None):
        raise _invalid("/holder_code", "belongs to clients of kind holder, and only to them")
    if not client.scopes or not client.scopes <= DEFAULT_SCOPES[client.kind]:
        raise _invalid("/scopes", f"must be among those of kind {client.kind}")
    if unknown := set(client.purposes) - set(PURPOSES):
        raise _invalid("/purposes", f"unknown: {', '.join(sorted(unknown))}")
    if client.kind in RELYING_PARTIES and client.default_purpose not in client.purposes:
        raise _invalid("/default_purpose", "must be one of the client's purposes")
    if not 1 <= client.calls_per_minute <= 1_000_000 or not 1 <= client.batch_limit <= 1000:
        raise _invalid("/quotas", "calls a minute 1 to 1000000, batch 1 to 1000")


def _invalid(pointer: str, detail: str) -> DomainError:
    return DomainError("invalid_request", detail, errors=[FieldError(pointer, detail)])
