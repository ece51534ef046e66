"""A proxy that passes bytes on until it is told to break the line, and sockets that take for ever."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

CHUNK = 65536
Opener = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one connection: it is cut once so many bytes were passed on towards the server (`asked`) or back
    (`answered`), and bytes pass `slice_bytes` at a time with a pause between them.
    """

    asked: int | None = None
    answered: int | None = None
    slice_bytes: int = CHUNK
    pause: float = 0.0
    abruptly: bool = True


class Line:
    """One connection through the proxy."""

    def __init__(self, fault: Fault, ends: Sequence[asyncio.StreamWriter]) -> None:
        self._fault = fault
        self._ends = ends

    async def carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, limit: int | None
    ) -> None:
        """Pass bytes on until the end or the limit."""
        passed = 0
        with suppress(OSError):
            while limit is None or passed < limit:
                size = (
                    self._fault.slice_bytes if limit is None else min(self._fault.slice_bytes, limit - passed)
                )
                data = await source.read(size)
                if not data:
                    break
                sink.write(data)
                await sink.drain()
                passed += len(data)
                if self._fault.pause:
                    await asyncio.sleep(self._fault.pause)
        self.cut()

    def cut(self) -> None:
        """Break the line at both ends."""
        for end in self._ends:
            if self._fault.abruptly:
                end.transport.abort()
            else:
                end.close()


class FaultProxy:
    """Listens on `port`; each connection suffers the next of the faults."""

    def __init__(self, open_server: Opener, faults: Iterator[Fault]) -> None:
        self._open_server = open_server
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> "FaultProxy":
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        fault = next(self._faults)
        try:
            there, back = await self._open_server()
        except OSError:
            writer.transport.abort()
            return
        line = Line(fault, (writer, back))
        # Cancelled at the end of the proxy: asyncio would log that for every connection still open.
        with suppress(asyncio.CancelledError):
            await asyncio.gather(
                line.carry(reader, back, fault.asked), line.carry(there, writer, fault.answered)
            )
        line.cut()


@dataclass(slots=True)
class SlowSockets:
    """Connections that send a byte a second: into the head of a request, or into its body after a whole head."""

    port: int
    head: bytes
    ended: int = 0
    opened: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def open(self, count: int) -> None:
        """Open so many, every second one with its head sent."""
        for index in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            if index % 2:
                writer.write(self.head)
            self._tasks.add(asyncio.create_task(self._drip(reader, writer)))
            self.opened += 1

    async def close(self) -> None:
        """Close all that are still open."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _drip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = asyncio.create_task(reader.read())
        try:
            while not gone.done():
                writer.write(b"G")
                await asyncio.wait([gone], timeout=1)
            self.ended += 1
        finally:
            gone.cancel()
            writer.transport.abort()
