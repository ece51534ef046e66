"""Small JSON files that must survive what they remember: replaced whole, durable on return, one writer at a time."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class StateFile:
    """Keep one JSON object in a file (0600); several processes may share it through `locked`."""

    def __init__(self, path: Path, *, fmt: int) -> None:
        """Use a file in a folder that exists; `fmt` is written with the content, and no other is read."""
        self._path = path
        self._fmt = fmt

    def load(self) -> dict[str, object] | None:
        """Return the content, None before the first. Raises ValueError for a file that is not one of ours."""
        try:
            content = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        if not isinstance(content, dict) or content.get("fmt") != self._fmt:
            raise ValueError(f"{self._path.name} has an unknown format")
        return content

    def replace(self, content: Mapping[str, object]) -> None:
        """Replace the content; it is on the disk when this returns."""
        temporary = self._path.with_name(f"{self._path.name}.tmp")
        with open(temporary, "w", opener=_private, encoding="utf-8") as file:
            json.dump({"fmt": self._fmt, **content}, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        # A crash before this line leaves the old content whole, after it the new one.
        temporary.replace(self._path)
        _sync_folder(self._path.parent)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the file against other processes."""
        with open(self._path.with_name(f"{self._path.name}.lock"), "a", opener=_private) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
