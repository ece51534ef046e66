"""A service on a real socket that says exactly what a test has it say, well-formed or not."""

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came: its first line's target, its head, its body, and from which port of the client."""

    path: str
    head: bytes
    body: bytes
    port: int


Reply = Callable[[Asked], Iterable[bytes]]
"""What is sent for a request, piece by piece; after an empty piece the connection is closed."""


def http(
    body: object, status: str = "200 OK", *headers: str, media_type: str = "application/json"
) -> list[bytes]:
    """Write one well-formed answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", f"Content-Type: {media_type}", *headers]
    return ["\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content]


class RawService:
    """Answers each request with what `reply` gives for it; remembers what was asked."""

    def __init__(self, reply: Reply) -> None:
        self.asked: list[Asked] = []
        self.url = ""
        self._reply = reply
        self._open: set[socket.socket] = set()
        self._ended = threading.Event()

    def serve(self, listening: socket.socket) -> None:
        while not self._ended.is_set():
            try:
                caller, (_, port) = listening.accept()
            except OSError:
                return
            self._open.add(caller)
            threading.Thread(target=self._converse, args=(caller, port), daemon=True).start()

    def end(self) -> None:
        self._ended.set()
        for caller in list(self._open):
            caller.close()

    def _converse(self, caller: socket.socket, port: int) -> None:
        try:
            while (asked := _read(caller, port)) is not None:
                self.asked.append(asked)
                for piece in self._reply(asked):
                    if not piece or self._ended.is_set():
                        return
                    caller.sendall(piece)
        except OSError:
            pass
        finally:
            self._open.discard(caller)
            caller.close()


def _read(caller: socket.socket, port: int) -> Asked | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = caller.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length:" in line]
    while len(body) < sum(lengths):
        body += caller.recv(65536)
    return Asked(head.split(b" ")[1].decode(), head, body, port)


@contextmanager
def serving(reply: Reply) -> Iterator[RawService]:
    """Serve on a free port until the end of the block."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        service = RawService(reply)
        service.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        threading.Thread(target=service.serve, args=(listening,), daemon=True).start()
        yield service
        listening.shutdown(socket.SHUT_RDWR)
        service.end()
