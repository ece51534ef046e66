"""Settings and questions that cannot work: refused by name and at once, before anything is sent."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from elicense import AsyncElicense, ConfigurationError, Elicense, OfflineVerifier, TrustError
from tests.sdk_clients import LICENSE, VERIFICATION, FakeTransport, MakeClient, json_answer
from tests.simulator import Installation, SimulatedSigner

EAST = timezone(timedelta(hours=8))
KINDS = [Elicense, AsyncElicense]


def deep(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(levels):
        made = {"x": made}
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://[]",
        "http://host:abc",
        "http://host:99999",
        "https://host?",
        "https://host#",
        "https://@host",
        "https://:@host",
        "https://ho st",
        "https://host\n",
        "\thttps://host",
        "https://host\\evil",
        "https://host/\x00",
        "https://ho%73t",
        "https://host/..",
        "https://host/./x",
        "https://xn--",
        "https://xn--/",
        "https://\ud800",
        "https://a..b",
        "https://" + "a" * 64,
        "//host",
    ],
)
def test_an_address_that_is_none_is_refused_at_once(kind: type[Elicense], url: str) -> None:
    with pytest.raises(ConfigurationError):
        kind(api_key="k", base_url=url)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "url", ["http://[::1]:8000", "HTTPS://host./x", "https://许可.example", "https://xn--fiqs8s.example"]
)
def test_an_address_may_be_of_any_kind(kind: type[Elicense], url: str) -> None:
    kind(api_key="k", base_url=url)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PROXY", "foo://x"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1"),
        ("ALL_PROXY", "http://[::1"),
        ("NO_PROXY", "[::1"),
        ("SSL_CERT_FILE", "/nonexistent/ca.pem"),
    ],
)
def test_an_environment_that_cannot_work_is_told_at_once(
    kind: type[Elicense], name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    if name == "NO_PROXY":
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match=name):
        kind(api_key="k", base_url="https://license.example")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "settings",
    [
        {"language": "zh\r\nX: y"},
        {"language": "fr"},
        {"client_id": "\ud800", "private_key": SimulatedSigner("oauth")},
        {"client_id": "", "private_key": SimulatedSigner("oauth")},
        {"client_id": "c", "private_key": SimulatedSigner("oauth"), "issuer": "\ud800"},
        {"client_id": "c", "private_key": "\0"},
        {"api_key": ""},
        {"api_key": "\ud800"},
    ],
    ids=range(8),
)
def test_other_settings_that_cannot_work_are_refused_at_once(
    kind: type[Elicense], settings: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError):
        kind(base_url="https://license.example", **settings)


@pytest.mark.parametrize("kind", KINDS)
def test_a_trust_root_that_is_no_path_cannot_be_read(kind: type[Elicense]) -> None:
    with pytest.raises(TrustError, match="unreadable"):
        kind(api_key="k", trust_root="\0")
    for files in ({"trust_root": "\0"}, {"trust_root": Installation().trust_root(), "bundle": "\0"}):
        with pytest.raises(TrustError, match="unreadable"):
            OfflineVerifier(**files)  # type: ignore[arg-type]


def test_an_empty_key_in_the_environment_is_none(client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELICENSE_API_KEY", "")
    made = client(FakeTransport(json_answer({"status_lists": []})), api_key=None)
    assert made.trust.status_lists() == []
    with pytest.raises(ConfigurationError, match="needs an API key"):
        made.licenses.get("0190")


@pytest.mark.parametrize("license_id", ["", ".", "..", "\ud800"])
def test_an_id_that_names_nothing_is_refused_and_nothing_sent(client: MakeClient, license_id: str) -> None:
    transport = FakeTransport(json_answer(LICENSE))
    made = client(transport)
    with pytest.raises(ConfigurationError):
        made.licenses.get(license_id)
    with pytest.raises(ConfigurationError):
        made.licenses.revoke(license_id, reason_code="x", reason="y")
    assert transport.requests == []


@pytest.mark.parametrize("license_id", ["...", "a/b", "a?b", "a#b", "..%2f", "\n"])
def test_any_other_id_stays_one_segment_of_the_path(client: MakeClient, license_id: str) -> None:
    transport = FakeTransport(json_answer(LICENSE))
    client(transport).licenses.get(license_id)
    assert transport.requests[0].url.count("/") == 5
    assert not {"?", "#", "\n"} & set(transport.requests[0].url)


@pytest.mark.parametrize("key", ["", " ", " x", "a\nb", "中", "x" * 256, "\ud800"])
def test_an_idempotency_key_that_cannot_be_sent_is_refused(client: MakeClient, key: str) -> None:
    transport = FakeTransport(json_answer(VERIFICATION))
    with pytest.raises(ConfigurationError, match="Idempotency-Key"):
        client(transport).verifications.create(code="x", idempotency_key=key)
    assert transport.requests == []


def test_questions_that_cannot_be_written_are_refused(client: MakeClient) -> None:
    made = client(FakeTransport()).verifications
    for question in (
        {"elements": deep(100_000)},
        {"at": datetime.min.replace(tzinfo=EAST)},
        {"elements": {"x": "\ud800"}},
    ):
        with pytest.raises(ConfigurationError):
            made.create(code="x", **question)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        made.list(reference="\ud800")
    with pytest.raises(ConfigurationError):
        made.list(due_before=datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))))


def test_the_first_moment_of_utc_can_be_asked_about(client: MakeClient) -> None:
    transport = FakeTransport(json_answer(VERIFICATION))
    client(transport).verifications.create(code="x", at=datetime.min.replace(tzinfo=UTC))
    assert b"0001-01-01T00:00:00Z" in (transport.requests[0].body or b"")


def test_a_client_that_is_closed_says_so_in_every_loop() -> None:
    made = AsyncElicense(api_key="k", base_url="http://127.0.0.1:1")
    asyncio.run(made.aclose())
    with pytest.raises(Exception, match="closed"):
        asyncio.run(made.licenses.get("0190"))
