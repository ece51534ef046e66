"""The high-water mark as a file in the keys folder: it outlives a database that is restored from a backup."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from app.ports import HighWaterMark

_FMT = 1


class HighWaterFile:
    """Keep the mark in `high-water.json` (implements `ports.HighWaterKeeper`); several processes may share it."""

    def __init__(self, folder: Path) -> None:
        """Use a folder that exists."""
        self._path = folder / "high-water.json"
        self._lock_path = folder / "high-water.lock"

    def load(self) -> HighWaterMark | None:
        """Return the mark, None before the first. Raises ValueError for a file that is not one of ours."""
        try:
            content = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        if not isinstance(content, dict) or content.get("fmt") != _FMT:
            raise ValueError("high-water.json has an unknown format")
        return HighWaterMark(
            time=datetime.fromtimestamp(int(content["time"]), UTC),
            trust_list_sequence=int(content["trust_list_sequence"]),
            freshness_sequence=int(content["freshness_sequence"]),
        )

    def raise_to(self, mark: HighWaterMark) -> None:
        """Raise the mark, part by part, never lowering any; durable on return."""
        with self._locked():
            held = self.load()
            raised = mark if held is None else held.merged(mark)
            if raised != held:
                self._write(raised)

    def _write(self, mark: HighWaterMark) -> None:
        content = json.dumps(
            {
                "fmt": _FMT,
                "time": int(mark.time.timestamp()),
                "trust_list_sequence": mark.trust_list_sequence,
                "freshness_sequence": mark.freshness_sequence,
            }
        )
        temporary = self._path.with_suffix(".tmp")
        with open(temporary, "w", opener=_private, encoding="ascii") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A crash before this line leaves the old mark whole, after it the new one.
        temporary.replace(self._path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self._lock_path, "a", opener=_private, encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
