"""The one switch from errors to problem documents: rules raise, this module translates."""

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from app.api.arrival import arrival_of
from app.api.language import Language
from app.api.patterns import words_of
from app.api.problems import problem_response
from app.domain.errors import DomainError, FieldError, ServiceRefusal, TooManyCalls
from elicense.problems import FormatError

_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 406: "not_acceptable", 413: "too_large"}

_MESSAGES: dict[str, tuple[str, str]] = {
    "missing": ("缺少必填项", "is required"),
    "extra_forbidden": ("未定义的字段", "is not a known field"),
    "string_type": ("应为字符串", "must be a string"),
    "string_too_short": ("内容过短,至少 {min_length} 个字符", "must have at least {min_length} characters"),
    "string_too_long": ("内容过长,至多 {max_length} 个字符", "must have at most {max_length} characters"),
    "int_type": ("应为整数", "must be an integer"),
    "int_parsing": ("应为整数", "must be an integer"),
    "bool_type": ("应为布尔值", "must be true or false"),
    "greater_than_equal": ("不得小于 {ge}", "must be at least {ge}"),
    "less_than_equal": ("不得大于 {le}", "must be at most {le}"),
    "dict_type": ("应为对象", "must be an object"),
    "model_type": ("应为对象", "must be an object"),
    "list_type": ("应为数组", "must be an array"),
    "too_long": ("项数过多,至多 {max_length} 项", "must have at most {max_length} entries"),
    "too_short": ("项数过少,至少 {min_length} 项", "must have at least {min_length} entries"),
    "literal_error": ("应为 {expected_zh} 之一", "must be one of {expected}"),
    "enum": ("应为 {expected_zh} 之一", "must be one of {expected}"),
    "repeated": ("参数重复", "is given more than once"),
    "date_form": ("应为 YYYY-MM-DD 格式的日期", "must be a date as YYYY-MM-DD"),
    "time_form": ("应为 RFC 3339 时间,须带时区", "must be an RFC 3339 time with its offset"),
    "effective_at_form": (
        "应为 RFC 3339 时间(须带时区)或 YYYY-MM-DD 格式的日期",
        "must be an RFC 3339 time with its offset, or a date as YYYY-MM-DD",
    ),
    "too_many_bytes": ("超过 {limit} 字节", "is longer than {limit} bytes"),
    "one_question": (
        "credential、license、code 须恰好给出一个",
        "exactly one of credential, license and code must be given",
    ),
    "binding_of_nothing": (
        "key_binding 只能与 credential 同用",
        "key_binding goes with a credential",
    ),
    "one_reference": (
        "须恰好为 holder_code+type_code、identifier、number+type_code 三者之一",
        "must be exactly holder_code with type_code, or identifier, or number with type_code",
    ),
    "one_entry": (
        "须恰好为 identifier、status_list+seq、trust_list、trust_root 之一",
        "must be exactly one of identifier, status_list with seq, trust_list and trust_root",
    ),
    "one_policy": ("policy、parts 须恰好给出一个", "must give exactly one of policy and parts"),
    "one_version": ("time、seq 至多给出一个", "must name a version by time or by seq, not by both"),
    "one_clock": ("now、ahead_seconds 须恰好给出一个", "must give exactly one of now and ahead_seconds"),
    "no_change_named": (
        "elements、holder、valid_until、area_code、holder_key 至少给出一个",
        "must give one of elements, holder, valid_until, area_code, holder_key",
    ),
    "unreadable": ("{zh}", "{en}"),
    "too_many_parameters": ("查询参数过多", "has too many query parameters"),
}
_FALLBACK = ("不符合要求", "does not have the required form")


def install_error_handlers(app: Starlette) -> None:
    """Register the translations of everything a route may raise."""
    app.add_exception_handler(DomainError, _domain_error)
    app.add_exception_handler(InvalidShape, _invalid_shape)
    app.add_exception_handler(FormatError, _format_error)
    app.add_exception_handler(HTTPException, _http_exception)


class InvalidShape(Exception):
    """Carry pydantic's findings about a body or query to the edge; their text depends on the caller's language."""

    def __init__(self, findings: Sequence[ErrorDetails]) -> None:
        super().__init__("invalid shape")
        self.findings = findings

    @classmethod
    def from_validation(cls, error: ValidationError) -> "InvalidShape":
        """Take over the findings of a failed validation, without the values that were sent."""
        return cls(error.errors(include_url=False, include_input=False))

    @classmethod
    def at(cls, kind: str, *location: str) -> "InvalidShape":
        """Make a single finding of one of this module's own kinds."""
        return cls([{"type": kind, "loc": location, "msg": kind, "input": None}])

    def field_errors(self) -> tuple[FieldError, ...]:
        """Return the findings as pointers and texts."""
        return tuple(
            FieldError(_pointer(found["loc"]), _message(found, "en"), _message(found, "zh"))
            for found in self.findings
        )


def problem_of(error: DomainError | InvalidShape, request: Request) -> Response:
    """Return the problem document of an expected error."""
    arrival = arrival_of(request)
    if isinstance(error, InvalidShape):
        errors = error.field_errors()
        return problem_response("invalid_request", "", arrival, errors=errors)
    if isinstance(error, ServiceRefusal):
        return problem_response(
            error.code, error.detail, arrival, reason=error.reason, detail_zh=error.detail_zh
        )
    headers = {"Retry-After": str(error.seconds)} if isinstance(error, TooManyCalls) else None
    return problem_response(error.code, error.detail, arrival, errors=error.errors, headers=headers)


async def _domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)
    return problem_of(error, request)


async def _invalid_shape(request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidShape)
    return problem_of(error, request)


async def _format_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, FormatError)
    return problem_response("invalid_request", error.detail, arrival_of(request))


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = {"Allow": ", ".join(_allowed_methods(request))} if error.status_code == 405 else None
    code = _HTTP_CODES.get(error.status_code, "invalid_request")
    return problem_response(code, "", arrival_of(request), headers=headers)


def _allowed_methods(request: Request) -> list[str]:
    methods: set[str] = set()
    for route in request.app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    if "GET" in methods:
        methods.add("HEAD")  # the front door answers it wherever GET is answered
    return sorted(methods)


def _pointer(location: tuple[int | str, ...]) -> str:
    """Write a location as a JSON Pointer (RFC 6901); the marks pydantic adds for dictionary keys are left out."""
    parts = [str(part) for part in location if part != "[key]"]
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def _message(found: ErrorDetails, language: Language) -> str:
    context = found.get("ctx", {})
    texts = _MESSAGES.get(found["type"], _FALLBACK)
    if found["type"] == "string_pattern_mismatch":
        texts = words_of(str(context.get("pattern"))) or _FALLBACK
    if "expected" in context:
        context = {
            **context,
            "expected_zh": str(context["expected"]).replace(", ", "、").replace(" or ", " 或 "),
        }
    chinese, english = texts
    return (chinese if language == "zh" else english).format_map(_Context(context))


class _Context(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "…"
