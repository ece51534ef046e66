"""One call of the service as a value: what is asked, and how the answer is read. Both clients run the same calls.

The modules `_…_calls` say which calls there are. A client turns a call into a request, sends that, and lets the call
read what came: the blocking one in `_sync`, the one for asyncio in `_async`.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from elicense.client import _system
from elicense.client._models import Json, Page
from elicense.client._protocol import Endpoint, Request, Response, json_object
from elicense.client.errors import APIResponseError

T = TypeVar("T")
Query = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """What is asked of the service, and how its answer (status 2xx) becomes a value."""

    method: str
    path: Sequence[str]
    read: Callable[[Response], T]
    query: Query | None = None
    body: Mapping[str, object] | None = None
    idempotency_key: str | None = None
    needs_key: bool = True
    accept: str = "application/json"

    def request(self, caller: Endpoint) -> Request:
        """Write the call down as `caller`; a POST without an Idempotency-Key gets one. Raises ConfigurationError."""
        key = self.idempotency_key
        if self.method == "POST" and key is None:
            key = _system.new_unique_text()
        return caller.request(
            self.method,
            self.path,
            query=self.query,
            body=self.body,
            idempotency_key=key,
            needs_key=self.needs_key,
            accept=self.accept,
        )


def get(path: Sequence[str], read: Callable[[Json], T], *, query: Query | None = None) -> Call[T]:
    """Ask for a JSON object."""
    return Call(method="GET", path=path, read=lambda answer: read(json_object(answer)), query=query)


def post(
    path: Sequence[str],
    body: Mapping[str, object],
    read: Callable[[Json], T],
    *,
    idempotency_key: str | None,
) -> Call[T]:
    """Send a JSON object, to be done once however often it is sent."""
    return Call(
        method="POST",
        path=path,
        read=lambda answer: read(json_object(answer)),
        body=body,
        idempotency_key=idempotency_key,
    )


class Caller(Protocol):
    """What the resources need of the blocking client."""

    def _run(self, call: Call[T]) -> T: ...


class AsyncCaller(Protocol):
    """What the resources need of the client for asyncio."""

    async def _run(self, call: Call[T]) -> T: ...


def each(client: Caller, page_at: Callable[[str | None], Call[Page[T]]]) -> Iterator[T]:
    """Go through all pages; `page_at` makes the call for the page at a cursor, None for the first.

    Raises APIResponseError for a page that leads back to one seen before.
    """
    cursor: str | None = None
    seen: set[str] = set()
    while True:
        page = client._run(page_at(cursor))
        yield from page
        cursor = _following(page, seen)
        if cursor is None:
            return


async def each_async(client: AsyncCaller, page_at: Callable[[str | None], Call[Page[T]]]) -> AsyncIterator[T]:
    """Go through all pages as `each` does."""
    cursor: str | None = None
    seen: set[str] = set()
    while True:
        page = await client._run(page_at(cursor))
        for one in page:
            yield one
        cursor = _following(page, seen)
        if cursor is None:
            return


def _following(page: Page[T], seen: set[str]) -> str | None:
    """Return the next page's cursor, None at the end; no list is endless because it goes in circles."""
    cursor = page.next_cursor
    if cursor is None:
        return None
    if cursor in seen:
        raise APIResponseError("the list leads back to a page it has shown before")
    seen.add(cursor)
    return cursor
