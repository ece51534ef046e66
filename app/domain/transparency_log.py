"""The transparency logs: their names, how far each has grown, and how it grows. Values and rules, no storage."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from app.domain.events import LogName
from elicense.merkle import leaf_hash
from elicense.signed_note import Checkpoint
from elicense.tiles import TILE_HEIGHT, TILE_WIDTH, TiledTree, extend_tiles, reader_of, tile_width

TileKey = tuple[int, int]
"""Name a stored tile: its level and its number."""

EMPTY_ROOT: Final = TiledTree(0, reader_of({})).root()
"""The root of a log without entries."""

_PATHS: Mapping[LogName, str] = {LogName.REGISTER: "log", LogName.RECEIPTS: "receipt-log"}
_LEVELS = 6  # 256^6 leaves are more than a checkpoint may count


class LogState(StrEnum):
    """Say whether a log still grows. A frozen one is served for ever and never gets another leaf."""

    OPEN = "open"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """How far one log has grown: `size` leaves under `root` are committed, the first `published_size` are served.

    `origin` names the log in its checkpoints and is the name of its keys, the first of which is `kid`. `generation`
    counts the origins of one log from 1; one of them is open. `row_version` grows with every change and is compared by
    each.
    """

    origin: str
    log: LogName
    generation: int
    kid: str
    state: LogState
    size: int
    root: bytes
    row_version: int
    published_size: int

    @property
    def checkpoint(self) -> Checkpoint:
        """Return what the log's key signs about the committed head."""
        return Checkpoint(self.origin, self.size, self.root)

    @property
    def name(self) -> str:
        """Return the name under which the log is served: the path of its origin, with hyphens for slashes."""
        return self.origin.partition("/")[2].replace("/", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCheckpoint:
    """One checkpoint as served: the signed note, with the cosignatures it has got.

    `witnessed_at` is the earliest time a witness states to have seen it, None without one. `anchor_id` is the leaf of
    the public log that first fixed it (of the receipts' log alone), None while there is none; `restated_at` when a
    later leaf said again that this is still the state, None when none has.
    """

    origin: str
    size: int
    note: str
    published_at: datetime
    witnessed_at: datetime | None = None
    anchor_id: str | None = None
    restated_at: datetime | None = None

    @property
    def text(self) -> str:
        """Return the note's text: origin, size and root."""
        return self.note.partition("\n\n")[0] + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingLeaf:
    """A committed leaf without a place: its id and the exact bytes the log will hold."""

    id: str
    entry: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedLeaf:
    """A leaf as stored. `origin` and `index` are None until it is sequenced; `salt` and `event_sha256` open it."""

    id: str
    kind: str
    entry: bytes
    event_sha256: str | None
    salt: str | None
    recorded_at: datetime
    origin: str | None
    index: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A log after a batch: its new size and root, and every tile that changed, whole."""

    size: int
    root: bytes
    tiles: Mapping[TileKey, bytes]


class BrokenLog(Exception):
    """Say that stored tiles do not give the committed root: nothing may be added to such a log, or signed."""


def origin_of(issuer_url: str, log: LogName, generation: int) -> str:
    """Return the origin of a generation of a log: `<issuer host>/log`, from the second on with its number behind."""
    base = f"{urlsplit(issuer_url).netloc}/{_PATHS[log]}"
    return base if generation == 1 else f"{base}/{generation}"


def generation_of(origin: str) -> tuple[str, int]:
    """Split an origin into what all generations of its log have in common, and its number among them."""
    base, _, number = origin.rpartition("/")
    return (base, int(number)) if number.isascii() and number.isdigit() else (origin, 1)


def new_head(issuer_url: str, log: LogName, *, generation: int, kid: str) -> LogHead:
    """Return the head of an empty log."""
    return LogHead(
        origin=origin_of(issuer_url, log, generation),
        log=log,
        generation=generation,
        kid=kid,
        state=LogState.OPEN,
        size=0,
        root=EMPTY_ROOT,
        row_version=1,
        published_size=0,
    )


def document_key(uri: str, seq: int) -> str:
    """Return what a published document's leaf is found by, as a license's leaf is by its identifier."""
    return f"{uri}#{seq}"


def edge_tiles(size: int) -> frozenset[TileKey]:
    """Name the last tile of each level of a tree: what its root and its growth are computed from."""
    return path_tiles([size - 1], size) | _partial_tiles(size)


def path_tiles(positions: Iterable[int], size: int) -> frozenset[TileKey]:
    """Name the tiles a proof about leaves of a tree of `size` is computed from, the tree's own edge included."""
    found = set(_partial_tiles(size))
    for position in (*positions, size - 1):
        for level in range(_LEVELS):
            number = (position >> (TILE_HEIGHT * level)) // TILE_WIDTH
            if position >= 0 and tile_width(level, number, size):
                found.add((level, number))
    return frozenset(found)


def grow(head: LogHead, entries: Sequence[bytes], tiles: Mapping[TileKey, bytes]) -> Growth:
    """Append entries to a log whose `edge_tiles` are given.

    Raises BrokenLog when these do not give the head's root: signing on would hide that the database was changed.
    """
    read = reader_of(tiles)
    try:
        if TiledTree(head.size, read).root() != head.root:
            raise BrokenLog(f"the stored tiles of {head.origin} do not give its root")
        changed = extend_tiles(head.size, [leaf_hash(entry) for entry in entries], read)
    except ValueError as error:
        raise BrokenLog(f"the stored tiles of {head.origin}: {error}") from error
    size = head.size + len(entries)
    root = TiledTree(size, reader_of({**tiles, **changed})).root()
    return Growth(size=size, root=root, tiles=changed)


def _partial_tiles(size: int) -> frozenset[TileKey]:
    levels = ((level, size >> (TILE_HEIGHT * level)) for level in range(_LEVELS))
    return frozenset((level, complete // TILE_WIDTH) for level, complete in levels if complete % TILE_WIDTH)
