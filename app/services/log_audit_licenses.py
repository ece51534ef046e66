"""Re-derive one license from its credentials and its history: every column of its entry and of each version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from app.log_ports import AuditRow
from app.services.log_audit_report import About, Expected, Findings
from app.services.log_audit_trust import Trust, parsed
from elicense.cn import CodeError, parse_identifier
from elicense.credential import Credential, parse_credential
from elicense.encoding import sha256_hex, to_unix
from elicense.problems import FormatError

ISSUE: Final = "issue"
FURTHER: Final = frozenset({"amend", "renew", "reissue"})
SUPERSEDED: Final = "superseded"
_ACTIVE: Final = frozenset({"active", "suspended"})
# The rules of states and actions, stated anew: from which states to which one; None keeps the state.
_RULES: Final[Mapping[str, tuple[frozenset[str], str | None]]] = {
    "suspend": (frozenset({"active"}), "suspended"),
    "resume": (frozenset({"suspended"}), "active"),
    "revoke": (_ACTIVE, "revoked"),
    "cancel": (_ACTIVE, "cancelled"),
    "amend": (_ACTIVE, None),
    "renew": (_ACTIVE, None),
    "reissue": (_ACTIVE, None),
}
KINDS: Final[Mapping[str, str]] = {
    "suspend": "suspended",
    "resume": "resumed",
    "revoke": "revoked",
    "cancel": "cancelled",
    "succession": "succeeded",
}
_ENDED: Final = frozenset({SUPERSEDED, "cancelled", "transferred"})


@dataclass(slots=True)
class Group:
    """All rows of one subject: a license, a promise that was given up, a receipt, or a published document."""

    subject: str
    rows: dict[str, list[AuditRow]]

    def of(self, stream: str) -> list[AuditRow]:
        """Return the rows of a stream."""
        return self.rows.get(stream, [])


@dataclass(slots=True)
class Life:
    """A license re-derived: its versions in order, their credentials, what its history made of them."""

    license: AuditRow
    versions: Mapping[str, AuditRow]
    credentials: Mapping[str, Credential]
    history: Sequence[AuditRow]
    states: dict[str, str] = field(default_factory=dict)

    @property
    def about(self) -> About:
        """Name the license."""
        return About(self.license["id"], self.license["identifier"])


def check_license(group: Group, trust: Trust, findings: Findings) -> Life | None:
    """Check a license's entry, versions and history; return it re-derived, None when rows of it cannot be read."""
    row = group.of("licenses")[0]
    about = About(row["id"], row["identifier"])
    findings.count("licenses")
    tables = ("licenses", "license_versions", "license_history")
    read = {name: findings.all_readable(group.of(name), about, name) for name in tables}
    if any(len(read[name]) != len(group.of(name)) for name in tables):
        return None
    if not all(isinstance(one["details"], dict) for one in read["license_history"]):
        findings.fault(about, "license_history.details", Expected.READABLE)
        return None
    versions = {one["version"]: one for one in read["license_versions"]}
    credentials = {
        name: credential
        for name, one in versions.items()
        if (credential := check_version(one, trust, findings)) is not None
    }
    life = Life(row, versions, credentials, read["license_history"])
    findings.require(bool(versions), about, "license_versions.license_id", Expected.LICENSE)
    _check_entry(life, findings)
    _check_history(life, findings)
    _check_numbers(group, life, findings)
    return life


def check_version(row: AuditRow, trust: Trust, findings: Findings) -> Credential | None:
    """Check a version against its credential, which must be whole and signed by its authority's key of that time."""
    table, about = "license_versions", About(row["license_id"], row["identifier"])
    findings.count(table)
    credential = parsed(parse_credential, row["credential"])
    if credential is None or not _is_signed(credential, trust):
        findings.fault(about, f"{table}.credential", Expected.SIGNATURE)
        return None
    # All elements disclosed, nobody's presentation, and about the holder it names.
    whole = credential.undisclosed_count == 0 and credential.key_binding is None
    whole = whole and credential.claims.subject == credential.claims.license.holder.code
    findings.require(whole, about, f"{table}.credential", Expected.CREDENTIAL)
    claims = credential.claims
    signed = {
        "identifier": claims.license.identifier,
        "version": claims.license.version,
        "signing_input_sha256": sha256_hex(credential.signing_input),
        "status_index": claims.status_index,
        "kid": credential.kid,
        "env": credential.env,
    }
    findings.compare(row, signed, about, table, Expected.CREDENTIAL)
    listed = f"{trust.issuer_url}/v1/status-lists/{row['status_list_id']}" == claims.status_uri
    findings.require(listed, about, f"{table}.status_list_id", Expected.CREDENTIAL)
    at = to_unix(row["issued_at"]) == to_unix(claims.issued_at)
    findings.require(at, about, f"{table}.issued_at", Expected.CREDENTIAL)
    findings.require(credential.env == trust.env, about, f"{table}.credential", Expected.TRUST)
    _check_identifier(credential, about, findings)
    return credential


def _is_signed(credential: Credential, trust: Trust) -> bool:
    found = trust.credential_key(credential.kid)
    if found is None:
        return False
    authority, entry = found
    if credential.alg != entry.key.profile.alg or not entry.valid_at(credential.claims.issued_at):
        return False
    if (authority.issuer, authority.code) != (
        credential.claims.issuer,
        credential.claims.license.authority_code,
    ):
        return False
    return entry.key.verify(credential.signature, credential.signing_input)


def _check_identifier(credential: Credential, about: About, findings: Findings) -> None:
    """Take the identifier apart: type, authority, version and check character (GB/T 36904)."""
    claims = credential.claims.license
    try:
        parts = parse_identifier(claims.identifier)
        right = parts.check_is_right and (parts.type_code, parts.authority_code, parts.version) == (
            claims.type_code,
            claims.authority_code,
            claims.version,
        )
    except (CodeError, FormatError):
        right = False
    findings.require(right, about, "license_versions.identifier", Expected.CREDENTIAL)


def _check_entry(life: Life, findings: Findings) -> None:
    """Hold the entry against the newest version's credential."""
    if not life.versions:
        return
    about, row = life.about, life.license
    newest = max(life.versions)
    credential = life.credentials.get(newest)
    first = life.versions[min(life.versions)]
    findings.compare(row, {"created_at": first["issued_at"]}, about, "licenses", Expected.VERSION)
    if credential is None:
        return
    claims = credential.claims.license
    signed: dict[str, Any] = {
        "identifier": claims.identifier,
        "version": claims.version,
        "type_code": claims.type_code,
        "type_name": claims.type_name,
        "number": claims.number,
        "authority_code": claims.authority_code,
        "authority_name": claims.authority_name,
        "holder_code": claims.holder.code,
        "holder_code_type": claims.holder.code_type,
        "holder_name": claims.holder.name,
        "area_code": claims.area_code,
        "issue_date": claims.issue_date,
        "valid_from": claims.valid_from,
        "valid_until": claims.valid_until,
        "elements": dict(credential.elements),
        "holder_key": None if credential.cnf is None else credential.cnf["jwk"],
    }
    findings.compare(row, signed, about, "licenses", Expected.CREDENTIAL)


def _check_history(life: Life, findings: Findings) -> None:
    """Follow the history by the rules: numbers, versions, states; then hold the result against entry and versions."""
    table, about = "license_history", life.about
    state, version, revocation = None, None, None
    made: list[str] = []
    for number, row in enumerate(life.history, start=1):
        findings.count(table)
        findings.compare(row, {"row_version": number}, about, table, Expected.GAP_FREE)
        findings.compare(row, {"from_state": state}, about, table, Expected.HISTORY)
        if "scheduled_change" not in row["details"]:
            # Only what was ordered ahead takes effect at another time than it is recorded.
            findings.compare(row, {"effective_at": row["recorded_at"]}, about, table, Expected.RULES)
        action = row["action"]
        if (action == ISSUE) != (number == 1) or action not in (ISSUE, "succession", *_RULES):
            findings.fault(about, f"{table}.action", Expected.RULES)
        if action == ISSUE or action in FURTHER:
            findings.require(row["version"] in life.versions, about, f"{table}.version", Expected.VERSION)
            if version is not None:
                life.states[version] = SUPERSEDED
            _check_previous(life, row, version, findings)
            version = row["version"]
            made.append(version)
        findings.compare(row, {"version": version}, about, table, Expected.HISTORY)
        state = _next_state(action, state, row, about, findings)
        if version is not None:
            life.states[version] = state
        if action == "revoke":
            revocation = row["details"].get("kind")
    _check_end(life, state, revocation, made, findings)


def _next_state(action: str, state: str | None, row: AuditRow, about: About, findings: Findings) -> str:
    where = "license_history.to_state"
    if action == ISSUE:
        wanted: str | None = "active"
    elif action == "succession":
        wanted = SUPERSEDED if state in _ACTIVE else state
        findings.require(state in _ACTIVE or state in _ENDED, about, "license_history.action", Expected.RULES)
    elif action in _RULES:
        allowed, target = _RULES[action]
        findings.require(state in allowed, about, "license_history.action", Expected.RULES)
        wanted = target or state
    else:
        wanted = row["to_state"]
    findings.require(row["to_state"] == wanted, about, where, Expected.RULES)
    return str(wanted)


def _check_previous(life: Life, row: AuditRow, before: str | None, findings: Findings) -> None:
    named = row["details"].get("previous")
    held = life.versions.get(before or "")
    wanted = None if held is None else held["identifier"]
    findings.require(named == wanted, life.about, "license_history.details", Expected.VERSION)


def _check_end(
    life: Life, state: str | None, revocation: str | None, made: Sequence[str], findings: Findings
) -> None:
    about = life.about
    wanted: dict[str, Any] = {"row_version": len(life.history), "state": state, "revocation": revocation}
    if life.history:
        last = life.history[-1]
        issued = last["action"] == ISSUE or last["action"] in FURTHER
        version = life.versions.get(last["version"])
        if not issued:
            wanted["updated_at"] = last["recorded_at"]
        elif version is not None:
            wanted["updated_at"] = version["issued_at"]
    findings.compare(life.license, wanted, about, "licenses", Expected.HISTORY)
    if life.license["row_version"] > len(life.history):
        # Altered here, or one of its changes now goes by another license's name.
        findings.fault(about, "license_history.license_id", Expected.LICENSE)
    if made != sorted(life.versions):
        missing = set(life.versions) - set(made)
        where = "license_history.license_id" if missing else "license_versions.license_id"
        findings.fault(about, where, Expected.HISTORY)
    for name, row in life.versions.items():
        one = About(row["license_id"], row["identifier"])
        held = {"state": life.states.get(name)}
        credential = life.credentials.get(name)
        if "former_holder_code" in row and credential is not None:
            # Of the version in force the license's own row says who holds it.
            former = None if name == max(life.versions) else credential.claims.license.holder.code
            held["former_holder_code"] = former
        findings.compare(row, held, one, "license_versions", Expected.HISTORY)


def _check_numbers(group: Group, life: Life, findings: Findings) -> None:
    """A license holds its one number, ended or not."""
    table, about = "license_numbers", life.about
    rows = group.of(table)
    findings.count(table, len(rows))
    if not findings.require(len(rows) == 1, about, f"{table}.license_id", Expected.NUMBER):
        return
    credential = life.credentials.get(max(life.versions, default=""))
    if credential is not None:
        claims = credential.claims.license
        wanted = {"type_code": claims.type_code, "number": claims.number}
        findings.compare(rows[0], wanted, about, table, Expected.NUMBER)
