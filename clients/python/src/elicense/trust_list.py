"""The trust list: the authorities, their keys with their history, what each may issue, and the services.

It is a JWS in general JSON form (RFC 7515 section 7.2.1), good with a threshold of the root's trust-list keys.
Every key and every algorithm that is ever believed comes from here, never from a token.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from elicense.compromise import Compromise
from elicense.encoding import dump_json, malformed, parse_json_object, sha256_hex, to_unix
from elicense.fields import Fields
from elicense.jws import parse_general
from elicense.problems import FormatError, Reason
from elicense.signed_note import Checkpoint
from elicense.trust_entries import (
    EVERY_AUTHORITY,
    Authority,
    AuthorityKey,
    AuthorityState,
    KeyUse,
    Scope,
    Service,
    ServiceUse,
    read_authority,
    read_service,
)
from elicense.trust_root import (
    TRUST_FMT,
    TRUST_ROOT_TYP,
    TrustRoot,
    build_trust_root_payload,
    parse_trust_root,
    require_distinct,
    require_threshold,
)

__all__ = [
    "EVERY_AUTHORITY",
    "TRUST_LIST_TYP",
    "TRUST_ROOT_TYP",
    "Authority",
    "AuthorityKey",
    "AuthorityState",
    "Compromise",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustList:
    """Hold a trust list that a root's threshold of trust-list keys signed, ready for look-ups.

    `root_version` is that of the root it was made under; None on lists that do not say.
    """

    env: str
    sequence: int
    issued_at: datetime
    next_update: datetime
    issuers: tuple[str, ...]
    authorities: Mapping[str, Authority]
    services: tuple[Service, ...]
    raw: bytes = field(repr=False)
    sha256: str
    root_version: int | None = None
    _by_issuer: Mapping[str, Authority] = field(init=False, repr=False, compare=False)
    _by_kid: Mapping[tuple[str, ServiceUse], Service] = field(init=False, repr=False, compare=False)
    _by_origin: Mapping[tuple[str, ServiceUse], tuple[Service, ...]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Index authorities and services once."""
        object.__setattr__(self, "_by_issuer", {entry.issuer: entry for entry in self.authorities.values()})
        object.__setattr__(self, "_by_kid", {(entry.key.kid, entry.use): entry for entry in self.services})
        by_origin: dict[tuple[str, ServiceUse], tuple[Service, ...]] = {}
        for entry in self.services:
            if entry.origin is not None:
                named = (entry.origin, entry.use)
                by_origin[named] = (*by_origin.get(named, ()), entry)
        object.__setattr__(self, "_by_origin", by_origin)

    def authority_by_issuer(self, issuer: str) -> Authority | None:
        """Find the authority whose `iss` this is, compared exactly."""
        return self._by_issuer.get(issuer)

    def service(self, kid: str, use: ServiceUse) -> Service | None:
        """Find the service key of this id and this use; a key of another use is not found."""
        return self._by_kid.get((kid, use))

    def logs(self, origin: str) -> tuple[Service, ...]:
        """List the keys of the log of this origin, compromised ones included; none for an unknown log."""
        return self._by_origin.get((origin, ServiceUse.LOG), ())

    def log_origins(self) -> tuple[str, ...]:
        """List the origins of all logs, each once."""
        return tuple(origin for origin, use in self._by_origin if use is ServiceUse.LOG)

    def frozen(self, origin: str) -> tuple[Checkpoint, ...]:
        """List the states that stand for good in a log whose key was compromised, one for each such key."""
        states = (key.compromised.checkpoint for key in self.logs(origin) if key.compromised is not None)
        return tuple(state for state in states if state is not None)

    def witnesses(self) -> tuple[Service, ...]:
        """List the keys of witnesses, compromised ones included."""
        return tuple(entry for entry in self.services if entry.use is ServiceUse.WITNESS)


def build_trust_list_payload(
    *,
    env: str,
    sequence: int,
    issued_at: datetime,
    next_update: datetime,
    issuers: Sequence[str],
    authorities: Iterable[Authority],
    services: Iterable[Service],
    root_version: int | None = None,
) -> bytes:
    """Build the payload of a trust list; sign it with `sign_general(typ=TRUST_LIST_TYP, ...)`.

    `root_version` names the root in force, so that a reader who was given an older one only can tell.
    """
    made_under = {} if root_version is None else {"root_version": root_version}
    payload = {
        "fmt": TRUST_FMT,
        "env": env,
        **made_under,
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
    root's, a key that stands in it twice or is also a root's, an issuer outside `issuers`, and a compromised key
    without a statement of the root's threshold that says the same; trust_unavailable when it was made under a newer
    root than this one. Keys of a profile or use that came after this program are passed over.
    """
    jws = parse_general(data, typ=TRUST_LIST_TYP, max_bytes=MAX_TRUST_LIST_BYTES)
    require_threshold(jws, root.list_keys, root.list_threshold, "trust list")
    fields = Fields(parse_json_object(jws.payload, max_bytes=MAX_TRUST_LIST_BYTES), "trust list")
    fields.require_format(TRUST_FMT)
    env = fields.env()
    if env != root.env:
        raise malformed("trust list is of another environment than the trust root")
    root_version = fields.integer("root_version", minimum=1) if fields.has("root_version") else None
    if root_version is not None and root_version > root.version:
        detail = f"the trust list was made under trust root {root_version}, only {root.version} is at hand"
        raise FormatError(Reason.TRUST_UNAVAILABLE, detail)
    issuers = fields.texts("issuers")
    authorities = [read_authority(entry, issuers, root) for entry in fields.array("authorities")]
    services = tuple(
        service for entry in fields.array("services") if (service := read_service(entry, root)) is not None
    )
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
        root_version=root_version,
    )
