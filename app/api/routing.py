"""How a route is declared: FastAPI holds its description for OpenAPI, the endpoint itself gets the bare request.

FastAPI's own request handling (dependency solving, a second reading of the body, response validation) costs several
times the routing itself and fixes an order of checks that is not ours: 401, 403 and 404 go before 422 here. So an
endpoint is `async def (Request) -> Response`, and all it accepts and answers is declared with `operation`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from app.api.problems import PROBLEM_TYPE
from app.domain.api_client import Scope
from elicense.problems import PROBLEMS

Endpoint = Callable[[Request], Awaitable[Response]]

FRONT_DOOR_PROBLEMS = (
    "wrong_encoding",
    "not_acceptable",
    "too_large",
    "unsupported_media_type",
    "internal",
    "unavailable",
)
"""What any request may be answered with."""

BODY_PROBLEMS = (
    "not_json",
    "invalid_request",
    "idempotency_key_invalid",
    "idempotency_mismatch",
    "idempotency_in_progress",
)
"""What any request with a body may be answered with."""

KEY_PROBLEMS = (
    "unauthenticated",
    "key_expired",
    "key_revoked",
    "wrong_environment",
    "address_not_allowed",
    "forbidden",
    "rate_limited",
)
"""What any request that needs a key may be answered with."""


QUOTA_FIELDS = {
    "RateLimit": "What is left of the quotas now: r calls; where there are none, more in t seconds.",
    "RateLimit-Policy": "The quotas: q calls in w seconds.",
}
"""The fields of every answer to a caller that is known (draft-ietf-httpapi-ratelimit-headers)."""

ENTITY_TAG = {"ETag": "Names exactly these bytes; send it as If-None-Match."}
"""The field of every answer that caches may keep."""

_WHEN = {"Retry-After": "After how many seconds to call again."}
_LATER = {429: _WHEN, 503: _WHEN}


class PlainRoute(APIRoute):
    """A FastAPI route for the documents, a Starlette route for the work."""

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, endpoint, **options)

        async def serve(scope: AsgiScope, receive: Receive, send: Send) -> None:
            response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = serve  # what it raises is translated once, around the whole router

    @property
    def needs_key(self) -> bool:
        """Tell whether the operation is described as one that needs an API key."""
        return "security" in (self.openapi_extra or {})


class Routes:
    """The routes of one noun, in the order they are tried."""

    def __init__(self, *, tag: str) -> None:
        self._tag = tag
        self.router = APIRouter(route_class=PlainRoute)

    def add(self, method: str, path: str, endpoint: Endpoint, **description: Any) -> None:
        """Add one operation; `description` as `operation` takes it."""
        self.router.add_api_route(
            path,
            endpoint,
            methods=[method],
            tags=[self._tag],
            **operation(path=path, operation_id=endpoint.__name__, **description),
        )


def operation(
    *,
    path: str,
    operation_id: str,
    summary: str,
    description: str = "",
    scope: Scope | None = None,
    body: type[BaseModel] | None = None,
    form: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    answer: type[BaseModel] | str,
    also: Sequence[str] = (),
    other_answer: type[BaseModel] | None = None,
    status: int = 200,
    also_ok: bool = False,
    accepted: Sequence[type[BaseModel]] = (),
    problems: Sequence[str] = (),
    refusals: Mapping[int, type[BaseModel]] | None = None,
    headers: Mapping[str, str] | None = None,
    cacheable: bool = False,
) -> dict[str, Any]:
    """Describe an operation as FastAPI's route options.

    `answer` is a model (JSON) or a media type, `also` names media types it may have instead, `other_answer` the model
    of what can be asked for instead; `also_ok` says that what is there already is answered with 200; `accepted` are
    the models of which one is answered with 202 when the order is kept for later; `form` is the model of a body that
    is a form; `problems` are the codes beyond those the front door, a key and a body always bring; `refusals` are
    answers to refused requests that another standard shapes, by status; `headers` names headers of the answer with
    their meaning.
    """
    codes = list(FRONT_DOOR_PROBLEMS)
    codes += KEY_PROBLEMS if scope else ()
    codes += BODY_PROBLEMS if body else ()
    codes += ("invalid_request",) if query and not body else ()
    codes += problems
    extra: dict[str, Any] = {
        "parameters": _parameters(path, query, body=body is not None, cacheable=cacheable)
    }
    if body is not None:
        extra["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(body)}},
        }
    if form is not None:
        extra["requestBody"] = {
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": _reference(form)}},
        }
    if scope is not None:
        extra["security"] = [{"apiKey": []}]
        extra["x-required-scope"] = scope.value
    responses: dict[int | str, dict[str, Any]] = {
        status: _success(
            answer,
            also,
            other_answer,
            {**(headers or {}), **(QUOTA_FIELDS if scope else {}), **(ENTITY_TAG if cacheable else {})},
            replayable=body is not None,
        )
    }
    if also_ok:
        responses[200] = {**responses[status], "description": "This was there already."}
    if accepted:
        responses[202] = _accepted(accepted)
    if cacheable:
        described = "Not modified: the ETag in If-None-Match is the current one."
        responses[304] = {"description": described, "headers": _headers(ENTITY_TAG)}
    responses.update(_problem_responses(codes))
    for refused, model in (refusals or {}).items():
        shaped = responses.setdefault(
            refused, {"description": "Refused as the standard says.", "content": {}}
        )
        shaped["content"]["application/json"] = {"schema": _reference(model)}
    return {
        "operation_id": operation_id,
        "summary": summary,
        "description": description,
        "status_code": status,
        "response_model": None,
        "response_class": Response,
        "responses": responses,
        "openapi_extra": extra,
    }


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _success(
    answer: type[BaseModel] | str,
    also: Sequence[str],
    other_answer: type[BaseModel] | None,
    headers: Mapping[str, str],
    *,
    replayable: bool,
) -> dict[str, Any]:
    named = {"X-Request-Id": "The id of this request, yours if you sent one.", **headers}
    if replayable:
        named["Idempotent-Replayed"] = (
            "true when this is the stored answer of an earlier call with the same key."
        )
    content: dict[str, Any]
    if isinstance(answer, str):
        content = {answer: _raw(answer)}
    else:
        content = {"application/json": {"schema": _reference(answer)}}
    content.update({media_type: _raw(media_type) for media_type in also})
    if other_answer is not None:
        content["application/json"] = {"schema": _reference(other_answer)}
    return {
        "description": "Success",
        "content": content,
        "headers": _headers(named),
    }


def _headers(named: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in named.items()}


def _raw(media_type: str) -> dict[str, Any]:
    """Describe content that no model stands for: a JSON object where the media type says so, bytes, else text."""
    if media_type == "application/octet-stream":
        # Clients made from this document would decode a bare string as text.
        return {"schema": {"type": "string", "format": "binary"}}
    return {"schema": {"type": "object" if media_type.endswith("+json") else "string"}}


def _accepted(models: Sequence[type[BaseModel]]) -> dict[str, Any]:
    headers = {
        "Location": "Path of what was accepted.",
        "X-Request-Id": "The id of this request, yours if you sent one.",
        "Idempotent-Replayed": "true when this is the stored answer of an earlier call with the same key.",
    }
    return {
        "description": "Accepted: nothing has changed yet. `kind` tells what it is.",
        "content": {"application/json": {"schema": {"oneOf": [_reference(model) for model in models]}}},
        "headers": _headers(headers),
    }


def _problem_responses(codes: Sequence[str]) -> dict[int | str, dict[str, Any]]:
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    return {
        status: {
            "description": "; ".join(f"`{code}` {PROBLEMS[code].title.en}" for code in named),
            "content": {
                PROBLEM_TYPE: {
                    "schema": {
                        "allOf": [
                            {"$ref": "#/components/schemas/Problem"},
                            {"type": "object", "properties": {"code": {"type": "string", "enum": named}}},
                        ]
                    }
                }
            },
            **({"headers": _headers(_LATER[status])} if status in _LATER else {}),
        }
        for status, named in sorted(by_status.items())
    }


def _parameters(
    path: str, query: type[BaseModel] | None, *, body: bool, cacheable: bool
) -> list[dict[str, Any]]:
    text = {"type": "string"}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": text}
        for name in (part[1:-1].partition(":")[0] for part in path.split("/") if part.startswith("{"))
    ]
    if query is not None:
        schema = query.model_json_schema(ref_template="#/components/schemas/{model}")
        parameters += [
            {"name": name, "in": "query", "required": False, "schema": _without_null(property_)}
            for name, property_ in schema["properties"].items()
        ]
    headers = {"X-Request-Id": "1 to 128 printable ASCII characters; echoed.", "Accept-Language": "zh or en."}
    if body:
        headers["Idempotency-Key"] = (
            "1 to 255 printable ASCII characters, quoted or bare: repeats the first answer."
        )
    if cacheable:
        headers["If-None-Match"] = "The ETag you hold."
    parameters += [
        {"name": name, "in": "header", "required": False, "description": meaning, "schema": text}
        for name, meaning in headers.items()
    ]
    return parameters


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Drop null from a query parameter's schema: in a query, not given is not sent."""
    plain = {key: value for key, value in schema.items() if key not in ("title", "default", "anyOf")}
    for choice in schema.get("anyOf", ()):
        if choice != {"type": "null"}:
            plain.update(choice)
    if schema.get("default") is not None:
        plain["default"] = schema["default"]
    return plain
