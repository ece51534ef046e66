"""OAuth 2.0 for clients that sign instead of sending a secret: their public keys and the access tokens they get."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.api_client import Scope
from app.domain.errors import DomainError
from app.domain.ids import ClientId

MOST_LIVE_JWKS = 2
TOKEN_LIFE = timedelta(minutes=10)
LONGEST_ASSERTION = timedelta(minutes=5)
LEEWAY = timedelta(seconds=60)
"""How far a client's clock may be ahead of ours, for `iat` and `nbf`, and so for the end of an assertion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientJwk:
    """A client's registered public key (ES256). `kid` is its RFC 7638 thumbprint."""

    client_id: ClientId
    kid: str
    jwk: Mapping[str, str]
    created_at: datetime
    ended_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """One access token, of which only the digest (hex) is kept. It counts until its end, or its client's or key's."""

    handle: str
    client_id: ClientId
    secret_sha256: str
    kid: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime


class OAuthRefusal(DomainError):
    """Refuse a token request with an error of RFC 6749 §5.2, which `error` names."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__("unauthenticated" if error == "invalid_client" else "invalid_request", detail)
        self.error = error
