"""Files that are replaced at once and whole."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PUBLIC: Final = 0o644
PRIVATE: Final = 0o600


def store_file(path: Path, content: bytes, *, mode: int) -> None:
    """Replace a file at once and durably: after a crash it holds the old bytes or the new ones, whole.

    A link is followed, and what it leads to replaced. `mode` is for a file that is not there yet; an existing one keeps
    its own. Raises OSError, also for what is no regular file.
    """
    target = Path(os.path.realpath(path))
    mode = _mode_of(target, otherwise=mode)
    # A name that nobody else can have taken: another writer's, or a link laid there to lead the bytes elsewhere.
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".new")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            temporary.chmod(mode)
            os.fsync(out.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Wait until no other process writes this file in such a block. Beside it stays an empty file, `….lock`.

    Where a system has no such locks (Windows), or the lock is another user's alone, there is no waiting: whoever stores
    looks once more at what is there. Raises OSError.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    target = os.path.realpath(path)
    try:
        # To read it is enough for a lock: a service follows where an administrator made the first run.
        descriptor = os.open(
            f"{target}.lock", os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PUBLIC
        )
    except PermissionError:
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _mode_of(target: Path, *, otherwise: int) -> int:
    try:
        found = target.stat().st_mode
    except FileNotFoundError:
        return otherwise
    if not stat.S_ISREG(found):
        raise OSError(errno.EINVAL, "not a regular file", str(target))
    return stat.S_IMODE(found)


def _sync_folder(folder: Path) -> None:
    """Make the new name last; where folders cannot be opened (Windows) the system sees to it."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
