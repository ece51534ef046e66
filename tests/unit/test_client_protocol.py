"""The client's protocol without any I/O: what is said, what is retried, how answers are understood."""

import json
from datetime import UTC, datetime
from importlib.metadata import version

import pytest

from elicense import __version__
from elicense.client._checks import check_api_key, check_base_url
from elicense.client._models import license_of
from elicense.client._protocol import (
    Done,
    Endpoint,
    Failed,
    Response,
    Retry,
    Timeout,
    encode_body,
    next_step,
    retry_after_seconds,
    status_error,
)
from elicense.client._verification_models import verification_of
from elicense.client.errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    InvalidRequestError,
    NumberTakenError,
    RateLimitedError,
    UnauthenticatedError,
)
from elicense.problems import PROBLEMS

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ENDPOINT = Endpoint(base_url="https://license.example", api_key="elk_live_a_b", language="zh")


def problem(status: int, code: str, **headers: str) -> Response:
    document = {
        "type": "about:blank",
        "title": "t",
        "status": status,
        "code": code,
        "detail": "d",
        "request_id": "r-1",
        "errors": [{"pointer": "/number", "detail": "taken"}],
    }
    return Response(
        status=status,
        headers={"content-type": "application/problem+json; charset=utf-8"}
        | {name.replace("_", "-"): value for name, value in headers.items()},
        body=json.dumps(document).encode(),
    )


def step(
    outcome: Response | APIConnectionError, *, left: int = 2, attempt: int = 0, jitter: float = 0.0
) -> object:
    return next_step(outcome, retries_left=left, attempt=attempt, jitter=jitter, now=NOW)


def test_a_request_carries_key_language_and_idempotency_key() -> None:
    request = ENDPOINT.request("POST", ["v1", "licenses"], body={"number": "苏"}, idempotency_key="k-1")
    assert request.url == "https://license.example/v1/licenses"
    assert request.headers["Authorization"] == "Bearer elk_live_a_b"
    assert request.headers["Accept-Language"] == "zh"
    assert request.headers["Idempotency-Key"] == "k-1"
    assert request.body == '{"number":"苏"}'.encode()


def test_path_segments_and_query_values_are_quoted() -> None:
    request = ENDPOINT.request("GET", ["v1", "licenses", "../x?y"], query={"cursor": "a&b=c", "limit": None})
    assert request.url == "https://license.example/v1/licenses/..%2Fx%3Fy?cursor=a%26b%3Dc"


def test_a_public_call_never_carries_the_key_and_others_need_one() -> None:
    request = ENDPOINT.request("GET", ["v1", "bundle"], needs_key=False)
    assert "Authorization" not in request.headers
    with pytest.raises(ConfigurationError, match="ELICENSE_API_KEY"):
        Endpoint(base_url="https://license.example", api_key=None).request("GET", ["v1", "licenses"])


def test_the_key_is_in_no_representation() -> None:
    assert "elk_live" not in repr(ENDPOINT)
    with pytest.raises(ConfigurationError) as refusal:
        check_api_key("secret with space")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["", "license.example", "ftp://x", "https://", "https://u:p@x", "https://x?y=1"]
)
def test_a_base_url_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        check_base_url(text)


def test_a_base_url_may_have_a_path() -> None:
    assert check_base_url("https://x.example/license/") == "https://x.example/license"


@pytest.mark.parametrize("value", [float("nan"), "\ud800", object()])
def test_what_json_cannot_hold_is_refused_before_it_is_sent(value: object) -> None:
    with pytest.raises(ConfigurationError):
        encode_body({"x": value})


def test_time_outs_are_positive() -> None:
    with pytest.raises(ConfigurationError):
        Timeout(read=0)


def test_an_answer_is_done() -> None:
    answer = Response(status=201, headers={}, body=b"{}")
    assert step(answer) == Done(answer)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_failures_are_retried_with_growing_jittered_pauses(status: int) -> None:
    answer = Response(status=status, headers={}, body=b"")
    first, second = step(answer), step(answer, attempt=1, jitter=0.999)
    assert isinstance(first, Retry)
    assert isinstance(second, Retry)
    assert first.delay == 0.25
    assert 0.9 < second.delay < 1.0


@pytest.mark.parametrize("failure", [APIConnectionError("x"), APITimeoutError("x")])
def test_lost_connections_and_time_outs_are_retried_then_raised(failure: APIConnectionError) -> None:
    assert isinstance(step(failure), Retry)
    assert step(failure, left=0) == Failed(failure)


def test_a_call_still_running_under_the_same_key_is_waited_for() -> None:
    assert isinstance(step(problem(409, "idempotency_in_progress")), Retry)


@pytest.mark.parametrize("code", [code for code, kind in PROBLEMS.items() if not kind.retry])
def test_refusals_are_not_retried(code: str) -> None:
    assert isinstance(step(problem(PROBLEMS[code].status, code)), Failed)


def test_retry_after_is_kept_to_up_to_a_minute_and_handed_over_beyond() -> None:
    assert step(problem(429, "rate_limited", retry_after="17")) == Retry(17.0)
    assert step(problem(429, "rate_limited", retry_after="60")) == Retry(60.0)
    failed = step(problem(429, "rate_limited", retry_after="61"))
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, RateLimitedError)
    assert failed.error.retry_after == 61.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("5", 5.0),
        (" 5 ", 5.0),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("٥", None),
        ("9" * 40, None),
    ],
)
def test_retry_after_reads_seconds_and_dates(text: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(text, now=NOW) == seconds


def test_a_problem_becomes_its_own_error_with_all_it_says() -> None:
    error = status_error(problem(409, "number_taken", x_request_id="r-9"), now=NOW)
    assert isinstance(error, NumberTakenError)
    assert (error.status_code, error.request_id, error.problem.code) == (409, "r-9", "number_taken")
    assert error.problem.errors[0].pointer == "/number"
    assert "/number: taken" in str(error)


def test_every_problem_kind_has_its_own_error_class() -> None:
    kinds = {type(status_error(problem(kind.status, code), now=NOW)) for code, kind in PROBLEMS.items()}
    assert len(kinds) == len(PROBLEMS)
    assert APIStatusError not in kinds


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (401, "invalid_client", UnauthenticatedError),
        (400, "invalid_request", InvalidRequestError),
        (400, "invalid_scope", APIStatusError),
    ],
)
def test_an_oauth_error_tells_what_the_token_endpoint_says(
    status: int, error: str, kind: type[APIStatusError]
) -> None:
    body = json.dumps({"error": error, "error_description": "the assertion has expired"}).encode()
    answer = Response(status=status, headers={"content-type": "application/json"}, body=body)
    raised = status_error(answer, now=NOW)
    assert type(raised) is kind
    assert (raised.problem.code, raised.problem.detail) == (error, "the assertion has expired")
    assert "the assertion has expired" in str(raised)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error": 7}', b'{"code": "unauthenticated"}'])
def test_json_that_is_no_oauth_error_names_no_code(body: bytes) -> None:
    answer = Response(status=401, headers={"content-type": "application/json"}, body=body)
    error = status_error(answer, now=NOW)
    assert type(error) is APIStatusError
    assert error.problem.code == ""


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"[" * 100_000, b'{"code": 7, "errors": "x"}', b"\xff"])
def test_a_proxys_page_is_still_a_clear_error(body: bytes) -> None:
    answer = Response(status=404, headers={"content-type": "application/problem+json"}, body=body)
    error = status_error(answer, now=NOW)
    assert type(error) is APIStatusError
    assert error.problem.code == ""


def test_a_verification_is_true_only_when_valid() -> None:
    for verdict in ("valid", "invalid", "indeterminate", "VALID", ""):
        reason = "ok" if verdict == "valid" else "a_later_one"
        answer = verification_of({"verdict": verdict, "reason": reason, "later_member": [1]})
        assert bool(answer) is (verdict == "valid")


@pytest.mark.parametrize("value", [{}, {"verdict": "valid"}, {"verdict": True, "reason": "ok"}])
def test_an_answer_of_another_shape_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(APIResponseError):
        verification_of(value)
    with pytest.raises(APIResponseError):
        license_of(value)


def test_a_request_names_the_version_that_is_installed() -> None:
    assert __version__ == version("elicense")
    request = ENDPOINT.request("GET", ["v1", "areas"])
    assert request.headers["User-Agent"] == f"elicense-python/{__version__}"
