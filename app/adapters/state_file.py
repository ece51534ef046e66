"""Small JSON files that must survive what they remember: replaced whole, durable on return, one writer at a time."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from app.adapters.durable import locked, replace_file


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
        replace_file(self._path, json.dumps({"fmt": self._fmt, **content}, ensure_ascii=False).encode())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the file against other processes."""
        with locked(self._path.with_name(f"{self._path.name}.lock")):
            yield
