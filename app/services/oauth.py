"""OAuth 2.0 client credentials with `private_key_jwt`: a client signs who it is, and gets an access token for minutes.

RFC 6749 §4.4, RFC 7521 §4.2, RFC 7523 §3 as draft-ietf-oauth-rfc7523bis updates it: the audience is our issuer
identifier as a single string and nothing else, the header's `typ` is `client-authentication+jwt`. An assertion counts
once: its `jti` is stored, as a digest, in the transaction that stores the token, until the assertion has run out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.domain.api_client import ApiClient, Scope
from app.domain.errors import DomainError, FieldError, NotFound
from app.domain.good_time import FURTHEST_APART
from app.domain.ids import new_public_handle, new_secret
from app.domain.oauth import (
    LEEWAY,
    LONGEST_ASSERTION,
    MOST_LIVE_JWKS,
    TOKEN_LIFE,
    AccessToken,
    ClientJwk,
    OAuthRefusal,
)
from app.ports import Clock, Store, UnitOfWork
from app.services.api_clients import ACCESS_MARK, ApiClientService
from app.services.journal_rows import make_audit
from app.services.named import client_named
from app.services.once import Once, write_once
from app.services.sweeping import sweep_all
from elicense.encoding import JsonValue, parse_json_object, sha256_hex
from elicense.jws import CompactJws, parse_compact
from elicense.keys import PublicKey
from elicense.problems import FormatError

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_TYP = "client-authentication+jwt"
GRANT_TYPE = "client_credentials"
SIGNING_ALG = "ES256"
_PROFILE = "es256"
_MAX_ASSERTION_BYTES = 8192
_CLIENT_ID = re.compile(r"[0-9a-f-]{36}")
_SCOPES = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenClient:
    """A client that has proven who it is by one assertion, whose use is still to be stored."""

    client: ApiClient
    kid: str
    jti_sha256: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """An access token just made. `secret` is its whole text: answered once, stored nowhere."""

    secret: str = field(repr=False)
    scopes: frozenset[Scope]
    expires_in: int


class OAuthService:
    """Registers clients' public keys and gives out access tokens."""

    def __init__(self, *, store: Store, clock: Clock, api_clients: ApiClientService, issuer_url: str) -> None:
        self._store = store
        self._clock = clock
        self._api_clients = api_clients
        self._issuer_url = issuer_url

    async def jwks_of(self, client_id: str) -> Sequence[ClientJwk]:
        """Return a client's keys, newest first."""
        return await self._store.read(lambda unit: unit.oauth.jwks(client_id))

    async def jwks_of_all(self) -> Mapping[str, Sequence[ClientJwk]]:
        """Return the keys of all clients by client id, newest first."""
        return await self._store.read(lambda unit: unit.oauth.jwks_of_all())

    async def register_jwk(
        self, name: str, jwk: Mapping[str, object], *, actor: str, once: Once | None = None
    ) -> ClientJwk:
        """Register a public key of a client. Two may be live: end one before the third.

        Raises NotFound, DomainError `invalid_request` for what is no P-256 public key, `conflict` for a third live
        key, a key known already, a revoked client.
        """
        try:
            key = PublicKey.from_jwk(jwk, profile=_PROFILE)
        except FormatError as error:
            field = FieldError("/jwk", error.detail, "应为 P-256 公钥(JWK:kty EC、crv P-256、x、y)")
            raise DomainError("invalid_request", error.detail, errors=[field]) from None
        now = self._clock.now()

        async def work(unit: UnitOfWork) -> ClientJwk:
            client = await client_named(unit, name)
            if client.revoked_at is not None:
                raise DomainError("conflict", "this client was revoked")
            await unit.api_clients.hold(client.id)
            live = [one for one in await unit.oauth.jwks(client.id) if one.ended_at is None]
            if len(live) >= MOST_LIVE_JWKS:
                raise DomainError("conflict", f"{MOST_LIVE_JWKS} keys of this client are live: end one first")
            made = ClientJwk(client_id=client.id, kid=key.kid, jwk=dict(key.jwk), created_at=now)
            await unit.oauth.add_jwk(made)
            entry = make_audit(
                action="client.jwk_add", subject=client.id, actor=actor, at=now, outcome=key.kid
            )
            await unit.journal.add_audit([entry])
            return made

        return await write_once(self._store, work, once, now=now)

    async def end_jwk(self, name: str, kid: str, *, actor: str, once: Once | None = None) -> ApiClient:
        """End a key of a client and every token it got, within a second everywhere. Raises NotFound."""
        now = self._clock.now()

        async def work(unit: UnitOfWork) -> ApiClient:
            client = await client_named(unit, name)
            if not await unit.oauth.end_jwk(client.id, kid, at=now):
                raise NotFound("key")
            entry = make_audit(action="client.jwk_end", subject=client.id, actor=actor, at=now, outcome=kid)
            await unit.journal.add_audit([entry])
            return client

        ended = await write_once(self._store, work, once, now=now)
        self._api_clients.forget_recent()
        return ended

    async def prove(self, form: Mapping[str, str]) -> ProvenClient:
        """Return who signed the assertion of a token request; its use is not stored yet.

        Raises OAuthRefusal invalid_request, unsupported_grant_type, invalid_client, also for an assertion that was used
        before: whoever holds an old one spends nothing of the quota. Of uses at once `issue` tells the first.
        """
        if "grant_type" not in form:
            raise OAuthRefusal("invalid_request", "grant_type is missing")
        if form["grant_type"] != GRANT_TYPE:
            raise OAuthRefusal("unsupported_grant_type", f"grant_type must be {GRANT_TYPE}")
        if form.get("client_assertion_type") != ASSERTION_TYPE or "client_assertion" not in form:
            raise OAuthRefusal(
                "invalid_client", "authenticate with private_key_jwt: client_assertion is missing"
            )
        token, claims = _parse_assertion(form["client_assertion"])
        client_id = claims.get("sub")
        if not isinstance(client_id, str) or _CLIENT_ID.fullmatch(client_id) is None:
            raise OAuthRefusal("invalid_client", "sub of the assertion is no client id")
        if form.get("client_id", client_id) != client_id:
            raise OAuthRefusal("invalid_client", "client_id is not the sub of the assertion")
        client, key = await self._key_of(client_id, token.kid)
        if not key.verify(token.signature, token.signing_input):
            raise OAuthRefusal("invalid_client", "the signature of the assertion does not hold")
        expires_at = self._check_claims(claims, client_id)
        jti_sha256 = sha256_hex(_text(claims, "jti").encode("utf-8"))
        if await self._store.read(lambda unit: unit.oauth.is_used(client_id, jti_sha256)):
            raise _used_before()
        return ProvenClient(client=client, kid=key.kid, jti_sha256=jti_sha256, expires_at=expires_at)

    async def _key_of(self, client_id: str, kid: str) -> tuple[ApiClient, PublicKey]:
        client, jwk = await self._store.read(lambda unit: _live_jwk(unit, client_id, kid))
        return client, PublicKey.from_jwk(jwk.jwk, profile=_PROFILE)

    def _check_claims(self, claims: Mapping[str, JsonValue], client_id: str) -> datetime:
        now = self._clock.now()
        if claims.get("iss") != client_id:
            raise OAuthRefusal("invalid_client", "iss and sub must both be the client id")
        if claims.get("aud") != self._issuer_url:
            raise OAuthRefusal("invalid_client", "aud must be the issuer identifier, as a string and alone")
        if not 1 <= len(_text(claims, "jti")) <= 255:
            raise OAuthRefusal("invalid_client", "jti must have 1 to 255 characters")
        expires_at = _moment(claims, "exp")
        if expires_at <= now:
            raise OAuthRefusal("invalid_client", "the assertion has expired")
        issued_at = _moment(claims, "iat") if "iat" in claims else now
        if issued_at > now + LEEWAY or ("nbf" in claims and _moment(claims, "nbf") > now + LEEWAY):
            raise OAuthRefusal("invalid_client", "the assertion is not valid yet")
        if expires_at > min(issued_at, now + LEEWAY) + LONGEST_ASSERTION:
            raise OAuthRefusal("invalid_client", "the assertion may be valid for five minutes at most")
        return expires_at

    async def issue(self, proven: ProvenClient, form: Mapping[str, str]) -> IssuedToken:
        """Use up the assertion and give an access token for the scopes asked for, by default all of the client's.

        Raises OAuthRefusal invalid_scope, invalid_client for an assertion that was used before, and where client or
        key have ended since they were proven.
        """
        client, now = proven.client, self._clock.now()
        scopes = _narrowed(client, form.get("scope"))
        handle = new_public_handle()
        secret = f"{ACCESS_MARK}{handle}_{new_secret()}"
        token = AccessToken(
            handle=handle,
            client_id=client.id,
            secret_sha256=sha256_hex(secret.encode("ascii")),
            kid=proven.kid,
            scopes=scopes,
            created_at=now,
            expires_at=now + TOKEN_LIFE,
        )

        async def work(unit: UnitOfWork) -> None:
            await _live_jwk(unit, client.id, proven.kid)
            # A crash after this commit costs the client one assertion: it signs another.
            unused = await unit.oauth.use_assertion(
                client.id, proven.jti_sha256, expires_at=proven.expires_at
            )
            if not unused:
                raise _used_before()
            await unit.oauth.add_token(token)
            entry = make_audit(
                action="client.token", subject=client.id, actor=client.id, at=now, outcome=proven.kid
            )
            await unit.journal.add_audit([entry])

        await self._store.write(work)
        return IssuedToken(secret=secret, scopes=scopes, expires_in=int(TOKEN_LIFE.total_seconds()))

    async def sweep(self) -> int:
        """Delete tokens and used assertions past their end; return how many.

        By every good clock: while another process still takes an assertion, that it was used must be known.
        """
        now = self._clock.now() - FURTHEST_APART
        return await sweep_all(self._store, lambda unit, limit: unit.oauth.sweep(now=now, limit=limit))

    def metadata(self) -> dict[str, object]:
        """Return the authorization server's metadata (RFC 8414 §2)."""
        return {
            "issuer": self._issuer_url,
            "token_endpoint": f"{self._issuer_url}/oauth/token",
            "response_types_supported": [],
            "grant_types_supported": [GRANT_TYPE],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": [SIGNING_ALG],
            "scopes_supported": sorted(scope.value for scope in Scope),
        }


async def _live_jwk(unit: UnitOfWork, client_id: str, kid: str) -> tuple[ApiClient, ClientJwk]:
    client, jwks = await unit.api_clients.get(client_id), await unit.oauth.jwks(client_id)
    live = [one for one in jwks if one.kid == kid and one.ended_at is None]
    # One answer for an unknown client, an unknown key and an ended one: who asks has proven nothing yet.
    if client is None or client.revoked_at is not None or not live:
        raise OAuthRefusal("invalid_client", "no live key of this client has this kid")
    return client, live[0]


def _used_before() -> OAuthRefusal:
    return OAuthRefusal("invalid_client", "this assertion was used before: jti counts once")


def _parse_assertion(text: str) -> tuple[CompactJws, Mapping[str, JsonValue]]:
    try:
        token = parse_compact(text, typ=ASSERTION_TYP, max_bytes=_MAX_ASSERTION_BYTES)
        claims = parse_json_object(token.payload, max_depth=8)
    except FormatError as error:
        raise OAuthRefusal("invalid_client", f"the assertion is not well-formed: {error.detail}") from None
    if token.alg != SIGNING_ALG:
        raise OAuthRefusal("invalid_client", f"the assertion must be signed with {SIGNING_ALG}")
    return token, claims


def _text(claims: Mapping[str, JsonValue], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        raise OAuthRefusal("invalid_client", f"{name} of the assertion must be a string")
    return value


def _moment(claims: Mapping[str, JsonValue], name: str) -> datetime:
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 36:
        raise OAuthRefusal("invalid_client", f"{name} of the assertion must be whole seconds since 1970")
    return datetime.fromtimestamp(value, UTC)


def _narrowed(client: ApiClient, asked: str | None) -> frozenset[Scope]:
    if asked is None:
        return client.scopes
    names = set(asked.split(" ")) if _SCOPES.fullmatch(asked) else {""}
    if not names <= {scope.value for scope in client.scopes}:
        raise OAuthRefusal("invalid_scope", "this client has not all of these scopes")
    return frozenset(Scope(name) for name in names)
