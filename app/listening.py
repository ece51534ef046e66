"""The address a server listens on, taken before anything else happens."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from app.settings import Settings


@contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """Take the address to listen on, before anything is changed or started. Raises OSError naming it when taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
            listener.listen(2048)  # without it Linux lets a second process bind the same port
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"{settings.host}:{settings.port}") from error
        listener.setblocking(False)
        yield listener
