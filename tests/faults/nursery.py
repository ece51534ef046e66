"""Servers made by forking a process that has everything imported: each a process of its own, there in a fraction of
the time a fresh one takes to import itself. So there is time to kill twenty.

`python -m tests.faults.nursery --data-dir DIR [--twin NAME]` reads orders, one a line: `serve PORT`, `kill`, and
`run FILE WORDS…`, an `elicense` command run to its end with its stdout in FILE. Each is answered by one line.
"""

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Callable

import app.cli
import app.cli.processes
import app.main
import app.worker  # noqa: F401  (whatever a child needs is imported before the first one is made)
from elicense.cli import main as elicense
from tests.faults.process import options_of, run, say


def fork(work: Callable[[], int]) -> int:
    """Make a child that does this work and ends with its exit code; return its process id."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        code = work()
    except BaseException:  # noqa: BLE001  (the end of this process: whatever it was goes to stderr)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve(words: list[str], port: str) -> int:
    """Serve until killed."""
    asyncio.run(run(options_of(["serve", *words, "--port", port])))
    return 0


def command(out: str, words: list[str]) -> int:
    """Run an `elicense` command with its stdout in a file."""
    os.dup2(os.open(out, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), 1)
    return elicense(words)


def end(child: int) -> None:
    """Kill a child with SIGKILL and wait until it is gone."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def main(words: list[str]) -> None:
    """Do what stdin says until it ends; nothing that was started outlives it."""
    child = 0
    say("ready")
    for line in sys.stdin:
        order, *rest = line.split()
        if order == "serve":
            child = fork(lambda port=rest[0]: serve(words, port))
            say("serving", child)
        elif order == "kill":
            end(child)
            child = 0
            say("killed")
        elif order == "run":
            ran = fork(lambda rest=rest: command(rest[0], rest[1:]))
            say("ended", os.waitstatus_to_exitcode(os.waitpid(ran, 0)[1]))
    if child:
        end(child)


if __name__ == "__main__":
    main(sys.argv[1:])
