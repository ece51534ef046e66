"""What the front door learned about one request, kept on the ASGI scope for all later code."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request

from app.api.language import Language, choose_language
from elicense.encoding import JsonValue

ARRIVAL = "elicense.arrival"
"""The scope's key of the `Arrival`."""

CALL = "elicense.call"
"""The scope's key of the `Call`, there once a request is known to be somebody's."""

TAKE_BODY = "elicense.take_body"
"""The scope's key of the server's function that returns the whole body, or None while it has not come."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One admitted request.

    `headers` holds each header once, lower-case names, repeated ones joined by a comma (so that a repeated
    Authorization or Idempotency-Key is no longer well-formed); `body` is the exact bytes, `value` what they parse to.
    """

    request_id: str
    headers: Mapping[bytes, bytes]
    body: bytes
    value: JsonValue

    def header(self, name: bytes) -> str | None:
        """Return one header as text (bytes beyond ASCII kept as Latin-1), None when it was not sent."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def authorization(self) -> str:
        """Return the Authorization field without the white space around it (RFC 9110 §5.5), empty when not sent."""
        return (self.header(b"authorization") or "").strip(" \t")

    @property
    def language(self) -> Language:
        """Return the language of people-facing text for this caller."""
        return choose_language(self.header(b"accept-language"))


@dataclass(slots=True)
class Call:
    """Whose call this is: the fields its answer carries, and what is to be told when it has been answered.

    `finish` gets the status, the route's template and the seconds it took.
    """

    finish: Callable[[int, str, float], None]
    fields: tuple[tuple[bytes, bytes], ...] = ()


def arrival_of(request: Request) -> Arrival:
    """Return what the front door left for this request."""
    arrival: Arrival = request.scope[ARRIVAL]
    return arrival
