"""Cosignatures: what witnesses hand in about published checkpoints, and which of them counts.

A witness is known by its key in the register and the trust list. It shows by its signature alone who it is, so that
it needs no account here and can stand anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from app.domain.errors import ConcurrentChange, DomainError, NotFound
from app.domain.transparency_log import PublishedCheckpoint
from app.ports import Clock, Store, UnitOfWork
from app.services.key_register import KeyRegister
from app.services.write_guard import WriteGuard
from elicense.keys import PublicKey
from elicense.problems import FormatError
from elicense.signed_note import (
    Checkpoint,
    NoteSignature,
    SignedNote,
    add_signature,
    cosigned_at,
    parse_checkpoint_text,
    parse_note,
)

TOLERANCE = timedelta(seconds=120)
_ATTEMPTS = 5

log = structlog.get_logger()


class LogWitnessService:
    """Takes cosignatures in."""

    def __init__(self, *, store: Store, clock: Clock, keys: KeyRegister, guard: WriteGuard) -> None:
        self._store = store
        self._clock = clock
        self._keys = keys
        self._guard = guard

    async def accept(self, note: str) -> Mapping[str, datetime]:
        """Add the cosignatures of known witnesses to a published checkpoint; return all it has, by witness.

        A witness counts once for a checkpoint: its first time stands. Raises DomainError `invalid_request` for what
        is no checkpoint, `cosignature_refused` without a good cosignature of a known witness, or one whose time
        cannot be, NotFound for a checkpoint that was never published, `read_only`.
        """
        self._guard.require_writable()
        now = self._clock.now()
        witnesses = await self._keys.witnesses(now=now)
        parsed, checkpoint = _read(note)
        # Whoever is no witness is turned away before anything is looked up.
        offered = _good_lines(parsed, witnesses)
        if not offered:
            raise DomainError("cosignature_refused", "there is no good cosignature of a known witness")

        async def look(unit: UnitOfWork) -> tuple[PublishedCheckpoint, dict[str, datetime]]:
            held = await unit.transparency_log.checkpoint(checkpoint.origin, size=checkpoint.size)
            if held is None or held.text != parsed.text:
                # A witness signs what it has seen signed: somebody has used the log's key elsewhere.
                log.critical("unknown_checkpoint_witnessed", origin=checkpoint.origin, size=checkpoint.size)
                raise NotFound("checkpoint")
            return held, dict(cosigned_at(parse_note(held.note), witnesses=witnesses))

        async def work(unit: UnitOfWork) -> Mapping[str, datetime]:
            held, have = await look(unit)
            _require_possible(offered, held.published_at, now)
            return await _add(unit, held, have, offered)

        # Cosignatures are public: whoever sends an old one again must not take a writer's turn for it.
        _, have = await self._store.read(look)
        if all(name in have for name in offered):
            return have
        for _ in range(_ATTEMPTS):
            try:
                return await self._store.write(work)
            except ConcurrentChange:
                continue  # another witness was faster: add ours to its note
        raise DomainError("unavailable", "too many witnesses sign this checkpoint at once")


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
    cosigned = replace(held, note=note, witnessed_at=min(have.values()))
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
    """Return the good cosignatures of known witnesses; of each name the first line counts, to bound the work."""
    found: dict[str, _Line] = {}
    tried: set[str] = set()
    for line in note.signatures:
        if line.name in witnesses and line.name not in tried:
            tried.add(line.name)
            times = cosigned_at(SignedNote(note.text, (line,)), witnesses=witnesses)
            if line.name in times:
                found[line.name] = _Line(line, times[line.name])
    return found


def _require_possible(offered: Mapping[str, _Line], published_at: datetime, now: datetime) -> None:
    """Refuse a time before the checkpoint was published, or one still to come: both would shift what came before T."""
    if any(not published_at - TOLERANCE <= one.time <= now + TOLERANCE for one in offered.values()):
        raise DomainError("cosignature_refused", "the time of the cosignature cannot be right")
