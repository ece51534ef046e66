"""What a witness remembers, as a file of its own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from app.adapters.state_file import StateFile
from app.services.witness import Remembered
from elicense.problems import FormatError
from elicense.signed_note import Checkpoint, parse_verifier_key, verifier_key

_FMT = 1


class WitnessMemoryError(Exception):
    """Say that what a witness remembers cannot be read: it must not sign, and it has seen nothing wrong."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path}: 见证方的记忆已损坏或不是其文件;不可一删了之:没有记忆的见证方会联署分叉的日志,请恢复备份 "
            "this is no memory of a witness, or a damaged one; do not simply delete it, for a witness without memory "
            "cosigns a forked log: restore it from a backup"
        )


class WitnessMemoryFile:
    """Keep the last checkpoint in a JSON file (implements `services.witness.WitnessMemory`)."""

    def __init__(self, path: Path) -> None:
        """Use a file in a folder that exists."""
        self._path = path
        self._file = StateFile(path, fmt=_FMT)

    def load(self) -> Remembered | None:
        """Return what was seen last, None before the first. Raises WitnessMemoryError for a file that is not ours."""
        try:
            content = self._file.load()
            return None if content is None else _remembered(content)
        except (ValueError, KeyError, FormatError, RecursionError) as error:
            raise WitnessMemoryError(self._path) from error

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
        """Keep a second process of the same witness out meanwhile: both would sign, one against the other.

        Raises WitnessMemoryError for a folder.
        """
        if self._path.is_dir():
            raise WitnessMemoryError(self._path)
        with self._file.locked():
            yield


def _remembered(content: Mapping[str, object]) -> Remembered:
    origin, _, key = parse_verifier_key(str(content["log_key"]))
    return Remembered(
        key=key,
        checkpoint=Checkpoint(origin, int(str(content["size"])), bytes.fromhex(str(content["root"]))),
        note=str(content["note"]),
        seen_at=datetime.fromisoformat(str(content["seen_at"])),
    )
