"""The transport of the blocking client over HTTP, and what both transports do alike.

This module and `_async_transport` alone import httpx, and only when a client is made.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from threading import Semaphore
from typing import Final

import httpx

from elicense.client._body import ENCODING, Body
from elicense.client._checks import THIS_MACHINE
from elicense.client._processes import PerProcess
from elicense.client._protocol import Request, Response, Timeout
from elicense.client.errors import APIConnectionError, APITimeoutError, ConfigurationError, ElicenseError

CONNECTIONS: Final = 100
"""Connections of one client, and so calls under way, at most."""
_RATE: Final = 8 << 10
"""Bytes that buy an answer another second: a large bundle over a thin line takes its time, a trickle ends."""
_HEADERS: Final = {"Accept-Encoding": ENCODING}
_DIRECT: Final = {f"all://[{host}]" if ":" in host else f"all://{host}": None for host in THIS_MACHINE}
"""What goes to this machine passes by the proxies of the environment: they would see the key."""
_LIMITS: Final = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=20)


class HttpTransport:
    """Keep a pool of connections to one service. Safe to share between threads, and to use on both sides of a fork:
    each process opens connections of its own.
    """

    def __init__(self, base_url: str) -> None:
        """Raises ConfigurationError for an address without a host that can be looked up, and for settings of the
        environment that cannot work (proxies, certificates).
        """
        check_address(base_url)
        self._pool = PerProcess(_Pool)
        self._pool()  # settings of the environment that cannot work are told at once
        self._is_closed = False

    def send(self, request: Request, *, timeout: Timeout) -> Response:
        """Send once, when one of the connections is free.

        `timeout.total` bounds the wait for a connection, and then once more the attempt, looked at whenever a part of
        the body arrives: it ends at most `timeout.read` later. Only the answer's head is not bounded so: of one that
        comes in byte by byte each wait is. Raises APITimeoutError, APIConnectionError, APIResponseError for
        an answer above 64 MiB or encoded in a way that was not asked for, ElicenseError once it is closed.
        """
        require_open(self._is_closed)
        pool = self._pool()
        if not pool.gate.acquire(timeout=timeout.total):
            raise APITimeoutError("no connection became free in time")
        try:
            require_open(self._is_closed)
            with own_errors():
                return _exchange(pool.client, request, timeout)
        except RuntimeError:
            require_open(self._is_closed)  # httpx says it so when another thread closes the client just now
            raise
        finally:
            pool.gate.release()

    def close(self) -> None:
        """Close this process's connections."""
        self._is_closed = True
        pool = self._pool.made()
        if pool is not None:
            pool.client.close()


class _Pool:
    """Connections, and a gate that lets as many calls at them as there are."""

    def __init__(self) -> None:
        # Redirects are never followed: the key must not travel to another address.
        with _own_settings():
            self.client = httpx.Client(
                follow_redirects=False,
                headers=_HEADERS,
                limits=_LIMITS,
                mounts=_DIRECT,
                cookies=_no_cookies(),
                event_hooks={"response": [_forget_location]},
            )
        self.gate = Semaphore(CONNECTIONS)


def _exchange(client: httpx.Client, request: Request, timeout: Timeout) -> Response:
    began = time.monotonic()
    with client.stream(
        request.method,
        request.url,
        headers=dict(request.headers),
        content=request.body,
        timeout=phases(timeout),
    ) as answer:
        body = body_of(answer)
        for part in answer.iter_raw():
            body.add(part)
            patience = patience_with(body, timeout)
            if patience is not None and time.monotonic() - began > patience:
                raise APITimeoutError("the answer did not arrive whole in time")
        return response(answer, body)


def new_async_client() -> httpx.AsyncClient:
    """Make the client below the transport for asyncio. Raises ConfigurationError as `HttpTransport`."""

    async def forget_location(answer: httpx.Response) -> None:
        _forget_location(answer)

    with _own_settings():
        return httpx.AsyncClient(
            follow_redirects=False,
            headers=_HEADERS,
            limits=_LIMITS,
            mounts=_DIRECT,
            cookies=_no_cookies(),
            event_hooks={"response": [forget_location]},
        )


def check_address(base_url: str) -> None:
    """Raise ConfigurationError for an address whose host cannot be read."""
    try:
        _ = httpx.URL(base_url).host
    except (httpx.InvalidURL, ValueError) as error:
        raise ConfigurationError("the base URL is http(s)://host[:port][/path]") from error


@contextmanager
def _own_settings() -> Iterator[None]:
    """Name what cannot work of the environment's proxies and certificates."""
    named = "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE, SSL_CERT_DIR"
    try:
        yield
    except httpx.InvalidURL:
        # Of a password that is not percent-encoded a part is taken for the port, and would be repeated.
        wrong = "an address that cannot be read (special characters of its password are percent-encoded)"
        raise ConfigurationError(f"the environment cannot be used, one of {named}: {wrong}") from None
    except (ValueError, OSError, ImportError) as error:
        raise ConfigurationError(f"the environment cannot be used, one of {named}: {error}") from error


def _forget_location(answer: httpx.Response) -> None:
    # httpx reads it even where it is not followed, and fails where it is no address: a redirect is an answer like any.
    answer.headers.pop("location", None)


def _no_cookies() -> CookieJar:
    # The service sets none: one of a proxy or a load balancer would tie the calls of many tasks together.
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def phases(timeout: Timeout) -> httpx.Timeout:
    """Bound each wait of an attempt. That for a connection is bounded by the gate before them."""
    most = timeout.total if timeout.total is not None else max(timeout.connect, timeout.read)
    wait = min(timeout.read, most)
    return httpx.Timeout(connect=min(timeout.connect, most), read=wait, write=wait, pool=None)


def patience_with(body: Body, timeout: Timeout) -> float | None:
    """Return how many seconds an attempt may take, now that so much has arrived; None without bound."""
    return None if timeout.total is None else timeout.total + body.received / _RATE


def require_open(is_closed: bool) -> None:
    """Raise ElicenseError for a client that was closed."""
    # No lost connection: to try again would be in vain.
    if is_closed:
        raise ElicenseError("the client was closed")


def body_of(answer: httpx.Response) -> Body:
    """Begin to collect an answer's body."""
    return Body(answer.headers.get("content-encoding"))


def response(answer: httpx.Response, body: Body) -> Response:
    """Return an answer that has arrived whole."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Response(status=answer.status_code, headers=headers, body=body.whole())


@contextmanager
def own_errors() -> Iterator[None]:
    """Name what goes wrong by the package's own errors."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise APITimeoutError(f"no answer in time ({type(error).__name__})") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        # ValueError: texts from the network that a library below could not read (UnicodeError among them).
        raise APIConnectionError(f"no answer from the service ({type(error).__name__})") from error
