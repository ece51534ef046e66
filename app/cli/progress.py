"""Progress on stderr: a bar for people, lines for logs."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.common import complain


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress on stderr while the block runs: a bar on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        done = 0

        def note(count: int) -> None:
            nonlocal done
            done += count
            complain(f"{title} {done}/{total}")

        yield note
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)
