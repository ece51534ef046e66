"""`elicense log audit`: re-derive the whole register from its log and its credentials.

It shares no code with those who write, but for the core that every verifier uses: rules and rows are stated here a
second time, so that a mistake of the writer is found and not repeated. Everything is read from one snapshot, beside a
running service; rows are streamed and merged by their subject, so that a large register needs no more memory.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from app.log_ports import AuditReader, AuditRow, AuditSnapshot
from app.services.log_audit_changes import LICENSE_LEAVES, check_changes, check_given_up
from app.services.log_audit_documents import check_anchors, check_documents
from app.services.log_audit_licenses import Group, check_license
from app.services.log_audit_lists import check_lists, merged
from app.services.log_audit_orders import check_orders, check_successors
from app.services.log_audit_promises import check_number_of_promise, check_promises, unkept_promises
from app.services.log_audit_receipts import check_verifications, last_purges
from app.services.log_audit_report import About, Expected, Fault, Findings, Pending
from app.services.log_audit_rows import check_event_counter, check_listed_keys, check_ordered_changes
from app.services.log_audit_trees import check_places, check_trees
from app.services.log_audit_trust import Trust, check_keys, check_unknown_documents, load_trust

_REMEMBERED: Final = 10_000
# What is read in the order of its subject: each stream by the column that names it.
_SUBJECTS: Final[Mapping[str, tuple[str, str]]] = {
    "licenses": ("licenses", "id"),
    "license_versions": ("license_versions", "license_id"),
    "license_history": ("license_history", "license_id"),
    "license_numbers": ("license_numbers", "license_id"),
    "license_successors": ("license_successors", "license_id"),
    "scheduled_changes": ("scheduled_changes", "license_id"),
    "proposals": ("proposals", "license_id"),
    "log_leaves": ("log_leaves", "subject"),
    "events": ("events", "license_id"),
    "audit": ("audit", "subject"),
    "singles": ("verifications", "id"),
    "batches": ("verifications", "batch_id"),
}
_SECOND: Final[Mapping[str, str]] = {
    "license_versions": "version",
    "license_history": "row_version",
    "license_successors": "row_version",
    "log_leaves": "id",
    "events": "id",
    "audit": "id",
    "batches": "id",
}
# Entries about documents are as many as their versions: they are no subject's, see `log_audit_documents`.
_KINDS: Final = (*LICENSE_LEAVES, "receipt")
_COMPANIONS: Final = ("audit", "events", "log_leaves", "license_successors", "singles", "batches")
_OF_VERIFICATIONS: Final = frozenset({"verification.create", "verification.batch"})


class AuditClock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the moment, in UTC."""
        ...


class Part(StrEnum):
    """Name a part of the audit that stands alone. The trusted keys are always derived first."""

    KEYS = "keys"
    SUBJECTS = "subjects"
    PROMISES = "promises"
    LISTS = "lists"
    DOCUMENTS = "documents"
    TREES = "trees"
    SEQUENCE = "sequence"


ALL: Final = frozenset(Part)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What an audit found: the register is `clean` without faults, whatever is still pending."""

    checked: Mapping[str, int]
    pending: tuple[Pending, ...]
    faults: tuple[Fault, ...]

    @property
    def clean(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.faults


class LogAuditService:
    """Audits a register. `pinned_root` is a trust root known from elsewhere, None to believe the stored chain."""

    def __init__(self, *, reader: AuditReader, clock: AuditClock, pinned_root: bytes | None = None) -> None:
        self._reader = reader
        self._clock = clock
        self._pinned_root = pinned_root

    async def run(
        self, *, parts: frozenset[Part] = ALL, tell: Callable[[str, int], None] | None = None
    ) -> AuditReport:
        """Audit the register as it is now; `tell` hears how many rows of a table were checked, now and then.

        Raises DomainError `unavailable` when the database is out of reach.
        """
        findings = Findings(tell=tell)
        async with self._reader.snapshot() as snapshot:
            # Only what was committed before is seen: nothing can be younger than this moment.
            now = self._clock.now()
            trust = await load_trust(snapshot, findings, pinned=self._pinned_root, now=now)
            await self._check(snapshot, trust, findings, parts, now=now)
        return AuditReport(
            checked=dict(sorted(findings.checked.items())),
            pending=tuple(findings.pending),
            faults=findings.faults,
        )

    async def _check(
        self,
        snapshot: AuditSnapshot,
        trust: Trust,
        findings: Findings,
        parts: frozenset[Part],
        *,
        now: datetime,
    ) -> None:
        if Part.KEYS in parts:
            await check_unknown_documents(snapshot, findings)
            await check_keys(snapshot, findings, trust)
            await check_listed_keys(snapshot, findings, trust)
        if Part.SUBJECTS in parts:
            await _Subjects(snapshot, trust, findings).check()
            await check_ordered_changes(snapshot, findings)
        if Part.PROMISES in parts:
            await check_promises(snapshot, findings, now=now)
        if Part.LISTS in parts:
            await check_lists(snapshot, findings, trust)
        if Part.DOCUMENTS in parts:
            await check_documents(snapshot, trust, findings)
            await check_anchors(snapshot, trust, findings)
        if Part.TREES in parts:
            origins = await check_trees(snapshot, findings, trust)
            await check_places(snapshot, findings, origins)
        if Part.SEQUENCE in parts:
            await _check_sequence(snapshot, findings, trust, now=now)


class _Subjects:
    """Walks over everything that is about one subject, subject by subject."""

    def __init__(self, snapshot: AuditSnapshot, trust: Trust, findings: Findings) -> None:
        self._snapshot = snapshot
        self._trust = trust
        self._findings = findings
        self._owners: dict[str, str | None] = {}
        self._opened: Mapping[str, list[AuditRow]] = {}
        self._voided: Mapping[str, list[AuditRow]] = {}
        self._purged: Mapping[str, datetime] = {}

    async def check(self) -> None:
        """Check every license, given-up promise and verification."""
        self._purged = await last_purges(self._snapshot)
        self._opened, self._voided = await unkept_promises(self._snapshot, self._findings)
        met: set[str] = set()
        streams = {name: (self._rows(name), (column,)) for name, (_, column) in _SUBJECTS.items()}
        async for (subject,), rows in merged(streams):
            await self._check_one(Group(subject, rows))
            if subject in self._voided:
                met.add(subject)
        for subject in self._voided.keys() - met:
            await self._check_one(Group(subject, {}))

    def _rows(self, name: str) -> AsyncIterator[AuditRow]:
        table, column = _SUBJECTS[name]
        order = (column, _SECOND[name]) if name in _SECOND else (column,)
        if name == "log_leaves":
            return self._snapshot.rows(table, order=order, any_of=("kind", _KINDS))
        if name == "singles":
            return self._snapshot.rows(table, order=order, equal={"batch_id": None})
        return self._snapshot.rows(table, order=order, present=column)

    async def _check_one(self, group: Group) -> None:
        self._leave_out_unreadable(group)
        voided = self._voided.get(group.subject, [])
        kinds = {row["kind"] for row in group.of("log_leaves")}
        if group.of("licenses"):
            await self._check_license(group, voided)
        elif group.of("singles") or group.of("batches") or self._is_receipt(group, kinds):
            await check_verifications(group, self._trust, self._findings, self._owner_of, self._purged)
        else:
            self._check_orphans(group)
            check_given_up(group, voided, self._trust, self._findings)
            check_number_of_promise(
                group.of("license_numbers"),
                self._opened.get(group.subject, []),
                group.subject,
                self._findings,
            )

    def _leave_out_unreadable(self, group: Group) -> None:
        """Note rows with values that cannot be read: nothing else can be said of them."""
        licenses, found = group.of("licenses"), About(identifier=group.subject)
        if licenses:
            found = About(group.subject, licenses[0]["identifier"])
        for name in _COMPANIONS:
            if name in group.rows:
                group.rows[name] = self._findings.all_readable(group.of(name), found, _SUBJECTS[name][0])

    def _is_receipt(self, group: Group, kinds: set[str]) -> bool:
        return "receipt" in kinds or any(row["action"] in _OF_VERIFICATIONS for row in group.of("audit"))

    async def _check_license(self, group: Group, voided: list[AuditRow]) -> None:
        life = check_license(group, self._trust, self._findings)
        if life is None:
            return
        await check_successors(group, life, self._findings, self._owner_of)
        check_orders(group, life, self._findings)
        check_changes(group, life, voided, self._trust, self._findings)

    def _check_orphans(self, group: Group) -> None:
        """Rows of a license that is not there: the name they go by is wrong, or the license went."""
        for name in ("license_versions", "license_history", "license_successors"):
            for row in group.of(name):
                about = About(group.subject, row.get("identifier"))
                self._findings.fault(about, f"{name}.license_id", Expected.LICENSE)
                self._findings.fault(about, "licenses.id", Expected.LICENSE)

    async def _owner_of(self, identifier: str) -> str | None:
        if identifier not in self._owners:
            if len(self._owners) >= _REMEMBERED:
                self._owners.clear()
            self._owners[identifier] = None
            named = {"identifier": identifier}
            async for row in self._snapshot.rows("license_versions", equal=named):
                self._owners[identifier] = row["license_id"]
        return self._owners[identifier]


async def _check_sequence(
    snapshot: AuditSnapshot, findings: Findings, trust: Trust, *, now: datetime
) -> None:
    """Events are numbered without a gap; what has no number or no place yet is young."""
    last = 0
    async for row in snapshot.rows("events", order=("seq",), present="seq"):
        follows = row["seq"] == last + 1 or (trust.recovered and row["seq"] > last)
        about = About(row["license_id"])
        findings.require(follows, about, "events.seq", Expected.GAP_FREE)
        last = row["seq"]
    await check_event_counter(snapshot, findings, trust, last=last)
    async for row in snapshot.rows("events", order=("id",), equal={"seq": None}):
        findings.wait("events.seq", row["license_id"], since=row["occurred_at"], now=now)
    async for row in snapshot.rows("log_leaves", order=("id",), equal={"idx": None}):
        findings.wait(
            "log_leaves.idx", row["identifier"] or row["subject"], since=row["recorded_at"], now=now
        )
