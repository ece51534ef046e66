"""Whatever a service or what stands before it answers: an error of the package, never one of the libraries below."""

from collections.abc import Iterator
from typing import Any

import pytest

from elicense import APIConnectionError, APIResponseError, APIStatusError, Elicense, ElicenseError
from elicense.client._protocol import Response
from tests.raw_service import Asked, http, serving
from tests.sdk_clients import BASE_URL, LICENSE, FakeTransport, MakeClient, json_answer, over_http, problem
from tests.simulator import SimulatedSigner

BEYOND = 10**400


@pytest.mark.parametrize(
    "retry_after",
    [
        "Wed, 21 Oct 99999999999 07:28:00 GMT",
        "Wed, 21 Oct 2026 07:28:00 -9999999999",
        "Wed, 21 Oct 10000 07:28:00 GMT",
        "9" * 400,
        "nan",
        "-1",
        "\x00",
    ],
)
def test_a_retry_after_that_is_no_time_counts_for_nothing(client: MakeClient, retry_after: str) -> None:
    transport = FakeTransport(problem(429, "rate_limited", retry_after=retry_after))
    with pytest.raises(APIStatusError) as refused:
        client(transport, max_retries=0).licenses.get("0190")
    assert refused.value.retry_after in (None, 0)


@pytest.mark.parametrize(
    "location",
    [
        "https://xn--/",
        "http://host:abc",
        "http://[::1",
        "https://\xff/",
        "http://host:99999999/",
        "//",
        "",
        "\x7f",
    ],
)
def test_a_redirect_to_no_address_is_a_redirect_like_any(kind: str, location: str) -> None:
    def redirect(_: Asked) -> list[bytes]:
        return http({}, "302 Found", f"Location: {location}")

    with serving(redirect) as service, over_http(kind, service.url, max_retries=2) as opened:
        try:
            opened.licenses.get("0190")
        except APIStatusError as refused:
            assert (refused.status_code, len(service.asked)) == (302, 1)
        except APIConnectionError:
            assert location == "\x7f"  # no header at all by HTTP's rules
        else:
            pytest.fail("a redirect was taken for an answer")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\xff\xfe\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 99999 Odd\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; expires=Wed, 99 Abc 99999999999\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 101 Switching\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000,
    ],
    ids=range(11),
)
def test_what_is_no_answer_is_an_error_of_the_package(kind: str, said: bytes) -> None:
    def say(_: Asked) -> Iterator[bytes]:
        yield said
        yield b""

    with (
        serving(say) as service,
        over_http(kind, service.url) as opened,
        pytest.raises(ElicenseError),
    ):
        opened.licenses.get("0190")


def token_client(client: MakeClient, *answers: Response) -> Elicense:
    metadata = json_answer({"issuer": BASE_URL})
    settings: dict[str, Any] = {"api_key": None, "client_id": "c", "private_key": SimulatedSigner("oauth")}
    return client(FakeTransport(metadata, *answers), **settings)


@pytest.mark.parametrize(
    "token",
    [
        {"access_token": "t", "expires_in": BEYOND},
        {"access_token": "t", "expires_in": 10**30},
        {"access_token": "t", "expires_in": -1},
        {"access_token": "t", "expires_in": "600"},
        {"access_token": "a b", "expires_in": 600},
        {"access_token": "a\nb", "expires_in": 600},
        {"access_token": "中", "expires_in": 600},
        {"access_token": "", "expires_in": 600},
        {"access_token": 5, "expires_in": 600},
        {},
    ],
    ids=range(10),
)
def test_an_access_token_that_cannot_be_used_is_an_answer_of_another_shape(
    client: MakeClient, token: dict[str, object]
) -> None:
    with pytest.raises(APIResponseError):
        token_client(client, json_answer(token), json_answer(LICENSE)).licenses.get("0190")


@pytest.mark.parametrize("duration", [BEYOND, -1, True, "5", None, float("inf"), float("nan")], ids=str)
def test_a_duration_beyond_all_bounds_is_refused(client: MakeClient, duration: object) -> None:
    entry = {
        "at": "2026-11-23T12:00:00Z",
        "method": "GET",
        "route": "/",
        "status": 200,
        "request_id": "r",
        "duration_ms": duration,
    }
    with pytest.raises(APIResponseError):
        client(FakeTransport(json_answer({"data": [entry]}))).requests()


@pytest.mark.parametrize("ahead", [BEYOND, -BEYOND, 10**15])
def test_a_clock_beyond_the_calendar_is_refused(client: MakeClient, ahead: int) -> None:
    now = "2026-11-23T12:00:00Z"
    clock = json_answer({"now": now, "ahead_seconds": ahead, "true_time": now})
    with pytest.raises(APIResponseError):
        client(FakeTransport(clock)).sandbox.clock()


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+08:00", "9999-12-31T23:59:59-08:00"])
def test_a_time_that_utc_does_not_have_is_refused(client: MakeClient, moment: str) -> None:
    with pytest.raises(APIResponseError, match="UTC"):
        client(FakeTransport(json_answer({**LICENSE, "created_at": moment}))).licenses.get("0190")


@pytest.mark.parametrize(
    "body", [b"NaN", b'{"a": NaN}', b'{"a": -Infinity}', b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}"]
)
def test_what_is_no_json_is_refused(client: MakeClient, body: bytes) -> None:
    answer = Response(status=200, headers={}, body=body)
    with pytest.raises(APIResponseError, match="not JSON"):
        client(FakeTransport(answer)).licenses.get("0190")
