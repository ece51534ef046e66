"""Problem documents (RFC 9457): the one form of every refused request, in Chinese or English."""

from collections.abc import Mapping, Sequence

from starlette.responses import Response

from app.api.arrival import Arrival
from app.domain.errors import FieldError
from app.services.answers import LANGUAGE_HEADERS
from elicense.encoding import JsonValue, dump_json
from elicense.problems import PROBLEMS
from elicense.service_reasons import SERVICE_REASONS, ServiceReason

PROBLEM_TYPE = "application/problem+json"
MAX_ERRORS = 100
_MAX_POINTER = 256


def problem_response(
    code: str,
    detail: str,
    arrival: Arrival,
    *,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    reason: ServiceReason | None = None,
    detail_zh: str = "",
) -> Response:
    """Build the problem document of a code in the caller's language.

    `detail` is developers' English and is shown beside the Chinese advice, unless `detail_zh` says it in Chinese;
    `errors` beyond 100 are left out. A `reason` says what is wrong with the service as a whole: it becomes a member
    of the document, and its advice takes the place of the code's. The answer carries WWW-Authenticate with 401
    (RFC 9110 §11.6.1), and Retry-After with 503 and where the log's next checkpoint is all that is missing.
    """
    kind = PROBLEMS[code]
    language = arrival.language
    chinese = language == "zh"
    advice = kind.action if reason is None else SERVICE_REASONS[reason].action
    document: dict[str, JsonValue] = {
        "type": f"urn:elicense:problem:{code}",
        "title": kind.title.in_language(language),
        "status": kind.status,
        "code": code,
        "detail": _detail(
            advice.in_language(language), detail_zh or detail if chinese else detail, chinese=chinese
        ),
        "request_id": arrival.request_id,
        "errors": [
            {"pointer": error.pointer[:_MAX_POINTER], "detail": error.in_language(language)}
            for error in errors[:MAX_ERRORS]
        ],
    }
    if reason is not None:
        document["reason"] = reason.value
    body = dump_json(document)
    own = {**LANGUAGE_HEADERS[language], **(headers or {})}
    if kind.status == 401:
        own.setdefault("WWW-Authenticate", _challenge(arrival))
    if kind.status == 503:
        own.setdefault("Retry-After", "5")
    if code == "not_logged_yet":
        own.setdefault("Retry-After", "1")
    return Response(body, status_code=kind.status, headers=own, media_type=PROBLEM_TYPE)


def _challenge(arrival: Arrival) -> str:
    """Say how to authenticate (RFC 6750 §3), and that a token which came does not count."""
    scheme, _, token = arrival.authorization.partition(" ")
    refused = ', error="invalid_token"' if scheme.lower() == "bearer" and token else ""
    return f'Bearer realm="elicense"{refused}'


def _detail(advice: str, detail: str, *, chinese: bool) -> str:
    if not detail:
        return advice
    return f"{advice}({detail})" if chinese else f"{detail[0].upper()}{detail[1:]}. {advice}"
