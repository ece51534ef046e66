"""What the demonstration keeps in its data directory, and the lock that lets only one run there."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

MARK = "DEVELOPMENT"
_MARK_TEXT = (
    "由 elicense demo 生成:开发密钥与虚构数据,不得用于生产。\n"
    "Made by `elicense demo`: development keys and invented data, never for production.\n"
)
_MADE_HERE = (
    "keys",
    "sandbox",
    "samples",
    "demo.json",
    "api-keys.json",
    "trust-root.json",
    "bundle.json",
    MARK,
)
_DATABASE = ("elicense.db", "elicense.db-wal", "elicense.db-shm", "elicense.db-journal")


class DemoFiles:
    """The demonstration's directory (0700) and the files in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.demo = folder / "demo.json"
        self.api_keys = folder / "api-keys.json"
        self.trust_root = folder / "trust-root.json"
        self.bundle = folder / "bundle.json"
        self.samples = folder / "samples"

    def prepare(self) -> None:
        """Make the directory and its mark."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.samples.mkdir(exist_ok=True)
        (self.folder / MARK).write_text(_MARK_TEXT, encoding="utf-8")

    def withdraw(self) -> None:
        """Take away the demo.json of an earlier run: nothing serves."""
        self.demo.unlink(missing_ok=True)

    def is_ours(self) -> bool:
        """Tell whether a demonstration made this directory, or nobody put anything there yet."""
        return (self.folder / MARK).exists() or not self.folder.exists() or not any(self._others())

    def _others(self) -> Iterator[Path]:
        return (path for path in self.folder.iterdir() if path.name != "lock")

    def reset(self) -> None:
        """Delete what the demonstration made, and nothing else."""
        for name in (*_MADE_HERE, *_DATABASE):
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the directory; gives false when another demonstration runs there. Ends with the process."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True

    def read_api_keys(self) -> dict[str, str]:
        """Return the API keys of an earlier run by client, nothing when there was none."""
        try:
            kept = json.loads(self.api_keys.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return {str(name): str(key) for name, key in kept.items()} if isinstance(kept, dict) else {}

    def write_private_json(self, path: Path, value: Mapping[str, object]) -> None:
        """Replace a file that holds secrets (0600), whole or not at all."""
        temporary = path.with_name(path.name + ".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(value, out, ensure_ascii=False, indent=2)
            out.write("\n")
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
