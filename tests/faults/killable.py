"""Servers that can be killed with SIGKILL and started again, and commands run on their installation."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Protocol

import httpx

from tests.e2e.demo_process import COMMAND, ROOT
from tests.faults.register import Register


class Killable(Protocol):
    """An API and a worker that die together, and the commands of their installation."""

    def start(self, port: int) -> None:
        """Start serving on a port; nothing is waited for."""

    def kill(self) -> None:
        """Kill all of it with SIGKILL, in whatever it is doing, and wait until it is gone."""

    def run(self, *words: str) -> tuple[int, str]:
        """Run an `elicense` command to its end; return its exit code and what it printed."""

    def close(self) -> None:
        """Leave no process behind."""


class Forked:
    """One process with API and worker, forked from one that has imported everything."""

    def __init__(self, register: Register, *, twin: str | None = None) -> None:
        self._out = register.folder / "command.out"
        words = ["--data-dir", str(register.folder), *(["--twin", twin] if twin else [])]
        self._data_dir = str(register.folder)
        self._nursery = register.start_command([sys.executable, "-m", "tests.faults.nursery", *words])
        self._nursery.wait_ready()

    def _order(self, *words: str, answer: str) -> str:
        stdin = self._nursery.process.stdin
        assert stdin is not None
        stdin.write(" ".join(words) + "\n")
        stdin.flush()
        line = self._nursery.next_line()
        assert line.startswith(answer), f"{words}: {line!r}\n{self._nursery.said_wrong()}"
        return line.removeprefix(answer).strip()

    def start(self, port: int) -> None:
        """Start serving on a port."""
        self._order("serve", str(port), answer="serving")

    def kill(self) -> None:
        """Kill it."""
        self._order("kill", answer="killed")

    def run(self, *words: str) -> tuple[int, str]:
        """Run an `elicense` command."""
        code = self._order("run", str(self._out), *words, "--data-dir", self._data_dir, answer="ended")
        return int(code), self._out.read_text(encoding="utf-8")

    def close(self) -> None:
        """End the process the servers are forked from, and with it what it still has."""
        self._nursery.finish("")


class Installed:
    """`elicense serve` and `elicense worker` as an operator starts them."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._processes: list[subprocess.Popen[bytes]] = []

    def _command(self, *words: str) -> list[str]:
        return [str(COMMAND), *words, "--data-dir", str(self._register.folder)]

    def start(self, port: int) -> None:
        """Start both, each the leader of a process group."""
        serve = self._command("serve", "--host", "127.0.0.1", "--port", str(port))
        with (self._register.folder / "stderr.txt").open("ab") as errors:
            self._processes = [
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=self._register.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    start_new_session=True,
                )
                for command in (serve, self._command("worker"))
            ]

    def kill(self) -> None:
        """Kill both process groups."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self._processes:
            process.wait()
        self._processes = []

    def run(self, *words: str) -> tuple[int, str]:
        """Run an `elicense` command."""
        done = subprocess.run(
            self._command(*words),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env=self._register.environment,
            cwd=ROOT,
        )
        return done.returncode, done.stdout

    def close(self) -> None:
        """Kill what still runs."""
        self.kill()


def wait_until_it_serves(base_url: str, register: Register, *, seconds: float = 60) -> None:
    """Wait until the API answers."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(f"{base_url}/healthz", timeout=5).status_code == 200:
                return
        time.sleep(0.02)
    errors = register.folder / "stderr.txt"
    raise AssertionError(f"nothing serves: {errors.read_text(encoding='utf-8', errors='replace')[-4000:]}")
