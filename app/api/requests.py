"""What every endpoint needs of a request: services, the parsed body, the query, and answers as JSON bytes."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TypeVar, cast
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from app.api.arrival import arrival_of
from app.api.errors import InvalidShape
from app.domain.errors import DomainError
from app.services.container import Services
from elicense.encoding import dump_finite_json

Model = TypeVar("Model", bound=BaseModel)

_MAX_PARAMETERS = 32


def services_of(request: Request) -> Services:
    """Return the services this application serves. Raises DomainError `unavailable` when they did not open."""
    services: Services | None = request.app.state.services
    if services is None:
        raise DomainError("unavailable", "this part of the service did not start")
    return services


def read_body(request: Request, model: type[Model]) -> Model:
    """Validate the body against a strict model. Raises InvalidShape (422)."""
    return read_value(arrival_of(request).value, model)


def read_value(value: object, model: type[Model]) -> Model:
    """Validate parsed JSON against a strict model. Raises InvalidShape (422)."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidShape.from_validation(error) from None


def read_query(request: Request, model: type[Model]) -> Model:
    """Validate the query against a strict model. Raises InvalidShape: unknown, repeated or wrong parameters.

    An unknown filter is refused, not passed over: a caller that mistypes one must not get everything.
    """
    raw: bytes = request.scope["query_string"]
    if not raw:
        return cast("Model", _without_parameters(model))
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise InvalidShape.at("too_many_parameters") from None
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise InvalidShape.at("repeated", name)
        values[name] = value
    return read_value(values, model)


@cache
def _without_parameters(model: type[BaseModel]) -> BaseModel:
    return read_value({}, model)  # frozen, so one serves every request


class JsonAnswer(Response):
    """An answer of JSON bytes, its header list made at once."""

    media_type = "application/json"

    def __init__(self, content: bytes, *, status: int, headers: Mapping[str, str] | None) -> None:
        self.status_code = status
        self.background = None
        self.body = content
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in (headers or {}).items()
        ]
        self.raw_headers += (
            (b"content-length", b"%d" % len(content)),
            (b"content-type", b"application/json"),
        )


def json_answer(
    value: Mapping[str, object], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Serialize an answer once, straight to bytes."""
    return JsonAnswer(dump_finite_json(value), status=status, headers=headers)


def page_answer(data: Sequence[Mapping[str, object]], next_cursor: str | None) -> Response:
    """Answer one page of a list."""
    return json_answer({"data": list(data), "next_cursor": next_cursor})
