"""What the inside needs of the transparency logs' storage, as `ports.py` says it of everything else."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Final, Protocol

from app.domain.events import LogName
from app.domain.transparency_log import (
    Growth,
    LogHead,
    PlacedLeaf,
    PublishedCheckpoint,
    TileKey,
    WaitingLeaf,
)
from elicense.signed_note import Checkpoint


class SignedHeads(Protocol):
    """Keeps the largest signed head of each log outside the database."""

    def load(self) -> Mapping[str, Checkpoint]:
        """Return the heads by origin, none before the first."""
        ...

    def raise_to(self, head: Checkpoint, *, after: Checkpoint | None) -> bool:
        """Remember a head durably in the place of the one it was held against.

        False, and nothing is remembered, when another one stands there by now.
        """
        ...


class TransparencyLogRepository(Protocol):
    """The logs as stored: heads, leaves, tiles, checkpoints.

    `claim`, `waiting`, `tiles`, `advance`, `place` and `put_tiles` belong together in one transaction: a batch.
    """

    async def heads(self) -> Sequence[LogHead]:
        """Return the head of every origin, frozen ones included, by log and generation."""
        ...

    async def head(self, origin: str) -> LogHead | None: ...
    async def open_head(self, log: LogName) -> LogHead | None:
        """Return the head of the generation in force, None before the log has a key."""
        ...

    async def add_head(self, head: LogHead) -> None:
        """Begin a generation. Raises ConcurrentChange when the log has an open one, or this one already."""
        ...

    async def cut_off(self, head: LogHead, *, root: bytes) -> None:
        """End a generation where it was published last: entries beyond lose their places and wait for the next one.

        `root` is that of the published entries. Raises ConcurrentChange when it has grown since `head`.
        """
        ...

    async def cut(self, head: LogHead, keep: Checkpoint | None) -> None:
        """Freeze a generation at an earlier state of itself (None: empty); what stood behind it waits for a new place.

        Raises ConcurrentChange when it has changed since `head`.
        """
        ...

    async def claim(self, log: LogName) -> LogHead | None:
        """Return the open head to be advanced in this transaction, None when another sequencer is at it now."""
        ...

    async def waiting(self, log: LogName, *, limit: int) -> Sequence[WaitingLeaf]:
        """Return committed leaves without a place, in the order of their ids."""
        ...

    async def waiting_since(self, log: LogName) -> datetime | None:
        """Return when the oldest leaf without a place was written, None when none waits."""
        ...

    async def tiles(self, origin: str, keys: Collection[TileKey]) -> Mapping[TileKey, bytes]: ...
    async def advance(self, head: LogHead, growth: Growth) -> None:
        """Swap size and root. Raises ConcurrentChange unless the row still is `head`'s."""
        ...

    async def place(self, origin: str, *, first: int, leaf_ids: Sequence[str]) -> None:
        """Give leaves their indices from `first` on. Raises ConcurrentChange when one of them has a place already."""
        ...

    async def put_tiles(self, origin: str, tiles: Mapping[TileKey, bytes]) -> None: ...
    async def publish(self, checkpoint: PublishedCheckpoint, *, expected_size: int) -> None:
        """Store a checkpoint and serve it, if the served one still has `expected_size` leaves.

        Raises ConcurrentChange otherwise: a stalled signer cannot put back an older one.
        """
        ...

    async def publish_empty(self, checkpoint: PublishedCheckpoint) -> None:
        """Store and serve the checkpoint of a generation that has no leaf yet."""
        ...

    async def checkpoint(self, origin: str, *, size: int | None = None) -> PublishedCheckpoint | None:
        """Return the served checkpoint of an origin, or the one published with this size."""
        ...

    async def newest_checkpoint(self, log: LogName) -> PublishedCheckpoint | None:
        """Return the served checkpoint of the generation in force, None before its first."""
        ...

    async def put_cosigned(self, checkpoint: PublishedCheckpoint, *, expected_note: str) -> None:
        """Store a checkpoint's note with another cosignature. Raises ConcurrentChange when the note has changed."""
        ...

    async def last_witnessed(
        self, origin: str, *, before: datetime | None = None, up_to: int | None = None
    ) -> PublishedCheckpoint | None:
        """Return the largest checkpoint (of at most `up_to` leaves) that a witness states to have seen before a moment
        (or ever)."""
        ...

    async def last_published(
        self, origin: str, *, before: datetime, up_to: int
    ) -> PublishedCheckpoint | None:
        """Return the largest checkpoint of at most `up_to` leaves that was published before a moment."""
        ...

    async def entries(self, origin: str, *, first: int, count: int) -> Sequence[bytes]:
        """Return the entries with indices from `first` on, in order."""
        ...

    async def leaf(self, leaf_id: str) -> PlacedLeaf | None: ...
    async def leaf_at(self, origin: str, index: int) -> PlacedLeaf | None: ...
    async def leaf_of(self, identifier: str, *, kind: str) -> PlacedLeaf | None:
        """Return the leaf of a kind about a license's version (its identifier) or a document (`document_key`)."""
        ...

    async def anchor(self, origin: str, *, size: int, leaf_id: str) -> None:
        """Note which leaf of the public log fixes a checkpoint. Raises ConcurrentChange when one does already."""
        ...

    async def restate(self, checkpoint: PublishedCheckpoint, *, at: datetime) -> None:
        """Note that another leaf of the public log states an anchored checkpoint again.

        Raises ConcurrentChange when somebody else did since this checkpoint was read.
        """
        ...

    async def first_anchored(self, origin: str, *, above: int) -> PublishedCheckpoint | None:
        """Return the smallest anchored checkpoint with more than `above` leaves."""
        ...

    async def last_anchored(self, origin: str) -> PublishedCheckpoint | None: ...
    async def anchored_below(self, origin: str, *, log_origin: str, size: int) -> PublishedCheckpoint | None:
        """Return the largest checkpoint of a log that a leaf of another log fixes, with an index below `size`."""
        ...


UNREADABLE: Final = object()
"""What stands in an `AuditRow` for a stored value that is not of its column's kind at all."""

AuditRow = Mapping[str, Any]
"""One stored row by column: times aware and in UTC, JSON parsed, bytes as they are."""


class AuditSnapshot(Protocol):
    """The whole register as it was at one moment, read as it is stored."""

    def rows(
        self,
        table: str,
        *,
        order: Sequence[str] = (),
        equal: Mapping[str, object] | None = None,
        any_of: tuple[str, Sequence[str]] | None = None,
        present: str | None = None,
    ) -> AsyncIterator[AuditRow]:
        """Stream a table's rows in an order (texts by code point), without ever holding all of them.

        Only those with `equal` values (None: empty), with a column of `any_of`'s values, with `present` not empty.
        """
        ...


class AuditReader(Protocol):
    """Opens snapshots for the audit; nothing else reads through it, and it shares no query with those who write."""

    def snapshot(self) -> AbstractAsyncContextManager[AuditSnapshot]:
        """Begin one transaction that reads. Raises DomainError `unavailable` when the database is out of reach."""
        ...
