"""A Merkle tree in tiles of 256 hashes, as C2SP tlog-tiles lays it out: how the log is stored, served and proven.

A tile at level L, number N holds the hashes of the complete subtrees of 256^L leaves from N * 256 on, 32 bytes each.
The last tile of each level is partial until it is full. Inner nodes are never stored: a few hashes make them again.
Entry bundles hold the entries of one level-0 tile, each with its length in two bytes before it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from elicense.encoding import malformed
from elicense.merkle import EMPTY_ROOT, HASH_BYTES, node_hash

TILE_WIDTH = 256
TILE_HEIGHT = 8
MAX_ENTRY_BYTES = 65535
_MAX_LEVEL = 5  # 256^6 leaves are more than a checkpoint may count

TileReader = Callable[[int, int], bytes]
"""Return the bytes of tile (level, number): at least as wide as the tree of the asked size needs it."""

_NUMBER = r"((?:x[0-9]{3}/){0,5}[0-9]{3})"
_TILE_PATH = re.compile(rf"(0|[1-9][0-9]?|entries)/{_NUMBER}(?:\.p/([1-9][0-9]{{0,2}}))?")


@dataclass(frozen=True, slots=True)
class TileName:
    """Name one tile: its level (None for an entry bundle), its number, and how many entries it holds (1 to 256)."""

    level: int | None
    number: int
    width: int

    @property
    def path(self) -> str:
        """Give the path below `tile/`: `<level>/<number>[.p/<width>]`, the number in groups of three digits."""
        level = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"{level}/{_number_path(self.number)}{partial}"


def parse_tile_path(path: str) -> TileName:
    """Read the path below `tile/`; FormatError (malformed) for anything but its one canonical spelling."""
    found = _TILE_PATH.fullmatch(path)
    if found is None:
        raise malformed("tile path is not <level>/<number>")
    number = int(found[2].replace("x", "").replace("/", ""))
    name = TileName(
        level=None if found[1] == "entries" else int(found[1]),
        number=number,
        width=TILE_WIDTH if found[3] is None else int(found[3]),
    )
    if name.path != path or name.width > TILE_WIDTH or (name.level or 0) > _MAX_LEVEL:
        raise malformed("tile path is not canonical")
    return name


def tile_width(level: int, number: int, size: int) -> int:
    """Return how many hashes tile (level, number) holds in a tree of `size` leaves: 0 to 256."""
    complete = size >> (TILE_HEIGHT * level)
    return max(0, min(TILE_WIDTH, complete - number * TILE_WIDTH))


def encode_entries(entries: Sequence[bytes]) -> bytes:
    """Write an entry bundle; ValueError for an entry longer than 65,535 bytes."""
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise ValueError("a log entry has at most 65,535 bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def extend_tiles(size: int, leaf_hashes: Sequence[bytes], read: TileReader) -> dict[tuple[int, int], bytes]:
    """Append leaf hashes to a tree of `size` leaves; return every tile that changed, whole, by (level, number).

    `read` is asked only for the last, partial tile of each level. ValueError for a hash that is not 32 bytes.
    """
    if any(len(value) != HASH_BYTES for value in leaf_hashes):
        raise ValueError("a log grows by leaf hashes of 32 bytes, see merkle.leaf_hash")
    changed: dict[tuple[int, int], bytes] = {}
    level, start, added = 0, size, list(leaf_hashes)
    while added:
        above_start = start // TILE_WIDTH
        number, held = divmod(start, TILE_WIDTH)
        content = bytearray(read(level, number)[: held * HASH_BYTES] if held else b"")
        if len(content) != held * HASH_BYTES:
            raise ValueError(f"tile {level}/{number} is narrower than its tree")
        full: list[bytes] = []
        for value in added:
            content += value
            if len(content) == TILE_WIDTH * HASH_BYTES:
                changed[level, number] = bytes(content)
                full.append(_subtree(bytes(content), 0, TILE_WIDTH))
                number, content = number + 1, bytearray()
        if content:
            changed[level, number] = bytes(content)
        level, start, added = level + 1, above_start, full
    return changed


class TiledTree:
    """Read roots and proofs of any size up to `size` from tiles. Tiles are read once each and kept."""

    __slots__ = ("_read", "_tiles", "size")

    def __init__(self, size: int, read: TileReader) -> None:
        """Stand over the first `size` leaves of the tree whose tiles `read` returns."""
        self.size = size
        self._read = read
        self._tiles: dict[tuple[int, int], bytes] = {}

    def root(self, size: int | None = None) -> bytes:
        """Return the Merkle root over the first `size` leaves (RFC 6962 section 2.1). ValueError outside the tree."""
        end = self._within(self.size if size is None else size)
        return self._range(0, end) if end else EMPTY_ROOT

    def inclusion_path(self, index: int, size: int | None = None) -> list[bytes]:
        """List the audit path of leaf `index` in the tree of `size` leaves (RFC 6962 section 2.1.1).

        ValueError for an index or size outside the tree.
        """
        end = self._within(self.size if size is None else size)
        if not 0 <= index < end:
            raise ValueError(f"leaf {index} is outside a tree of {end}")
        return self._inclusion(index, 0, end)

    def consistency_path(self, old_size: int, size: int | None = None) -> list[bytes]:
        """List the proof that the tree of `old_size` leaves begins the tree of `size` (RFC 6962 section 2.1.2).

        Empty for an empty or an equal tree. ValueError for sizes outside the tree or out of order.
        """
        end = self._within(self.size if size is None else size)
        if not 0 <= old_size <= end:
            raise ValueError(f"a tree of {old_size} does not begin a tree of {end}")
        if old_size in (0, end):
            return []
        return self._consistency(old_size, 0, end, complete=True)

    def leaf_hash(self, index: int) -> bytes:
        """Return the hash of one leaf. ValueError outside the tree."""
        if not 0 <= index < self.size:
            raise ValueError(f"leaf {index} is outside a tree of {self.size}")
        return self._range(index, index + 1)

    def _within(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise ValueError(f"a tree of {size} is larger than {self.size}")
        return size

    def _inclusion(self, index: int, low: int, high: int) -> list[bytes]:
        if high - low == 1:
            return []
        middle = low + _split(high - low)
        if index < middle:
            return [*self._inclusion(index, low, middle), self._range(middle, high)]
        return [*self._inclusion(index, middle, high), self._range(low, middle)]

    def _consistency(self, old: int, low: int, high: int, *, complete: bool) -> list[bytes]:
        if old == high:
            return [] if complete else [self._range(low, high)]
        middle = low + _split(high - low)
        if old <= middle:
            return [*self._consistency(old, low, middle, complete=complete), self._range(middle, high)]
        return [*self._consistency(old, middle, high, complete=False), self._range(low, middle)]

    def _range(self, low: int, high: int) -> bytes:
        """Hash the leaves [low, high), a subtree of the RFC 6962 decomposition."""
        count = high - low
        if count & (count - 1) == 0:
            return self._node(count.bit_length() - 1, low)
        middle = low + _split(count)
        return node_hash(self._range(low, middle), self._range(middle, high))

    def _node(self, level: int, low: int) -> bytes:
        tile_level, rest = divmod(level, TILE_HEIGHT)
        first = low >> (TILE_HEIGHT * tile_level)
        number, offset = divmod(first, TILE_WIDTH)
        return _subtree(self._tile(tile_level, number), offset, 1 << rest)

    def _tile(self, level: int, number: int) -> bytes:
        found = self._tiles.get((level, number))
        if found is None:
            found = self._read(level, number)
            if len(found) < tile_width(level, number, self.size) * HASH_BYTES:
                raise ValueError(f"tile {level}/{number} is narrower than its tree")
            self._tiles[level, number] = found
        return found


def reader_of(tiles: Mapping[tuple[int, int], bytes]) -> TileReader:
    """Return a reader over tiles at hand; it raises ValueError for one that is missing."""

    def read(level: int, number: int) -> bytes:
        found = tiles.get((level, number))
        if found is None:
            raise ValueError(f"tile {level}/{number} is missing")
        return found

    return read


def _split(count: int) -> int:
    """Return the largest power of two below `count` (RFC 6962's k)."""
    return 1 << ((count - 1).bit_length() - 1)


def _subtree(tile: bytes, first: int, count: int) -> bytes:
    hashes = [tile[i * HASH_BYTES : (i + 1) * HASH_BYTES] for i in range(first, first + count)]
    if len(hashes[-1]) != HASH_BYTES:
        raise ValueError("a tile is narrower than its tree")
    while len(hashes) > 1:
        hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
    return hashes[0]


def _number_path(number: int) -> str:
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        groups.insert(0, f"x{number % 1000:03d}")
    return "/".join(groups)
