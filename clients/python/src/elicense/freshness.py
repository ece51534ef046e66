"""Freshness: the short-lived statement of which trust list and which status lists are the current ones.

Without it an attacker who holds back new documents could show old ones for as long as those live. Parts that
differ from the current statement are refused, and so is a statement that would outlive a week: whoever holds a retired
key writes any time of signing inside its window, and any end.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from elicense.encoding import dump_json, malformed, parse_json_object, sha256_hex, to_unix
from elicense.fields import Fields
from elicense.jws import parse_compact
from elicense.problems import FormatError, Reason
from elicense.trust_list import ServiceUse, TrustList

FRESHNESS_TYP = "elicense-freshness+jwt"
FRESHNESS_FMT = 1
MAX_FRESHNESS_BYTES = 4 << 20
FRESHNESS_LIFETIME = timedelta(days=7)
"""How long a statement counts at most; the service gives each one exactly this."""


@dataclass(frozen=True, slots=True)
class CurrentStatusList:
    """Name the current version of one status list: its number and the digest (hex) of its exact bytes."""

    seq: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """Hold a statement whose signature has been checked; `checkpoint` is the public log's signed note, if any."""

    env: str
    issuer: str
    issued_at: datetime
    expires_at: datetime
    trust_list_sequence: int
    trust_list_sha256: str
    status_lists: Mapping[str, CurrentStatusList]
    checkpoint: str | None
    sha256: str


def build_freshness_payload(
    *,
    issuer: str,
    env: str,
    issued_at: datetime,
    expires_at: datetime,
    trust_list_sequence: int,
    trust_list_sha256: str,
    status_lists: Mapping[str, CurrentStatusList],
    checkpoint: str | None = None,
) -> bytes:
    """Build the payload to sign with `sign_compact(typ=FRESHNESS_TYP, ...)` and the freshness key.

    `expires_at` lies at most FRESHNESS_LIFETIME after `issued_at`, which is not before that of the list it names.
    `status_lists` maps each list's URI to its current version; digests are hexadecimal SHA-256.
    """
    lists = [
        {"uri": uri, "seq": current.seq, "sha256": current.sha256}
        for uri, current in sorted(status_lists.items())
    ]
    payload = {
        "iss": issuer,
        "iat": to_unix(issued_at),
        "exp": to_unix(expires_at),
        "fmt": FRESHNESS_FMT,
        "env": env,
        "trust_list": {"sequence": trust_list_sequence, "sha256": trust_list_sha256},
        "status_lists": lists,
        "checkpoint": checkpoint,
    }
    return dump_json(payload)


def parse_freshness(token: str | bytes, *, trust_list: TrustList, now: datetime | None = None) -> Freshness:
    """Parse a statement, check its signature with a freshness key of the list, and hold the list against it.

    FormatError: malformed for a wrong shape, another environment, an issuer outside the list, an end that is not after
    its beginning or more than FRESHNESS_LIFETIME after it; signature_invalid for an unknown, compromised or untimely
    key, a signature that does not hold or whose algorithm's last date has passed (by `now`, and by `iat` itself);
    trust_stale when it names another trust list than this one, or is older than the list. Its age is for the judge.
    """
    jws = parse_compact(token, typ=FRESHNESS_TYP, max_bytes=MAX_FRESHNESS_BYTES)
    service = trust_list.service(jws.kid, ServiceUse.FRESHNESS)
    if service is None:
        raise FormatError(
            Reason.SIGNATURE_INVALID, "freshness is signed by no freshness key of the trust list"
        )
    key = service.key
    if jws.alg != key.profile.alg or not key.verify(jws.signature, jws.signing_input):
        raise FormatError(Reason.SIGNATURE_INVALID, "signature of the freshness does not hold")
    fields = Fields(parse_json_object(jws.payload, max_bytes=MAX_FRESHNESS_BYTES), "freshness")
    fields.require_format(FRESHNESS_FMT)
    named = fields.child("trust_list")
    raw = token.encode("ascii") if isinstance(token, str) else token
    freshness = Freshness(
        env=fields.env(),
        issuer=fields.text("iss"),
        issued_at=fields.time("iat"),
        expires_at=fields.time("exp"),
        trust_list_sequence=named.integer("sequence", minimum=1),
        trust_list_sha256=named.digest("sha256"),
        status_lists=_read_status_lists(fields),
        checkpoint=fields.optional_text("checkpoint"),
        sha256=sha256_hex(raw),
    )
    if freshness.env != trust_list.env:
        raise malformed("freshness is of another environment than the trust list")
    if freshness.issuer not in trust_list.issuers:
        raise malformed("freshness is of an issuer outside the trust list")
    if not service.valid_at(freshness.issued_at):
        raise FormatError(Reason.SIGNATURE_INVALID, "freshness key was not valid when it signed")
    if not key.profile.counts_at(max(freshness.issued_at, now or freshness.issued_at)):
        raise FormatError(Reason.SIGNATURE_INVALID, "freshness is signed by an algorithm past its last date")
    _require_this_trust_list(freshness, trust_list)
    _require_short_life(freshness, trust_list)
    return freshness


def _require_this_trust_list(freshness: Freshness, trust_list: TrustList) -> None:
    named = (freshness.trust_list_sequence, freshness.trust_list_sha256)
    if named != (trust_list.sequence, trust_list.sha256):
        raise FormatError(
            Reason.TRUST_STALE,
            f"freshness names trust list {freshness.trust_list_sequence}, this one is {trust_list.sequence}"
            if freshness.trust_list_sequence != trust_list.sequence
            else "freshness names another trust list of the same sequence",
        )


def _require_short_life(freshness: Freshness, trust_list: TrustList) -> None:
    if not timedelta(0) < freshness.expires_at - freshness.issued_at <= FRESHNESS_LIFETIME:
        raise malformed(f"freshness does not end within {FRESHNESS_LIFETIME.days} days of its beginning")
    if freshness.issued_at < trust_list.issued_at:
        raise FormatError(Reason.TRUST_STALE, "freshness is older than the trust list that it names")


def _read_status_lists(fields: Fields) -> Mapping[str, CurrentStatusList]:
    entries = fields.array("status_lists")
    found = {}
    for entry in entries:
        named = Fields(entry, "freshness.status_lists")
        current = CurrentStatusList(seq=named.integer("seq", minimum=1), sha256=named.digest("sha256"))
        found[named.text("uri")] = current
    if len(found) != len(entries):
        raise malformed("freshness names a status list twice")
    return MappingProxyType(found)
