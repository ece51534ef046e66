"""Run `elicense demo` as a process of its own, as a visitor does, and read what it tells."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).with_name("elicense")
SECONDS_TO_SERVE = 90.0


def free_port() -> int:
    """Find a port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(**more: str) -> dict[str, str]:
    """Return a visitor's environment: the command on the path, nothing of this test run's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ELICENSE_", "UV"))}
    return kept | {"PATH": f"{COMMAND.parent}{os.pathsep}{os.environ.get('PATH', '')}"} | more


def elicense(
    *words: object, env: Mapping[str, str] | None = None, seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [str(COMMAND), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env=dict(env) if env is not None else environment(),
        cwd=ROOT,
    )


@dataclass
class RunningDemo:
    """A demonstration that serves: its directory, its demo.json, what it has printed so far."""

    folder: Path
    process: subprocess.Popen[str]
    facts: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @property
    def trust_root(self) -> Path:
        return self.folder / str(self.facts["trust_root"])

    def credential(self, sample: str) -> Path:
        return self.folder / str(self.facts["samples"][sample]["credential"])

    def printed(self, start: str) -> str:
        """Return the printed line that begins so."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = [line for line in list(self.lines) if line.startswith(start)]
            if found:
                return found[0]
            time.sleep(0.05)
        raise AssertionError(f"nothing printed begins with {start!r}")

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


@contextmanager
def running_demo(folder: Path, *words: object) -> Iterator[RunningDemo]:
    """Start a demonstration on a free port and wait until it serves; it is killed at the end if need be."""
    command = [str(COMMAND), "demo", "--data-dir", str(folder), "--port", str(free_port()), *map(str, words)]
    (folder / "demo.json").unlink(missing_ok=True)  # of an earlier run
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(), cwd=ROOT
    )
    demo = RunningDemo(folder, process)
    assert process.stdout is not None
    reader = threading.Thread(target=_read_lines, args=(demo,), daemon=True)
    reader.start()
    try:
        _wait_for(demo)
        yield demo
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        reader.join()
        process.stdout.close()


def _wait_for(demo: RunningDemo) -> None:
    deadline = time.monotonic() + SECONDS_TO_SERVE
    while not (demo.folder / "demo.json").exists():
        if demo.process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError("the demonstration does not serve:\n" + "\n".join(demo.lines))
        time.sleep(0.05)
    demo.facts = json.loads((demo.folder / "demo.json").read_text(encoding="utf-8"))


def _read_lines(demo: RunningDemo) -> None:
    for line in demo.process.stdout or ():
        demo.lines.append(line.rstrip("\n"))
