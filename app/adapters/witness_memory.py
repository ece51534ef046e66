"""What a witness remembers, as a file of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from app.adapters.state_file import StateFile
from app.services.witness import Remembered
from elicense.signed_note import Checkpoint, parse_verifier_key, verifier_key

_FMT = 1


class WitnessMemoryFile:
    """Keep the last checkpoint in a JSON file (implements `services.witness.WitnessMemory`)."""

    def __init__(self, path: Path) -> None:
        """Use a file in a folder that exists."""
        self._file = StateFile(path, fmt=_FMT)

    def load(self) -> Remembered | None:
        """Return what was seen last, None before the first. Raises ValueError for a file that is not ours."""
        content = self._file.load()
        if content is None:
            return None
        origin, _, key = parse_verifier_key(str(content["log_key"]))
        return Remembered(
            key=key,
            checkpoint=Checkpoint(origin, int(str(content["size"])), bytes.fromhex(str(content["root"]))),
            note=str(content["note"]),
            seen_at=datetime.fromisoformat(str(content["seen_at"])),
        )

    def store(self, remembered: Remembered) -> None:
        """Replace what is remembered; durable on return."""
        checkpoint = remembered.checkpoint
        self._file.replace(
            {
                "log_key": verifier_key(checkpoint.origin, remembered.key),
                "size": checkpoint.size,
                "root": checkpoint.root.hex(),
                "note": remembered.note,
                "seen_at": remembered.seen_at.isoformat(),
            }
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second process of the same witness out meanwhile: both would sign, one against the other."""
        with self._file.locked():
            yield
