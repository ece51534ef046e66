"""The trust list: the authorities, their keys with their history, what each may issue, and the services.

It is a JWS in general JSON form (RFC 7515 section 7.2.1), good with a threshold of the root's trust-list keys.
Every key and every algorithm that is ever believed comes from here, never from a token.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType

from elicense.encoding import JsonValue, dump_json, malformed, parse_json_object, sha256_hex, to_unix
from elicense.fields import Fields
from elicense.jws import parse_general
from elicense.keys import PublicKey
from elicense.trust_root import (
    TRUST_FMT,
    TRUST_ROOT_TYP,
    TrustRoot,
    build_trust_root_payload,
    key_json,
    parse_trust_root,
    read_key,
    require_distinct,
    require_threshold,
)

__all__ = [
    "TRUST_LIST_TYP",
    "TRUST_ROOT_TYP",
    "Authority",
    "AuthorityKey",
    "AuthorityState",
    "KeyUse",
    "Scope",
    "Service",
    "ServiceUse",
    "TrustList",
    "TrustRoot",
    "build_trust_list_payload",
    "build_trust_root_payload",
    "parse_trust_list",
    "parse_trust_root",
]

TRUST_LIST_TYP = "elicense-trust-list"
MAX_TRUST_LIST_BYTES = 16 << 20
EVERY_AUTHORITY = "*"
"""The one entry of a status service that serves the credentials of all authorities of its list."""


class AuthorityState(StrEnum):
    """Say whether an authority signs (active), did sign (ended), or must not be believed at all."""

    ACTIVE = "active"
    ENDED = "ended"
    DISTRUSTED = "distrusted"


class KeyUse(StrEnum):
    """Name what an authority's key is for."""

    CREDENTIAL = "credential"


class ServiceUse(StrEnum):
    """Name what a service's key is for: one key, one purpose."""

    STATUS = "status"
    RECEIPT = "receipt"
    LOG = "log"
    FRESHNESS = "freshness"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityKey:
    """Hold one key of an authority with its window: `valid_from` included, `valid_until` excluded, None open.

    `compromised` is the moment from which the key may be in other hands; no signature of it counts any more.
    """

    key: PublicKey
    valid_from: datetime
    valid_until: datetime | None = None
    compromised: datetime | None = None
    use: KeyUse = KeyUse.CREDENTIAL

    def valid_at(self, moment: datetime) -> bool:
        """Tell whether the moment lies in the key's window."""
        return self.valid_from <= moment and (self.valid_until is None or moment < self.valid_until)

    def to_json(self) -> dict[str, JsonValue]:
        """Give the entry as the trust list carries it."""
        return {
            **key_json(self.key),
            "use": self.use.value,
            **_window_json(self.valid_from, self.valid_until, self.compromised),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Say what an authority may issue: one type, in areas whose code begins with one of `areas`.

    The civil days `valid_from` and `valid_until` (+08:00, both included) speak of the day of signing.
    """

    type_code: str
    areas: tuple[str, ...]
    valid_from: date | None = None
    valid_until: date | None = None

    def covers(self, *, type_code: str, area_code: str, on: date) -> bool:
        """Tell whether the type may be issued in the area on that civil day."""
        return (
            self.type_code == type_code
            and area_code.startswith(self.areas)
            and (self.valid_from is None or self.valid_from <= on)
            and (self.valid_until is None or on <= self.valid_until)
        )

    def to_json(self) -> dict[str, JsonValue]:
        """Give the entry as the trust list carries it."""
        return {
            "type_code": self.type_code,
            "areas": list(self.areas),
            "from": self.valid_from.isoformat() if self.valid_from is not None else None,
            "until": self.valid_until.isoformat() if self.valid_until is not None else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Describe one issuing authority; `issuer` is the `iss` of everything it signs.

    After `ended_at` it may sign nothing more, while what it signed before stays good; `successor` is the code of
    the authority that took over. A distrusted one (`ended_at` says since when) has no good signature at all.
    """

    code: str
    name: str
    level: str
    area_code: str
    issuer: str
    keys: tuple[AuthorityKey, ...]
    scopes: tuple[Scope, ...]
    parent: str | None = None
    status: AuthorityState = AuthorityState.ACTIVE
    ended_at: datetime | None = None
    successor: str | None = None
    _by_kid: Mapping[str, AuthorityKey] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the keys once; a list is asked for them with every credential."""
        object.__setattr__(self, "_by_kid", {entry.key.kid: entry for entry in self.keys})

    def key(self, kid: str) -> AuthorityKey | None:
        """Find the credential key of this id among this authority's own."""
        return self._by_kid.get(kid)

    def to_json(self) -> dict[str, JsonValue]:
        """Give the entry as the trust list carries it."""
        status: JsonValue = self.status.value
        if self.status is not AuthorityState.ACTIVE:
            ended: dict[str, JsonValue] = {"at": _optional_unix(self.ended_at), "successor": self.successor}
            status = {self.status.value: ended}
        return {
            "code": self.code,
            "name": self.name,
            "level": self.level,
            "area_code": self.area_code,
            "parent": self.parent,
            "issuer": self.issuer,
            "status": status,
            "keys": [entry.to_json() for entry in self.keys],
            "scopes": [scope.to_json() for scope in self.scopes],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Describe one key of a service: what it signs, under which URIs, and for which authorities.

    `authorities` are codes, or the single entry `*`; none at all means none (never all).
    """

    use: ServiceUse
    key: PublicKey
    valid_from: datetime
    valid_until: datetime | None = None
    compromised: datetime | None = None
    uri_prefixes: tuple[str, ...] = ()
    origin: str | None = None
    authorities: tuple[str, ...] = ()

    def valid_at(self, moment: datetime) -> bool:
        """Tell whether the key may sign at the moment: inside its window, and not compromised at any time."""
        return (
            self.compromised is None
            and self.valid_from <= moment
            and (self.valid_until is None or moment < self.valid_until)
        )

    def covers_uri(self, uri: str) -> bool:
        """Tell whether the URI lies under one of the prefixes."""
        return bool(self.uri_prefixes) and uri.startswith(self.uri_prefixes)

    def covers_authority(self, code: str) -> bool:
        """Tell whether this service speaks for the credentials of an authority."""
        return self.authorities == (EVERY_AUTHORITY,) or code in self.authorities

    def to_json(self) -> dict[str, JsonValue]:
        """Give the entry as the trust list carries it."""
        return {
            "use": self.use.value,
            **key_json(self.key),
            "uri_prefixes": list(self.uri_prefixes),
            "origin": self.origin,
            "authorities": list(self.authorities),
            **_window_json(self.valid_from, self.valid_until, self.compromised),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustList:
    """Hold a trust list that a root's threshold of trust-list keys signed, ready for look-ups."""

    env: str
    sequence: int
    issued_at: datetime
    next_update: datetime
    issuers: tuple[str, ...]
    authorities: Mapping[str, Authority]
    services: tuple[Service, ...]
    raw: bytes = field(repr=False)
    sha256: str
    _by_issuer: Mapping[str, Authority] = field(init=False, repr=False, compare=False)
    _by_kid: Mapping[tuple[str, ServiceUse], Service] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index authorities and services once."""
        object.__setattr__(self, "_by_issuer", {entry.issuer: entry for entry in self.authorities.values()})
        object.__setattr__(self, "_by_kid", {(entry.key.kid, entry.use): entry for entry in self.services})

    def authority_by_issuer(self, issuer: str) -> Authority | None:
        """Find the authority whose `iss` this is, compared exactly."""
        return self._by_issuer.get(issuer)

    def service(self, kid: str, use: ServiceUse) -> Service | None:
        """Find the service key of this id and this use; a key of another use is not found."""
        return self._by_kid.get((kid, use))


def build_trust_list_payload(
    *,
    env: str,
    sequence: int,
    issued_at: datetime,
    next_update: datetime,
    issuers: Sequence[str],
    authorities: Iterable[Authority],
    services: Iterable[Service],
) -> bytes:
    """Build the payload of a trust list; sign it with `sign_general(typ=TRUST_LIST_TYP, ...)`."""
    payload = {
        "fmt": TRUST_FMT,
        "env": env,
        "sequence": sequence,
        "issued_at": to_unix(issued_at),
        "next_update": to_unix(next_update),
        "issuers": list(issuers),
        "authorities": [authority.to_json() for authority in authorities],
        "services": [service.to_json() for service in services],
    }
    return dump_json(payload)


def parse_trust_list(data: bytes, *, root: TrustRoot) -> TrustList:
    """Parse a trust list after checking that the root's threshold of trust-list keys signed it.

    FormatError: signature_invalid below the threshold; malformed for any other shape, an `env` other than the
    root's, a key that stands in it twice or is also a root's, and an issuer outside `issuers`.
    """
    jws = parse_general(data, typ=TRUST_LIST_TYP, max_bytes=MAX_TRUST_LIST_BYTES)
    require_threshold(jws, root.list_keys, root.list_threshold, "trust list")
    fields = Fields(parse_json_object(jws.payload, max_bytes=MAX_TRUST_LIST_BYTES), "trust list")
    fields.require_format(TRUST_FMT)
    env = fields.env()
    if env != root.env:
        raise malformed("trust list is of another environment than the trust root")
    issuers = fields.texts("issuers")
    authorities = [_read_authority(entry, issuers) for entry in fields.array("authorities")]
    services = tuple(_read_service(entry) for entry in fields.array("services"))
    keys = [entry.key for authority in authorities for entry in authority.keys]
    keys.extend(service.key for service in services)
    require_distinct([*keys, *root.root_keys, *root.list_keys], "trust list")
    by_code = {authority.code: authority for authority in authorities}
    if len(by_code) != len(authorities):
        raise malformed("trust list names an authority twice")
    return TrustList(
        env=env,
        sequence=fields.integer("sequence", minimum=1),
        issued_at=fields.time("issued_at"),
        next_update=fields.time("next_update"),
        issuers=issuers,
        authorities=MappingProxyType(by_code),
        services=services,
        raw=data,
        sha256=sha256_hex(data),
    )


def _optional_unix(moment: datetime | None) -> int | None:
    return None if moment is None else to_unix(moment)


def _window_json(
    valid_from: datetime, valid_until: datetime | None, compromised: datetime | None
) -> dict[str, JsonValue]:
    return {
        "valid_from": to_unix(valid_from),
        "valid_until": _optional_unix(valid_until),
        "compromised": _optional_unix(compromised),
    }


def _read_authority(value: JsonValue, issuers: Sequence[str]) -> Authority:
    fields = Fields(value, "authority")
    code, issuer = fields.text("code"), fields.text("issuer")
    if not any(issuer == f"{base}/authorities/{code}" for base in issuers):
        raise malformed("issuer of an authority does not lie under an issuer of the list")
    status, ended_at, successor = _read_authority_state(fields.raw("status"))
    return Authority(
        code=code,
        name=fields.text("name"),
        level=fields.text("level"),
        area_code=fields.text("area_code"),
        parent=fields.optional_text("parent"),
        issuer=issuer,
        status=status,
        ended_at=ended_at,
        successor=successor,
        keys=tuple(_read_authority_key(entry) for entry in fields.array("keys")),
        scopes=tuple(_read_scope(entry) for entry in fields.array("scopes")),
    )


def _read_authority_state(value: JsonValue) -> tuple[AuthorityState, datetime | None, str | None]:
    if value == AuthorityState.ACTIVE.value:
        return AuthorityState.ACTIVE, None, None
    fields = Fields(value, "authority.status")
    for state in (AuthorityState.ENDED, AuthorityState.DISTRUSTED):
        if fields.members().keys() == {state.value}:
            ended = fields.child(state.value)
            successor = ended.text("successor") if ended.has("successor") else None
            return state, ended.time("at"), successor
    raise malformed("authority.status is neither active, ended nor distrusted")


def _read_authority_key(value: JsonValue) -> AuthorityKey:
    fields = Fields(value, "authority key")
    if fields.text("use") != KeyUse.CREDENTIAL.value:
        raise malformed("use of an authority's key is not known")
    return AuthorityKey(
        key=read_key(fields),
        valid_from=fields.time("valid_from"),
        valid_until=fields.optional_time("valid_until"),
        compromised=fields.optional_time("compromised"),
    )


def _read_scope(value: JsonValue) -> Scope:
    fields = Fields(value, "scope")
    return Scope(
        type_code=fields.text("type_code"),
        areas=fields.texts("areas"),
        valid_from=fields.optional_day("from"),
        valid_until=fields.optional_day("until"),
    )


def _read_service(value: JsonValue) -> Service:
    fields = Fields(value, "service")
    try:
        use = ServiceUse(fields.text("use"))
    except ValueError:
        raise malformed("use of a service is not known") from None
    prefixes = fields.texts("uri_prefixes") if fields.has("uri_prefixes") else ()
    # Without the final slash "https://a.example" would also cover "https://a.example.evil".
    if any(not prefix.startswith("https://") or not prefix.endswith("/") for prefix in prefixes):
        raise malformed("uri_prefixes of a service are not https URLs that end with a slash")
    return Service(
        use=use,
        key=read_key(fields),
        valid_from=fields.time("valid_from"),
        valid_until=fields.optional_time("valid_until"),
        compromised=fields.optional_time("compromised"),
        uri_prefixes=prefixes,
        origin=fields.text("origin") if fields.has("origin") else None,
        authorities=fields.texts("authorities") if fields.has("authorities") else (),
    )
