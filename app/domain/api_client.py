"""API clients, their keys and scopes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.ids import ClientId


class ClientKind(StrEnum):
    """What a client is bound to; it decides whose data it may see."""

    OPERATOR = "operator"
    AUTHORITY = "authority"
    PLATFORM = "platform"
    BANK = "bank"
    HOLDER = "holder"


RELYING_PARTIES = frozenset({ClientKind.PLATFORM, ClientKind.BANK})


class Scope(StrEnum):
    """What a key may do."""

    LICENSES_READ = "licenses:read"
    LICENSES_WRITE = "licenses:write"
    VERIFICATIONS_READ = "verifications:read"
    VERIFICATIONS_WRITE = "verifications:write"
    HOLDINGS_READ = "holdings:read"
    CLIENTS_READ = "clients:read"
    CLIENTS_WRITE = "clients:write"
    AUDIT_READ = "audit:read"
    CONFIGURATION_READ = "configuration:read"
    REQUESTS_READ = "requests:read"


DEFAULT_SCOPES: dict[ClientKind, frozenset[Scope]] = {
    ClientKind.OPERATOR: frozenset(
        {
            Scope.CLIENTS_READ,
            Scope.CLIENTS_WRITE,
            Scope.AUDIT_READ,
            Scope.CONFIGURATION_READ,
            Scope.REQUESTS_READ,
        }
    ),
    ClientKind.AUTHORITY: frozenset({Scope.LICENSES_READ, Scope.LICENSES_WRITE, Scope.REQUESTS_READ}),
    ClientKind.PLATFORM: frozenset(
        {Scope.VERIFICATIONS_READ, Scope.VERIFICATIONS_WRITE, Scope.REQUESTS_READ}
    ),
    ClientKind.BANK: frozenset({Scope.VERIFICATIONS_READ, Scope.VERIFICATIONS_WRITE, Scope.REQUESTS_READ}),
    ClientKind.HOLDER: frozenset({Scope.HOLDINGS_READ, Scope.LICENSES_READ, Scope.REQUESTS_READ}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiClient:
    """A caller: bound to an authority (`authority_code`) or a holder (`holder_code`) where its kind says so.

    `calls_per_minute`, `burst` (None: as many at once), `calls_per_day` (None: no limit) and `batch_limit` are its
    quotas, those of its `plan` unless they are its own (`custom`); purposes are those of its verifications. It may
    call from the `allowed_networks` (CIDR), from anywhere without any.
    """

    id: ClientId
    name: str
    kind: ClientKind
    authority_code: str | None
    holder_code: str | None
    scopes: frozenset[Scope]
    purposes: tuple[str, ...]
    default_purpose: str
    calls_per_minute: int
    batch_limit: int
    created_at: datetime
    revoked_at: datetime | None = None
    plan: str = "custom"
    burst: int | None = None
    calls_per_day: int | None = None
    allowed_networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One secret of a client. Only its SHA-256 (hex) is stored; `handle` is the public part of the key.

    `last_used_at` is kept in passing: after a crash it may be some seconds behind.
    """

    handle: str
    client_id: ClientId
    secret_sha256: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Tell whether the key still counts at a moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientWithKeys:
    """A client and its keys, newest first (no secrets)."""

    client: ApiClient
    keys: Sequence[ApiKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is calling now: an authenticated client, the key it used and the request's id."""

    client: ApiClient
    key_handle: str
    request_id: str
