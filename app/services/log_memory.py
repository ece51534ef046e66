"""What this installation has signed of its logs, remembered outside the database: no head is signed against it.

A database restored from a backup would grow another tree from its older head and sign it: a fork, and the end of
every witness's trust. So before a head is signed, its tree must begin with the largest one signed before, and that one
must be remembered durably before its signature leaves. The same memory is what the high-water mark holds the logs
against, at the start and ever after: there is no second one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from app.domain.errors import DomainError, ServiceRefusal
from app.domain.high_water import GIVEN_UP, LogMark
from app.domain.restriction import Restriction
from app.domain.transparency_log import (
    BrokenLog,
    LogHead,
    LogState,
    TileKey,
    edge_tiles,
    generation_of,
)
from app.log_ports import SignedHeads
from app.ports import Store, UnitOfWork
from app.services.write_guard import WriteGuard
from elicense.service_reasons import ServiceReason
from elicense.signed_note import Checkpoint, parse_checkpoint_text
from elicense.tiles import TiledTree, reader_of

_UNREADABLE = "unreadable"
_UNUSABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)

log = structlog.get_logger()


class LogMemory:
    """Compares the logs with the heads signed before; makes the service read-only where they do not agree."""

    def __init__(self, *, store: Store, signed: SignedHeads, guard: WriteGuard) -> None:
        self._store = store
        self._signed = signed
        self._guard = guard

    def signed(self) -> Mapping[str, Checkpoint]:
        """Return the largest head signed of each origin. Raises ServiceRefusal when that cannot be read."""
        try:
            return self._signed.load()
        except _UNUSABLE as error:
            raise _unavailable(
                "log-heads.json in the keys folder cannot be read",
                detail_zh="密钥目录中的 log-heads.json 无法读取",
            ) from error

    async def forgotten(self, unit: UnitOfWork) -> Sequence[Checkpoint]:
        """Return the published heads of the logs in force that nothing here remembers: their memory is gone.

        Raises ServiceRefusal as `signed`.
        """
        found = []
        for head in await unit.transparency_log.heads():
            served = await unit.transparency_log.checkpoint(head.origin)
            if head.state is LogState.OPEN and head.published_size and served is not None:
                found.append(parse_checkpoint_text(served.text))
        signed = self.signed()  # after the database: whoever publishes has remembered before
        return [one for one in found if one.origin not in signed]

    async def take_for_signed(self, head: Checkpoint) -> None:
        """Remember a published head of which nothing was known, on an operator's word. Raises ServiceRefusal."""
        await self._remember(head, after=None)

    async def held(self, unit: UnitOfWork) -> Mapping[str, LogMark]:
        """Return how far each log of this database is, to be held against what was signed.

        A log that has grown since its last signature is given as it was then, since only that can be compared.
        Origins that a later one has taken over from count no more.
        """
        signed = self.signed()
        origins = {head.origin for head in await unit.transparency_log.heads()} | set(signed)
        found = {}
        for origin in sorted(origins):
            before = signed.get(origin)
            mark = _mark(before, await _read(unit, origin, before))
            if mark is not None:
                found[origin] = mark
        return found

    def last_generation(self, origin: str) -> int:
        """Return the highest generation signed of the log an origin belongs to, 0 for none."""
        base, _ = generation_of(origin)
        known = (generation_of(one) for one in self.signed())
        return max((number for other, number in known if other == base), default=0)

    async def head_to_sign(self, origin: str) -> LogHead | None:
        """Return the committed head if it is not published yet and continues what was signed; remember it first.

        None also when another process is about to sign: the next run looks again; and for a frozen log that a
        recovery has given up, of which more was signed than is here: what is served of it stays as it is.

        Raises ServiceRefusal `read_only` when it does not continue, `unavailable` when the memory cannot be read or
        written, or is gone although the log was published; DomainError `internal` when the stored tiles do not give
        its root.
        """
        # The memory first: it is raised after commits alone, so a snapshot taken later holds at least as much.
        before = self.signed().get(origin)
        read = await self._store.read(lambda unit: _read(unit, origin, before))
        head = read.head
        if head is None or head.published_size == head.size:
            return None
        if before is None and head.published_size:
            self._require_remembered(head)
            return None  # another process has just signed the first one
        if not _continues(before, read):
            if not read.is_superseded and head.state is LogState.OPEN:
                self._refuse(head, before)
                self._guard.require_writable()
            return None
        if not _is_root(head.checkpoint, read.tiles):
            raise DomainError("internal") from BrokenLog(f"the stored tiles of {origin} do not give its root")
        # A crash after this line signs the same head later; before it, nothing was signed. Whoever has remembered
        # another head since we looked is the one to sign now. In a thread: it waits for the disk.
        return head if await self._remember(head.checkpoint, after=before) else None

    async def _remember(self, head: Checkpoint, *, after: Checkpoint | None) -> bool:
        try:
            return await asyncio.to_thread(self._signed.raise_to, head, after=after)
        except _UNUSABLE as error:
            log.exception("log_head_not_remembered", origin=head.origin)
            raise _unavailable(
                "log-heads.json in the keys folder cannot be written",
                detail_zh="密钥目录中的 log-heads.json 无法写入",
            ) from error

    def _require_remembered(self, head: LogHead) -> None:
        """Refuse to begin anew with a log that was published: whether this database continues it nobody knows here."""
        if head.origin not in self.signed():
            raise _unavailable(
                f"log-heads.json in the keys folder does not know {head.origin}, of which {head.published_size} "
                "entries are published: put the file back, or run elicense recover --accept-loss",
                detail_zh=f"密钥目录中的 log-heads.json 没有 {head.origin} 的记录,"
                f"而该日志已发布 {head.published_size} 条:请放回该文件,或运行 elicense recover --accept-loss",
            )

    def _refuse(self, head: LogHead, before: Checkpoint | None) -> None:
        seen = 0 if before is None else before.size
        log.critical("log_rolled_back", origin=head.origin, size=head.size, signed=seen)
        self._guard.restrict(
            Restriction(
                reason=ServiceReason.ROLLBACK_DETECTED,
                zh=f"存证日志 {head.origin} 现有 {head.size} 条,与已签名的 {seen} 条不相续",
                en=f"log {head.origin} has {head.size} entries, which do not continue the {seen} that were signed",
            )
        )


@dataclass(frozen=True, slots=True)
class _Read:
    """A head, the tiles that its root and that of the smaller head are computed from, and whether it still counts."""

    head: LogHead | None
    tiles: Mapping[TileKey, bytes]
    is_superseded: bool


async def _read(unit: UnitOfWork, origin: str, before: Checkpoint | None) -> _Read:
    base, generation = generation_of(origin)
    heads = await unit.transparency_log.heads()
    later = any(generation_of(one.origin)[0] == base and one.generation > generation for one in heads)
    head = next((one for one in heads if one.origin == origin), None)
    if head is None:
        return _Read(None, {}, later)
    wanted = edge_tiles(head.size)
    if before is not None and before.size <= head.size:
        wanted |= edge_tiles(before.size)
    return _Read(head, await unit.transparency_log.tiles(origin, wanted), later)


def _unavailable(detail: str, *, detail_zh: str) -> ServiceRefusal:
    return ServiceRefusal("unavailable", ServiceReason.ANCHOR_UNAVAILABLE, detail, detail_zh=detail_zh)


def _mark(before: Checkpoint | None, read: _Read) -> LogMark | None:
    head = read.head
    if read.is_superseded:
        sizes = [one.size for one in (before, head) if one is not None]
        return LogMark(size=max(sizes), root=GIVEN_UP)
    if head is None:
        return None
    if before is None or before.size > head.size:
        return LogMark(size=head.size, root=head.root.hex())
    root = _root(before.size, read.tiles)
    return LogMark(size=before.size, root=_UNREADABLE if root is None else root.hex())


def _continues(before: Checkpoint | None, read: _Read) -> bool:
    if before is None:
        return True
    return read.head is not None and before.size <= read.head.size and _is_root(before, read.tiles)


def _is_root(checkpoint: Checkpoint, tiles: Mapping[TileKey, bytes]) -> bool:
    return _root(checkpoint.size, tiles) == checkpoint.root


def _root(size: int, tiles: Mapping[TileKey, bytes]) -> bytes | None:
    """Return the root over the first entries of a log, None when the stored tiles do not give one."""
    try:
        return TiledTree(size, reader_of(tiles)).root()
    except ValueError:
        return None
