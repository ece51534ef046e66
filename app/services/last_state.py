"""Find the last state of the log that is older than a moment: what a key's theft cannot have touched.

A witness's cosignature tells the time of a checkpoint independently of this register. Where none had been given, only
the register's own word is left that it published a checkpoint then; whoever declares a key compromised is told which
of the two it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.events import LogName
from app.domain.transparency_log import LogHead, PublishedCheckpoint
from app.ports import UnitOfWork
from elicense.keys import PublicKey
from elicense.signed_note import Checkpoint, cosigned_at, parse_checkpoint_text, parse_note


@dataclass(frozen=True, slots=True)
class LastState:
    """The last state before a moment (None: the log was empty then), and whether a witness vouches for the time."""

    checkpoint: Checkpoint | None
    witnessed: bool


NOTHING = LastState(None, witnessed=False)

Witnesses = Sequence[tuple[str, PublicKey]]
"""Names and keys of witnesses; one name may have several keys, one after another."""


async def public_state_before(
    unit: UnitOfWork,
    moment: datetime,
    *,
    witnesses: Witnesses,
    origin: str | None = None,
) -> LastState:
    """Return the public log's last state before a moment, of the newest generation that had one then.

    `witnesses` are the sound ones, those that were retired since included; a frozen generation counts only as far as it
    was kept. `origin` asks about one generation alone.
    """
    heads = [head for head in await unit.transparency_log.heads() if head.log is LogName.REGISTER]
    asked = [head for head in reversed(heads) if origin in (None, head.origin)]
    for head in asked:
        seen = await _last_witnessed(unit, head, moment, witnesses)
        if seen is not None:
            return LastState(_state(seen), witnessed=True)
    for head in asked:
        stated = await unit.transparency_log.last_published(head.origin, before=moment, up_to=head.size)
        if stated is not None and stated.size > 0:
            return LastState(_state(stated), witnessed=False)
    return NOTHING


async def receipts_state_before(unit: UnitOfWork, origin: str, public: LastState) -> LastState:
    """Return the last state of a receipts' log that stands in the public log at or before one of its states.

    Nobody witnesses the receipts' log itself: the public log fixes its states, each by a leaf.
    """
    if public.checkpoint is None:
        return NOTHING
    heads = [head for head in await unit.transparency_log.heads() if head.log is LogName.REGISTER]
    for place in _places(heads, public.checkpoint):
        found = await unit.transparency_log.anchored_below(origin, log_origin=place.origin, size=place.size)
        if found is not None:
            return LastState(_state(found), witnessed=public.witnessed)
    return NOTHING


def _places(heads: Sequence[LogHead], newest: Checkpoint) -> list[Checkpoint]:
    """Return the state itself and, behind it, what is kept of earlier generations."""
    generation = next(head.generation for head in heads if head.origin == newest.origin)
    earlier = [head.checkpoint for head in reversed(heads) if head.generation < generation]
    return [newest, *earlier]


async def _last_witnessed(
    unit: UnitOfWork, head: LogHead, moment: datetime, witnesses: Witnesses
) -> PublishedCheckpoint | None:
    up_to = head.size
    while up_to > 0:
        found = await unit.transparency_log.last_witnessed(head.origin, before=moment, up_to=up_to)
        if found is None:
            return None
        # The stored time is the earliest of all cosignatures, those of a witness whose key was lost included.
        note = parse_note(found.note)
        times = [cosigned_at(note, witnesses={name: key}).get(name) for name, key in witnesses]
        if any(time is not None and time < moment for time in times):
            return found
        up_to = found.size - 1
    return None


def _state(checkpoint: PublishedCheckpoint) -> Checkpoint:
    return parse_checkpoint_text(checkpoint.text)
