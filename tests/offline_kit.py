"""The simulated installation as files, at the real time: pinned root, bundle, one credential. For processes."""

import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from elicense.status_list import Status
from tests.simulator import Installation

INDEX = 5


@dataclass(slots=True, kw_only=True)
class OfflineKit:
    """Change a field, write again, look."""

    folder: Path
    status: Status = Status.VALID
    seq: int = 3
    list_sequence: int = 2
    status_age: timedelta = timedelta(minutes=1)
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    installation: Installation = field(init=False)

    def __post_init__(self) -> None:
        self.installation = Installation(now=self.now)

    @property
    def root_path(self) -> Path:
        return self.folder / "trust-root.json"

    @property
    def bundle_path(self) -> Path:
        return self.folder / "bundle.json"

    def write(self) -> "OfflineKit":
        """Write root and bundle."""
        self.root_path.write_bytes(self.installation.trust_root())
        self.bundle_path.write_bytes(self.bundle_bytes())
        return self

    def write_credential(self, name: str = "license.sdjwt") -> Path:
        """Write the credential, with a newline behind it as editors do."""
        path = self.folder / name
        path.write_text(self.installation.credential(status_index=INDEX) + "\n", encoding="ascii")
        return path

    def bundle_bytes(self) -> bytes:
        """Publish with the fields as they are now; status and freshness are as old as `status_age`."""
        simulated = self.installation
        simulated.sequence = self.list_sequence
        simulated.statuses.set(INDEX, self.status)
        simulated.status_seq = simulated.event_seq = self.seq
        issued_at = self.now - self.status_age
        simulated.status_read_at = issued_at
        simulated.status_expires_at = issued_at + timedelta(days=7)
        stated = {"iat": int(issued_at.timestamp()), "exp": int((issued_at + timedelta(days=7)).timestamp())}
        simulated.edits["freshness"] = lambda payload: payload.update(stated)
        return simulated.bundle()


def elicense(*words: object, stdin: bytes = b"", **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a process that sees the SDK alone."""
    return subprocess.run(
        [sys.executable, "-m", "elicense.cli", *map(str, words)],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": "clients/python/src", "PATH": "", "LANG": "C.UTF-8", **environ},
        cwd=Path(__file__).resolve().parents[1],
    )
