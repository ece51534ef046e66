"""What both clients keep to themselves: keys, bodies, cookies; and what others may log of them."""

import asyncio
import contextlib
import logging
import re
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from elicense import (
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AsyncElicense,
    ConfigurationError,
    Elicense,
    ElicenseError,
    License,
)
from elicense.client._checks import check_api_key
from elicense.client._oauth import _Token
from elicense.client._protocol import Endpoint
from elicense.client._shell import token_of, with_token
from tests.sdk_clients import LICENSE, FakeTransport, MakeClient, json_answer, problem

ROOT = Path(__file__).resolve().parents[2]
CLEAR = "http://license.example"


@pytest.mark.parametrize("kind", [Elicense, AsyncElicense])
@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("http://license.example", True),
        ("http://10.1.2.3:8000", True),
        ("http://127.0.0.1.example", True),
        ("http://localhost.example", True),
        ("http://localhost:8000", False),
        ("http://localhost.:8000", False),
        ("http://127.0.0.2:8000", False),
        ("http://0.0.0.0:8000", False),
        ("http://[::1]:8000", False),
        ("https://license.example", False),
    ],
)
def test_a_key_passes_no_network_in_clear_text(
    kind: type[Elicense] | type[AsyncElicense], url: str, refused: bool
) -> None:
    assert kind(api_key="k", base_url=url, allow_http=True)
    if not refused:
        assert kind(api_key="k", base_url=url)
        return
    with pytest.raises(ConfigurationError, match="clear text"):
        kind(api_key="k", base_url=url)
    with pytest.raises(ConfigurationError, match="clear text"):
        kind(client_id="c", private_key=b"unread", base_url=url)


def test_a_transport_of_ones_own_knows_what_it_sends_where(client: MakeClient) -> None:
    transport = FakeTransport(json_answer(LICENSE))
    client(transport, base_url=CLEAR).licenses.get("0190")
    assert transport.requests[0].url.startswith(CLEAR)


def test_a_key_that_merely_stands_in_the_environment_is_refused_where_a_call_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ELICENSE_API_KEY", "elk_live_a_b")
    mirror = Elicense(base_url=CLEAR)
    with pytest.raises(ConfigurationError, match="clear text"):
        mirror.licenses.get("0190")


def test_this_machine_is_reached_past_the_proxies_of_the_environment(
    local_service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Elicense(api_key="k", base_url=local_service, max_retries=0) as service:
        assert service.licenses.get("0190").id == "0190"

    async def awaited() -> License:
        async with AsyncElicense(api_key="k", base_url=local_service, max_retries=0) as service:
            return await service.licenses.get("0190")

    assert asyncio.run(awaited()).id == "0190"


def test_neither_key_nor_settings_show_in_the_representation(client: MakeClient) -> None:
    assert "elk" not in repr(client(FakeTransport()))


def shown_by(error: BaseException) -> str:
    """Return what a logger that records local variables keeps of an error in the package's own frames."""
    chain = [error, error.__cause__, error.__context__]
    return "".join(
        line
        for one in chain
        if one is not None
        for frame in traceback.TracebackException.from_exception(one, capture_locals=True).stack
        if "elicense/client" in frame.filename
        for line in [*(frame.locals or {}), *(frame.locals or {}).values()]
    )


def test_a_traceback_with_its_local_variables_shows_no_key(client: MakeClient) -> None:
    transport = FakeTransport(problem(403, "forbidden"), APITimeoutError("x"))
    service = client(transport, api_key="elk_live_hidden_one", max_retries=0)
    with pytest.raises(APIStatusError) as refused:
        service.verifications.create(code="of a person")
    with pytest.raises(APITimeoutError) as late:
        service.licenses.get("0190")
    with pytest.raises(ConfigurationError) as wrong:
        service.verifications.create(code="\ud800")
    kept = shown_by(refused.value) + shown_by(late.value) + shown_by(wrong.value)
    assert "request" in kept
    assert "hidden_one" not in kept


@pytest.mark.parametrize("kind", [Elicense, AsyncElicense])
def test_a_client_that_is_set_up_wrongly_shows_no_key_in_a_traceback(
    kind: type[Elicense] | type[AsyncElicense], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kind_of_file = "PRIVATE KEY"
    pem = f"-----BEGIN {kind_of_file}-----\nhidden_one\n-----END {kind_of_file}-----\n".encode()
    (tmp_path / "key.pem").write_bytes(pem)
    monkeypatch.setenv("ELICENSE_API_KEY", "elk_live_hidden_one")
    wrong: list[dict[str, Any]] = [
        {"api_key": "elk_live_hidden_one", "base_url": "https://h/?x"},
        {"api_key": "elk_live_hidden_one", "max_retries": -1},
        {"api_key": "elk_live_hidden_one\n"},
        {"base_url": "https://h/?x"},
        {"client_id": "c", "private_key": pem},
        {"client_id": "c", "private_key": pem.decode()},
        {"client_id": "c", "private_key": tmp_path / "key.pem"},
        {"private_key": pem},
    ]
    for settings in wrong:
        with pytest.raises(ConfigurationError) as refused:
            kind(**settings)
        told = "".join(traceback.format_exception(refused.value)) + shown_by(refused.value)
        assert "hidden_one" not in told, settings


@pytest.mark.parametrize("kind", [Elicense, AsyncElicense])
def test_a_proxys_password_that_is_not_encoded_is_not_repeated(
    kind: type[Elicense] | type[AsyncElicense], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hidden_one/x@proxy.example:3128")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as refused:
        kind(api_key="k", base_url="https://license.example")
    assert "hidden_one" not in "".join(traceback.format_exception(refused.value))


def test_a_request_and_an_answer_do_not_show_what_they_carry() -> None:
    request = Endpoint(base_url="https://a.example", api_key="elk_live_hidden_one").request(
        "POST", ["v1", "x"], body={"holder": "hidden"}, idempotency_key="k"
    )
    assert request.headers["Authorization"] == "Bearer elk_live_hidden_one"
    assert repr(dict(request.headers)) != repr({**request.headers, "Authorization": "x"})
    shown = repr(request) + repr(dict(request.headers)) + repr(with_token(request, "elk_at_hidden"))
    shown += repr(token_of(request)) + repr(json_answer({"access_token": "hidden"}))
    shown += repr(_Token(check_api_key("elk_at_hidden"), datetime.now(UTC)))
    assert "Authorization" in shown
    assert "hidden" not in shown


def test_no_cookie_is_kept(local_service: str) -> None:
    with Elicense(api_key="k", base_url=local_service) as service:
        told = [service.licenses.get("0190").version for _ in range(2)]

    async def awaited() -> list[str]:
        async with AsyncElicense(api_key="k", base_url=local_service) as service:
            return [(await service.licenses.get("0190")).version for _ in range(2)]

    assert told + asyncio.run(awaited()) == ["cookie None"] * 4


def logged(caplog: pytest.LogCaptureFixture, address: str) -> str:
    caplog.clear()
    with Elicense(api_key="elk_live_hidden", base_url=address, max_retries=0) as service:
        with pytest.raises(APIResponseError):
            service.licenses.list(holder_code="91320100MA1TEST")
        with contextlib.suppress(ElicenseError):
            service.verifications.create(credential="eyJcredential~", elements={"name": "a person"})
    return " ".join(record.getMessage() for record in caplog.records)


def test_logs_hold_what_the_readme_of_the_package_says(
    local_service: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    said = logged(caplog, local_service)
    assert "91320100MA1TEST" in said
    assert not any(one in said for one in ("elk_live_hidden", "eyJcredential", "a person"))
    told = (ROOT / "clients/python/README.md").read_text(encoding="utf-8")
    (example,) = [one for one in re.findall(r"```python\n(.*?)```", told, re.DOTALL) if "getLogger" in one]
    try:
        exec(example, {})  # our own README
        assert logged(caplog, local_service) == ""
    finally:
        logging.getLogger("httpx").setLevel(logging.NOTSET)
