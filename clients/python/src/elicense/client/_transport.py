"""The transport over HTTP. The only module that imports httpx, and only when a client is made."""

from typing import Final

import httpx

from elicense.client._protocol import Request, Response, Timeout
from elicense.client.errors import APIConnectionError, APITimeoutError

MOST_BYTES: Final = 64 << 20


class HttpTransport:
    """Keep a pool of connections to one service. Safe to share between threads."""

    def __init__(self) -> None:
        # Redirects are never followed: the key must not travel to another address.
        self._client = httpx.Client(follow_redirects=False)

    def send(self, request: Request, *, timeout: Timeout) -> Response:
        """Send once. Raises APITimeoutError, APIConnectionError (also for an answer above 64 MiB)."""
        limits = httpx.Timeout(
            connect=timeout.connect, read=timeout.read, write=timeout.read, pool=timeout.connect
        )
        try:
            with self._client.stream(
                request.method,
                request.url,
                headers=dict(request.headers),
                content=request.body,
                timeout=limits,
            ) as answer:
                body = _bounded_body(answer)
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(status=answer.status_code, headers=headers, body=body)
        except httpx.TimeoutException as error:
            raise APITimeoutError(f"no answer in time ({type(error).__name__})") from error
        except (httpx.TransportError, httpx.InvalidURL, httpx.DecodingError) as error:
            raise APIConnectionError(f"no answer from the service ({type(error).__name__})") from error

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def _bounded_body(answer: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in answer.iter_bytes():
        size += len(part)
        if size > MOST_BYTES:
            raise APIConnectionError("the answer is larger than 64 MiB")
        parts.append(part)
    return b"".join(parts)
