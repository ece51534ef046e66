"""Which states of which logs count: origins, checkpoints under the trust list's log keys, places in a log.

A checkpoint carries no time of its own. It counts when a key of its log signed it that the trust list names, that is
not compromised, and that may sign now; or, for a key whose window has ended, when a listed witness saw the checkpoint
inside that window. Of a log whose key was compromised nothing counts but the one state that the root's keys fixed.
After the last date of an algorithm its signatures count where a witness saw them by then, and its cosignatures never.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from elicense.compromise import Compromise
from elicense.encoding import JsonValue, b64url_encode, malformed
from elicense.fields import Fields
from elicense.log_proof import Inclusion, read_path
from elicense.merkle import verify_consistency
from elicense.problems import FormatError, Reason
from elicense.references import LogPlace
from elicense.signed_note import (
    Checkpoint,
    SignedNote,
    cosigned_at,
    is_signed_by,
    parse_checkpoint_text,
    parse_note,
)
from elicense.trust_list import TrustList

NO_CHECKPOINTS: Mapping[str, Checkpoint] = MappingProxyType({})


class LogKind(StrEnum):
    """Tell the two logs apart by the path of their origins: the register's public log, and the receipts'."""

    PUBLIC = "log"
    RECEIPTS = "receipt-log"


_ORIGIN = re.compile(r"([^/\s]+)/(log|receipt-log)(?:/([1-9][0-9]{0,8}))?")


@dataclass(frozen=True, slots=True)
class LogName:
    """Hold an origin taken apart: host, kind of log, and its generation, counted from 1."""

    host: str
    kind: LogKind
    generation: int = 1

    @property
    def origin(self) -> str:
        """Give the origin: `<host>/<kind>` for the first generation, `<host>/<kind>/<generation>` after it."""
        first = f"{self.host}/{self.kind.value}"
        return first if self.generation == 1 else f"{first}/{self.generation}"


def read_origin(origin: str) -> LogName | None:
    """Take an origin apart; None for one that no log of ours has."""
    found = _ORIGIN.fullmatch(origin)
    if found is None or found[3] == "1":
        return None
    return LogName(found[1], LogKind(found[2]), 1 if found[3] is None else int(found[3]))


def accept_checkpoint(
    note: str | bytes, trust_list: TrustList, now: datetime, *, known: datetime | None = None
) -> Checkpoint:
    """Check a checkpoint under the keys the trust list names for its log, and return it.

    `now` is when its key had to be in its window; `known` to when time has come, where that is later.
    FormatError: malformed for another shape; log_proof_failed for a log the list does not know and without a good
    signature of one of its keys; trust_stale for a later generation of a log the list knows (the list is too old to
    tell); log_proof_missing when the only good signatures are of keys that are compromised, or past their window or
    their algorithm's last date with no listed witness who saw the checkpoint inside it.
    """
    parsed = parse_note(note)
    checkpoint = parse_checkpoint_text(parsed.text)
    keys = trust_list.logs(checkpoint.origin)
    if not keys:
        raise _unknown_log(checkpoint.origin, trust_list)
    signed = [key for key in keys if is_signed_by(parsed, name=checkpoint.origin, key=key.key)]
    if not signed:
        raise FormatError(Reason.LOG_PROOF_FAILED, "checkpoint is not signed by a key of its log")
    good = [key for key in signed if key.compromised is None]
    known = max(now, known or now)
    if any(key.in_window(now) and key.key.profile.counts_at(known) for key in good):
        return checkpoint
    seen = witnessed_at(parsed, trust_list, known=known).values() if good else ()
    if any(key.in_window(moment) and key.key.profile.counts_at(moment) for key in good for moment in seen):
        return checkpoint
    raise FormatError(
        Reason.LOG_PROOF_MISSING,
        "checkpoint is signed by a log key that is compromised or past its window",
    )


def witnessed_at(note: SignedNote, trust_list: TrustList, *, known: datetime) -> Mapping[str, datetime]:
    """Return, by witness name, when each listed witness saw this checkpoint, compromised keys left out.

    A cosignature counts at a time inside its key's window; of two keys of one witness the earlier time counts. One of
    an algorithm whose last date has passed, when time has come to `known`, counts never: its time could be anybody's.
    """
    found: dict[str, datetime] = {}
    for witness in trust_list.witnesses():
        name = witness.origin
        if name is None or not witness.key.profile.counts_at(known):
            continue
        moment = cosigned_at(note, witnesses={name: witness.key}).get(name)
        if moment is not None and witness.valid_at(moment):
            found[name] = min(moment, found.get(name, moment))
    return found


def accept_inclusion(
    inclusion: Inclusion,
    entry: bytes,
    *,
    kind: LogKind,
    trust_list: TrustList,
    now: datetime,
    known: datetime | None = None,
    remembered: Mapping[str, Checkpoint] = NO_CHECKPOINTS,
) -> LogPlace:
    """Check that an entry stands in a log of this kind that counts, and return its place.

    1. The origin is of this kind of log. 2. The path leads from the entry to the root of the checkpoint it carries.
    3. The checkpoint counts (`accept_checkpoint`), or is exactly the state that remains of a log whose key was
    compromised. 4. It does not contradict the remembered checkpoint of the same size. FormatError: log_proof_failed
    where it does not fit; log_proof_missing where it fits and counts for nothing; trust_stale as `accept_checkpoint`.
    """
    name = read_origin(inclusion.origin)
    if name is None or name.kind is not kind:
        raise FormatError(Reason.LOG_PROOF_FAILED, "log proof is of another kind of log")
    try:
        checkpoint = inclusion.claimed_checkpoint()
        note = parse_note(inclusion.checkpoint)
    except FormatError as refusal:
        raise FormatError(Reason.LOG_PROOF_FAILED, refusal.detail) from None
    if not inclusion.includes(entry, checkpoint):
        raise FormatError(
            Reason.LOG_PROOF_FAILED, "log proof does not lead from this entry to its checkpoint"
        )
    # What the root's keys have fixed needs no signature of the log, and outranks what was remembered of it.
    if checkpoint not in trust_list.frozen(checkpoint.origin):
        accept_checkpoint(inclusion.checkpoint, trust_list, now, known=known)
        held = remembered.get(checkpoint.origin)
        if held is not None and held.size == checkpoint.size and held.root != checkpoint.root:
            raise FormatError(
                Reason.LOG_PROOF_FAILED, "log proof leads to another root than the one remembered"
            )
    seen = witnessed_at(note, trust_list, known=max(now, known or now)).values()
    return LogPlace(
        origin=checkpoint.origin,
        index=inclusion.index,
        size=checkpoint.size,
        seen_at=min(seen) if seen else None,
    )


def logged_before(place: LogPlace, compromise: Compromise, trust_list: TrustList) -> bool:
    """Tell whether what stands at this place is older than the theft of a key.

    It is when its index lies below the size that the statement names, in the log that it names; or when it stands in
    what remains of an earlier generation of that log, which was closed before the later one began.
    """
    checkpoint = compromise.checkpoint
    if checkpoint is None:
        return False
    if place.origin == checkpoint.origin:
        return place.index < checkpoint.size
    named = read_origin(checkpoint.origin)
    return (
        named is not None
        and _is_earlier(place.origin, named)
        and any(place.index < state.size for state in trust_list.frozen(place.origin))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """Prove that a log's larger state has the smaller one as its beginning (RFC 9162 section 2.1.4)."""

    origin: str
    old_size: int
    new_size: int
    path: tuple[bytes, ...]

    def to_json(self) -> dict[str, JsonValue]:
        """Give the proof as the service answers it: {origin, from, to, path}."""
        return {
            "origin": self.origin,
            "from": self.old_size,
            "to": self.new_size,
            "path": [b64url_encode(node) for node in self.path],
        }


def parse_consistency(value: JsonValue) -> Consistency:
    """Parse a consistency proof; FormatError (malformed) for any other shape. Other members are passed over."""
    fields = Fields(value, "consistency proof")
    return Consistency(
        origin=fields.text("origin"),
        old_size=fields.integer("from"),
        new_size=fields.integer("to"),
        path=read_path(fields.texts("path"), "consistency proof"),
    )


def advance_checkpoint(
    remembered: Checkpoint | None, offered: Checkpoint, consistency: Consistency | None
) -> Checkpoint:
    """Return the checkpoint to remember after seeing another one of the same log, both already accepted.

    The first one, or one after an empty log, is taken. FormatError: malformed for another log; log_proof_failed for a
    step back, for another root at the same size and for a proof that does not hold (the log has forked);
    log_proof_missing for a larger one without a proof between exactly these two sizes.
    """
    if remembered is None:
        return offered
    if offered.origin != remembered.origin:
        raise malformed("checkpoint is of another log than the one remembered")
    require_no_step_back(remembered, offered)
    if offered == remembered or remembered.size == 0:
        return offered
    if consistency is None or not _joins(consistency, remembered, offered):
        raise FormatError(Reason.LOG_PROOF_MISSING, "no proof joins this checkpoint to the one remembered")
    require_consistent(remembered, offered, consistency)
    return offered


def require_no_step_back(remembered: Checkpoint, offered: Checkpoint) -> None:
    """Refuse (log_proof_failed) a smaller checkpoint of the same log, and another root at the same size."""
    if offered.size < remembered.size:
        raise FormatError(
            Reason.LOG_PROOF_FAILED,
            f"checkpoint of {offered.size} entries is older than one of {remembered.size} seen before",
        )
    if offered.size == remembered.size and offered.root != remembered.root:
        raise FormatError(Reason.LOG_PROOF_FAILED, "checkpoint forks from one of the same size seen before")


def require_consistent(remembered: Checkpoint, offered: Checkpoint, consistency: Consistency | None) -> None:
    """Refuse (log_proof_failed) a larger checkpoint whose proof, where one between these sizes is given, is wrong."""
    if consistency is None or not _joins(consistency, remembered, offered):
        return
    if not verify_consistency(remembered.size, remembered.root, offered.size, offered.root, consistency.path):
        raise FormatError(Reason.LOG_PROOF_FAILED, "checkpoint forks from a smaller one seen before")


def _joins(consistency: Consistency, remembered: Checkpoint, offered: Checkpoint) -> bool:
    return (consistency.origin, consistency.old_size, consistency.new_size) == (
        offered.origin,
        remembered.size,
        offered.size,
    )


def _is_earlier(origin: str, name: LogName) -> bool:
    other = read_origin(origin)
    return (
        other is not None
        and (other.host, other.kind) == (name.host, name.kind)
        and other.generation < name.generation
    )


def _unknown_log(origin: str, trust_list: TrustList) -> FormatError:
    name = read_origin(origin)
    if name is not None and any(_is_earlier(known, name) for known in trust_list.log_origins()):
        return FormatError(Reason.TRUST_STALE, "the trust list is older than the log of this checkpoint")
    return FormatError(Reason.LOG_PROOF_FAILED, "checkpoint is of no log of the trust list")
