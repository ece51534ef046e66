"""Re-derive the status lists: each entry from the versions that own it, each published token from its signature."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from app.log_ports import AuditRow, AuditSnapshot
from app.services.log_audit_report import About, Expected, Findings, Pending
from app.services.log_audit_trust import Trust, parsed
from elicense.encoding import sha256_hex, to_unix
from elicense.problems import FormatError
from elicense.status_list import StatusBuffer, decode_bits, parse_status_list
from elicense.trust_entries import ServiceUse

# The value table, stated anew (IETF Token Status List §7.1 and this product's third and fourth value).
VALUES: Final[Mapping[str, int]] = {
    "active": 0,
    "revoked": 1,
    "cancelled": 1,
    "transferred": 1,
    "suspended": 2,
    "superseded": 3,
}
_INVALID: Final = 1
_ENTRIES, _VERSIONS, _LISTS = "status_entries", "status_list_versions", "status_lists"


@dataclass(slots=True)
class ListState:
    """One list as its row says, and its entries as the versions' states make them."""

    row: AuditRow
    marks: int = 0
    bits: StatusBuffer | None = None
    highest: int = -1


@dataclass(slots=True)
class _Place:
    """Who owns one entry: versions, promises, and what is stored for it."""

    list_id: str
    index: int
    rows: dict[str, list[AuditRow]] = field(default_factory=dict)


async def check_lists(snapshot: AuditSnapshot, findings: Findings, trust: Trust) -> None:
    """Check entries, then every published version of every list."""
    lists = await _read_lists(snapshot, findings, trust)
    async for place in _places(snapshot):
        _check_place(place, lists.get(place.list_id), findings, trust)
    for state in lists.values():
        findings.require(
            state.highest < state.row["allocated"], _about(state.row), f"{_LISTS}.allocated", Expected.VERSION
        )
        await _check_published(snapshot, state, findings, trust)
    async for row in snapshot.rows(_VERSIONS, order=("list_id", "seq")):
        known = row["list_id"] in lists
        findings.require(known, _published(row), f"{_VERSIONS}.list_id", Expected.DOCUMENT)


async def _read_lists(snapshot: AuditSnapshot, findings: Findings, trust: Trust) -> dict[str, ListState]:
    lists: dict[str, ListState] = {}
    async for row in snapshot.rows(_LISTS, order=("id",)):
        findings.count(_LISTS)
        lists[row["id"]] = ListState(
            row, bits=StatusBuffer(row["size"]) if 0 < row["size"] < 1 << 26 else None
        )
        wanted = {"uri": f"{trust.issuer_url}/v1/status-lists/{row['id']}"}
        if not findings.compare(row, wanted, _about(row), _LISTS, Expected.DOCUMENT):
            findings.fault(_about(row), f"{_LISTS}.id", Expected.DOCUMENT)
        named = row["id"].rpartition("-")[0].upper()
        findings.compare(row, {"authority_code": named}, _about(row), _LISTS, Expected.DOCUMENT)
    async for row in snapshot.rows("status_marks", order=("list_id", "id")):
        state = lists.get(row["list_id"])
        if state is not None:
            state.marks += 1
    return lists


async def _places(snapshot: AuditSnapshot) -> AsyncIterator[_Place]:
    """Merge what speaks of each entry, in the order of lists and indices."""
    streams = {
        _ENTRIES: (snapshot.rows(_ENTRIES, order=("list_id", "idx")), ("list_id", "idx")),
        "license_versions": (
            snapshot.rows("license_versions", order=("status_list_id", "status_index")),
            ("status_list_id", "status_index"),
        ),
        "intents": (
            snapshot.rows("intents", order=("status_list_id", "status_index")),
            ("status_list_id", "status_index"),
        ),
    }
    async for key, rows in merged(streams):
        yield _Place(key[0], key[1], rows)


async def merged(
    streams: Mapping[str, tuple[AsyncIterator[AuditRow], tuple[str, ...]]],
) -> AsyncIterator[tuple[tuple[Any, ...], dict[str, list[AuditRow]]]]:
    """Merge streams that are each in the order of their key; yield every key with its rows of each."""
    heads: dict[str, AuditRow | None] = {name: await anext(rows, None) for name, (rows, _) in streams.items()}

    def key_of(name: str) -> tuple[Any, ...]:
        row = heads[name]
        assert row is not None
        return tuple(row[column] for column in streams[name][1])

    while waiting := [name for name, row in heads.items() if row is not None]:
        key = min(key_of(name) for name in waiting)
        found: dict[str, list[AuditRow]] = {}
        for name in waiting:
            while (row := heads[name]) is not None and key_of(name) == key:
                found.setdefault(name, []).append(row)
                heads[name] = await anext(streams[name][0], None)
        yield key, found


def _check_place(place: _Place, state: ListState | None, findings: Findings, trust: Trust) -> None:
    stored = place.rows.get(_ENTRIES, [])
    value = stored[0]["value"] if stored else 0
    owners, promises = place.rows.get("license_versions", []), place.rows.get("intents", [])
    about = About(identifier=f"{place.list_id}#{place.index}")
    findings.count(_ENTRIES, len(stored))
    wanted = 0
    if owners:
        about = About(owners[0]["license_id"], owners[0]["identifier"])
        wanted = VALUES.get(owners[0]["state"], -1)
    elif promises:
        about = About(identifier=promises[0]["identifier"])
        wanted = _INVALID if promises[0]["state"] == "voided" else 0
    elif trust.recovered and state is not None and place.index < state.row["allocated"]:
        wanted = _INVALID  # a recovery made whatever nobody owned invalid
    if state is None:
        for name in ("list_id",) if stored and not owners else ():
            findings.fault(about, f"{_ENTRIES}.{name}", Expected.STATUS)
        return
    state.highest = max(state.highest, place.index)
    if value != wanted:
        # Without an owner the entry stands in the wrong place; without an entry its own place is empty.
        for column in ("value",) if stored and (owners or promises) else ("list_id", "idx"):
            findings.fault(about, f"{_ENTRIES}.{column}", Expected.STATUS)
    if state.bits is not None and 0 <= place.index < state.row["size"] and 0 <= wanted <= 3:
        state.bits.set(place.index, wanted)


async def _check_published(
    snapshot: AuditSnapshot, state: ListState, findings: Findings, trust: Trust
) -> None:
    """Check every published version of a list, the newest against the entries as they are."""
    last, newest, before = 0, None, None
    list_id = state.row["id"]
    async for row in snapshot.rows(_VERSIONS, order=("seq",), equal={"list_id": list_id}):
        about = _published(row)
        findings.count(_VERSIONS)
        if not findings.readable(row, about, _VERSIONS):
            continue
        follows = trust.fits_gap(last, row["seq"], f"floor.status_list.{list_id}")
        findings.require(follows, about, f"{_VERSIONS}.seq", Expected.GAP_FREE)
        last = row["seq"]
        # Who asks about a past moment finds its version by these times.
        rises = before is None or row["issued_at"] >= before
        findings.require(rises, about, f"{_VERSIONS}.issued_at", Expected.NOT_BEFORE)
        before = row["issued_at"]
        newest = row if check_published_list(row, findings, trust) else None
    findings.compare(state.row, {"seq": last}, _about(state.row), _LISTS, Expected.DOCUMENT)
    if newest is None or state.bits is None:
        return
    if state.marks:
        findings.pending.append(Pending(f"{_LISTS}.published_changes", state.row["uri"]))
        return
    claims = parse_status_list(newest["token"]).claims
    bits = parsed(decode_bits, claims.lst)
    expected = state.bits.to_bytes()
    if bits is None or len(bits) != len(expected):
        findings.fault(_about(state.row), f"{_LISTS}.size", Expected.DOCUMENT)
    else:
        findings.require(bits == expected, _published(newest), f"{_VERSIONS}.token", Expected.STATUS)


def check_published_list(row: AuditRow, findings: Findings, trust: Trust) -> bool:
    """Check one published version against its token; return whether that is signed."""
    about = _published(row)
    digest = sha256_hex(row["token"].encode()) == row["sha256"]
    findings.require(digest, about, f"{_VERSIONS}.sha256", Expected.DIGEST)
    try:
        unverified = parse_status_list(row["token"])
    except FormatError:
        findings.fault(about, f"{_VERSIONS}.token", Expected.SIGNATURE)
        return False
    claims = unverified.claims
    if not trust.is_signed(unverified.jws, ServiceUse.STATUS, claims.issued_at):
        findings.fault(about, f"{_VERSIONS}.token", Expected.SIGNATURE)
        return False
    findings.require(
        (claims.env, claims.issuer) == (trust.env, trust.issuer_url),
        about,
        f"{_VERSIONS}.token",
        Expected.TRUST,
    )
    wanted = {"uri": claims.uri, "seq": claims.seq, "event_seq": claims.event_seq}
    findings.compare(row, wanted, about, _VERSIONS, Expected.DOCUMENT)
    for column, moment in (("issued_at", claims.issued_at), ("expires_at", claims.expires_at)):
        near = abs(row[column] - moment) < timedelta(seconds=1) and to_unix(row[column]) == to_unix(moment)
        findings.require(near, about, f"{_VERSIONS}.{column}", Expected.DOCUMENT)
    return True


def _about(row: AuditRow) -> About:
    return About(identifier=row["uri"])


def _published(row: AuditRow) -> About:
    return About(identifier=f"{row['uri']}#{row['seq']}")
