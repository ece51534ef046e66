"""The largest head signed of each log, as a file in the keys folder: it outlives a database that is restored."""

from collections.abc import Mapping
from pathlib import Path

from app.adapters.state_file import StateFile
from elicense.signed_note import Checkpoint

_FMT = 1


class SignedHeadsFile:
    """Keep the heads in `log-heads.json` (implements `log_ports.SignedHeads`); several processes may share it."""

    def __init__(self, folder: Path) -> None:
        """Use a folder that exists."""
        self._file = StateFile(folder / "log-heads.json", fmt=_FMT)

    def load(self) -> Mapping[str, Checkpoint]:
        """Return the head of each origin, none before the first. Raises ValueError for a file that is not ours."""
        content = self._file.load()
        logs = content.get("logs") if content is not None else {}
        if not isinstance(logs, dict):
            raise ValueError("log-heads.json does not hold logs")
        return {
            origin: Checkpoint(origin, int(head["size"]), bytes.fromhex(head["root"]))
            for origin, head in logs.items()
        }

    def raise_to(self, head: Checkpoint, *, after: Checkpoint | None) -> bool:
        """Remember a head in the place of `after`, durable on return; False when another is remembered by now."""
        with self._file.locked():
            held = dict(self.load())
            if held.get(head.origin) != after:
                return False
            if head != after:
                held[head.origin] = head
                logs = {one.origin: {"size": one.size, "root": one.root.hex()} for one in held.values()}
                self._file.replace({"logs": logs})
            return True
