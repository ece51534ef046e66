"""Recompute both logs' Merkle trees from their entries, and hold heads, tiles and every published checkpoint to them.

Entries are streamed in the order of their places. What is kept meanwhile is one hash for each level of the tree and
the digest of each tile: a hundred-thousandth of the log.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from app.log_ports import AuditRow, AuditSnapshot
from app.services.log_audit_report import About, Expected, Findings, Pending
from app.services.log_audit_trust import Trust, parsed
from elicense.encoding import sha256
from elicense.log_entry import EntryKind
from elicense.merkle import EMPTY_ROOT, leaf_hash, node_hash
from elicense.signed_note import (
    Checkpoint,
    SignedNote,
    cosigned_at,
    is_signed_by,
    parse_checkpoint_text,
    parse_note,
)
from elicense.tiles import TILE_HEIGHT, TILE_WIDTH
from elicense.trust_entries import ServiceUse

_HEADS, _LEAVES, _TILES = "log_heads", "log_leaves", "log_tiles"
_PUBLISHED: Final = "log_checkpoints"
_CUT: Final = "log_cut_checkpoints"
_PATHS: Final = {"register": "log", "receipts": "receipt-log"}


@dataclass(slots=True)
class Tree:
    """Grow a Merkle tree leaf by leaf; know its root at any time, and of each of its tiles the length and digest."""

    size: int = 0
    tiles: dict[tuple[int, int], tuple[int, bytes]] = field(default_factory=dict)
    _peaks: list[tuple[int, bytes]] = field(default_factory=list)  # height and hash, the highest first
    _edge: list[bytearray] = field(default_factory=list)  # the last tile of each level
    _numbers: list[int] = field(default_factory=list)

    def add(self, entry: bytes) -> None:
        """Append an entry."""
        height, value = 0, leaf_hash(entry)
        self._fill(0, value)
        while self._peaks and self._peaks[-1][0] == height:
            value = node_hash(self._peaks.pop()[1], value)
            height += 1
            if height % TILE_HEIGHT == 0:
                self._fill(height // TILE_HEIGHT, value)
        self._peaks.append((height, value))
        self.size += 1

    @property
    def root(self) -> bytes:
        """Return the root over all entries so far."""
        if not self._peaks:
            return EMPTY_ROOT
        value = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            value = node_hash(left, value)
        return value

    def close(self) -> None:
        """Take the digests of the tiles that are not full."""
        for level, content in enumerate(self._edge):
            if content:
                self._take(level, content)

    def _fill(self, level: int, value: bytes) -> None:
        if level == len(self._edge):
            self._edge.append(bytearray())
            self._numbers.append(0)
        content = self._edge[level]
        content += value
        if len(content) == TILE_WIDTH * len(value):
            self._take(level, content)
            self._numbers[level] += 1
            content.clear()

    def _take(self, level: int, content: bytearray) -> None:
        self.tiles[level, self._numbers[level]] = (len(content), sha256(bytes(content)))


async def check_trees(snapshot: AuditSnapshot, findings: Findings, trust: Trust) -> frozenset[str]:
    """Check every log of every generation; return their origins."""
    heads = [row async for row in snapshot.rows(_HEADS, order=("log", "generation"))]
    _check_generations(heads, findings, trust)
    for head in heads:
        await _check_tree(snapshot, head, findings, trust)
    async for row in snapshot.rows(_CUT, order=("origin", "size")):
        findings.count(_CUT)
        _check_note(row, _CUT, findings, trust)
    origins = frozenset(row["origin"] for row in heads)
    for table in (_TILES, _PUBLISHED, _CUT):
        async for row in snapshot.rows(table, order=("origin",)):
            known = row["origin"] in origins
            findings.require(known, About(identifier=row["origin"]), f"{table}.origin", Expected.TREE)
    return origins


def _check_generations(heads: list[AuditRow], findings: Findings, trust: Trust) -> None:
    """Generations count from 1; the newest alone is open, under the origin that its number gives."""
    for log in ("register", "receipts"):
        own = [row for row in heads if row["log"] == log]
        base = {row["origin"].partition("/")[0] for row in own}
        for number, row in enumerate(own, start=1):
            about = About(identifier=row["origin"])
            findings.compare(row, {"generation": number}, about, _HEADS, Expected.GAP_FREE)
            if number == len(own) and row["state"] == "frozen" and trust.recovered:
                # Given up by a recovery: its next generation begins with the next trust list.
                findings.pending.append(Pending(f"{_HEADS}.state", row["origin"]))
            else:
                state = "open" if number == len(own) else "frozen"
                findings.compare(row, {"state": state}, about, _HEADS, Expected.TREE)
            path = _PATHS[log] if number == 1 else f"{_PATHS[log]}/{number}"
            right = len(base) == 1 and row["origin"].partition("/")[2] == path
            findings.require(right, about, f"{_HEADS}.origin", Expected.TREE)
    for row in heads:
        known = row["log"] in _PATHS
        findings.require(known, About(identifier=row["origin"]), f"{_HEADS}.log", Expected.TREE)


async def _check_tree(snapshot: AuditSnapshot, head: AuditRow, findings: Findings, trust: Trust) -> None:
    origin, about = head["origin"], About(identifier=head["origin"])
    findings.count(_HEADS)
    own = {key.kid for key in trust.services(ServiceUse.LOG, origin)}
    findings.require(bool(own), about, f"{_HEADS}.origin", Expected.TRUST)
    findings.require(head["kid"] in own, about, f"{_HEADS}.kid", Expected.TRUST)
    tree = Tree()
    published = snapshot.rows(_PUBLISHED, order=("size",), equal={"origin": origin})
    checkpoint = await anext(published, None)
    async for leaf in snapshot.rows(_LEAVES, order=("idx",), equal={"origin": origin}):
        checkpoint = await _pass(checkpoint, published, tree, findings, trust)
        if leaf["idx"] is None:
            findings.fault(_whose(leaf), f"{_LEAVES}.idx", Expected.GAP_FREE)
            continue
        right = leaf["idx"] == tree.size and leaf["log"] == head["log"]
        if leaf["idx"] != tree.size:
            findings.fault(_whose(leaf), f"{_LEAVES}.idx", Expected.GAP_FREE)
        if not right and leaf["log"] != head["log"]:
            findings.fault(_whose(leaf), f"{_LEAVES}.log", Expected.TREE)
        tree.add(leaf["entry"])
    while checkpoint is not None:
        if checkpoint["size"] > tree.size:
            findings.fault(_of(checkpoint), f"{_PUBLISHED}.size", Expected.CHECKPOINT)
            checkpoint = await anext(published, None)
            continue
        checkpoint = await _pass(checkpoint, published, tree, findings, trust)
    tree.close()
    wanted = {"size": tree.size, "root": tree.root}
    findings.compare(head, wanted, about, _HEADS, Expected.TREE)
    await _check_served(snapshot, head, tree, findings)
    await _check_tiles(snapshot, head, tree, findings)


async def _pass(
    checkpoint: AuditRow | None,
    rest: AsyncIterator[AuditRow],
    tree: Tree,
    findings: Findings,
    trust: Trust,
) -> AuditRow | None:
    """Check the published states that the tree has reached; return the next one."""
    while checkpoint is not None and checkpoint["size"] <= tree.size:
        findings.count(_PUBLISHED)
        if findings.readable(checkpoint, _of(checkpoint), _PUBLISHED):
            state = _check_note(checkpoint, _PUBLISHED, findings, trust)
            if state is not None and state.size == tree.size and state.root != tree.root:
                findings.fault(_of(checkpoint), f"{_PUBLISHED}.note", Expected.CHECKPOINT)
        checkpoint = await anext(rest, None)
    return checkpoint


def _check_note(row: AuditRow, table: str, findings: Findings, trust: Trust) -> Checkpoint | None:
    """Check a checkpoint's own signature, every cosignature on it, and what the row repeats of it."""
    about = _of(row)
    note = parsed(parse_note, row["note"])
    state = None if note is None else parsed(parse_checkpoint_text, note.text)
    if note is None or state is None or not _is_log_signed(note, state.origin, trust):
        findings.fault(about, f"{table}.note", Expected.SIGNATURE)
        return None
    findings.compare(row, {"origin": state.origin, "size": state.size}, about, table, Expected.CHECKPOINT)
    times: list[datetime] = []
    for entry in note.signatures:
        if entry.name == state.origin:
            continue
        alone = SignedNote(note.text, (entry,))
        seen = [
            moment
            for key in trust.services(ServiceUse.WITNESS, entry.name)
            for moment in cosigned_at(alone, witnesses={entry.name: key}).values()
        ]
        findings.require(bool(seen), about, f"{table}.note", Expected.SIGNATURE)
        times += seen
    wanted = {"witnessed_at": min(times, default=None)}
    findings.compare(row, wanted, about, table, Expected.CHECKPOINT)
    return state


def _is_log_signed(note: SignedNote, origin: str, trust: Trust) -> bool:
    own = [entry for entry in note.signatures if entry.name == origin]
    keys = list(trust.services(ServiceUse.LOG, origin))
    return bool(own) and all(
        any(is_signed_by(SignedNote(note.text, (entry,)), name=origin, key=key) for key in keys)
        for entry in own
    )


async def _check_served(snapshot: AuditSnapshot, head: AuditRow, tree: Tree, findings: Findings) -> None:
    """The served state is the largest published one; what is committed beyond it will be published."""
    about, largest = About(identifier=head["origin"]), 0
    async for row in snapshot.rows(_PUBLISHED, order=("size",), equal={"origin": head["origin"]}):
        largest = row["size"]
    findings.compare(head, {"published_size": largest}, about, _HEADS, Expected.CHECKPOINT)
    if largest < tree.size and head["state"] == "open":
        findings.pending.append(Pending(f"{_HEADS}.published_size", head["origin"]))


async def _check_tiles(snapshot: AuditSnapshot, head: AuditRow, tree: Tree, findings: Findings) -> None:
    origin, missing = head["origin"], dict(tree.tiles)
    # Of a log that was cut off, tiles may still hold what stood behind: nobody is served more than the tree has.
    may_be_wider = head["state"] == "frozen"
    async for row in snapshot.rows(_TILES, order=("level", "number"), equal={"origin": origin}):
        findings.count(_TILES)
        about = About(identifier=f"{origin}/{row['level']}/{row['number']}")
        wanted = missing.pop((row["level"], row["number"]), None)
        if wanted is None:
            # A tile that the tree has not: one of its two numbers is not its own.
            for column in () if may_be_wider else ("level", "number"):
                findings.fault(about, f"{_TILES}.{column}", Expected.TREE)
            continue
        length, digest = wanted
        right = sha256(row["hashes"][:length]) == digest
        right = right and (may_be_wider or len(row["hashes"]) == length)
        findings.require(right, about, f"{_TILES}.hashes", Expected.TREE)
    for level, number in missing:
        about = About(identifier=f"{origin}/{level}/{number}")
        for column in ("level", "number"):
            findings.fault(about, f"{_TILES}.{column}", Expected.TREE)


async def check_places(snapshot: AuditSnapshot, findings: Findings, origins: frozenset[str]) -> None:
    """A leaf has a place in a log that is known, or none yet, and is of a known kind."""
    async for leaf in snapshot.rows(_LEAVES):
        placed = leaf["idx"] is not None
        right = leaf["origin"] in origins if placed else leaf["origin"] is None
        findings.require(right, _whose(leaf), f"{_LEAVES}.origin", Expected.TREE)
        findings.require(leaf["kind"] in set(EntryKind), _whose(leaf), f"{_LEAVES}.kind", Expected.LEAF)


def _whose(leaf: AuditRow) -> About:
    is_license = leaf["event_sha256"] is not None
    return About(leaf["subject"] if is_license else None, leaf["identifier"] or leaf["subject"])


def _of(row: Mapping[str, object]) -> About:
    return About(identifier=f"{row['origin']}#{row['size']}")
