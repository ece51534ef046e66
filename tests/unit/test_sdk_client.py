"""Both clients: over a fake transport for their rules; the blocking one over a real socket for its transport."""

import json
from datetime import UTC, date, datetime

import pytest

from elicense import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    ConfigurationError,
    Elicense,
    ElicenseError,
    Timeout,
    TrustError,
)
from elicense.client._protocol import Response
from elicense.client.errors import RateLimitedError, StateConflictError, UnavailableError
from tests.sdk_clients import LICENSE, VERIFICATION, FakeTransport, MakeClient, body_of, json_answer, problem


def test_issue_sends_what_the_contract_says_with_long_term_as_null(client: MakeClient) -> None:
    transport = FakeTransport(json_answer(LICENSE, 201))
    license = client(transport).licenses.issue(
        type_code="11100000MB0143028R001",
        number="N",
        holder={"code": "H", "code_type": "001", "name": "某某"},
        area_code="320100",
        issue_date=date(1980, 2, 3),
        valid_from="1980-02-03",
    )
    assert license.valid_until is None
    assert license.issue_date == date(1980, 2, 3)
    assert body_of(transport.requests[0]) == {
        "type_code": "11100000MB0143028R001",
        "number": "N",
        "holder": {"code": "H", "code_type": "001", "name": "某某"},
        "area_code": "320100",
        "issue_date": "1980-02-03",
        "valid_from": "1980-02-03",
        "valid_until": None,
        "elements": {},
    }


def test_one_idempotency_key_is_kept_over_the_retries_of_a_call(client: MakeClient) -> None:
    slept: list[float] = []
    transport = FakeTransport(
        APITimeoutError("x"), problem(503, "unavailable"), json_answer(LICENSE), json_answer(LICENSE)
    )
    licenses = client(transport, slept=slept).licenses
    licenses.revoke("0190", reason_code="fraud", reason="查实")
    licenses.revoke("0190", reason_code="fraud", reason="查实")
    keys = [request.headers["Idempotency-Key"] for request in transport.requests]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert len(slept) == 2


def test_after_two_retries_the_last_failure_is_raised(client: MakeClient) -> None:
    transport = FakeTransport(*[problem(503, "unavailable")] * 3)
    with pytest.raises(UnavailableError):
        client(transport).licenses.get("0190")
    assert len(transport.requests) == 3


def test_a_retry_after_is_kept_to_and_a_long_one_handed_on(client: MakeClient) -> None:
    slept: list[float] = []
    transport = FakeTransport(
        problem(429, "rate_limited", retry_after="7"), problem(429, "rate_limited", retry_after="61")
    )
    with pytest.raises(RateLimitedError) as refused:
        client(transport, slept=slept).licenses.get("0190")
    assert slept == [7]
    assert refused.value.retry_after == 61


def test_retries_can_be_turned_off(client: MakeClient) -> None:
    transport = FakeTransport(APIConnectionError("x"))
    with pytest.raises(APIConnectionError):
        client(transport, max_retries=0).licenses.get("0190")


def test_a_refused_action_raises_its_own_error_at_once(client: MakeClient) -> None:
    transport = FakeTransport(problem(409, "state_conflict"))
    with pytest.raises(StateConflictError):
        client(transport).licenses.resume("0190", reason_code="x", reason="y")
    assert len(transport.requests) == 1


@pytest.mark.parametrize("action", ["suspend", "resume", "revoke", "cancel"])
def test_each_action_has_its_path(client: MakeClient, action: str) -> None:
    transport = FakeTransport(json_answer(LICENSE))
    getattr(client(transport).licenses, action)("0190", reason_code="x", reason="y")
    assert transport.requests[0].url == f"https://license.example/v1/licenses/0190/{action}"
    assert body_of(transport.requests[0]) == {"reason_code": "x", "reason": "y"}


def test_a_bad_license_is_an_answer_and_not_an_error(client: MakeClient) -> None:
    transport = FakeTransport(json_answer({**VERIFICATION, "reference": "shop-8812"}))
    answer = client(transport).verifications.create(
        license={"holder_code": "H", "type_code": "T"}, elements={"holder_name": "n"}, reference="shop-8812"
    )
    assert not answer
    assert (answer.reason, answer.receipt) == ("revoked", "a.b.c")
    assert body_of(transport.requests[0]) == {
        "license": {"holder_code": "H", "type_code": "T"},
        "elements": {"holder_name": "n"},
        "reference": "shop-8812",
    }


def test_a_key_binding_is_asked_with_a_fresh_nonce(client: MakeClient) -> None:
    transport = FakeTransport(json_answer({"nonce": "n-1"}), json_answer(VERIFICATION), json_answer({}))
    made = client(transport).verifications
    nonce = made.new_nonce()
    made.create(credential="x~", key_binding={"nonce": nonce, "audience": "https://bank.example"})
    assert [request.url.rpartition("/")[2] for request in transport.requests] == [
        "presentation-nonces",
        "verifications",
    ]
    sent = json.loads(transport.requests[1].body or b"")
    assert sent["key_binding"] == {"nonce": "n-1", "audience": "https://bank.example"}
    with pytest.raises(APIResponseError):
        made.new_nonce()


def test_a_batch_keeps_the_order_and_tells_wrong_items_apart(client: MakeClient) -> None:
    wrong = {
        "verdict": "invalid",
        "reason": "malformed",
        "errors": [{"pointer": "/items/1", "detail": "shape"}],
    }
    transport = FakeTransport(
        json_answer({"results": [VERIFICATION, wrong], "summary": {"invalid": 2}, "receipt": "r"})
    )
    batch = client(transport).verifications.batch([{"credential": "x"}, {"nothing": 1}])
    assert [one.reason for one in batch.results] == ["revoked", "malformed"]
    assert batch.results[1].errors[0].pointer == "/items/1"
    assert batch.receipt == "r"


def test_all_pages_are_gone_through(client: MakeClient) -> None:
    transport = FakeTransport(
        json_answer({"data": [LICENSE], "next_cursor": "c2"}), json_answer({"data": [], "next_cursor": None})
    )
    assert [one.id for one in client(transport).licenses.iterate(status="active")] == ["0190"]
    assert transport.requests[1].url.endswith("?status=active&cursor=c2")


def test_an_answer_that_is_no_json_is_named_as_such(client: MakeClient) -> None:
    transport = FakeTransport(Response(status=200, headers={}, body=b"<html>"))
    with pytest.raises(APIResponseError):
        client(transport).licenses.get("0190")


def test_public_documents_are_fetched_without_the_key(client: MakeClient) -> None:
    transport = FakeTransport(Response(status=200, headers={}, body=b"{}"))
    assert client(transport).trust.bundle() == b"{}"
    assert "Authorization" not in transport.requests[0].headers


def test_a_receipt_is_not_checked_without_a_pinned_root(client: MakeClient) -> None:
    transport = FakeTransport()
    with pytest.raises(TrustError, match="no_trust_root"):
        client(transport).verify_receipt("a.b.c")
    assert transport.requests == []


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELICENSE_API_KEY", "elk_live_env")
    monkeypatch.setenv("ELICENSE_BASE_URL", "https://other.example/")
    transport = FakeTransport(json_answer(LICENSE))
    Elicense(transport=transport).licenses.get("0190")
    assert transport.requests[0].url == "https://other.example/v1/licenses/0190"
    assert transport.requests[0].headers["Authorization"] == "Bearer elk_live_env"


def test_over_a_socket_an_answer_arrives(local_service: str) -> None:
    with Elicense(api_key="k", base_url=local_service, language="en") as service:
        assert service.licenses.get("0190").number == "en"


def test_over_a_socket_a_slow_answer_is_a_time_out(local_service: str) -> None:
    with (
        Elicense(api_key="k", base_url=local_service, timeout=Timeout(read=0.2), max_retries=0) as service,
        pytest.raises(APITimeoutError),
    ):
        service.licenses.get("slow")


def test_a_redirect_is_not_followed(local_service: str) -> None:
    with Elicense(api_key="k", base_url=local_service) as service, pytest.raises(Exception, match="302"):
        service.licenses.get("moved")


def test_nobody_listening_is_a_connection_error(local_service: str) -> None:
    with (
        Elicense(api_key="k", base_url="http://127.0.0.1:1", max_retries=0) as service,
        pytest.raises(APIConnectionError),
    ):
        service.licenses.get("0190")


def test_a_closed_client_says_so(local_service: str) -> None:
    service = Elicense(api_key="k", base_url=local_service)
    service.close()
    with pytest.raises(ElicenseError, match="closed"):
        service.licenses.get("0190")


def test_settings_that_cannot_work_are_refused() -> None:
    for settings in ({"base_url": "nowhere"}, {"max_retries": -1}, {"api_key": "\n"}):
        with pytest.raises(ConfigurationError):
            Elicense(**({"transport": FakeTransport()} | settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdict", "reason"), [("valid", "revoked"), ("invalid", "ok"), ("indeterminate", "ok")]
)
def test_an_answer_that_denies_itself_is_none(client: MakeClient, verdict: str, reason: str) -> None:
    answer = {**VERIFICATION, "verdict": verdict, "reason": reason}
    with pytest.raises(APIResponseError, match=reason):
        client(FakeTransport(json_answer(answer))).verifications.create(code="x")
    batch = {"results": [answer], "summary": {}, "receipt": "a.b.c"}
    with pytest.raises(APIResponseError, match=reason):
        client(FakeTransport(json_answer(batch))).verifications.batch([{"code": "x"}])


def test_a_media_type_is_read_whatever_its_case(client: MakeClient) -> None:
    refusal = problem(409, "state_conflict", content_type="Application/Problem+JSON; charset=utf-8")
    with pytest.raises(StateConflictError):
        client(FakeTransport(refusal)).licenses.revoke("0190", reason_code="x", reason="y")


def test_a_dry_run_takes_moments_as_text(client: MakeClient) -> None:
    transport = FakeTransport(
        json_answer(dict.fromkeys(("total", "judged", "same", "changed", "cannot_tell"), 0))
    )
    client(transport).policies.dry_run(
        policy="bank-strict", since="2026-03-01T00:00:00Z", until=datetime(2026, 3, 2, tzinfo=UTC)
    )
    assert body_of(transport.requests[0]) == {
        "policy": "bank-strict",
        "from": "2026-03-01T00:00:00Z",
        "to": "2026-03-02T00:00:00Z",
    }


def test_an_answer_that_is_too_large_is_fetched_once(local_service: str) -> None:
    with Elicense(api_key="k", base_url=local_service) as service:
        with pytest.raises(APIResponseError, match="larger"):
            service.licenses.get("large")
        assert service.licenses.get("counted").version == "1 large"


def test_alarms_are_read_whole(client: MakeClient) -> None:
    alarm = {
        "id": "a",
        "kind": "guessing",
        "license_id": "l",
        "raised_at": "2026-11-23T12:00:00Z",
        "wrong": 60,
        "callers": 3,
    }
    (read,) = client(FakeTransport(json_answer({"data": [alarm], "next_cursor": None}))).alarms()
    assert (read.kind, read.license_id, read.wrong, read.callers) == ("guessing", "l", 60, 3)
    assert read.raised_at == datetime(2026, 11, 23, 12, tzinfo=UTC)
    broken = FakeTransport(json_answer({"data": [{**alarm, "wrong": "60"}], "next_cursor": None}))
    with pytest.raises(APIResponseError):
        client(broken).alarms()
