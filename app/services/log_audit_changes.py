"""Hold what went with every change of a license against its history: log entry, feed event, audit entry.

Each change is written anew as the event that the log commits to; its digest finds the entry. Where none fits, the
other rows of the change tell which of them was altered.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.log_ports import AuditRow
from app.services.log_audit_licenses import FURTHER, ISSUE, KINDS, SUPERSEDED, Group, Life
from app.services.log_audit_report import About, Expected, Findings
from app.services.log_audit_trust import Trust
from elicense.encoding import b64url_decode, sha256_hex
from elicense.log_entry import EntryKind, LicenseEvent, change_digest, issuance_digest, license_entry
from elicense.problems import FormatError

LICENSE_LEAVES: Final = frozenset({"issuance", "change"})
_VOIDED: Final = "voided"
_VOID: Final = "intent.void"
_HOLD: Final = "recover.hold"
# What is done to a license; orders, proposals and their approval are audited beside it under names of their own.
_AUDITED: Final = frozenset({_VOID, _HOLD, *(f"license.{name}" for name in (ISSUE, *FURTHER, *KINDS))})
# What nothing else in the register repeats: the digest in the log alone tells that one of them was altered.
_ONLY_LOGGED: Final = ("reason_code", "reason", "details", "effective_at")


@dataclass(slots=True)
class Told:
    """One event of a license as it must have been told: `history` the row it comes from, None of a given-up promise."""

    event: LicenseEvent
    type_code: str
    payload: Mapping[str, object]
    history: AuditRow | None
    is_logged: bool = False

    @property
    def about(self) -> About:
        """Name the version it speaks of."""
        return About(self.event.license_id, self.event.identifier)

    @property
    def leaf_kind(self) -> EntryKind:
        """Tell which kind of entry it has."""
        return EntryKind.ISSUANCE if self.event.kind == "issued" else EntryKind.CHANGE


def check_changes(
    group: Group, life: Life, voided: Sequence[AuditRow], trust: Trust, findings: Findings
) -> None:
    """Check the log entries, events and audit entries of a license. `voided` are its given-up promises."""
    before = len(findings.faults)
    told = _told_by_history(life, findings)
    told += told_by_promises(group, voided, trust)
    check_told(group, told, findings, is_sound=len(findings.faults) == before)


def check_given_up(group: Group, voided: Sequence[AuditRow], trust: Trust, findings: Findings) -> None:
    """Check what was told about promises that never became a license."""
    check_told(group, told_by_promises(group, voided, trust), findings, is_sound=True)


def check_told(group: Group, told: Sequence[Told], findings: Findings, *, is_sound: bool) -> None:
    """Match every event with its entry in the log, then with the feed and the audit."""
    _check_leaves(group, told, findings, is_sound=is_sound)
    _check_feed(group, told, findings)
    _check_audit(group, told, findings)


def _told_by_history(life: Life, findings: Findings) -> list[Told]:
    told: list[Told] = []
    current: AuditRow | None = None
    for row in life.history:
        version = life.versions.get(row["version"])
        if version is None:
            continue
        if row["action"] in FURTHER and current is not None:
            ended = {"kind": SUPERSEDED, "from_state": row["from_state"], "to_state": SUPERSEDED}
            told.append(_told(life, row, current, **ended))
        if row["action"] == ISSUE or row["action"] in FURTHER:
            told.append(_told(life, row, version, kind="issued", from_state=None, to_state=row["to_state"]))
            current = version
        else:
            kind = KINDS.get(row["action"], row["action"])
            told.append(
                _told(life, row, version, kind=kind, from_state=row["from_state"], to_state=row["to_state"])
            )
    return told


def _told(
    life: Life, row: AuditRow, version: AuditRow, *, kind: str, from_state: str | None, to_state: str
) -> Told:
    event = LicenseEvent(
        env=version["env"],
        kind=kind,
        license_id=row["license_id"],
        identifier=version["identifier"],
        version=version["version"],
        row_version=row["row_version"],
        from_state=from_state,
        to_state=to_state,
        actor=row["actor"],
        recorded_at=row["recorded_at"],
        effective_at=row["effective_at"],
        reason_code=row["reason_code"],
        reason=row["reason"],
        signing_input_sha256=version["signing_input_sha256"],
        status_list=version["status_list_id"],
        status_index=version["status_index"],
        details=row["details"],
    )
    # The feed names authority and area of the license as it stood after the change.
    credential = life.credentials.get(row["version"])
    place = life.license if credential is None else vars_of(credential.claims.license)
    return Told(event, life.license["type_code"], _payload(event, place), row)


def vars_of(claims: Any) -> Mapping[str, object]:
    """Return what the feed repeats of a license's claims."""
    return {"authority_code": claims.authority_code, "area_code": claims.area_code}


def _payload(event: LicenseEvent, place: Mapping[str, Any]) -> Mapping[str, object]:
    return {
        "identifier": event.identifier,
        "version": event.version,
        "state": event.to_state,
        "authority_code": place["authority_code"],
        "area_code": place["area_code"],
    }


def told_by_promises(group: Group, voided: Sequence[AuditRow], trust: Trust) -> list[Told]:
    """Write the events of given-up promises; when, by whom and why tell the audit entries of just that."""
    entries = [row for row in group.of("audit") if row["action"] == _VOID]
    leaves = {row["identifier"]: row for row in group.of("log_leaves") if row["kind"] == "change"}
    told: list[Told] = []
    for number, intent in enumerate(voided):
        leaf = leaves.get(intent["identifier"])
        fitting = [row for row in entries if leaf is not None and row["at"] == leaf["recorded_at"]]
        events = [_given_up(intent, entry, trust) for entry in fitting or entries[number : number + 1]]
        if not events:
            continue
        # Two may be given up in one second, by different hands: the digest in the log tells whose entry is whose.
        logged = None if leaf is None else leaf["event_sha256"]
        event = next((one for one in events if one.sha256 == logged), events[0])
        told.append(Told(event, intent["license"]["type_code"], _payload(event, intent["license"]), None))
    return told


def _given_up(intent: AuditRow, entry: AuditRow, trust: Trust) -> LicenseEvent:
    license = intent["license"]
    return LicenseEvent(
        env=trust.env,
        kind=_VOIDED,
        license_id=license["id"],
        identifier=intent["identifier"],
        version=license["version"],
        row_version=0,
        from_state=None,
        to_state=_VOIDED,
        actor=entry["actor"],
        recorded_at=entry["at"],
        effective_at=entry["at"],
        reason_code=entry["outcome"],
        reason=None,
        signing_input_sha256=sha256_hex(intent["signing_input"]),
        status_list=intent["status_list_id"],
        status_index=intent["status_index"],
    )


def _check_leaves(group: Group, told: Sequence[Told], findings: Findings, *, is_sound: bool) -> None:
    table = "log_leaves"
    leaves = list(group.of(table))
    waiting = {one.event.sha256: one for one in told}
    rest: list[AuditRow] = []
    for leaf in leaves:
        findings.count(table)
        one = waiting.pop(leaf["event_sha256"] or "", None)
        if one is None:
            rest.append(leaf)
            continue
        one.is_logged = True
        _check_leaf(group, leaf, one, findings)
    for one in _by_age(waiting.values()):
        leaf_ = _take(rest, one, _fits)
        if leaf_ is None:
            findings.fault(one.about, f"{table}.subject", Expected.LEAF)
        else:
            _explain(leaf_, one, findings, is_sound=is_sound)
    for leaf in rest:
        findings.fault(About(group.subject, leaf["identifier"]), f"{table}.subject", Expected.LEAF)


def _fits(leaf: AuditRow, one: Told) -> bool:
    """Tell whether a leaf whose digest does not fit must be the one of an event, by what else it says."""
    return (
        leaf["identifier"] == one.event.identifier
        and leaf["kind"] == one.leaf_kind.value
        and leaf["recorded_at"] == one.event.recorded_at
    ) or _opens(leaf, one)


def _check_leaf(group: Group, leaf: AuditRow, one: Told, findings: Findings) -> None:
    table = "log_leaves"
    wanted = {"log": "register", "kind": one.leaf_kind.value, "identifier": one.event.identifier}
    findings.compare(leaf, wanted, one.about, table, Expected.LEAF)
    if leaf["recorded_at"] != one.event.recorded_at:
        # The digest holds whole seconds; below them the audit entry, written with both, tells which was altered.
        agreed = one.history is not None and any(
            row["at"] == leaf["recorded_at"] for row in group.of("audit")
        )
        where = "license_history" if agreed else table
        findings.fault(one.about, f"{where}.recorded_at", Expected.LEAF)
    if not _opens(leaf, one):
        for column in ("salt", "entry"):
            findings.fault(one.about, f"{table}.{column}", Expected.LEAF)


def _explain(leaf: AuditRow, one: Told, findings: Findings, *, is_sound: bool) -> None:
    """Tell which side was altered when the digest of an event is not the one logged."""
    if _opens(leaf, one):
        findings.fault(one.about, "log_leaves.event_sha256", Expected.LEAF)
        return
    if not _is_consistent(leaf, one):
        for column in ("event_sha256", "salt", "entry"):
            findings.fault(one.about, f"log_leaves.{column}", Expected.LEAF)
        return
    if one.history is None:
        for column in ("identifier", "license", "signing_input", "status_list_id", "status_index"):
            findings.fault(one.about, f"intents.{column}", Expected.EVENT)
        for column in ("actor", "at", "outcome"):
            findings.fault(one.about, f"audit.{column}", Expected.EVENT)
    elif is_sound:
        for column in (*_ONLY_LOGGED, "actor", "recorded_at"):
            findings.fault(one.about, f"license_history.{column}", Expected.EVENT)


def _opens(leaf: AuditRow, one: Told) -> bool:
    return bool(_entry(leaf["salt"], one, one.event.sha256) == leaf["entry"])


def _is_consistent(leaf: AuditRow, one: Told) -> bool:
    return bool(_entry(leaf["salt"], one, leaf["event_sha256"] or "") == leaf["entry"])


def _entry(salt: str | None, one: Told, event_sha256: str) -> bytes | None:
    try:
        raw = b64url_decode(salt or "")
        if one.leaf_kind is EntryKind.ISSUANCE:
            digest = issuance_digest(
                signing_input_sha256=one.event.signing_input_sha256, event_sha256=event_sha256, salt=raw
            )
        else:
            digest = change_digest(event_sha256=event_sha256, salt=raw)
    except (FormatError, ValueError):
        return None
    return license_entry(env=one.event.env, kind=one.leaf_kind, digest=digest)


def _check_feed(group: Group, told: Sequence[Told], findings: Findings) -> None:
    table = "events"
    rows = list(group.of(table))
    findings.count(table, len(rows))
    missing = [one for one in told if _take(rows, one, _is_fed) is None]
    for one in _by_age(missing):
        nearest = _nearest(rows, one, _feed_faults)
        if nearest is None:
            findings.fault(one.about, f"{table}.license_id", Expected.FEED)
            continue
        for column, source in _feed_faults(nearest, one):
            where = f"{table}.{column}" if one.is_logged else f"license_history.{source}"
            findings.fault(one.about, where, Expected.FEED)
    for _ in rows:
        findings.fault(About(group.subject), f"{table}.license_id", Expected.FEED)


def _feed_faults(row: AuditRow, one: Told) -> list[tuple[str, str]]:
    """Name the columns of an event that are not as told, each with the column of the history it comes from."""
    wanted = {
        "kind": (f"license.{one.event.kind}", "action"),
        "type_code": (one.type_code, "version"),
        "occurred_at": (one.event.recorded_at, "recorded_at"),
        "payload": (one.payload, "to_state"),
    }
    return [(name, source) for name, (value, source) in wanted.items() if row[name] != value]


def _check_audit(group: Group, told: Sequence[Told], findings: Findings) -> None:
    table = "audit"
    rows = [row for row in list(group.of(table)) if row["action"] in _AUDITED]
    findings.count(table, len(rows))
    # A further version is one change and two events: its audit entry goes with the issuance.
    changes = [one for one in told if one.event.kind != SUPERSEDED or one.history is None]
    missing = [one for one in changes if _take(rows, one, _is_audited) is None]
    for one in _by_age(missing):
        nearest = _nearest(rows, one, _audit_faults)
        if nearest is None:
            # Altered beyond recognition by its first letters, or gone: either way the change has none.
            for column in ("subject", "action"):
                findings.fault(one.about, f"{table}.{column}", Expected.AUDIT)
            continue
        for column, source in _audit_faults(nearest, one):
            where = f"{table}.{column}" if one.is_logged else f"license_history.{source}"
            findings.fault(one.about, where, Expected.AUDIT)
    for _ in rows:
        findings.fault(About(group.subject), f"{table}.subject", Expected.AUDIT)


def _audit_faults(row: AuditRow, one: Told) -> list[tuple[str, str]]:
    event = one.event
    if one.history is None:
        action, outcome = _VOID, event.reason_code or ""
    else:
        held = one.history["reason_code"] == "status_lost" and one.history["action"] == "suspend"
        action, outcome = _HOLD if held else f"license.{one.history['action']}", "ok"
    wanted = {
        "action": (action, "action"),
        "actor": (event.actor, "actor"),
        "at": (event.recorded_at, "recorded_at"),
        "outcome": (outcome, "reason_code"),
    }
    return [(name, source) for name, (value, source) in wanted.items() if row[name] != value]


def _is_fed(row: AuditRow, one: Told) -> bool:
    return not _feed_faults(row, one)


def _is_audited(row: AuditRow, one: Told) -> bool:
    return not _audit_faults(row, one)


def _take(rows: list[AuditRow], one: Told, fits: Callable[[AuditRow, Told], bool]) -> AuditRow | None:
    found = next((row for row in rows if fits(row, one)), None)
    if found is not None:
        # By identity: rows compare by value.
        rows[:] = [row for row in rows if row is not found]
    return found


def _nearest(
    rows: list[AuditRow], one: Told, faults: Callable[[AuditRow, Told], Sequence[object]]
) -> AuditRow | None:
    """Take the row that differs least from what it should say: that is the one that was altered."""
    found = min(rows, key=lambda row: len(faults(row, one)), default=None)
    if found is not None:
        rows[:] = [row for row in rows if row is not found]
    return found


def _by_age(told: Iterable[Told]) -> list[Told]:
    return sorted(told, key=lambda one: (one.event.recorded_at, one.event.row_version))
