"""The transparency logs: heads and checkpoints move by compare-and-swap, leaves get their places, tiles only grow."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, and_, bindparam, delete, func, or_, select, update

from app.adapters.db.session import Session, flat_values
from app.adapters.db.tables import log_checkpoints, log_cut_checkpoints, log_heads, log_leaves, log_tiles
from app.domain.errors import ConcurrentChange
from app.domain.events import LogName
from app.domain.transparency_log import (
    Growth,
    LogHead,
    LogState,
    PlacedLeaf,
    PublishedCheckpoint,
    TileKey,
    WaitingLeaf,
)
from elicense.merkle import EMPTY_ROOT
from elicense.signed_note import Checkpoint

_OPEN: Final = log_heads.c.state == LogState.OPEN.value
_HEADS: Final[Select[Any]] = select(log_heads)
_CHECKPOINTS: Final[Select[Any]] = select(log_checkpoints)
_SERVED: Final = and_(
    log_heads.c.origin == log_checkpoints.c.origin, log_heads.c.published_size == log_checkpoints.c.size
)


class SqlTransparencyLog:
    """Implements `log_ports.TransparencyLogRepository`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def heads(self) -> Sequence[LogHead]:
        """Return the head of every origin, by log and generation."""
        rows = await self._session.rows(_HEADS.order_by(log_heads.c.log, log_heads.c.generation))
        return [_head(row) for row in rows]

    async def head(self, origin: str) -> LogHead | None:
        """Return the head of one origin."""
        row = await self._session.row(_HEADS.where(log_heads.c.origin == origin))
        return None if row is None else _head(row)

    async def open_head(self, log: LogName) -> LogHead | None:
        """Return the head of the generation in force, None before the log has a key."""
        row = await self._session.row(_HEADS.where(log_heads.c.log == log.value, _OPEN))
        return None if row is None else _head(row)

    async def add_head(self, head: LogHead) -> None:
        """Begin a generation. Raises ConcurrentChange when the log has an open one, or this one already."""
        values = {**flat_values(head), "log": head.log.value, "state": head.state.value}
        await self._session.run(log_heads.insert(), values)

    async def cut_off(self, head: LogHead, *, root: bytes) -> None:
        """End a generation where it was published last (see `log_ports.TransparencyLogRepository.cut_off`).

        Its tiles stay wider than they are served: hashes beyond the published size are read by nobody.
        """
        size = head.published_size
        await self._swap(head, {"state": LogState.FROZEN.value, "size": size, "root": root})
        beyond = and_(log_leaves.c.origin == head.origin, log_leaves.c.idx >= size)
        await self._session.run(update(log_leaves).where(beyond).values(origin=None, idx=None))

    async def cut(self, head: LogHead, keep: Checkpoint | None) -> None:
        """Freeze a generation at an earlier state of itself (None: empty); what stood behind it waits for a new place.

        Its wider tiles stay stored and its later checkpoints are put aside: they are evidence, and nothing of them is
        served. Raises ConcurrentChange when the generation has changed since `head`.
        """
        size, root = (0, EMPTY_ROOT) if keep is None else (keep.size, keep.root)
        frozen = (
            update(log_heads)
            .where(
                log_heads.c.origin == head.origin,
                log_heads.c.row_version == head.row_version,
                log_heads.c.size >= size,
            )
            .values(
                state=LogState.FROZEN.value,
                size=size,
                root=root,
                published_size=size,
                row_version=head.row_version + 1,
            )
        )
        if await self._session.changed(frozen) != 1:
            raise ConcurrentChange("this log was advanced by somebody else")
        behind = update(log_leaves).where(log_leaves.c.origin == head.origin, log_leaves.c.idx >= size)
        await self._session.run(behind.values(origin=None, idx=None))
        later = and_(log_checkpoints.c.origin == head.origin, log_checkpoints.c.size > size)
        kept = [column.name for column in log_cut_checkpoints.columns]
        aside = select(*(log_checkpoints.c[name] for name in kept)).where(later)
        await self._session.run(log_cut_checkpoints.insert().from_select(kept, aside))
        await self._session.run(delete(log_checkpoints).where(later))

    async def claim(self, log: LogName) -> LogHead | None:
        """Return the open head to be advanced in this transaction, None when another sequencer is at it now.

        The row lock (PostgreSQL; SQLite has one writer anyway) only saves work: what keeps two sequencers apart is
        the comparison in `advance` and the unique places of leaves.
        """
        statement = _HEADS.where(log_heads.c.log == log.value, _OPEN).with_for_update(skip_locked=True)
        row = await self._session.row(statement)
        return None if row is None else _head(row)

    async def waiting(self, log: LogName, *, limit: int) -> Sequence[WaitingLeaf]:
        """Return committed leaves without a place, in the order of their ids.

        Whatever is visible and has no place is taken, however small its id: leaves commit in another order than
        their ids were made in, and a sequencer that only looked above the last id would lose the late ones.
        """
        statement = (
            select(log_leaves.c.id, log_leaves.c.entry)
            .where(log_leaves.c.log == log.value, log_leaves.c.idx.is_(None))
            .order_by(log_leaves.c.id)
            .limit(limit)
        )
        return [WaitingLeaf(id=row.id, entry=bytes(row.entry)) for row in await self._session.rows(statement)]

    async def waiting_since(self, log: LogName) -> datetime | None:
        """Return when the oldest leaf without a place was written, None when none waits."""
        waiting = select(func.min(log_leaves.c.recorded_at)).where(
            log_leaves.c.log == log.value, log_leaves.c.idx.is_(None)
        )
        found: datetime | None = await self._session.scalar(waiting)
        return found

    async def tiles(self, origin: str, keys: Collection[TileKey]) -> Mapping[TileKey, bytes]:
        """Return stored tiles by level and number; those that are not there are left out."""
        by_level: dict[int, list[int]] = {}
        for level, number in sorted(keys):
            by_level.setdefault(level, []).append(number)
        if not by_level:
            return {}
        wanted = or_(
            *(
                and_(log_tiles.c.level == level, log_tiles.c.number.in_(numbers))
                for level, numbers in by_level.items()
            )
        )
        statement = select(log_tiles.c.level, log_tiles.c.number, log_tiles.c.hashes)
        rows = await self._session.rows(statement.where(log_tiles.c.origin == origin, wanted))
        return {(row.level, row.number): bytes(row.hashes) for row in rows}

    async def advance(self, head: LogHead, growth: Growth) -> None:
        """Swap size and root. Raises ConcurrentChange unless the row still is `head`'s and open."""
        await self._swap(head, {"size": growth.size, "root": growth.root})

    async def place(self, origin: str, *, first: int, leaf_ids: Sequence[str]) -> None:
        """Give leaves their indices from `first` on. Raises ConcurrentChange when one of them has a place already."""
        if not leaf_ids:
            return
        placed = update(log_leaves).where(log_leaves.c.id == bindparam("leaf_id"), log_leaves.c.idx.is_(None))
        await self._session.run(
            placed.values(origin=origin, idx=bindparam("place")),
            [{"leaf_id": leaf_id, "place": first + offset} for offset, leaf_id in enumerate(leaf_ids)],
        )
        # Drivers do not count rows of many updates alike; a leaf that had a place already would leave a gap here.
        count = select(func.count()).where(
            log_leaves.c.origin == origin,
            log_leaves.c.idx >= first,
            log_leaves.c.idx < first + len(leaf_ids),
        )
        if await self._session.scalar(count) != len(leaf_ids):
            raise ConcurrentChange("a leaf of this batch has a place already")

    async def put_tiles(self, origin: str, tiles: Mapping[TileKey, bytes]) -> None:
        """Store tiles, each over the narrower one that stood there."""
        rows = [
            {"origin": origin, "level": level, "number": number, "hashes": hashes}
            for (level, number), hashes in sorted(tiles.items())
        ]
        if rows:
            statement = self._session.insert(log_tiles)
            widened = statement.on_conflict_do_update(
                index_elements=["origin", "level", "number"], set_={"hashes": statement.excluded.hashes}
            )
            await self._session.run(widened, rows)

    async def publish(self, checkpoint: PublishedCheckpoint, *, expected_size: int) -> None:
        """Store a checkpoint and serve it, if the served one still has `expected_size` leaves."""
        swap = (
            update(log_heads)
            .where(
                log_heads.c.origin == checkpoint.origin,
                log_heads.c.published_size == expected_size,
                log_heads.c.size >= checkpoint.size,
            )
            .values(published_size=checkpoint.size)
        )
        if checkpoint.size <= expected_size or await self._session.changed(swap) != 1:
            raise ConcurrentChange("another checkpoint of this log was published first")
        await self._session.run(log_checkpoints.insert(), flat_values(checkpoint))

    async def publish_empty(self, checkpoint: PublishedCheckpoint) -> None:
        """Store and serve the checkpoint of a generation that has no leaf yet."""
        await self._session.run(log_checkpoints.insert(), flat_values(checkpoint))

    async def checkpoint(self, origin: str, *, size: int | None = None) -> PublishedCheckpoint | None:
        """Return the served checkpoint of an origin, or the one published with this size.

        Of a log that was cut back, only what it keeps is served, whatever was published once.
        """
        if size is None:
            served = _CHECKPOINTS.join(log_heads, _SERVED).where(log_heads.c.origin == origin)
            return _checkpoint(await self._session.row(served))
        named = _CHECKPOINTS.where(log_checkpoints.c.origin == origin, log_checkpoints.c.size == size)
        return _checkpoint(await self._session.row(named))

    async def newest_checkpoint(self, log: LogName) -> PublishedCheckpoint | None:
        """Return the served checkpoint of the generation in force, None before its first."""
        statement = _CHECKPOINTS.join(log_heads, _SERVED).where(log_heads.c.log == log.value, _OPEN)
        return _checkpoint(await self._session.row(statement))

    async def put_cosigned(self, checkpoint: PublishedCheckpoint, *, expected_note: str) -> None:
        """Store a checkpoint's note with another cosignature. Raises ConcurrentChange when the note has changed."""
        cosigned = (
            update(log_checkpoints)
            .where(
                log_checkpoints.c.origin == checkpoint.origin,
                log_checkpoints.c.size == checkpoint.size,
                log_checkpoints.c.note == expected_note,
            )
            .values(note=checkpoint.note, witnessed_at=checkpoint.witnessed_at)
        )
        if await self._session.changed(cosigned) != 1:
            raise ConcurrentChange("another cosignature was added first")

    async def last_witnessed(
        self, origin: str, *, before: datetime | None = None, up_to: int | None = None
    ) -> PublishedCheckpoint | None:
        """Return the largest checkpoint (of at most `up_to` leaves) that a witness states to have seen before a moment
        (or ever)."""
        statement = _CHECKPOINTS.where(
            log_checkpoints.c.origin == origin, log_checkpoints.c.witnessed_at.is_not(None)
        )
        if before is not None:
            statement = statement.where(log_checkpoints.c.witnessed_at < before)
        if up_to is not None:
            statement = statement.where(log_checkpoints.c.size <= up_to)
        return await self._largest(statement)

    async def last_published(
        self, origin: str, *, before: datetime, up_to: int
    ) -> PublishedCheckpoint | None:
        """Return the largest checkpoint of at most `up_to` leaves that was published before a moment."""
        return await self._largest(
            _CHECKPOINTS.where(
                log_checkpoints.c.origin == origin,
                log_checkpoints.c.size <= up_to,
                log_checkpoints.c.published_at < before,
            )
        )

    async def _largest(self, statement: Select[Any]) -> PublishedCheckpoint | None:
        return _checkpoint(
            await self._session.row(statement.order_by(log_checkpoints.c.size.desc()).limit(1))
        )

    async def entries(self, origin: str, *, first: int, count: int) -> Sequence[bytes]:
        """Return the entries with indices from `first` on, in order."""
        statement = (
            select(log_leaves.c.entry)
            .where(log_leaves.c.origin == origin, log_leaves.c.idx >= first, log_leaves.c.idx < first + count)
            .order_by(log_leaves.c.idx)
        )
        return [bytes(row.entry) for row in await self._session.rows(statement)]

    async def leaf(self, leaf_id: str) -> PlacedLeaf | None:
        """Return one leaf by its id (a receipt's leaf has the receipt's)."""
        return _leaf(await self._session.row(select(log_leaves).where(log_leaves.c.id == leaf_id)))

    async def leaf_at(self, origin: str, index: int) -> PlacedLeaf | None:
        """Return the leaf at one place."""
        statement = select(log_leaves).where(log_leaves.c.origin == origin, log_leaves.c.idx == index)
        return _leaf(await self._session.row(statement))

    async def leaf_of(self, identifier: str, *, kind: str) -> PlacedLeaf | None:
        """Return the leaf of a kind about a license's version or a document."""
        statement = select(log_leaves).where(log_leaves.c.identifier == identifier, log_leaves.c.kind == kind)
        return _leaf(await self._session.row(statement))

    async def anchor(self, origin: str, *, size: int, leaf_id: str) -> None:
        """Note which leaf of the public log fixes a checkpoint. Raises ConcurrentChange when one does already."""
        statement = (
            update(log_checkpoints)
            .where(
                log_checkpoints.c.origin == origin,
                log_checkpoints.c.size == size,
                log_checkpoints.c.anchor_id.is_(None),
            )
            .values(anchor_id=leaf_id)
        )
        if await self._session.changed(statement) != 1:
            raise ConcurrentChange("this checkpoint was anchored by somebody else")

    async def restate(self, checkpoint: PublishedCheckpoint, *, at: datetime) -> None:
        """Note that another leaf states an anchored checkpoint again. Raises ConcurrentChange when one does already.

        The leaf that first fixed it stays the one proofs use: it is the oldest witness of the state.
        """
        seen = checkpoint.restated_at
        unchanged = (
            log_checkpoints.c.restated_at.is_(None) if seen is None else log_checkpoints.c.restated_at == seen
        )
        statement = update(log_checkpoints).where(
            log_checkpoints.c.origin == checkpoint.origin,
            log_checkpoints.c.size == checkpoint.size,
            log_checkpoints.c.anchor_id.is_not(None),
            unchanged,
        )
        if await self._session.changed(statement.values(restated_at=at)) != 1:
            raise ConcurrentChange("this checkpoint was stated again by somebody else")

    async def first_anchored(self, origin: str, *, above: int) -> PublishedCheckpoint | None:
        """Return the smallest anchored checkpoint with more than `above` leaves."""
        statement = _anchored(origin).where(log_checkpoints.c.size > above)
        return _checkpoint(await self._session.row(statement.order_by(log_checkpoints.c.size).limit(1)))

    async def last_anchored(self, origin: str) -> PublishedCheckpoint | None:
        """Return the largest anchored checkpoint."""
        return await self._largest(_anchored(origin))

    async def anchored_below(self, origin: str, *, log_origin: str, size: int) -> PublishedCheckpoint | None:
        """Return the largest checkpoint of a log that a leaf of another log fixes, with an index below `size`."""
        fixed = _anchored(origin).join(log_leaves, log_leaves.c.id == log_checkpoints.c.anchor_id)
        return await self._largest(fixed.where(log_leaves.c.origin == log_origin, log_leaves.c.idx < size))

    async def _swap(self, head: LogHead, values: Mapping[str, Any]) -> None:
        swap = (
            update(log_heads)
            .where(log_heads.c.origin == head.origin, log_heads.c.row_version == head.row_version, _OPEN)
            .values(**values, row_version=head.row_version + 1)
        )
        if await self._session.changed(swap) != 1:
            raise ConcurrentChange("this log was advanced by somebody else")


def _anchored(origin: str) -> Select[Any]:
    return _CHECKPOINTS.where(log_checkpoints.c.origin == origin, log_checkpoints.c.anchor_id.is_not(None))


def _head(row: Row[Any]) -> LogHead:
    return LogHead(
        origin=row.origin,
        log=LogName(row.log),
        generation=row.generation,
        kid=row.kid,
        state=LogState(row.state),
        size=row.size,
        root=bytes(row.root),
        row_version=row.row_version,
        published_size=row.published_size,
    )


def _checkpoint(row: Row[Any] | None) -> PublishedCheckpoint | None:
    return None if row is None else PublishedCheckpoint(**row._mapping)


def _leaf(row: Row[Any] | None) -> PlacedLeaf | None:
    if row is None:
        return None
    return PlacedLeaf(
        id=row.id,
        kind=row.kind,
        entry=bytes(row.entry),
        event_sha256=row.event_sha256,
        salt=row.salt,
        recorded_at=row.recorded_at,
        origin=row.origin,
        index=row.idx,
    )
