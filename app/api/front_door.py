"""The strict front door: everything a request must be before any route sees it.

One pure ASGI layer checks, in this order, the size of path and headers, the percent-encoding of path and query,
Accept, Content-Encoding, Content-Type, the declared and the streamed size of the body, how many values it holds, and
that it is strict JSON (`elicense.encoding.parse_json`). What passes is left on the scope as an `Arrival`: later code
never reads the body or searches the headers again. A body larger than usual is read of known callers alone: a few dozen
connections would else fill the memory. It is also the outermost edge: an error nobody expected is logged
here with the request's id and answered as a problem document without internal text.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from urllib.parse import unquote_to_bytes

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.arrival import ARRIVAL, CALL, TAKE_BODY, Arrival, Call
from app.api.json_extent import begins_deeper, holds_more_values
from app.api.problems import problem_response
from app.domain.errors import DomainError
from app.domain.ids import new_id
from app.metrics import Metrics
from elicense.bundle_delta import BUNDLE_DELTA_TYPE
from elicense.encoding import JsonValue, parse_json
from elicense.problems import FormatError

log = structlog.get_logger(__name__)

MAX_TARGET_BYTES = 8192
MAX_HEADER_BYTES = 32 * 1024
BODY_SECONDS = 15.0
LARGE_BODY_SECONDS = 60.0
MAX_DEPTH = 32
MAX_VALUES = 10_000
MAX_LARGE_VALUES = 120_000
"""How many JSON values a body may hold. A whole batch of questions, each with all that it may ask, has 110,000."""

_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_JSON_TYPE = re.compile(
    rb'application/json[ \t]*(;[ \t]*charset[ \t]*=[ \t]*("utf-8"|utf-8)[ \t]*)?', re.IGNORECASE
)
_FORM_TYPE = re.compile(
    rb'application/x-www-form-urlencoded[ \t]*(;[ \t]*charset[ \t]*=[ \t]*("utf-8"|utf-8)[ \t]*)?',
    re.IGNORECASE,
)
_MEDIA_RANGE = re.compile(r"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*(;.*)?")
_ZERO_QUALITY = re.compile(r";[ \t]*q[ \t]*=[ \t]*0(\.0{0,3})?[ \t]*(;|$)", re.IGNORECASE)
_OFFERED = frozenset(
    {
        "*/*",
        "application/*",
        "application/json",
        "application/problem+json",
        "application/dc+sd-jwt",
        BUNDLE_DELTA_TYPE,
        "application/jose+json",
        "application/jwt",
        "application/octet-stream",
        "application/statuslist+jwt",
        "text/*",
        "text/html",
        "text/plain",
        "text/css",
        "text/javascript",
    }
)
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")


class _Disconnected(Exception):
    """The caller went away before the request was complete: there is nobody to answer."""


class FrontDoor:
    """Admit well-formed requests and answer all others with problem documents."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body_bytes: int,
        large_body_bytes: Mapping[str, int],
        require_known: Callable[[Scope, Arrival], Awaitable[object]],
        metrics: Metrics,
        form_paths: frozenset[str] = frozenset(),
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        """Stand before an application; `require_known` raises DomainError where a caller has no good key."""
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._large_body_bytes = large_body_bytes
        self._require_known = require_known
        self._metrics = metrics
        self._form_paths = form_paths
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection; everything but HTTP passes through untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        headers, header_bytes = _collect_headers(scope)
        request_id = _request_id(headers.get(b"x-request-id"))
        outgoing = _Outgoing(send, request_id, with_body=scope["method"] != "HEAD")
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the answer of GET without its body (RFC 9110 §9.3.2)
        outgoing.scope = scope
        head = Arrival(request_id, headers, b"", None)
        scope[ARRIVAL] = head
        try:
            await self._serve(scope, receive, outgoing, header_bytes)
        except _Disconnected:
            return
        seconds = perf_counter() - started
        self._metrics.observe_request(scope, status=outgoing.status, seconds=seconds)
        call: Call | None = scope.get(CALL)
        if call is not None:
            call.finish(outgoing.status, getattr(scope.get("route"), "path", "(none)"), seconds)

    async def _serve(self, scope: Scope, receive: Receive, outgoing: "_Outgoing", header_bytes: int) -> None:
        head: Arrival = scope[ARRIVAL]
        try:
            try:
                body, value = await self._admit(scope, receive, head, header_bytes)
            except DomainError as refusal:
                await _refuse(refusal.code, refusal.detail, scope, receive, outgoing)
            else:
                scope[ARRIVAL] = Arrival(head.request_id, head.headers, body, value)
                await self._app(scope, receive, outgoing)
        except _Disconnected:
            raise
        except Exception:
            # The outermost edge: whatever it was, the caller gets a document and the log the cause.
            log.exception("unexpected_error", request_id=head.request_id, method=scope["method"])
            if outgoing.status == 0:
                await _refuse("internal", "", scope, receive, outgoing)

    async def _admit(
        self, scope: Scope, receive: Receive, head: Arrival, header_bytes: int
    ) -> tuple[bytes, JsonValue]:
        headers = head.headers
        _check_target(scope)
        if header_bytes > MAX_HEADER_BYTES:
            raise DomainError("too_large", f"headers are limited to {MAX_HEADER_BYTES} bytes")
        accept = headers.get(b"accept")
        if accept is not None and accept != b"*/*":
            _check_accept(accept.decode("latin-1"))
        limit = self._large_body_bytes.get(scope["path"], self._max_body_bytes)
        declared = _declared_length(headers.get(b"content-length"))
        if declared is not None and declared > limit:
            raise _body_too_large(limit)
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise DomainError(
                "unsupported_media_type", "Content-Encoding is not supported; send the body as it is"
            )
        if scope["method"] not in _BODY_METHODS:
            return b"", None
        content_type = headers.get(b"content-type", b"")
        if scope["path"] in self._form_paths:
            if _FORM_TYPE.fullmatch(content_type) is None:
                raise DomainError(
                    "unsupported_media_type", "Content-Type must be application/x-www-form-urlencoded"
                )
            return await _body_of(scope, receive, limit, self._body_seconds), None
        if _JSON_TYPE.fullmatch(content_type) is None:
            raise DomainError("unsupported_media_type", "Content-Type must be application/json in UTF-8")
        seconds = self._body_seconds
        if limit > self._max_body_bytes and (declared is None or declared > self._max_body_bytes):
            await self._require_known(scope, head)
            seconds = LARGE_BODY_SECONDS
        body = await _body_of(scope, receive, limit, seconds)
        most = MAX_LARGE_VALUES if scope["path"] in self._large_body_bytes else MAX_VALUES
        if holds_more_values(body, most):
            if begins_deeper(body, MAX_DEPTH):
                raise DomainError("not_json", f"JSON is nested deeper than {MAX_DEPTH}")
            raise DomainError("too_large", f"the body is limited to {most} JSON values")
        return body, _parse(body, limit)


class _Outgoing:
    """Add the headers every answer carries, and remember whether an answer has begun."""

    __slots__ = ("_request_id", "_send", "_with_body", "scope", "status")

    def __init__(self, send: Send, request_id: str, *, with_body: bool) -> None:
        self._send = send
        self._with_body = with_body
        self._request_id = request_id.encode("ascii")
        self.status = 0
        self.scope: Scope = {}

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], (b"x-request-id", self._request_id), _NO_SNIFFING]
            call: Call | None = self.scope.get(CALL)
            if call is not None:
                headers.extend(call.fields)
            if not any(name == b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
            message["headers"] = headers
        elif not self._with_body:
            message = {**message, "body": b""}
        await self._send(message)


async def _refuse(code: str, detail: str, scope: Scope, receive: Receive, send: Send) -> None:
    arrival: Arrival = scope[ARRIVAL]
    await problem_response(code, detail, arrival)(scope, receive, send)


def _collect_headers(scope: Scope) -> tuple[dict[bytes, bytes], int]:
    headers: dict[bytes, bytes] = {}
    size = 0
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers, size


def _request_id(sent: bytes | None) -> str:
    if sent is not None and _REQUEST_ID.fullmatch(sent):
        return sent.decode("ascii")
    return new_id()


def _check_target(scope: Scope) -> None:
    path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogatepass")
    query: bytes = scope["query_string"]
    if len(path) + len(query) > MAX_TARGET_BYTES:
        raise DomainError("too_large", f"path and query are limited to {MAX_TARGET_BYTES} bytes")
    _check_escapes(path, "path")
    if query:
        _check_escapes(query, "query")


def _check_escapes(raw: bytes, part: str) -> None:
    if b"%" not in raw and raw.isascii() and raw.decode("ascii").isprintable():
        return
    if _BAD_ESCAPE.search(raw):
        raise DomainError("wrong_encoding", f"the {part} holds a broken percent-encoding")
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise DomainError("wrong_encoding", f"the {part} is not UTF-8") from None
    if _CONTROL.search(text):
        raise DomainError("wrong_encoding", f"the {part} holds control characters")


def _check_accept(accept: str) -> None:
    """Refuse an Accept that no answer of this service could satisfy; error answers are problem documents anyway."""
    for part in accept.split(","):
        matched = _MEDIA_RANGE.fullmatch(part)
        if matched and matched[1].lower() in _OFFERED and not _ZERO_QUALITY.search(matched[2] or ""):
            return
    raise DomainError("not_acceptable", "Accept admits no media type this service answers with")


def _declared_length(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not (value.isdigit() and len(value) <= 18):
        raise DomainError("not_json", "Content-Length is not a number")
    return int(value)


async def _body_of(scope: Scope, receive: Receive, limit: int, seconds: float) -> bytes:
    """Take the body where all of it came with the head; else read it."""
    take: Callable[[], bytes | None] | None = scope.get(TAKE_BODY)
    body = None if take is None else take()
    if body is None:
        return await _read_body(receive, limit, seconds)
    if len(body) > limit:
        raise _body_too_large(limit)
    return body


def _body_too_large(limit: int) -> DomainError:
    return DomainError("too_large", f"the body is limited to {limit} bytes")


async def _read_body(receive: Receive, limit: int, seconds: float) -> bytes:
    """Read at most `limit` bytes within `seconds`: a caller that drips bytes holds a socket no longer than that."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Disconnected
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    raise _body_too_large(limit)
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    except TimeoutError:
        raise DomainError("not_json", f"the body did not arrive within {seconds:.0f} seconds") from None


def _parse(body: bytes, limit: int) -> JsonValue:
    try:
        return parse_json(body, max_bytes=limit, max_depth=MAX_DEPTH, allow_floats=True)
    except FormatError as error:
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            raise DomainError("wrong_encoding", "the body is not UTF-8") from None
        raise DomainError("not_json", error.detail) from None
