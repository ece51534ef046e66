"""Look at stored logs from outside: only the database's rows, RFC 6962 hashing with hashlib alone.

Every finding is one line; an empty list means that the logs are whole: gap-free, nothing lost or doubled, every
published checkpoint the root of exactly the first entries.
"""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

Rows = Sequence[dict[str, Any]]


def plain_root(entries: Sequence[bytes]) -> bytes:
    """Compute the Merkle tree head of entries (RFC 6962 section 2.1), level by level."""
    level = [hashlib.sha256(b"\x00" + entry).digest() for entry in entries]
    if not level:
        return hashlib.sha256(b"").digest()
    while len(level) > 1:
        above = [
            hashlib.sha256(b"\x01" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)
        ]
        level = above + ([level[-1]] if len(level) % 2 else [])
    return level[0]


def split_bundle(bundle: bytes) -> list[bytes]:
    """Take an entry bundle (C2SP tlog-tiles) apart: each entry after its length in two bytes, to the last byte."""
    entries = []
    while bundle:
        end = 2 + int.from_bytes(bundle[:2], "big")
        assert len(bundle) >= end, "the bundle ends within an entry"
        entries.append(bundle[2:end])
        bundle = bundle[end:]
    return entries


async def read_logs(database_url: str) -> dict[str, Rows]:
    """Read the logs' tables as they stand."""
    engine = create_async_engine(database_url)
    try:
        async with engine.connect() as connection:
            tables = {}
            for name in ("log_heads", "log_checkpoints", "log_leaves"):
                rows = await connection.execute(text(f"SELECT * FROM {name}"))
                tables[name] = [dict(row._mapping) for row in rows]
            return tables
    finally:
        await engine.dispose()


async def log_faults(database_url: str, *, written: Iterable[str] = (), drained: bool = True) -> list[str]:
    """Return every fault of the logs at rest.

    `written` are the ids of leaves whose transaction was acknowledged. `drained` says that nothing may wait any more.
    """
    tables = await read_logs(database_url)
    faults = []
    entries: dict[str, list[bytes]] = {}
    placed = [row for row in tables["log_leaves"] if row["idx"] is not None]
    for origin in {row["origin"] for row in placed}:
        rows = sorted((row for row in placed if row["origin"] == origin), key=lambda row: row["idx"])
        if [row["idx"] for row in rows] != list(range(len(rows))):
            faults.append(f"{origin}: the indices are not 0 to {len(rows) - 1}")
        entries[origin] = [bytes(row["entry"]) for row in rows]
    counted = Counter(row["id"] for row in tables["log_leaves"])
    faults += [
        f"leaf {leaf_id} stands {counted[leaf_id]} times" for leaf_id in written if counted[leaf_id] != 1
    ]
    waiting = [row["id"] for row in tables["log_leaves"] if row["idx"] is None]
    if drained and waiting:
        faults.append(f"{len(waiting)} committed leaves have no place")
    for head in tables["log_heads"]:
        faults += _head_faults(head, entries.get(head["origin"], []), drained=drained)
    for checkpoint in tables["log_checkpoints"]:
        faults += _checkpoint_faults(checkpoint, entries.get(checkpoint["origin"], []))
    return faults


def _head_faults(head: dict[str, Any], entries: list[bytes], *, drained: bool) -> list[str]:
    name = head["origin"]
    faults = []
    if head["size"] != len(entries):
        faults.append(f"{name}: the head counts {head['size']}, {len(entries)} leaves have a place")
    if bytes(head["root"]) != plain_root(entries[: head["size"]]):
        faults.append(f"{name}: the head's root is not that of its entries")
    if drained and head["published_size"] != head["size"]:
        faults.append(f"{name}: {head['published_size']} of {head['size']} are published")
    return faults


def _checkpoint_faults(row: dict[str, Any], entries: list[bytes]) -> list[str]:
    name = f"{row['origin']} at {row['size']}"
    found = re.match(r"(.+)\n([0-9]+)\n(\S+)\n\n", row["note"])
    if found is None or (found[1], int(found[2])) != (row["origin"], row["size"]):
        return [f"{name}: the note is of something else"]
    if row["size"] > len(entries):
        return [f"{name}: published, but only {len(entries)} leaves have a place"]
    if base64.b64decode(found[3]) != plain_root(entries[: row["size"]]):
        return [f"{name}: fork: the published root is not that of the log's first entries"]
    return []
