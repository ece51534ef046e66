"""A witness: somebody else who remembers the log, and signs only what continues what it remembers.

It needs nothing of the register but the log's public files: the checkpoint, and the tiles from which it proves the
consistency by itself. What it signs says: I saw this checkpoint at this time, and it follows from all I saw before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.transparency_log import path_tiles
from app.ports import Clock
from elicense.encoding import parse_json_object
from elicense.jws import parse_general
from elicense.keys import PublicKey, Signer
from elicense.merkle import verify_consistency
from elicense.problems import FormatError
from elicense.signed_note import (
    Checkpoint,
    cosign,
    cosigned_at,
    is_signed_by,
    open_checkpoint,
    parse_checkpoint_text,
    parse_note,
)
from elicense.tiles import TiledTree, TileName, reader_of, tile_width
from elicense.trust_list import MAX_TRUST_LIST_BYTES, TRUST_LIST_TYP, ServiceUse


class LogSource(Protocol):
    """Where a log's public files are read."""

    def read(self, path: str) -> bytes:
        """Return a file below the log's root (`checkpoint`, `tile/0/000`). Raises SourceError."""
        ...

    def trust_list(self) -> bytes | None:
        """Return the trust list published beside the log, None where there is none. Raises SourceError."""
        ...


class SourceError(Exception):
    """Say that a log's file could not be read now; nothing is known about the log by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What a witness keeps: the key it knows the log by, the last checkpoint it signed, with its exact note."""

    key: PublicKey
    checkpoint: Checkpoint
    note: str
    seen_at: datetime


class WitnessMemory(Protocol):
    """Where a witness keeps it, durably."""

    def load(self) -> Remembered | None: ...
    def store(self, remembered: Remembered) -> None: ...


class Refused(Exception):
    """Refuse a checkpoint; `evidence` are the notes that show why, the remembered one first."""

    def __init__(self, reason: str, detail: str, *evidence: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.evidence = evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """The outcome of a look: the note with this witness's cosignature; `is_new` unless it stood there already."""

    checkpoint: Checkpoint
    note: str
    is_new: bool


class Witness:
    """Looks at one log again and again."""

    def __init__(
        self,
        *,
        source: LogSource,
        memory: WitnessMemory,
        name: str,
        signer: Signer,
        clock: Clock,
        log_key: tuple[str, PublicKey] | None,
    ) -> None:
        """Sign as `name`. `log_key` is the log's origin and key; without it the first ones seen are kept for good."""
        self._source = source
        self._memory = memory
        self._name = name
        self._signer = signer
        self._clock = clock
        self._log_key = log_key

    def look(self) -> Witnessed:
        """Read the checkpoint, hold it against the remembered one, remember it, sign it.

        Raises SourceError when something cannot be read; Refused with the reason `signature` (not the log's key),
        `another_log`, `step_back` (smaller than remembered), `fork` (does not continue it).
        """
        note = self._source.read("checkpoint")
        text = note.decode("utf-8", "replace")
        before = self._memory.load()
        origin, key = self._known_key(text, before)
        try:
            checkpoint = open_checkpoint(note, origin=origin, key=key)
        except FormatError as error:
            raise Refused("signature", error.detail, text) from error
        if before is not None:
            self._require_continuation(before, checkpoint, text)
        now = self._clock.now().replace(microsecond=0)
        # Remembered before it is signed: a crash in between signs the same checkpoint later. The other way round it
        # could sign one that does not continue it.
        self._memory.store(Remembered(key=key, checkpoint=checkpoint, note=text, seen_at=now))
        if self._name in cosigned_at(parse_note(text), witnesses={self._name: self._signer.public_key}):
            return Witnessed(checkpoint=checkpoint, note=text, is_new=False)
        signed = cosign(text, name=self._name, signer=self._signer, time=now)
        return Witnessed(checkpoint=checkpoint, note=signed, is_new=True)

    def _known_key(self, note: str, before: Remembered | None) -> tuple[str, PublicKey]:
        if self._log_key is not None:
            return self._log_key
        if before is not None:
            return before.checkpoint.origin, before.key
        listed = self._source.trust_list()
        if listed is None:
            raise Refused("signature", "the log's key is not known: name it", note)
        return _first_key(listed, note)

    def _require_continuation(self, before: Remembered, after: Checkpoint, note: str) -> None:
        held = before.checkpoint
        if after.origin != held.origin:
            raise Refused("another_log", f"{after.origin} is not {held.origin}", before.note, note)
        if after.size < held.size:
            raise Refused("step_back", f"{after.size} entries after {held.size}", before.note, note)
        path = self._consistency(held.size, after.size)
        if not verify_consistency(held.size, held.root, after.size, after.root, path):
            detail = f"the log of {after.size} entries does not begin with the one of {held.size}"
            raise Refused("fork", detail, before.note, note)

    def _consistency(self, old: int, new: int) -> list[bytes]:
        """Compute the proof from tiles; whatever they hold, the proof is checked against both roots."""
        if old in (0, new):
            return []
        tiles: dict[tuple[int, int], bytes] = {}
        for level, number in sorted(path_tiles([old - 1], new)):
            width = tile_width(level, number, new)
            tiles[level, number] = self._source.read(f"tile/{TileName(level, number, width).path}")
        try:
            return TiledTree(new, reader_of(tiles)).consistency_path(old)
        except ValueError as error:
            raise SourceError(f"the log's tiles: {error}") from error


def _first_key(trust_list: bytes, note: str) -> tuple[str, PublicKey]:
    """Find the key that signed this note in a trust list nobody has checked: good for a first acquaintance only."""
    try:
        origin = parse_checkpoint_text(parse_note(note).text).origin
        payload = parse_general(trust_list, typ=TRUST_LIST_TYP, max_bytes=MAX_TRUST_LIST_BYTES).payload
        services = parse_json_object(payload, max_bytes=MAX_TRUST_LIST_BYTES)["services"]
        for service in services if isinstance(services, list) else ():
            if not isinstance(service, Mapping) or service.get("use") != ServiceUse.LOG.value:
                continue
            jwk = service.get("jwk")
            if service.get("origin") == origin and isinstance(jwk, Mapping):
                key = PublicKey.from_jwk(jwk, profile="eddsa")
                if is_signed_by(parse_note(note), name=origin, key=key):
                    return origin, key
    except (FormatError, KeyError) as error:
        raise Refused("signature", f"the log's key cannot be found: {error}", note) from error
    raise Refused("signature", f"no key of {origin} in the trust list signed this", note)
