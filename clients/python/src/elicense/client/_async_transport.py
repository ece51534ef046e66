"""The transport of the client for asyncio over HTTP."""

import asyncio
from typing import TypeAlias
from weakref import WeakKeyDictionary

import httpx

from elicense.client._processes import PerProcess
from elicense.client._protocol import Request, Response, Timeout
from elicense.client._transport import (
    CONNECTIONS,
    body_of,
    check_address,
    new_async_client,
    own_errors,
    patience_with,
    phases,
    require_open,
    response,
)
from elicense.client.errors import APITimeoutError


class AsyncHttpTransport:
    """Keep a pool of connections to one service for each event loop: what is open cannot move from one to another.

    Safe to share between the tasks of a loop, to use in one loop after another, and on both sides of a fork.
    """

    def __init__(self, base_url: str) -> None:
        """Raises ConfigurationError as `HttpTransport`."""
        check_address(base_url)
        # Made at once, so that settings of the environment that cannot work are told here.
        self._spare = [new_async_client()]
        self._pools: PerProcess[_Pools] = PerProcess(WeakKeyDictionary)
        self._is_closed = False

    async def send(self, request: Request, *, timeout: Timeout) -> Response:  # noqa: ASYNC109  # as in `Transport`
        """Send once, when one of the connections is free.

        `timeout.total` bounds the whole attempt. Raises APITimeoutError, APIConnectionError, APIResponseError for
        an answer above 64 MiB or encoded in a way that was not asked for, ElicenseError once it is closed.
        """
        require_open(self._is_closed)
        pool = self._pool()
        # Nothing bounds the wait for a free connection: of a thousand tasks most wait for the others, and that says
        # nothing about the service. Each attempt of those before them is bounded, so it ends.
        async with pool.gate:
            require_open(self._is_closed)
            with own_errors():
                return await _exchange(pool.client, request, timeout)

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        self._is_closed = True
        pool = self._pools().get(asyncio.get_running_loop())
        if pool is not None:
            await pool.client.aclose()

    def _pool(self) -> "_Pool":
        pools, loop = self._pools(), asyncio.get_running_loop()
        pool = pools.get(loop)
        if pool is None:
            for ended in [one for one in pools if one.is_closed()]:
                del pools[ended]
            pool = pools[loop] = _Pool(self._spare.pop() if self._spare else new_async_client())
        return pool


class _Pool:
    """Connections of one event loop, and a gate that lets as many calls at them as there are."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.gate = asyncio.Semaphore(CONNECTIONS)


_Pools: TypeAlias = WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool]


async def _exchange(client: httpx.AsyncClient, request: Request, timeout: Timeout) -> Response:  # noqa: ASYNC109
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(timeout.total) as bound:
            async with client.stream(
                request.method,
                request.url,
                headers=dict(request.headers),
                content=request.body,
                timeout=phases(timeout),
            ) as answer:
                body = body_of(answer)
                async for part in answer.aiter_raw():
                    body.add(part)
                    patience = patience_with(body, timeout)
                    if patience is not None:
                        bound.reschedule(began + patience)
                return response(answer, body)
    except TimeoutError as error:
        raise APITimeoutError("the answer did not arrive whole in time") from error
