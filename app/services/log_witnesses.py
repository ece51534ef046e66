"""Cosignatures: what witnesses hand in about published checkpoints, and which of them counts.

A witness is known by its key in the register and the trust list. It shows by its signature alone who it is, so that
it needs no account here and can stand anywhere.

Nothing is looked up for whoever is no witness. Of a witness so many new cosignatures a minute are taken for each log,
and apart from these as many that are repeated or speak of nothing known: those are public, anybody can send them, and
must not use up what the witness itself may say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from app.domain.allowance import PerMinute
from app.domain.errors import ConcurrentChange, DomainError, NotFound, TooManyCalls
from app.domain.transparency_log import PublishedCheckpoint
from app.ports import Clock, Store, UnitOfWork
from app.services.key_register import KeyRegister
from app.services.write_guard import WriteGuard
from elicense.keys import PublicKey
from elicense.problems import FormatError
from elicense.signed_note import (
    NOTE_KEY_COSIGNATURE,
    Checkpoint,
    NoteSignature,
    SignedNote,
    add_signature,
    cosigned_at,
    note_key_id,
    parse_checkpoint_text,
    parse_note,
)

TOLERANCE = timedelta(seconds=120)
MOST_PER_MINUTE = 120
"""How many new cosignatures a witness may hand in for one log, which has about one new checkpoint a second at most."""
_ATTEMPTS = 5

log = structlog.get_logger()


class LogWitnessService:
    """Takes cosignatures in."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        keys: KeyRegister,
        guard: WriteGuard,
        per_minute: int = MOST_PER_MINUTE,
    ) -> None:
        self._store = store
        self._clock = clock
        self._keys = keys
        self._guard = guard
        self._new = PerMinute(per_minute)
        self._again = PerMinute(per_minute)

    async def accept(self, note: str) -> Mapping[str, datetime]:
        """Add the cosignatures of known witnesses to a published checkpoint; return all it has, by witness.

        A witness counts once for a checkpoint: its first time stands. Raises DomainError `invalid_request` for what
        is no checkpoint, `cosignature_refused` without a good cosignature of a known witness, or one whose time
        cannot be, NotFound for a checkpoint that was never published, TooManyCalls (`rate_limited`) for too many in one
        minute, `read_only`.
        """
        self._guard.require_writable()
        now = self._clock.now()
        witnesses = await self._keys.witnesses(now=now)
        parsed, checkpoint = _read(note)
        # Whoever is no witness is turned away before anything is looked up.
        offered = _good_lines(parsed, witnesses)
        if not offered:
            raise DomainError("cosignature_refused", "there is no good cosignature of a known witness")

        async def look(unit: UnitOfWork) -> tuple[PublishedCheckpoint, dict[str, datetime]] | None:
            held = await unit.transparency_log.checkpoint(checkpoint.origin, size=checkpoint.size)
            if held is None or held.text != parsed.text:
                return None
            return held, dict(cosigned_at(parse_note(held.note), witnesses=witnesses))

        async def work(unit: UnitOfWork) -> Mapping[str, datetime]:
            found = await look(unit)
            if found is None:
                raise NotFound("checkpoint")
            held, have = found
            _require_possible(offered, held.published_at, now)
            return await _add(unit, held, have, offered)

        # Cosignatures are public: whoever sends an old one again must not take a writer's turn for it.
        found = await self._store.read(look)
        have = found[1] if found is not None else {}
        fresh = [name for name in offered if name not in have]
        if found is None or not fresh:
            self._count(self._again, offered)
        if found is None:
            await self._tell_unknown(checkpoint)
            raise NotFound("checkpoint")
        if not fresh:
            return have
        self._count(self._new, [f"{name} {checkpoint.origin}" for name in fresh])
        for _ in range(_ATTEMPTS):
            try:
                return await self._store.write(work)
            except ConcurrentChange:
                continue  # another witness was faster: add ours to its note
        raise DomainError("unavailable", "too many witnesses sign this checkpoint at once")

    async def _tell_unknown(self, checkpoint: Checkpoint) -> None:
        """Raise the alarm for a state of our logs that we never published; witnesses look at other logs, too."""
        heads = await self._store.read(lambda unit: unit.transparency_log.heads())
        if any(head.origin == checkpoint.origin for head in heads):
            # A witness signs what it has seen signed: somebody has used the log's key elsewhere.
            log.critical("unknown_checkpoint_witnessed", origin=checkpoint.origin, size=checkpoint.size)

    def _count(self, allowance: PerMinute, names: Iterable[str]) -> None:
        waits = [allowance.take(name, now=self._clock.monotonic()) for name in names]
        if any(waits):
            raise TooManyCalls(max(waits))


@dataclass(frozen=True, slots=True)
class _Line:
    """A good cosignature: its line and its time."""

    line: NoteSignature
    time: datetime


async def _add(
    unit: UnitOfWork,
    held: PublishedCheckpoint,
    have: dict[str, datetime],
    offered: Mapping[str, _Line],
) -> Mapping[str, datetime]:
    fresh = sorted(name for name in offered if name not in have)
    if not fresh:
        return have
    note = held.note
    for name in fresh:
        note = add_signature(held.text, offered[name].line, note=note)
        have[name] = offered[name].time
    # Not of those alone who are witnesses still: whoever saw it first may have been retired since.
    seen = [moment for moment in (*have.values(), held.witnessed_at) if moment is not None]
    cosigned = replace(held, note=note, witnessed_at=min(seen))
    await unit.transparency_log.put_cosigned(cosigned, expected_note=held.note)
    log.info("checkpoint_witnessed", origin=held.origin, size=held.size, witnesses=fresh)
    return have


def _read(note: str) -> tuple[SignedNote, Checkpoint]:
    try:
        parsed = parse_note(note)
        return parsed, parse_checkpoint_text(parsed.text)
    except FormatError as error:
        raise DomainError("invalid_request", error.detail) from error


def _good_lines(note: SignedNote, witnesses: Mapping[str, PublicKey]) -> Mapping[str, _Line]:
    """Return the good cosignatures of known witnesses; of each key the first line counts, to bound the work.

    A line of another key under the same name, one that the witness had before, is passed over.
    """
    found: dict[str, _Line] = {}
    tried: set[str] = set()
    for line in note.signatures:
        key = witnesses.get(line.name)
        if key is None or line.key_id != note_key_id(line.name, key, kind=NOTE_KEY_COSIGNATURE):
            continue
        if line.name not in tried:
            tried.add(line.name)
            times = cosigned_at(SignedNote(note.text, (line,)), witnesses=witnesses)
            if line.name in times:
                found[line.name] = _Line(line, times[line.name])
    return found


def _require_possible(offered: Mapping[str, _Line], published_at: datetime, now: datetime) -> None:
    """Refuse a time before the checkpoint was published, or one still to come: both would shift what came before T."""
    if any(not published_at - TOLERANCE <= one.time <= now + TOLERANCE for one in offered.values()):
        raise DomainError("cosignature_refused", "the time of the cosignature cannot be right")
