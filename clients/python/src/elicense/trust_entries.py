"""The entries of a trust list: authorities with their keys and scopes, and the keys of the services."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from elicense.compromise import Compromise, read_compromise
from elicense.encoding import JsonValue, malformed, to_unix
from elicense.fields import Fields
from elicense.keys import PublicKey
from elicense.profiles import PROFILES
from elicense.trust_root import TrustRoot, key_json, read_key

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
    WITNESS = "witness"


_USES = frozenset(use.value for use in ServiceUse)
_SIGNS_NOTES = frozenset({ServiceUse.LOG, ServiceUse.WITNESS})


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityKey:
    """Hold one key of an authority with its window: `valid_from` included, `valid_until` excluded, None open.

    `compromised` says since when the key may be in other hands, and what the log shows to be older than that: of its
    signatures only those count that stand in the log before (`elicense.log_trust`).
    """

    key: PublicKey
    valid_from: datetime
    valid_until: datetime | None = None
    compromised: Compromise | None = None
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

    `authorities` are codes, or the single entry `*`; none at all means none (never all). `origin` is the log's origin
    of a log key, the witness's name of a witness key.
    """

    use: ServiceUse
    key: PublicKey
    valid_from: datetime
    valid_until: datetime | None = None
    compromised: Compromise | None = None
    uri_prefixes: tuple[str, ...] = ()
    origin: str | None = None
    authorities: tuple[str, ...] = ()

    def valid_at(self, moment: datetime) -> bool:
        """Tell whether the key may sign at the moment: inside its window, and not compromised at any time."""
        return self.compromised is None and self.in_window(moment)

    def in_window(self, moment: datetime) -> bool:
        """Tell whether the moment lies in the key's window, compromised or not."""
        return self.valid_from <= moment and (self.valid_until is None or moment < self.valid_until)

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


def read_authority(value: JsonValue, issuers: Sequence[str], root: TrustRoot) -> Authority:
    """Read an authority's entry; FormatError (malformed) for any other shape and an issuer outside `issuers`.

    Keys of a profile or use that came after this program are passed over: nothing counts by them, the others do.
    """
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
        keys=tuple(
            key for entry in fields.array("keys") if (key := _read_authority_key(entry, root)) is not None
        ),
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


def _read_authority_key(value: JsonValue, root: TrustRoot) -> AuthorityKey | None:
    fields = Fields(value, "authority key")
    use = fields.text("use")
    if use != KeyUse.CREDENTIAL.value or fields.text("profile") not in PROFILES:
        return None
    key = read_key(fields)
    return AuthorityKey(
        key=key,
        valid_from=fields.time("valid_from"),
        valid_until=fields.optional_time("valid_until"),
        compromised=read_compromise(fields.raw("compromised"), root=root, kid=key.kid, use=use),
    )


def _read_scope(value: JsonValue) -> Scope:
    fields = Fields(value, "scope")
    return Scope(
        type_code=fields.text("type_code"),
        areas=fields.texts("areas"),
        valid_from=fields.optional_day("from"),
        valid_until=fields.optional_day("until"),
    )


def read_service(value: JsonValue, root: TrustRoot) -> Service | None:
    """Read a service's entry; FormatError (malformed) for any other shape.

    None for a use or a profile that came after this program: nothing counts by that key, the others do.
    """
    fields = Fields(value, "service")
    if fields.text("use") not in _USES or fields.text("profile") not in PROFILES:
        return None
    use = ServiceUse(fields.text("use"))
    prefixes = fields.texts("uri_prefixes") if fields.has("uri_prefixes") else ()
    # Without the final slash "https://a.example" would also cover "https://a.example.evil".
    if any(not prefix.startswith("https://") or not prefix.endswith("/") for prefix in prefixes):
        raise malformed("uri_prefixes of a service are not https URLs that end with a slash")
    origin = fields.text("origin") if fields.has("origin") else None
    key = read_key(fields)
    if use in _SIGNS_NOTES and (origin is None or key.profile.name != "eddsa"):
        raise malformed("a log or witness key is no Ed25519 key with a name")
    compromised = read_compromise(fields.raw("compromised"), root=root, kid=key.kid, use=use.value)
    # A log key vouches for its own log alone: the state that remains of a stolen one's log is that log's.
    if use is ServiceUse.LOG and compromised is not None and compromised.log_origin not in (None, origin):
        raise malformed("a compromised log key names a state of another log")
    return Service(
        use=use,
        key=key,
        valid_from=fields.time("valid_from"),
        valid_until=fields.optional_time("valid_until"),
        compromised=compromised,
        uri_prefixes=prefixes,
        origin=origin,
        authorities=fields.texts("authorities") if fields.has("authorities") else (),
    )


def _optional_unix(moment: datetime | None) -> int | None:
    return None if moment is None else to_unix(moment)


def _window_json(
    valid_from: datetime, valid_until: datetime | None, compromised: Compromise | None
) -> dict[str, JsonValue]:
    return {
        "valid_from": to_unix(valid_from),
        "valid_until": _optional_unix(valid_until),
        "compromised": compromised.to_json() if compromised is not None else None,
    }
