"""Values that each process has for itself: what a fork copies of them is left alone by the child."""

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_forks = 0


def _forked() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class PerProcess(Generic[T]):
    """Make a value once in each process, when it is first asked for there.

    What was made before a fork stays as it is, neither used nor closed by the child: connections would carry one
    process's answer to the other, and a lock that another thread held then is never released.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[tuple[int, int], T] = {}

    def __call__(self) -> T:
        """Return this process's value."""
        # The number of forks as well: the process of an ancestor's number may be another one by now.
        process = (_forks, os.getpid())
        made = self._made.get(process)
        # Of two threads that make one at once the first decides for both.
        return made if made is not None else self._made.setdefault(process, self._make())

    def made(self) -> T | None:
        """Return this process's value if there is one."""
        return self._made.get((_forks, os.getpid()))
