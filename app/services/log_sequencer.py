"""Sequence the logs: places for committed leaves, one signed head at a time, receipts fixed in the public log.

1. One transaction takes committed leaves without a place, gives them the next indices, writes the tiles and swaps the
   head by comparison. A crash before its commit leaves nothing.
2. Only a committed head is remembered outside the database, then signed. Ed25519 is deterministic: whoever signs it
   makes the same bytes. A crash anywhere between commit and step 3 is healed by the next run of any worker.
3. The signed checkpoint is stored and served, by comparison with the one served before. It is published last: what
   can be asked for lies within it.

Two sequencers cannot fork a log: both compare the head's row version, and a place in a log is unique. Losing either
race costs the loser its batch and nobody anything.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from app.domain.errors import ConcurrentChange, DomainError
from app.domain.events import LogName
from app.domain.publication import ServiceKey
from app.domain.transparency_log import BrokenLog, LogHead, PublishedCheckpoint, edge_tiles, grow
from app.ports import Store, UnitOfWork
from app.services.key_register import KeyRegister
from app.services.log_leaves import make_anchor_leaf
from app.services.log_memory import LogMemory
from app.services.signing_clock import SigningClock
from app.services.write_guard import WriteGuard
from elicense.signed_note import add_signature, is_signed_by, parse_note, sign_note

ANCHOR_EVERY = timedelta(seconds=30)
"""How long receipts may wait for the public log to fix the state of theirs."""

RESTATE_EVERY = timedelta(minutes=55)
"""How old the public log's last word about the receipts' state may get before the same state is stated again, so that
it is at least hourly: whoever follows the public log alone sees that nothing was put in since, and nothing taken out.
"""

BATCH = 1000
_BATCHES_PER_RUN = 20  # then the head is published, so that a large backlog does not hold back its beginning
_EVENT_BATCH = 5000

log = structlog.get_logger()


class LogSequencer:
    """Does the duty of the logs; any number of workers may."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        keys: KeyRegister,
        memory: LogMemory,
        guard: WriteGuard,
        env: str,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._keys = keys
        self._memory = memory
        self._guard = guard
        self._env = env

    async def run(self) -> int:
        """Number events, sequence and publish every log, fix the receipts' state; return how many leaves got a place.

        One log's trouble does not hold back the other. Raises DomainError `read_only`, `unavailable` (database,
        clock, no private key), `internal` (tiles that do not give the root), after everything else was done.
        """
        self._guard.require_writable()
        placed = 0
        failure: DomainError | None = None
        await self._number_events()
        for name in LogName:
            try:
                placed += await self._sequence(name)
            except DomainError as error:
                failure = failure or error
        for head in await self._store.read(lambda unit: unit.transparency_log.heads()):
            try:
                await self._publish(head)
            except DomainError as error:
                failure = failure or error
        await self._anchor_receipts()
        if failure is not None:
            raise failure
        return placed

    async def run_until_done(self) -> None:
        """Run until no leaf waits and every head is published. Raises as `run`."""
        while await self.run():
            pass

    async def _number_events(self) -> None:
        async def work(unit: UnitOfWork) -> int:
            return await unit.journal.sequence_events(limit=_EVENT_BATCH)

        for _ in range(_BATCHES_PER_RUN):
            if await self._store.write(work) < _EVENT_BATCH:
                return

    async def _sequence(self, name: LogName) -> int:
        placed = 0
        for _ in range(_BATCHES_PER_RUN):
            if not await self._store.read(lambda unit: unit.transparency_log.waiting(name, limit=1)):
                break
            try:
                added = await self._store.write(lambda unit: _take_batch(unit, name))
            except ConcurrentChange:
                log.info("log_batch_lost", log=name.value)
                break  # another sequencer is at work here
            except BrokenLog as error:
                raise DomainError("internal") from error
            placed += added
            if not added:
                break
        return placed

    async def _publish(self, seen: LogHead) -> None:
        """Sign and serve a committed head that is not served yet, frozen origins included."""
        if seen.published_size == seen.size:
            return
        head = await self._memory.head_to_sign(seen.origin)
        if head is None:
            return
        now = self._signing_clock.signing_time()
        keys = await self._keys.of_log(head.origin, now=now)
        if not keys:
            raise DomainError("unavailable", f"no key of {head.origin} is in its validity period")
        checkpoint = PublishedCheckpoint(
            origin=head.origin, size=head.size, note=self._sign(head, keys), published_at=now
        )
        try:
            await self._store.write(
                lambda unit: unit.transparency_log.publish(checkpoint, expected_size=head.published_size)
            )
        except ConcurrentChange:
            log.info("checkpoint_lost", origin=head.origin, size=head.size)  # the same bytes, or a larger one
            return
        log.info("checkpoint_published", origin=head.origin, size=head.size)

    def _sign(self, head: LogHead, keys: Sequence[ServiceKey]) -> str:
        """Sign with every key of the log: while one follows the other, holders of an older list know only the first."""
        note: str | None = None
        for key in keys:
            line = parse_note(
                sign_note(head.checkpoint.text, name=head.origin, signer=self._keys.signer(key))
            )
            # Against the registered public key, never the signer's own idea of it.
            if not is_signed_by(line, name=head.origin, key=self._keys.public_key(key)):
                raise DomainError("internal", "a signature just made does not verify")
            note = add_signature(head.checkpoint.text, line.signatures[0], note=note)
        return str(note)

    async def _anchor_receipts(self) -> None:
        """Put the receipts' newest checkpoint into the public log: at most one each half minute while receipts are
        given, and once an hour when there were none.
        """
        now = self._signing_clock.signing_time()
        if await self._store.read(lambda unit: _to_anchor(unit, now)) is None:
            return

        async def work(unit: UnitOfWork) -> None:
            checkpoint = await _to_anchor(unit, now)
            if checkpoint is not None:
                leaf = make_anchor_leaf(checkpoint, env=self._env, at=now)
                if checkpoint.anchor_id is None:
                    await unit.transparency_log.anchor(
                        checkpoint.origin, size=checkpoint.size, leaf_id=leaf.id
                    )
                else:
                    await unit.transparency_log.restate(checkpoint, at=now)
                await unit.journal.add_leaves([leaf])

        try:
            await self._store.write(work)
        except ConcurrentChange:
            log.info("anchor_lost")


async def _take_batch(unit: UnitOfWork, name: LogName) -> int:
    head = await unit.transparency_log.claim(name)
    if head is None:
        return 0  # the log has no key yet, or another sequencer holds its head
    leaves = await unit.transparency_log.waiting(name, limit=BATCH)
    if not leaves:
        return 0
    tiles = await unit.transparency_log.tiles(head.origin, edge_tiles(head.size))
    growth = grow(head, [leaf.entry for leaf in leaves], tiles)
    # The swap before the rest: whoever loses it has changed nothing that others would wait for.
    await unit.transparency_log.advance(head, growth)
    await unit.transparency_log.place(head.origin, first=head.size, leaf_ids=[leaf.id for leaf in leaves])
    await unit.transparency_log.put_tiles(head.origin, growth.tiles)
    return len(leaves)


async def _to_anchor(unit: UnitOfWork, now: datetime) -> PublishedCheckpoint | None:
    """Return the receipts' checkpoint to state now: it has grown since the last, or that was stated long ago."""
    newest = await unit.transparency_log.newest_checkpoint(LogName.RECEIPTS)
    if newest is None:
        return None
    last = await unit.transparency_log.last_anchored(newest.origin)
    if last is None:
        return newest
    leaf = await unit.transparency_log.leaf(last.anchor_id or "")
    stated = last.restated_at or (leaf.recorded_at if leaf is not None else None)
    changed = newest.anchor_id is None
    if not changed and newest.size == 0:
        return None  # of a generation without receipts there is nothing to say again
    recent = stated is not None and abs(now - stated) < (ANCHOR_EVERY if changed else RESTATE_EVERY)
    return None if recent else newest
