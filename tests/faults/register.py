"""A register for fault tests: made once, then worked on by other processes that get raced, stopped and killed."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from app.bootstrap import open_root_keys, open_services
from tests.databases import run_apart
from tests.faults.forked import Forked, Program
from tests.installation import (
    AREA,
    AUTHORITY,
    BUSINESS_LICENSE,
    CLIENTS,
    ISSUER_URL,
    open_installation,
    test_plan,
    test_settings,
)

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Register:
    """An initialized installation at rest, and how to start processes on it."""

    database_url: str
    folder: Path
    keys: Mapping[str, str]
    production: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of every process of this installation."""
        return {
            **os.environ,
            "ELICENSE_DATABASE_URL": self.database_url,
            "ELICENSE_KEYS_DIR": str(self.folder / "keys"),
            "ELICENSE_ISSUER_URL": ISSUER_URL,
            "ELICENSE_ENV": "production" if self.production else "development",
            "ELICENSE_LOG_LEVEL": "error",
        }

    @property
    def _errors(self) -> Path:
        return self.folder / "stderr.txt"

    def start(self, mode: str, *options: object) -> "Work":
        """Start `tests.faults.process` in one of its modes."""
        words = [mode, "--data-dir", str(self.folder)]
        words += ["--authority", AUTHORITY, "--type", BUSINESS_LICENSE, "--area", AREA, *map(str, options)]
        return self._fork(Program.WORK, words)

    def start_elicense(self, *words: object) -> "Work":
        """Start an `elicense` command on this installation."""
        return self._fork(Program.ELICENSE, [*map(str, words), "--data-dir", str(self.folder)])

    def run_elicense(
        self, *words: object, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run an `elicense` command on this installation to its end."""
        with NamedTemporaryFile(dir=self.folder, suffix=".stderr") as errors:
            work = [*map(str, words), "--data-dir", str(self.folder)]
            process = Forked(
                Program.ELICENSE, work, cwd=ROOT, env=env or self.environment, errors=Path(errors.name)
            )
            said, _ = process.communicate(timeout=120)
            complained = Path(errors.name).read_text(encoding="utf-8")
        return subprocess.CompletedProcess(work, process.wait(), said, complained)

    def _fork(self, program: Program, words: Sequence[str]) -> "Work":
        process = Forked(program, words, cwd=ROOT, env=self.environment, errors=self._errors)
        return Work(process, self._errors)

    def start_command(self, command: list[str]) -> "Work":
        """Start any command on this installation."""
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors.open("ab"),
            text=True,
        )
        return Work(process, self._errors)

    def recover(self) -> None:
        """Let another process finish what a killed one left, as soon as its leases have run out."""
        work = self.start("recover", "--shift", 61)
        assert "done" in work.finish(), work.said_wrong()


@dataclass(frozen=True, slots=True)
class Work:
    """One running process."""

    process: subprocess.Popen[str] | Forked
    errors: Path

    def wait_ready(self) -> None:
        """Wait for its first line, `ready`."""
        assert self.next_line() == "ready", self.said_wrong()

    def next_line(self) -> str:
        """Return its next line; empty at its end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def wait_for(self, words: str) -> list[str]:
        """Wait for a line that begins with these words; return all lines up to it."""
        lines = []
        while True:
            line = self.next_line()
            assert line, f"ended without saying {words}: {self.said_wrong()}"
            lines.append(line)
            if line.startswith(words):
                return lines

    def finish(self, given: str | None = None, *, timeout: float = 300) -> list[str]:
        """Wait for its end and return the lines it printed; it must have ended well."""
        output, _ = self.process.communicate(given, timeout=timeout)
        assert self.process.returncode == 0, self.said_wrong()
        return output.splitlines()

    def kill(self) -> None:
        """Kill it with SIGKILL, in whatever it is doing."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def said_wrong(self) -> str:
        """Return the end of what all processes of this register wrote to stderr."""
        return self.errors.read_text(encoding="utf-8", errors="replace")[-4000:]


@pytest.fixture
def register(database_url: str, tmp_path: Path) -> Iterator[Register]:
    """Give a register with authorities, types, keys and clients on a database of its own, at rest."""

    async def make() -> Mapping[str, str]:
        async with open_installation(database_url, tmp_path) as installation:
            return installation.keys

    yield Register(database_url, tmp_path, run_apart(make))


@pytest.fixture
def production_register(database_url: str, tmp_path: Path) -> Iterator[Register]:
    """Give a register as `register` does, of production: its keys are no development keys, what it signs is `live`."""
    settings = replace(test_settings(database_url, tmp_path), environment="production")

    async def make() -> Mapping[str, str]:
        async with open_services(settings, uninitialized=True) as services:
            await services.directory.apply(test_plan(), dry_run=False, actor="test")
            await services.ceremony.init(root_keys=open_root_keys(settings), issuer_url=ISSUER_URL)
            return {
                role: (await services.api_clients.create(name=role, actor="test", **CLIENTS[role])).secret  # type: ignore[arg-type]
                for role in ("platform", "authority")
            }

    yield Register(database_url, tmp_path, run_apart(make), production=True)
