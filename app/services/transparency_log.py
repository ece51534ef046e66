"""The logs as anyone may read them: checkpoints, tiles, entries, proofs. Only what a served checkpoint covers.

What is committed and not published yet may still be waiting for its signature; whoever saw it could tell of a tree
that nobody has signed. So every answer is cut at the published size.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.errors import DomainError, NotFound
from app.domain.events import LogName
from app.domain.transparency_log import (
    LogHead,
    PlacedLeaf,
    PublishedCheckpoint,
    TileKey,
    path_tiles,
)
from app.ports import Clock, Store, UnitOfWork
from app.services.recent import Recent
from elicense.encoding import JsonValue, b64url_encode
from elicense.log_entry import LOG_FMT
from elicense.log_proof import Inclusion
from elicense.merkle import HASH_BYTES
from elicense.tiles import TILE_WIDTH, TiledTree, TileName, encode_entries, reader_of, tile_width

_ENTRIES = 0  # an entry bundle is as wide as the level-0 tile beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """Show that the log of `new_size` leaves begins with that of `old_size` (RFC 6962 section 2.1.2)."""

    env: str
    origin: str
    old_size: int
    new_size: int
    path: tuple[bytes, ...]

    def to_json(self) -> dict[str, JsonValue]:
        """Give the proof as the service answers it; the roots are for the asker to know."""
        return {
            "fmt": LOG_FMT,
            "env": self.env,
            "origin": self.origin,
            "from": self.old_size,
            "to": self.new_size,
            "path": [b64url_encode(node) for node in self.path],
        }


class TransparencyLogService:
    """Serves the logs. `name` is the path of a log's origin with hyphens; None the public log in force."""

    def __init__(self, store: Store, clock: Clock, *, env: str) -> None:
        self._store = store
        self._env = env
        self._newest: Recent[str | None] = Recent(clock, self._load_text)

    async def newest_text(self) -> str | None:
        """Return the text of the public log's newest published checkpoint, at most a second old; None before it."""
        return await self._newest.get()

    async def checkpoint(self, name: str | None, *, witnessed: bool = False) -> PublishedCheckpoint:
        """Return the served checkpoint, or the newest that a witness has seen. Raises NotFound."""

        async def work(unit: UnitOfWork) -> PublishedCheckpoint | None:
            head = await _head(unit, name)
            if witnessed:
                return await unit.transparency_log.last_witnessed(head.origin)
            return await unit.transparency_log.checkpoint(head.origin)

        found = await self._store.read(work)
        if found is None:
            raise NotFound("checkpoint")
        return found

    async def tile(self, name: str | None, tile: TileName) -> bytes:
        """Return a tile or entry bundle in exactly the asked width. Raises NotFound for one not (so wide) published."""

        async def work(unit: UnitOfWork) -> bytes:
            head = await _head(unit, name)
            level = _ENTRIES if tile.level is None else tile.level
            if tile.width > tile_width(level, tile.number, head.published_size):
                raise NotFound("tile")
            if tile.level is None:
                return await _bundle(unit, head.origin, tile)
            found = await unit.transparency_log.tiles(head.origin, [(level, tile.number)])
            return found[level, tile.number][: tile.width * HASH_BYTES]

        return await self._store.read(work)

    async def consistency(self, *, origin: str | None, old_size: int, new_size: int | None) -> Consistency:
        """Prove that a log begins with its earlier self; `new_size` None is the published size.

        Raises NotFound for an unknown origin or a size not published, DomainError `invalid_request` for sizes out
        of order.
        """

        async def work(unit: UnitOfWork) -> Consistency:
            head = await _head(unit, None) if origin is None else await unit.transparency_log.head(origin)
            if head is None:
                raise NotFound("log")
            to = head.published_size if new_size is None else new_size
            if to > head.published_size or old_size > head.published_size:
                raise NotFound("checkpoint")
            if old_size > to:
                raise DomainError("invalid_request", "from must not be larger than to")
            tree = TiledTree(to, reader_of(await _tiles(unit, head.origin, old_size - 1, to)))
            path = tuple(tree.consistency_path(old_size))
            return Consistency(env=self._env, origin=head.origin, old_size=old_size, new_size=to, path=path)

        return await self._store.read(work)

    async def _load_text(self, held: str | None) -> str | None:
        async def work(unit: UnitOfWork) -> PublishedCheckpoint | None:
            return await unit.transparency_log.newest_checkpoint(LogName.REGISTER)

        found = await self._store.read(work)
        return None if found is None else found.text


async def include(
    unit: UnitOfWork, leaf: PlacedLeaf, *, checkpoint: PublishedCheckpoint | None = None
) -> Inclusion:
    """Place a leaf in the served tree of its origin, or in that of one of its published checkpoints.

    Raises DomainError `not_logged_yet` while no published checkpoint covers it.
    """
    if leaf.origin is None or leaf.index is None:
        raise not_logged_yet()
    found = checkpoint or await unit.transparency_log.checkpoint(leaf.origin)
    if found is None or leaf.index >= found.size:
        raise not_logged_yet()
    tree = TiledTree(found.size, reader_of(await _tiles(unit, leaf.origin, leaf.index, found.size)))
    return Inclusion(
        origin=leaf.origin,
        index=leaf.index,
        path=tuple(tree.inclusion_path(leaf.index)),
        checkpoint=found.note,
    )


def not_logged_yet() -> DomainError:
    """Make the error for what a sequencer has not reached yet: asking again in a moment helps."""
    return DomainError(
        "not_logged_yet", "the next checkpoints of the log will cover it; ask again in a moment"
    )


async def _head(unit: UnitOfWork, name: str | None) -> LogHead:
    if name is None:
        head = await unit.transparency_log.open_head(LogName.REGISTER)
    else:
        heads = await unit.transparency_log.heads()
        head = next((one for one in heads if one.name == name), None)
    if head is None:
        raise NotFound("log")
    return head


async def _bundle(unit: UnitOfWork, origin: str, tile: TileName) -> bytes:
    entries = await unit.transparency_log.entries(origin, first=tile.number * TILE_WIDTH, count=tile.width)
    if len(entries) != tile.width:
        raise DomainError("internal", "the log has a gap")
    return encode_entries(entries)


async def _tiles(unit: UnitOfWork, origin: str, position: int, size: int) -> Mapping[TileKey, bytes]:
    return await unit.transparency_log.tiles(origin, path_tiles([position], size))
