"""Idempotency-Key: the same call again gets the same answer, whatever the first one was."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.api.arrival import arrival_of
from app.api.errors import InvalidShape, problem_of
from app.api.paging import NoQuery
from app.api.requests import json_answer, read_query, services_of
from app.domain.api_client import Caller
from app.domain.errors import DomainError
from app.ports import IdempotentCall, StoredAnswer
from app.services.once import AnswerRepeated, Once
from elicense.encoding import dump_json

_PRINTABLE = re.compile(r"[\x20-\x7e]{1,255}")
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_NOT_KEPT = frozenset({401, 429})
_KEPT_HEADERS = ("content-type", "content-language", "vary", "location")


def parse_idempotency_key(header: str) -> str:
    """Return the key of a header: 1-255 printable ASCII, bare or as a quoted string (RFC 8941 §3.3.3) alike.

    Raises DomainError `idempotency_key_invalid` (422).
    """
    text = header.strip(" \t")
    if text.startswith('"'):
        matched = _QUOTED.fullmatch(text)
        text = re.sub(r"\\(.)", r"\1", matched[1]) if matched else ""
    if not _PRINTABLE.fullmatch(text):
        raise DomainError(
            "idempotency_key_invalid", "use 1 to 255 printable ASCII characters, quoted or bare"
        )
    return text


def idempotent_call(request: Request, caller: Caller) -> IdempotentCall | None:
    """Describe the call its key makes repeatable, or None without a key."""
    header = arrival_of(request).header(b"idempotency-key")
    if header is None:
        return None
    return IdempotentCall(
        client_id=caller.client.id,
        method=request.method,
        path=request.scope["path"],
        key=parse_idempotency_key(header),
        body_sha256=hashlib.sha256(arrival_of(request).body).hexdigest(),
    )


async def answer_once(
    request: Request, caller: Caller, work: Callable[[IdempotentCall | None], Awaitable[Response]]
) -> Response:
    """Run `work`, or repeat the stored answer of the same call.

    Successes are stored by the service in the transaction of what they speak of; refusals (4xx) are stored here,
    except those a later attempt may turn: 401, 429 and the refusals of the key itself. A query is refused before
    anything is done or kept: whoever adds `?dry_run=true` must not find the thing done.
    """
    read_query(request, NoQuery)
    call = idempotent_call(request, caller)
    if call is None:
        return await work(None)
    service = services_of(request).idempotency
    stored = await service.find(call)
    if stored is not None:
        return replay(stored)
    try:
        return await work(call)
    except (DomainError, InvalidShape) as error:
        response = problem_of(error, request)
        if _is_kept(error, response.status_code):
            await service.keep_refusal(call, _stored(response))
        return response


async def carry_out(
    request: Request,
    caller: Caller,
    order: Callable[[Once | None], Awaitable[Any]],
    answer: Callable[[Any], dict[str, object]],
    *,
    status: int = 200,
) -> Response:
    """Carry out an order that may be repeated: what is kept of its answer holds no secret."""

    async def work(call: IdempotentCall | None) -> Response:
        once = None if call is None else Once(call=call, answer=lambda done: _kept(answer(done), status))
        try:
            return json_answer(answer(await order(once)), status=status)
        except AnswerRepeated as repeated:
            return replay(repeated.answer)

    return await answer_once(request, caller, work)


def _kept(answer: dict[str, object], status: int) -> StoredAnswer:
    body = {**answer, "secret": None} if "secret" in answer else answer
    return StoredAnswer(status=status, headers={}, body=dump_json(body))


def replay(stored: StoredAnswer) -> Response:
    """Answer as the first time, marked as repeated."""
    headers = {**stored.headers, "Idempotent-Replayed": "true"}
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    return Response(stored.body, status_code=stored.status, headers=headers)


def fresh(stored: StoredAnswer) -> Response:
    """Answer with what was just stored."""
    headers = dict(stored.headers)
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    return Response(stored.body, status_code=stored.status, headers=headers)


def _is_kept(error: DomainError | InvalidShape, status: int) -> bool:
    about_the_key = isinstance(error, DomainError) and error.code.startswith("idempotency_")
    return status < 500 and status not in _NOT_KEPT and not about_the_key


def _stored(response: Response) -> StoredAnswer:
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    return StoredAnswer(status=response.status_code, headers=headers, body=bytes(response.body))
