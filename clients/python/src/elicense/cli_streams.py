"""Streams that may be closed or full, and what is said when a command cannot go on."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from elicense.cli_common import EXIT_ERROR


class NoOutputError(OSError):
    """Say that there is no stdout to answer on."""


@contextmanager
def usable_streams() -> Iterator[None]:
    """Run a command with streams that take any text, and see to it that what it printed was written.

    Raises OSError when it was not, and NoOutputError at once when stdout is closed: an answer that nobody can have
    read must not look like one that was given.
    """
    if sys.stderr is None:
        # print(file=None) would write complaints to stdout, among the answers. Open for as long as the process.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        raise NoOutputError("标准输出已关闭 stdout is closed")
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        try:
            sys.stderr.flush()
        except (OSError, ValueError):
            _give_up(sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _give_up(sys.stdout)
            raise


def cannot_go_on(error: BaseException) -> int:
    """Say in one line on stderr why a command ended early, and return the exit code.

    Of what nobody foresaw only its kind and its place are said: its text may hold what must not be shown.
    """
    with suppress(ValueError):  # raised by a stream closed by hand
        try:
            print(f"运行错误 error: {_in_words(error)}", file=sys.stderr, flush=True)
        except OSError:
            _give_up(sys.stderr)
    return EXIT_ERROR


def _in_words(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "内存不足 out of memory"
    if isinstance(error, OSError):
        said = error.strerror or str(error) or type(error).__name__
        return f"{error.filename}: {said}" if error.filename is not None else said
    return f"意外错误 unexpected: {type(error).__name__} ({_place(error)})"


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "?"
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"


def _give_up(stream: TextIO) -> None:
    # What is still buffered would be tried again as Python ends, which then changes the exit code to 120.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
