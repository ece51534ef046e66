"""Processes that begin with everything imported: forked from a server that has done so once for a whole test run.

A process of `tests.faults.process`, or a command of `elicense`, needs a second or two of the processor to import
itself, and the fault tests start some three hundred. Each is still a process of its own, with its own environment, to
be raced, stopped and killed.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from multiprocessing.connection import Connection, Pipe
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import IO

PRELOADED = ["tests.faults.process", "app.main", "app.cli", "app.cli.processes", "app.worker", "uvicorn"]


class Program(StrEnum):
    """What a process runs."""

    WORK = "tests.faults.process"
    ELICENSE = "elicense"


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


class Forked:
    """A running process with pipes for its stdin and stdout; what `subprocess.Popen` offers of it, as far as used."""

    def __init__(
        self, program: Program, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], errors: Path
    ) -> None:
        """Begin a program with these words; its stderr is added to the file `errors`."""
        given, to_it = Pipe(duplex=False)
        from_it, told = Pipe(duplex=False)
        self._process = _server().Process(
            target=_work,
            args=(program, list(words), str(cwd), dict(env), given, told, str(errors)),
            daemon=True,
        )
        self._process.start()
        given.close()
        told.close()
        self.stdin: IO[str] | None = _text(to_it, "w")
        self.stdout: IO[str] | None = _text(from_it, "r")

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended: its exit code, or the signal's number below zero; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return how it ended, None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, in whatever it is doing."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises TimeoutError."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError(f"process {self.pid} did not end within {timeout} s")
        return self._process.exitcode

    def communicate(self, given: str | None = None, timeout: float | None = None) -> tuple[str, None]:
        """Hand it `given`, close its stdin, and return all it says until its end. Raises TimeoutError."""
        said: list[str] = []
        threads = [
            threading.Thread(target=work, daemon=True)
            for work in (lambda: self._hand(given or ""), lambda: said.append(self._hear()))
        ]
        for thread in threads:
            thread.start()
        self.wait(timeout)
        for thread in threads:
            thread.join(timeout)
        return "".join(said), None

    def _hand(self, given: str) -> None:
        if self.stdin is None or self.stdin.closed:
            return
        try:
            self.stdin.write(given)
            self.stdin.close()
        except BrokenPipeError:  # it ended, or was killed, before it had taken everything
            self.stdin = None

    def _hear(self) -> str:
        assert self.stdout is not None
        return self.stdout.read()


def _text(connection: Connection, mode: str) -> IO[str]:
    file = os.fdopen(os.dup(connection.fileno()), mode, encoding="utf-8")
    connection.close()
    return file


def _work(
    program: Program,
    words: Sequence[str],
    cwd: str,
    env: Mapping[str, str],
    given: Connection,
    told: Connection,
    errors: str,
) -> None:
    """Be the process: take its folder, environment and files, then do what the words say."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    stderr = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for file, number in ((given.fileno(), 0), (told.fileno(), 1), (stderr, 2)):
        os.dup2(file, number)
    given.close()
    told.close()
    os.close(stderr)
    # New ones: those of the server know the files that it was started with.
    sys.stdin = os.fdopen(0, encoding="utf-8")
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)
    if program is Program.ELICENSE:
        from elicense.cli import main

        sys.exit(main(list(words)))
    from tests.faults.process import options_of, run

    asyncio.run(run(options_of(list(words))))
