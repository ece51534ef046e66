"""Files that must be on the disk, for their owner alone, before a call returns: written new, then put in place."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Put a file (0600) in the place of `path`; it is on the disk when this returns. Raises OSError.

    One caller at a time, or they take each other's temporary file away: see `locked`.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    write_new(temporary, content)
    # A crash before this line leaves the old content whole, after it the new one.
    temporary.replace(path)
    sync_folder(path.parent)


def write_new(path: Path, content: bytes) -> None:
    """Write a file (0600) and sync it, in the place of whatever a crash left under its name. Raises OSError.

    Nothing that stands there is ever written through: a link would lead elsewhere, and a file has the mode it was made
    with. A folder is neither written nor removed. Of what could not be written whole nothing stays: it may be a key.
    """
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):  # told is what went wrong first
            path.unlink(missing_ok=True)
        # The system names a file that cannot be opened, not one that the disk has no room for.
        raise OSError(error.errno, error.strerror, str(path)) from error


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file (0600, made where it is missing) against other processes. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
