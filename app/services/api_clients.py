"""API clients and their keys: `elk_live_<handle>_<secret>` (`elk_test_…` in a sandbox); only a digest is kept."""

import asyncio
import hmac
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from weakref import WeakValueDictionary

from app.domain.address import MOST_NETWORKS, parse_networks
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
from app.domain.holder_codes import any_code_problem
from app.domain.ids import ClientId, new_id, new_public_handle, new_secret
from app.domain.license import stored_holder_code
from app.domain.plan import CUSTOM_PLAN, STANDARD_PLAN, require_sound_quotas
from app.domain.purpose import PURPOSES
from app.ports import Clock, Store, UnitOfWork
from app.services.journal_rows import make_audit
from app.services.named import client_named, plan_named
from app.services.once import Once, write_once
from elicense.encoding import sha256_hex

LIVE_MODE: Final = "live"
TEST_MODE: Final = "test"
"""Which keys an installation makes and takes: `elk_live_…`, or `elk_test_…` in a sandbox."""
CACHE_AGE = timedelta(seconds=1)
_CACHE_SIZE = 4096
ACCESS_MARK = "elk_at_"
MOST_LIVE_KEYS = 2
_KEY = re.compile(r"elk_(live|test)_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_TOKEN = re.compile(r"elk_at_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DEFAULT_PURPOSE = {ClientKind.BANK: "account_opening"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """The client a key or access token belongs to, the public handle of it, and what it may do.

    `kid` names the registered public key that an access token was got with; None for an API key.
    """

    client: ApiClient
    handle: str
    scopes: frozenset[Scope]
    kid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key just made. `secret` is its whole text: shown once, stored nowhere."""

    client: ApiClient
    key: ApiKey
    secret: str = field(repr=False)


class ApiClientService:
    """Knows who calls, and manages clients."""

    def __init__(self, store: Store, clock: Clock, *, mode: str = LIVE_MODE) -> None:
        """Keep clients in the store; `mode` is `live` or `test`, and keys of the other one are refused."""
        self._store = store
        self._clock = clock
        self._mode = mode
        self._prefix = f"elk_{mode}_"
        # By digest of the secret, so that no secret stays in memory; at most a second old, so that a revoked key
        # stops within one.
        self._recent: OrderedDict[str, tuple[datetime, Authenticated]] = OrderedDict()
        # Held while somebody waits, and gone with the last of them.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def authenticate(self, bearer: str) -> Authenticated:
        """Return whose API key or access token this is.

        Raises DomainError unauthenticated, wrong_environment, key_revoked, key_expired; all of them 401. The last two
        are told only to who knows the secret.
        """
        digest, now = sha256_hex(bearer.encode("ascii")), self._clock.now()
        recent = self._recent.get(digest)
        if recent is not None and abs(now - recent[0]) < CACHE_AGE:
            return recent[1]  # only what stood all checks of its form is there
        found, token = _KEY.fullmatch(bearer), _TOKEN.fullmatch(bearer)
        if found is None and token is None:
            raise DomainError("unauthenticated", "this is no API key and no access token")
        if found is not None and found[1] != self._mode:
            raise DomainError(
                "wrong_environment", f"only keys that begin with {self._prefix} are accepted here"
            )
        # One call looks, and those that came with the same key meanwhile find what it found.
        async with self._turns.setdefault(digest, asyncio.Lock()):
            recent, now = self._recent.get(digest), self._clock.now()
            if recent is not None and abs(now - recent[0]) < CACHE_AGE:
                return recent[1]
            authenticated = (
                await self._by_key(found[2], digest, now=now)
                if found is not None
                else await self._by_token(token[1] if token is not None else "", digest, now=now)
            )
            self._recent[digest] = (now, authenticated)
            self._recent.move_to_end(digest)
            if len(self._recent) > _CACHE_SIZE:
                self._recent.popitem(last=False)
            return authenticated

    async def _by_key(self, handle: str, digest: str, *, now: datetime) -> Authenticated:
        held = await self._store.read(lambda unit: unit.api_clients.by_handle(handle))
        # Compared in constant time, and against something even when the handle is unknown.
        expected = held[1].secret_sha256 if held is not None else sha256_hex(b"no such key")
        if not hmac.compare_digest(expected, digest) or held is None:
            raise DomainError("unauthenticated", "this API key is not known")
        client, key = held
        if client.revoked_at is not None or key.revoked_at is not None:
            raise DomainError("key_revoked", "this API key was revoked")
        if not key.is_live(now):
            raise DomainError("key_expired", "this API key has expired")
        return Authenticated(client=client, handle=handle, scopes=client.scopes)

    async def _by_token(self, handle: str, digest: str, *, now: datetime) -> Authenticated:
        held = await self._store.read(lambda unit: unit.oauth.by_handle(handle))
        expected = held[1].secret_sha256 if held is not None else sha256_hex(b"no such token")
        if not hmac.compare_digest(expected, digest) or held is None:
            raise DomainError("unauthenticated", "this access token is not known, or no longer")
        client, token = held
        if client.revoked_at is not None:
            raise DomainError("key_revoked", "the client of this access token was revoked")
        if now >= token.expires_at:
            raise DomainError("key_expired", "this access token has expired")
        # A client that has lost a scope since has lost it in its tokens too.
        scopes = token.scopes & client.scopes
        return Authenticated(client=client, handle=handle, scopes=scopes, kid=token.kid)

    def forget_recent(self) -> None:
        """Look at the database for every key from now on: something has changed."""
        self._recent.clear()

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
        plan: str | None = None,
        calls_per_minute: int | None = None,
        batch_limit: int | None = None,
        allowed_networks: Sequence[str] = (),
        actor: str,
        once: Once | None = None,
    ) -> NewKey:
        """Create a client with its first key, on a plan (the standard one) or with figures of its own.

        Raises DomainError `conflict` for a name in use, `invalid_request` for a binding, scope or purpose that does
        not fit the kind, for a code that no holder can have, and for a name with control characters.
        """
        if kind not in RELYING_PARTIES:
            _require_no_purpose(purposes, default_purpose)
        code = None if holder_code is None else stored_holder_code(holder_code)
        if code is not None and (wrong := any_code_problem(code)) is not None:
            raise _invalid("/holder_code", wrong.en, wrong.zh)
        allowed = tuple(dict.fromkeys(PURPOSES if purposes is None else purposes))
        client = ApiClient(
            id=ClientId(new_id()),
            name=name,
            kind=kind,
            authority_code=authority_code,
            holder_code=code,
            scopes=frozenset(scopes) if scopes is not None else DEFAULT_SCOPES[kind],
            purposes=allowed if kind in RELYING_PARTIES else (),
            default_purpose=default_purpose or _default_purpose(kind, allowed),
            plan=CUSTOM_PLAN,
            calls_per_minute=STANDARD_PLAN.calls_per_minute if calls_per_minute is None else calls_per_minute,
            batch_limit=STANDARD_PLAN.batch_limit if batch_limit is None else batch_limit,
            allowed_networks=sound_networks(allowed_networks, pointer="/allowed_networks"),
            created_at=self._clock.now(),
        )
        own_figures = calls_per_minute is not None or batch_limit is not None
        if own_figures and plan is not None:
            raise _invalid(
                "/plan", "give a plan or figures of its own, not both", "套餐与自定上限只能给出一种"
            )
        _require_sound(client)
        key, secret = self._make_key(client)

        async def work(unit: UnitOfWork) -> NewKey:
            if await unit.api_clients.by_name(name) is not None:
                raise DomainError("conflict", "a client of this name exists")
            if authority_code is not None:
                codes = {authority.code for authority in await unit.directory.authorities()}
                if authority_code not in codes:
                    raise _invalid("/authority_code", "names no defined authority", "不是已定义的颁发机构")
            made = client
            if not own_figures:
                named = await plan_named(unit, plan or STANDARD_PLAN.name)
                made = replace(
                    client,
                    plan=named.name,
                    calls_per_minute=named.calls_per_minute,
                    burst=named.burst,
                    calls_per_day=named.calls_per_day,
                    batch_limit=named.batch_limit,
                )
            await unit.api_clients.add(made)
            await unit.api_clients.add_key(key)
            await self._audit(unit, "client.create", made, actor)
            return NewKey(client=made, key=key, secret=secret)

        return await write_once(self._store, work, once, now=self._clock.now())

    async def list(self) -> Sequence[ClientWithKeys]:
        """Return all clients with their keys, no secrets."""
        return await self._store.read(lambda unit: unit.api_clients.all())

    async def get(self, client_id: str) -> ClientWithKeys:
        """Return one client with its keys. Raises NotFound."""

        async def work(unit: UnitOfWork) -> ClientWithKeys:
            client = await unit.api_clients.get(client_id)
            if client is None:
                raise NotFound("client")
            return ClientWithKeys(client=client, keys=await unit.api_clients.keys_of(client_id))

        return await self._store.read(work)

    async def rotate(
        self,
        name: str,
        *,
        overlap: timedelta = timedelta(hours=24),
        actor: str,
        once: Once | None = None,
    ) -> NewKey:
        """Give a client another key; the one before ends after `overlap`, any older one now.

        Never more than two count. Raises NotFound, `conflict` if the client was revoked, `invalid_request` for an
        overlap below zero or beyond 90 days.
        """
        if not timedelta(0) <= overlap <= timedelta(days=90):
            raise _invalid("/overlap_seconds", "must be 0 to 7776000", "应为 0 至 7776000")
        now = self._clock.now()

        async def work(unit: UnitOfWork) -> NewKey:
            client = await client_named(unit, name)
            if client.revoked_at is not None:
                raise DomainError("conflict", "this client was revoked")
            live = [key for key in await unit.api_clients.keys_of(client.id) if key.is_live(now)]
            key, secret = self._make_key(client)
            await unit.api_clients.add_key(key)
            for older in live[MOST_LIVE_KEYS - 1 :]:
                await unit.api_clients.end_key(older.handle, at=now)
            await unit.api_clients.expire_keys(client.id, expires_at=now + overlap, except_handle=key.handle)
            await self._audit(unit, "client.rotate", client, actor)
            return NewKey(client=client, key=key, secret=secret)

        made = await write_once(self._store, work, once, now=now)
        self._recent.clear()
        return made

    async def revoke(self, name: str, *, actor: str, once: Once | None = None) -> ApiClient:
        """Revoke a client, every key and every access token of it, within a second everywhere. Raises NotFound."""

        async def work(unit: UnitOfWork) -> ApiClient:
            client = await client_named(unit, name)
            if await unit.api_clients.revoke(client.id, at=self._clock.now()):
                await self._audit(unit, "client.revoke", client, actor)
            return await unit.api_clients.get(client.id) or client

        revoked = await write_once(self._store, work, once, now=self._clock.now())
        self._recent.clear()
        return revoked

    async def allow_from(
        self, name: str, networks: Sequence[str], *, actor: str, once: Once | None = None
    ) -> ApiClient:
        """Let a client call from these networks only; from anywhere when there are none.

        Raises NotFound, DomainError `invalid_request` for what is no network.
        """
        allowed = sound_networks(networks, pointer="/networks")

        async def work(unit: UnitOfWork) -> ApiClient:
            client = await client_named(unit, name)
            await unit.api_clients.set_networks(client.id, allowed)
            await self._audit(unit, "client.allow_from", client, actor)
            return replace(client, allowed_networks=allowed)

        changed = await write_once(self._store, work, once, now=self._clock.now())
        self._recent.clear()
        return changed

    def _make_key(self, client: ApiClient) -> tuple[ApiKey, str]:
        handle = new_public_handle()
        secret = f"{self._prefix}{handle}_{new_secret()}"
        key = ApiKey(
            handle=handle,
            client_id=client.id,
            secret_sha256=sha256_hex(secret.encode("ascii")),
            prefix=self._prefix,
            created_at=self._clock.now(),
        )
        return key, secret

    async def _audit(self, unit: UnitOfWork, action: str, client: ApiClient, actor: str) -> None:
        entry = make_audit(action=action, subject=client.id, actor=actor, at=self._clock.now())
        await unit.journal.add_audit([entry])


def _default_purpose(kind: ClientKind, allowed: Sequence[str]) -> str:
    wanted = _DEFAULT_PURPOSE.get(kind, "merchant_onboarding")
    return wanted if wanted in allowed or not allowed else allowed[0]


def _require_no_purpose(purposes: Sequence[str] | None, default_purpose: str | None) -> None:
    detail, detail_zh = "belongs to clients of kind platform and bank", "仅适用于 platform 与 bank 类调用方"
    if purposes:
        raise _invalid("/purposes", detail, detail_zh)
    if default_purpose is not None:
        raise _invalid("/default_purpose", detail, detail_zh)


def _require_sound(client: ApiClient) -> None:
    if not client.name.strip() or len(client.name) > 100:
        raise _invalid("/name", "must have 1 to 100 characters", "应为 1 至 100 个字符")
    if _CONTROL.search(client.name):
        raise _invalid("/name", "must hold no control characters", "不得含控制字符")
    if (client.kind is ClientKind.AUTHORITY) != (client.authority_code is not None):
        raise _invalid(
            "/authority_code",
            "belongs to clients of kind authority, and only to them",
            "仅用于 authority 类调用方,且为必填",
        )
    if (client.kind is ClientKind.HOLDER) != (client.holder_code is not None):
        raise _invalid(
            "/holder_code",
            "belongs to clients of kind holder, and only to them",
            "仅用于 holder 类调用方,且为必填",
        )
    if not client.scopes or not client.scopes <= DEFAULT_SCOPES[client.kind]:
        raise _invalid(
            "/scopes", f"must be among those of kind {client.kind}", f"须在 {client.kind} 类调用方的权限之内"
        )
    if unknown := set(client.purposes) - set(PURPOSES):
        raise _invalid(
            "/purposes", f"unknown: {', '.join(sorted(unknown))}", f"未知的用途:{'、'.join(sorted(unknown))}"
        )
    if client.kind in RELYING_PARTIES and client.default_purpose not in client.purposes:
        raise _invalid(
            "/default_purpose", "must be one of the client's purposes", "须为该调用方许可的用途之一"
        )
    require_sound_quotas(
        calls_per_minute=client.calls_per_minute,
        burst=client.burst,
        calls_per_day=client.calls_per_day,
        batch_limit=client.batch_limit,
    )


def sound_networks(networks: Sequence[str], *, pointer: str) -> tuple[str, ...]:
    """Return CIDR blocks in their one form, each once.

    `pointer` is where they stand in the request: DomainError `invalid_request` names the wrong one by it.
    """
    if len(networks) > MOST_NETWORKS:
        raise _invalid(pointer, f"at most {MOST_NETWORKS}", f"至多 {MOST_NETWORKS} 个")
    found: dict[str, None] = {}
    for index, text in enumerate(networks):
        try:
            (network,) = parse_networks([text])
        except ValueError:
            raise _invalid(
                f"{pointer}/{index}", "must be a CIDR block or an address", "应为 CIDR 网段或地址"
            ) from None
        found[str(network)] = None
    return tuple(found)


def _invalid(pointer: str, detail: str, detail_zh: str) -> DomainError:
    return DomainError("invalid_request", detail, errors=[FieldError(pointer, detail, detail_zh)])
