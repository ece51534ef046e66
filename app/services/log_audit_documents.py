"""Hold the log's entries about published documents against the documents: digest, number, and the one before.

Documents and entries are read side by side, in the order of their publication: a list of years needs no more memory
than one of a day. Only what has no counterpart is kept until the end.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from app.log_ports import UNREADABLE, AuditRow, AuditSnapshot
from app.services.log_audit_report import About, Expected, Findings
from app.services.log_audit_trust import LIST, PATHS, ROOT, Trust, parsed
from elicense.encoding import to_unix
from elicense.log_entry import EntryKind, document_entry, parse_entry, receipts_entry
from elicense.signed_note import parse_checkpoint_text, parse_note

T = TypeVar("T")

_TABLE: Final = "log_leaves"
_DOCUMENTS: Final = ("status_list", "trust_list", "trust_root")
_ANCHORS: Final = ("receipts",)


@dataclass(frozen=True, slots=True)
class _Published:
    """One version of a published document, as its entry in the log must name it."""

    uri: str
    kind: EntryKind
    seq: int
    issued_at: datetime
    sha256: str
    previous: str | None


async def check_documents(snapshot: AuditSnapshot, trust: Trust, findings: Findings) -> None:
    """Check the entries about all published documents, in both directions."""

    def compare(leaf: AuditRow, one: _Published) -> None:
        _check_leaf(leaf, one, trust, findings)

    documents = ((f"{one.uri}#{one.seq}", one) async for one in _published(snapshot, trust))
    missing = await _side_by_side(_leaves(snapshot, _DOCUMENTS, findings), documents, compare, findings)
    for identifier in missing:
        # A document put back after a loss had its entry in the part of the log that was lost.
        if not trust.recovered:
            findings.fault(About(identifier=identifier), f"{_TABLE}.identifier", Expected.LEAF)


async def check_anchors(snapshot: AuditSnapshot, trust: Trust, findings: Findings) -> None:
    """Check the entries that fix states of the receipts' logs in the public one, and what the states say of them."""

    def compare(leaf: AuditRow, row: AuditRow) -> None:
        _check_anchor(leaf, row, trust, findings)

    states = ((_name(row), row) async for row in _states(snapshot))
    leaves = _with_repeats(_leaves(snapshot, _ANCHORS, findings))
    missing = await _side_by_side(leaves, states, compare, findings)
    for identifier, row in missing.items():
        if row.get("anchor_id") is not None:
            findings.fault(About(identifier=identifier), "log_checkpoints.anchor_id", Expected.LEAF)


async def _side_by_side(
    leaves: AsyncIterator[AuditRow],
    named: AsyncIterator[tuple[str, T]],
    compare: Callable[[AuditRow, T], None],
    findings: Findings,
) -> dict[str, T]:
    """Compare each leaf with what it names; note leaves that name nothing, return what no leaf names."""
    alone: dict[str | None, AuditRow] = {}
    unnamed: dict[str, T] = {}
    leaf, pair = await anext(leaves, None), await anext(named, None)
    while leaf is not None or pair is not None:
        if pair is not None:
            unnamed[pair[0]] = pair[1]
            if pair[0] in alone:
                compare(alone.pop(pair[0]), unnamed.pop(pair[0]))
            pair = await anext(named, None)
        if leaf is not None:
            identifier = leaf["identifier"]
            if identifier in unnamed:
                compare(leaf, unnamed.pop(identifier))
            elif identifier in alone:
                findings.fault(About(identifier=identifier), f"{_TABLE}.identifier", Expected.LEAF)
            else:
                alone[identifier] = leaf
            leaf = await anext(leaves, None)
    for identifier in alone:
        findings.fault(About(identifier=identifier), f"{_TABLE}.identifier", Expected.DOCUMENT)
    return unnamed


async def _leaves(
    snapshot: AuditSnapshot, kinds: tuple[str, ...], findings: Findings
) -> AsyncIterator[AuditRow]:
    async for leaf in snapshot.rows(_TABLE, order=("subject", "id"), any_of=("kind", kinds)):
        findings.count(_TABLE)
        about = About(identifier=leaf["identifier"])
        agree = (leaf["identifier"] or "").rpartition("#")[0] == leaf["subject"]
        findings.require(agree, about, f"{_TABLE}.subject", Expected.LEAF)
        findings.compare(
            leaf, {"log": "register", "event_sha256": None, "salt": None}, about, _TABLE, Expected.LEAF
        )
        if findings.readable(leaf, about, _TABLE):
            yield leaf


async def _with_repeats(leaves: AsyncIterator[AuditRow]) -> AsyncIterator[AuditRow]:
    """Give each leaf that fixes a state with those, right behind it, that only state it again (`again`)."""
    first: dict[str, Any] | None = None
    async for leaf in leaves:
        if first is not None and leaf["identifier"] == first["identifier"]:
            first["again"].append(leaf)
            continue
        if first is not None:
            yield first
        first = {**leaf, "again": []}
    if first is not None:
        yield first


def _check_leaf(leaf: AuditRow, one: _Published, trust: Trust, findings: Findings) -> None:
    about = About(identifier=leaf["identifier"])
    findings.compare(leaf, {"kind": one.kind.value}, about, _TABLE, Expected.LEAF)
    entry = document_entry(
        env=trust.env,
        kind=one.kind,
        uri=one.uri,
        seq=one.seq,
        issued_at=one.issued_at,
        sha256=one.sha256,
        previous=one.previous,
    )
    if leaf["entry"] == entry:
        return
    findings.fault(about, f"{_TABLE}.entry", Expected.DOCUMENT)
    said = parsed(parse_entry, leaf["entry"])
    if said is None:
        return
    table = "status_list_versions" if one.kind is EntryKind.STATUS_LIST else "signed_documents"
    if said.content.get("iat") != to_unix(one.issued_at):
        findings.fault(about, f"{table}.issued_at", Expected.LEAF)
    if said.content.get("previous") != one.previous:
        findings.fault(about, f"{table}.sha256", Expected.CHAIN)


async def _published(snapshot: AuditSnapshot, trust: Trust) -> AsyncIterator[_Published]:
    """Stream all versions of all documents that the log names, by URI and number."""
    uri, previous = "", None
    async for row in snapshot.rows("status_list_versions", order=("uri", "seq")):
        previous = previous if row["uri"] == uri else None
        uri = row["uri"]
        if row["issued_at"] is not UNREADABLE:
            yield _Published(
                uri, EntryKind.STATUS_LIST, row["seq"], row["issued_at"], row["sha256"], previous
            )
        previous = row["sha256"]
    for kind in (LIST, ROOT):
        previous = None
        async for row in snapshot.rows("signed_documents", order=("sequence",), equal={"kind": kind}):
            if row["issued_at"] is not UNREADABLE:
                yield _Published(
                    f"{trust.issuer_url}{PATHS[kind]}",
                    EntryKind(kind),
                    row["sequence"],
                    row["issued_at"],
                    row["sha256"],
                    previous,
                )
            previous = row["sha256"]


async def _states(snapshot: AuditSnapshot) -> AsyncIterator[AuditRow]:
    """Stream published states, those served and those put aside: a leaf may fix either."""
    for table in ("log_cut_checkpoints", "log_checkpoints"):
        async for row in snapshot.rows(table, order=("origin", "size")):
            if "/receipt-log" in row["origin"]:
                yield row


def _check_anchor(leaf: AuditRow, row: AuditRow, trust: Trust, findings: Findings) -> None:
    about = About(identifier=leaf["identifier"])
    again: list[AuditRow] = leaf["again"]
    if "anchor_id" in row:
        findings.compare(row, {"anchor_id": leaf["id"]}, about, "log_checkpoints", Expected.LEAF)
    if "restated_at" in row:
        restated = again[-1]["recorded_at"] if again else None
        findings.compare(row, {"restated_at": restated}, about, "log_checkpoints", Expected.LEAF)
    note = parsed(parse_note, row["note"])
    state = None if note is None else parsed(parse_checkpoint_text, note.text)
    if state is None:
        return  # the note itself is at fault, and found so
    for one in (leaf, *again):
        entry = receipts_entry(env=trust.env, checkpoint=state, stated_at=one["recorded_at"])
        if one["entry"] != entry:
            said = parsed(parse_entry, one["entry"])
            another = said is not None and said.content.get("iat") != to_unix(one["recorded_at"])
            column = "recorded_at" if another else "entry"
            findings.fault(about, f"{_TABLE}.{column}", Expected.CHECKPOINT)


def _name(row: AuditRow) -> str:
    return f"{row['origin']}#{row['size']}"
