"""Re-derive what is trusted: the chain of roots, every trust list, and from them the keys that may have signed.

Keys are taken from signed lists alone. A key that was lost, ended or replaced is still the one to hold old signatures
against: the newest list that names it tells its window.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from app.log_ports import AuditRow, AuditSnapshot
from app.services.log_audit_report import NOBODY, About, Expected, Findings
from elicense.compromise import Compromise, parse_compromise
from elicense.encoding import parse_json_object, sha256_hex, to_unix
from elicense.fields import Fields
from elicense.freshness import FRESHNESS_FMT, FRESHNESS_TYP, MAX_FRESHNESS_BYTES
from elicense.jws import CompactJws, parse_compact, parse_general
from elicense.keys import PublicKey
from elicense.problems import FormatError
from elicense.trust_entries import Authority, AuthorityKey, Service, ServiceUse
from elicense.trust_list import TrustList, parse_trust_list
from elicense.trust_root import MAX_ROOT_BYTES, TRUST_ROOT_TYP, TrustRoot, parse_trust_root, require_threshold

T = TypeVar("T")

ROOT: Final = "trust_root"
LIST: Final = "trust_list"
FRESHNESS: Final = "freshness"
PATHS: Final = {ROOT: "/v1/trust-root", LIST: "/v1/trust-list"}
_TABLE: Final = "signed_documents"
_SWEPT: Final = f"swept.{FRESHNESS}"
_FLOORS: Final = {LIST: "floor.trust_list", FRESHNESS: "floor.freshness"}


@dataclass(slots=True)
class Trust:
    """Hold what signatures are checked with, and the fixed facts of the installation."""

    issuer_url: str = ""
    env: str = ""
    roots: dict[int, TrustRoot] = field(default_factory=dict)
    newest: TrustList | None = None
    floors: dict[str, int] = field(default_factory=dict)
    recovered: bool = False
    oldest_statement: int = 1
    _credential: dict[str, tuple[Authority, AuthorityKey]] = field(default_factory=dict)
    _services: dict[tuple[ServiceUse, str], Service] = field(default_factory=dict)

    def add(self, listed: TrustList) -> None:
        """Take in the next list: what it says of a key counts more than what older ones said."""
        self.newest = listed
        for authority in listed.authorities.values():
            for entry in authority.keys:
                self._credential[entry.key.kid] = (authority, entry)
        for service in listed.services:
            self._services[service.use, service.key.kid] = service

    def kids(self) -> frozenset[str]:
        """Return the ids of all keys that some list has named."""
        return frozenset({*self._credential, *(kid for _, kid in self._services)})

    def credential_key(self, kid: str) -> tuple[Authority, AuthorityKey] | None:
        """Return whose credential key this is, and its entry."""
        return self._credential.get(kid)

    def service(self, use: ServiceUse, kid: str) -> Service | None:
        """Return a service's key of this use."""
        return self._services.get((use, kid))

    def compromise_of(self, kid: str) -> Compromise | None:
        """Return what the newest list that names a key says of its loss."""
        own, service = self.credential_key(kid), self.any_service(kid)
        entry = own[1] if own is not None else service
        return None if entry is None else entry.compromised

    def any_service(self, kid: str) -> Service | None:
        """Return a service's key, whatever it is for."""
        return next((one for (_, known), one in self._services.items() if known == kid), None)

    def services(self, use: ServiceUse, origin: str) -> Iterable[PublicKey]:
        """Return all keys of a use under an origin: those of a log, or of a witness by its name."""
        return [one.key for one in self._services.values() if one.use is use and one.origin == origin]

    def is_signed(self, jws: CompactJws, use: ServiceUse, at: datetime) -> bool:
        """Tell whether a service's key of this use, in its window then, signed a token."""
        service = self.service(use, jws.kid)
        if service is None or jws.alg != service.key.profile.alg or not service.in_window(at):
            return False
        return service.key.verify(jws.signature, jws.signing_input)

    def fits_gap(self, before: int, after: int, floor: str | None) -> bool:
        """Tell whether a number follows another: by one, or over what a recovery gave up."""
        given_up = self.floors.get(floor or "", 0)
        return after == before + 1 or (before < after and after == given_up + 1)


async def load_trust(
    snapshot: AuditSnapshot, findings: Findings, *, pinned: bytes | None, now: datetime
) -> Trust:
    """Check all signed documents and return the keys they vouch for. `pinned` is a root known from elsewhere."""
    trust = Trust()
    async for row in snapshot.rows("installation"):
        if findings.readable(row, NOBODY, "installation"):
            trust.issuer_url, trust.env = row["issuer_url"], row["env"]
    async for row in snapshot.rows("counters"):
        if row["name"].startswith("floor."):
            trust.floors[row["name"]] = row["value"]
        if row["name"] == _SWEPT:
            trust.oldest_statement = row["value"]
    async for row in snapshot.rows("audit", any_of=("action", ("recover.accept_loss", "recover.trust_root"))):
        trust.recovered = trust.recovered or row is not None
    await _load_roots(snapshot, findings, trust, pinned)
    await _load_lists(snapshot, findings, trust)
    await _check_freshness(snapshot, findings, trust, now=now)
    _check_installation(findings, trust)
    return trust


async def _load_roots(
    snapshot: AuditSnapshot, findings: Findings, trust: Trust, pinned: bytes | None
) -> None:
    before: TrustRoot | None = None
    number = 0
    is_pinned = pinned is None
    async for row in _documents(snapshot, findings, trust, ROOT):
        about = _about(row)
        root = parsed(parse_trust_root, row["content"])
        if root is None or not _follows(before, root):
            findings.fault(about, f"{_TABLE}.content", Expected.SIGNATURE)
            continue
        findings.compare(
            row, {"sequence": root.version, "expires_at": root.expires}, about, _TABLE, Expected.DOCUMENT
        )
        is_pinned = is_pinned or root.raw == (pinned or b"").strip()
        trust.roots[root.version], before, number = root, root, number + 1
    findings.require(number > 0 and is_pinned, NOBODY, f"{_TABLE}.content", Expected.SIGNATURE)


def _follows(before: TrustRoot | None, root: TrustRoot) -> bool:
    """Tell whether the keys of the root before vouch for the next one."""
    if before is None:
        return True
    try:
        jws = parse_general(root.raw, typ=TRUST_ROOT_TYP, max_bytes=MAX_ROOT_BYTES)
        require_threshold(jws, before.root_keys, before.root_threshold, "trust root")
    except FormatError:
        return False
    return (root.env, root.type_base) == (before.env, before.type_base)


async def _load_lists(snapshot: AuditSnapshot, findings: Findings, trust: Trust) -> None:
    async for row in _documents(snapshot, findings, trust, LIST):
        about = _about(row)
        listed = _under_a_root(row["content"], trust)
        if listed is None:
            findings.fault(about, f"{_TABLE}.content", Expected.SIGNATURE)
            continue
        signed = {
            "sequence": listed.sequence,
            "expires_at": listed.next_update,
        }
        findings.compare(row, signed, about, _TABLE, Expected.DOCUMENT)
        _same_second(findings, row["issued_at"], listed.issued_at, about, f"{_TABLE}.issued_at")
        trust.add(listed)


def _under_a_root(content: bytes, trust: Trust) -> TrustList | None:
    # A list is signed under the root of its time; which one that was, older lists do not say.
    for _, root in sorted(trust.roots.items(), reverse=True):
        listed = parsed(parse_trust_list, content, root=root)
        if listed is not None:
            return listed
    return None


async def _check_freshness(
    snapshot: AuditSnapshot, findings: Findings, trust: Trust, *, now: datetime
) -> None:
    """Check the statements from the oldest on that is to be there; the worker sweeps those long ended.

    Where something was swept the oldest is one that has ended, by its own signature: whoever deletes one that still
    counts and raises the floor over it leaves a floor that still counts itself.
    """
    oldest = trust.oldest_statement
    is_there = oldest == 1
    async for row in _documents(snapshot, findings, trust, FRESHNESS, first=oldest):
        about = _about(row)
        if not is_there:
            is_there = row["sequence"] == oldest and row["expires_at"] < now
        jws = parsed(parse_compact, row["content"], typ=FRESHNESS_TYP, max_bytes=MAX_FRESHNESS_BYTES)
        claims = (
            None if jws is None else parsed(parse_json_object, jws.payload, max_bytes=MAX_FRESHNESS_BYTES)
        )
        at = None if claims is None else parsed(Fields(claims, "freshness").time, "iat")
        if jws is None or claims is None or at is None or not trust.is_signed(jws, ServiceUse.FRESHNESS, at):
            findings.fault(about, f"{_TABLE}.content", Expected.SIGNATURE)
            continue
        findings.require(
            (claims.get("fmt"), claims.get("env"), claims.get("iss"))
            == (FRESHNESS_FMT, trust.env, trust.issuer_url),
            about,
            f"{_TABLE}.content",
            Expected.DOCUMENT,
        )
        for column, claim in (("issued_at", "iat"), ("expires_at", "exp")):
            right = to_unix(row[column]) == claims.get(claim)
            findings.require(right, about, f"{_TABLE}.{column}", Expected.DOCUMENT)
    floor = About(identifier=f"{FRESHNESS}#{oldest}")
    findings.require(is_there, floor, f"{_TABLE}.sequence", Expected.GAP_FREE)


async def _documents(
    snapshot: AuditSnapshot, findings: Findings, trust: Trust, kind: str, *, first: int = 1
) -> Any:
    """Stream the documents of a kind whose digest is right, and hold their numbers against each other."""
    last = first - 1
    async for row in snapshot.rows(_TABLE, order=("sequence",), equal={"kind": kind}):
        about = _about(row)
        findings.count(_TABLE)
        follows = trust.fits_gap(last, row["sequence"], _FLOORS.get(kind))
        findings.require(follows, about, f"{_TABLE}.sequence", Expected.GAP_FREE)
        last = row["sequence"]
        right = sha256_hex(row["content"]) == row["sha256"]
        findings.require(right, about, f"{_TABLE}.sha256", Expected.DIGEST)
        if findings.readable(row, about, _TABLE):
            yield row


def _check_installation(findings: Findings, trust: Trust) -> None:
    listed = trust.newest
    if listed is not None:
        findings.require(
            trust.issuer_url in listed.issuers, NOBODY, "installation.issuer_url", Expected.TRUST
        )
        findings.require(trust.env == listed.env, NOBODY, "installation.env", Expected.TRUST)


async def check_unknown_documents(snapshot: AuditSnapshot, findings: Findings) -> None:
    """Find documents of no known kind."""
    async for row in snapshot.rows(_TABLE, order=("kind", "sequence")):
        known = row["kind"] in (ROOT, LIST, FRESHNESS)
        findings.require(known, _about(row), f"{_TABLE}.kind", Expected.DOCUMENT)


async def check_keys(snapshot: AuditSnapshot, findings: Findings, trust: Trust) -> None:
    """Hold the registered keys and the declarations of lost ones against the trust lists."""
    async for row in snapshot.rows("service_keys", order=("kid",)):
        findings.count("service_keys")
        about = About(identifier=row["kid"])
        if findings.readable(row, about, "service_keys"):
            _check_key(findings, trust, row, trust.any_service(row["kid"]), about)
    async for row in snapshot.rows("key_compromises", order=("kid",)):
        findings.count("key_compromises")
        about = About(identifier=row["kid"])
        if findings.readable(row, about, "key_compromises"):
            _check_compromise(findings, trust, row, about)


def _check_key(
    findings: Findings, trust: Trust, row: AuditRow, service: Service | None, about: About
) -> None:
    table = "service_keys"
    jwk = row["jwk"] if isinstance(row["jwk"], dict) else {}
    key = parsed(PublicKey.from_jwk, jwk, profile=row["profile"])
    own = trust.credential_key(row["kid"])
    if own is not None:
        authority, entry = own
        wanted: dict[str, Any] = {"use": "credential", "authority_code": authority.code, "origin": None}
        window, listed = (entry.valid_from, entry.valid_until), entry.key
    elif service is not None:
        uses = {"log", "receipt_log"} if service.use is ServiceUse.LOG else {service.use.value}
        findings.require(row["use"] in uses, about, f"{table}.use", Expected.TRUST)
        wanted = {"authority_code": None, "origin": None}
        if service.use is ServiceUse.LOG:
            path = (service.origin or "").partition("/")[2]
            wanted["use"] = "receipt_log" if path.startswith("receipt-log") else "log"
            wanted["origin"] = service.origin
        elif service.use is ServiceUse.WITNESS:
            wanted["uri"] = f"witness:{service.origin}"
        window, listed = (service.valid_from, service.valid_until), service.key
    else:
        findings.fault(about, f"{table}.kid", Expected.TRUST)
        return
    wanted["profile"] = listed.profile.name
    findings.compare(row, wanted, about, table, Expected.TRUST)
    findings.require(
        key is not None and key.kid == row["kid"] and dict(listed.jwk) == jwk,
        about,
        f"{table}.jwk",
        Expected.TRUST,
    )
    for column, moment in zip(("valid_from", "valid_until"), window, strict=True):
        if moment is not None:
            _same_second(findings, row[column], moment, about, f"{table}.{column}")


def _check_compromise(findings: Findings, trust: Trust, row: AuditRow, about: About) -> None:
    table = "key_compromises"
    root = trust.roots.get(row["root_version"])
    if not findings.require(root is not None, about, f"{table}.root_version", Expected.TRUST):
        return
    assert root is not None
    uses = [row["use"], *(use for use in ("log",) if row["use"] == "receipt_log")]
    made: list[Compromise] = [
        one
        for use in uses
        if (one := parsed(parse_compromise, row["statement"], root=root, kid=row["kid"], use=use))
    ]
    if not made:
        known = {"credential", "receipt_log", *ServiceUse}
        column = "statement" if row["use"] in known else "use"
        if trust.any_service(row["kid"]) is None and trust.credential_key(row["kid"]) is None:
            column = "kid"
        findings.fault(about, f"{table}.{column}", Expected.SIGNATURE)
        return
    said = made[0]
    # More may have signed it than the threshold needs: the list has it to the last byte.
    published = trust.compromise_of(row["kid"])
    agree = published is not None and published.statement == row["statement"]
    findings.require(agree, about, f"{table}.statement", Expected.TRUST)
    listed = {"log_origin": said.log_origin, "log_size": said.log_size, "log_root": said.log_root}
    findings.compare(row, listed, about, table, Expected.TRUST)
    _same_second(findings, row["since"], said.since, about, f"{table}.since")


def _same_second(findings: Findings, stored: datetime, signed: datetime, about: About, where: str) -> None:
    findings.require(to_unix(stored) == to_unix(signed), about, where, Expected.DOCUMENT)


def _about(row: Mapping[str, Any]) -> About:
    return About(identifier=f"{row['kind']}#{row['sequence']}")


def parsed(parse: Callable[..., T], *values: Any, **named: Any) -> T | None:
    """Return what a parser makes of stored bytes, None when it refuses them."""
    try:
        return parse(*values, **named)
    except FormatError:
        return None
