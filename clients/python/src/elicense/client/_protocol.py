"""What the client says and how it understands the answers, without doing any I/O.

A shell (`_sync`, `_async`) asks this module for a `Request`, sends it through a `Transport`, and hands back what came:
`next_step` then says whether that is the answer or how long to wait before the same request goes out again.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

from elicense import __version__
from elicense.client._checks import Secret, check_idempotency_key, in_clear_text, path_and_query
from elicense.client.errors import (
    PROBLEM_ERRORS,
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    ConfigurationError,
    FieldProblem,
    Problem,
    UnauthenticatedError,
)
from elicense.problems import PROBLEMS

USER_AGENT: Final = f"elicense-python/{__version__}"
LONGEST_WAIT: Final = 60.0
_JWS: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_SD_JWT: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+~[A-Za-z0-9_~.-]*")
_A_DAY: Final = 86_400.0
_TOTAL: Final = 60.0
_NOT_GIVEN: Final = float("nan")
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 8.0
_RETRY_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """Bound one attempt, in seconds: `connect` until the connection stands, `read` for each wait for bytes.

    `total` bounds the attempt as a whole, from the connection to the last byte, and gives it a second more for each
    8 KiB that arrived: a large bundle over a thin line is no time-out while a trickle is one. Not given it is 60, or
    `connect` and `read` together where they are more; None sets no such bound.
    `Elicense` looks at it whenever a part of the body arrives: an answer's head that trickles in is bounded by
    `AsyncElicense` alone. Raises ConfigurationError for what is not above zero, or longer than a day.
    """

    connect: float = 3.0
    read: float = 10.0
    total: float | None = _NOT_GIVEN

    def __post_init__(self) -> None:
        if self.total is _NOT_GIVEN:
            object.__setattr__(self, "total", max(_TOTAL, self.connect + self.read))
        given = (self.connect, self.read, self.read if self.total is None else self.total)
        if not all(0 < seconds <= _A_DAY for seconds in given):
            raise ConfigurationError("time-outs are numbers of seconds above zero, a day at most")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request as it goes out, the same bytes and the same Idempotency-Key on every attempt.

    Its repr shows neither the values of headers nor the body: it stands in tracebacks and logs.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None

    def __repr__(self) -> str:
        return f"Request(method={self.method!r}, url={self.url!r}, headers={sorted(self.headers)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One HTTP answer as it came: status, headers with lower-case names, the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Transport(Protocol):
    """Carry one request. The package brings one over HTTP; bring your own for tests or special networks."""

    def send(self, request: Request, *, timeout: Timeout) -> Response:
        """Send once and return the answer, whatever its status.

        Raises APITimeoutError and APIConnectionError; follows no redirect.
        """
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


class AsyncTransport(Protocol):
    """Carry one request for `AsyncElicense`, as `Transport` does for `Elicense`."""

    async def send(self, request: Request, *, timeout: Timeout) -> Response:  # noqa: ASYNC109  # as in `Transport`
        """Send once and return the answer, whatever its status.

        Raises APITimeoutError and APIConnectionError; follows no redirect. May be cancelled at any await.
        """
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


@dataclass(frozen=True, slots=True)
class Retry:
    """Send the same request again after `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Failed:
    """Give up with this error."""

    error: APIConnectionError | APIStatusError


@dataclass(frozen=True, slots=True)
class Done:
    """Take this answer (status 2xx)."""

    response: Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the service is and who is calling; builds requests."""

    base_url: str
    api_key: str | None
    language: str = "zh"
    in_clear: bool = False

    def __repr__(self) -> str:
        return f"Endpoint(base_url={self.base_url!r}, api_key={'set' if self.api_key else 'none'})"

    def request(
        self,
        method: str,
        path: Sequence[str],
        *,
        query: Mapping[str, str | int | None] | None = None,
        body: Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
        needs_key: bool = True,
        accept: str = "application/json",
    ) -> Request:
        """Build a request from path segments (quoted here), query members that are not None, and a JSON body.

        A call that needs no API key does not carry one. Raises ConfigurationError when it is needed and was not given
        or would pass a network in clear text, and for a segment, a value or an Idempotency-Key that cannot be sent.
        """
        headers = {
            "Accept": f"{accept}, application/problem+json",
            "Accept-Language": self.language,
            "User-Agent": USER_AGENT,
        }
        if needs_key:
            if self.api_key is None:
                raise ConfigurationError("this call needs an API key: pass api_key=… or set ELICENSE_API_KEY")
            if self.in_clear:
                raise in_clear_text()
            headers["Authorization"] = Secret(f"Bearer {self.api_key}")
        encoded = None
        if body is not None:
            encoded = encode_body(body)
            headers["Content-Type"] = "application/json"
        if idempotency_key is not None:
            headers["Idempotency-Key"] = check_idempotency_key(idempotency_key)
        url = self.base_url + path_and_query(path, query or {})
        return Request(method=method, url=url, headers=headers, body=encoded)


def without_none(value: Mapping[str, object]) -> dict[str, object]:
    """Leave out what was not given."""
    return {name: member for name, member in value.items() if member is not None}


def rfc3339(moment: datetime) -> str:
    """Write a moment in UTC. Raises ConfigurationError for one without its zone, or that UTC does not have."""
    if moment.tzinfo is None:
        raise ConfigurationError("times carry their zone")
    try:
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError as error:
        raise ConfigurationError("a time that UTC does not have") from error


def encode_body(body: Mapping[str, object]) -> bytes:
    """Return the body as UTF-8 JSON.

    Raises ConfigurationError for values JSON or UTF-8 cannot hold (NaN, lone surrogates, endless nesting).
    """
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"the request cannot be written as JSON: {type(error).__name__}") from error


def next_step(
    outcome: Response | APIConnectionError,
    *,
    retries_left: int,
    attempt: int,
    jitter: float,
    now: datetime,
) -> Done | Retry | Failed:
    """Decide what follows an attempt (`attempt` counts from 0; `jitter` is a random number in [0, 1)).

    Retried are lost connections, time-outs, 408, 429, 500, 502, 503, 504 and problems marked as worth it; each
    carries the same Idempotency-Key, so that what was done is answered, not done twice. A Retry-After up to 60 s is
    kept to; a longer one is handed to the caller.
    """
    if isinstance(outcome, APIConnectionError):
        return Retry(_pause(attempt, jitter)) if retries_left > 0 else Failed(outcome)
    if 200 <= outcome.status < 300:
        return Done(outcome)
    error = status_error(outcome, now=now)
    kind = PROBLEMS.get(error.problem.code)
    worth_it = outcome.status in _RETRY_STATUS or (kind is not None and kind.retry)
    if not worth_it or retries_left <= 0:
        return Failed(error)
    if error.retry_after is None:
        return Retry(_pause(attempt, jitter))
    if error.retry_after > LONGEST_WAIT:
        return Failed(error)
    return Retry(error.retry_after)


def _pause(attempt: int, jitter: float) -> float:
    whole: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**attempt)
    return whole * (0.5 + jitter / 2)


def retry_after_seconds(value: str | None, *, now: datetime) -> float | None:
    """Read a Retry-After header (RFC 9110 §10.2.3): seconds or a date; None when absent or unreadable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        return max(0.0, (moment - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def status_error(response: Response, *, now: datetime) -> APIStatusError:
    """Turn an answer of status 3xx, 4xx or 5xx into its error; an unknown problem code gives the base class."""
    problem = _problem(response)
    # The token endpoint's word for credentials that do not count.
    code = UnauthenticatedError.code if problem.code == "invalid_client" else problem.code
    kind = PROBLEM_ERRORS.get(code, APIStatusError)
    return kind(
        status_code=response.status,
        problem=problem,
        request_id=response.headers.get("x-request-id") or problem.request_id or None,
        retry_after=retry_after_seconds(response.headers.get("retry-after"), now=now),
    )


def _problem(response: Response) -> Problem:
    document = _refusal(response)
    errors = document.get("errors")
    return Problem(
        type=_text(document, "type"),
        title=_text(document, "title"),
        status=response.status,
        code=_text(document, "code"),
        detail=_text(document, "detail"),
        request_id=_text(document, "request_id"),
        reason=_text(document, "reason"),
        errors=tuple(
            FieldProblem(pointer=_text(item, "pointer"), detail=_text(item, "detail"))
            for item in (errors if isinstance(errors, list) else ())
            if isinstance(item, dict)
        ),
    )


def _refusal(response: Response) -> Mapping[str, object]:
    """Return the members of a problem document; an OAuth error (RFC 6749 §5.2) is read as one."""
    media_type = media_type_of(response)
    if media_type not in {"application/problem+json", "application/json"}:
        return {}
    try:
        document = json_object(response)
    except APIResponseError:
        return {}
    if media_type == "application/problem+json":
        return document
    return {"code": _text(document, "error"), "detail": _text(document, "error_description")}


def _text(document: Mapping[str, object], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""


def json_object(response: Response) -> Mapping[str, object]:
    """Return the body as a JSON object. Raises APIResponseError when it is none."""
    try:
        value = json.loads(response.body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise APIResponseError("the answer is not JSON") from error
    if not isinstance(value, dict):
        raise APIResponseError("the answer is not a JSON object")
    return value


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is no number of JSON")


def credential_text(response: Response) -> str:
    """Return the credential (SD-JWT) that the body is. Raises APIResponseError for anything else."""
    return _ascii_of(response, _SD_JWT, "a credential")


def token_text(response: Response) -> str:
    """Return the signed token (JWS) that the body is. Raises APIResponseError for anything else."""
    return _ascii_of(response, _JWS, "a signed token")


def document_bytes(response: Response) -> bytes:
    """Return the body as it came, a JSON object by its looks. Raises APIResponseError for anything else."""
    _require_no_page(response)
    if not response.body.lstrip(b" \t\r\n").startswith(b"{"):
        raise APIResponseError("the answer is no document: it is empty, or not a JSON object")
    return response.body


def _ascii_of(response: Response, shape: re.Pattern[bytes], what: str) -> str:
    _require_no_page(response)
    text = response.body.strip()
    if shape.fullmatch(text) is None:
        raise APIResponseError(f"the answer is not {what}")
    return text.decode("ascii")


def _require_no_page(response: Response) -> None:
    # What stands in between (a portal that asks to log in) answers 200 as well.
    if media_type_of(response) in {"text/html", "application/xhtml+xml"}:
        raise APIResponseError("the answer is a web page")


def media_type_of(response: Response) -> str:
    """Return the media type of an answer without its parameters, in lower case; empty when it names none."""
    return response.headers.get("content-type", "").split(";")[0].strip().lower()


def stapled_text(response: Response) -> str:
    """Return the body as it came, a credential with its log proof. Raises APIResponseError when it is none."""
    _require_no_page(response)
    from elicense.problems import FormatError
    from elicense.stapled import parse_stapled

    try:
        parse_stapled(response.body)
    except FormatError as error:
        raise APIResponseError("the answer is no credential with a log proof") from error
    return response.body.decode("utf-8").strip()
