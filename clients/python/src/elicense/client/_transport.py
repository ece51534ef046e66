"""The transports over HTTP. The only module that imports httpx, and only when a client is made."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from elicense.client._body import ENCODING, Body
from elicense.client._processes import PerProcess
from elicense.client._protocol import THIS_MACHINE, Request, Response, Timeout
from elicense.client.errors import APIConnectionError, APITimeoutError, ElicenseError

_HEADERS: Final = {"Accept-Encoding": ENCODING}
_DIRECT: Final = {f"all://[{host}]" if ":" in host else f"all://{host}": None for host in THIS_MACHINE}
"""What goes to this machine passes by the proxies of the environment: they would see the key."""


class HttpTransport:
    """Keep a pool of connections to one service. Safe to share between threads, and to use on both sides of a fork:
    each process opens connections of its own.
    """

    def __init__(self) -> None:
        self._client = PerProcess(_new_client)
        self._client()  # settings of the environment that cannot work are told at once
        self._is_closed = False

    def send(self, request: Request, *, timeout: Timeout) -> Response:
        """Send once. Raises APITimeoutError, APIConnectionError (also for an answer above 64 MiB), APIResponseError for
        one encoded in a way that was not asked for, ElicenseError once it is closed.
        """
        _require_open(self._is_closed)
        limits = httpx.Timeout(
            connect=timeout.connect, read=timeout.read, write=timeout.read, pool=timeout.connect
        )
        with (
            _own_errors(),
            self._client().stream(
                request.method,
                request.url,
                headers=dict(request.headers),
                content=request.body,
                timeout=limits,
            ) as answer,
        ):
            body = _body(answer)
            for part in answer.iter_raw():
                body.add(part)
        return _response(answer, body)

    def close(self) -> None:
        """Close this process's connections."""
        self._is_closed = True
        client = self._client.made()
        if client is not None:
            client.close()


class AsyncHttpTransport:
    """Keep a pool of connections to one service. Safe to share between the tasks of one event loop, and to use on both
    sides of a fork: each process opens connections of its own.
    """

    def __init__(self) -> None:
        self._client = PerProcess(_new_async_client)
        self._client()  # settings of the environment that cannot work are told at once
        self._is_closed = False

    async def send(self, request: Request, *, timeout: Timeout) -> Response:  # noqa: ASYNC109  # as in `Transport`
        """Send once. Raises APITimeoutError, APIConnectionError (also for an answer above 64 MiB), APIResponseError for
        one encoded in a way that was not asked for, ElicenseError once it is closed.
        """
        _require_open(self._is_closed)
        # Nothing bounds the wait for a free connection: of a thousand tasks most wait for the others, and that says
        # nothing about the service. Each attempt of those before them is bounded, so it ends.
        limits = httpx.Timeout(connect=timeout.connect, read=timeout.read, write=timeout.read, pool=None)
        with _own_errors():
            async with self._client().stream(
                request.method,
                request.url,
                headers=dict(request.headers),
                content=request.body,
                timeout=limits,
            ) as answer:
                body = _body(answer)
                async for part in answer.aiter_raw():
                    body.add(part)
        return _response(answer, body)

    async def aclose(self) -> None:
        """Close this process's connections."""
        self._is_closed = True
        client = self._client.made()
        if client is not None:
            await client.aclose()


def _new_client() -> httpx.Client:
    # Redirects are never followed: the key must not travel to another address.
    return httpx.Client(
        follow_redirects=False,
        headers=_HEADERS,
        mounts=_DIRECT,
        cookies=_no_cookies(),
        event_hooks={"response": [_forget_location]},
    )


def _new_async_client() -> httpx.AsyncClient:
    async def forget_location(answer: httpx.Response) -> None:
        _forget_location(answer)

    return httpx.AsyncClient(
        follow_redirects=False,
        headers=_HEADERS,
        mounts=_DIRECT,
        cookies=_no_cookies(),
        event_hooks={"response": [forget_location]},
    )


def _forget_location(answer: httpx.Response) -> None:
    # httpx reads it even where it is not followed, and fails where it is no address: a redirect is an answer like any.
    answer.headers.pop("location", None)


def _no_cookies() -> CookieJar:
    # The service sets none: one of a proxy or a load balancer would tie the calls of many tasks together.
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def _require_open(is_closed: bool) -> None:
    # No lost connection: to try again would be in vain.
    if is_closed:
        raise ElicenseError("the client was closed")


def _body(answer: httpx.Response) -> Body:
    return Body(answer.headers.get("content-encoding"))


def _response(answer: httpx.Response, body: Body) -> Response:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Response(status=answer.status_code, headers=headers, body=body.whole())


@contextmanager
def _own_errors() -> Iterator[None]:
    """Name what goes wrong by the package's own errors."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise APITimeoutError(f"no answer in time ({type(error).__name__})") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        # ValueError: texts from the network that a library below could not read (UnicodeError among them).
        raise APIConnectionError(f"no answer from the service ({type(error).__name__})") from error
