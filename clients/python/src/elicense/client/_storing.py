"""Files that are replaced at once and whole."""

import os
from pathlib import Path


def store_file(path: Path, content: bytes) -> None:
    """Replace a file at once and durably: after a crash it holds the old bytes or the new ones, whole."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)
