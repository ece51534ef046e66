"""The client's calls that make versions and name successors: what they send, and what they read of the answers."""

from datetime import date
from typing import Any

import pytest

from elicense import Holder
from elicense.client.errors import InvalidSuccessionError, NoChangeError, VersionsExhaustedError
from tests.sdk_clients import LICENSE, FakeTransport, MakeClient, body_of, json_answer, problem

WHY = {"reason_code": "change_of_address", "reason": "住所变更"}
HOLDER = Holder(code="H", code_type="001", name="新名称")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (
            {"elements": {"address": "y", "company_type": None}},
            {"elements": {"address": "y", "company_type": None}},
        ),
        ({"holder": HOLDER}, {"holder": {"code": "H", "code_type": "001", "name": "新名称"}}),
        ({"holder": {"name": "新名称"}}, {"holder": {"name": "新名称"}}),
        ({"valid_until": None}, {"valid_until": None}),
        ({"valid_until": date(2040, 1, 1)}, {"valid_until": "2040-01-01"}),
        ({"area_code": "320500"}, {"area_code": "320500"}),
    ],
)
def test_an_amendment_sends_what_is_to_be_different_and_nothing_else(
    client: MakeClient, given: dict[str, Any], sent: dict[str, Any]
) -> None:
    transport = FakeTransport(json_answer({**LICENSE, "version": "002"}))
    assert client(transport).licenses.amend("0190", **WHY, **given).version == "002"
    assert transport.requests[0].url == "https://license.example/v1/licenses/0190/amend"
    assert body_of(transport.requests[0]) == {**WHY, **sent}


def test_a_renewal_says_its_end_and_what_else_was_given(client: MakeClient) -> None:
    transport = FakeTransport(json_answer(LICENSE), json_answer(LICENSE))
    licenses = client(transport).licenses
    licenses.renew("0190", valid_until=None, **WHY)
    licenses.renew(
        "0190", valid_until="2040-01-01", valid_from=date(2030, 1, 1), issue_date="2029-12-01", **WHY
    )
    assert [body_of(request) for request in transport.requests] == [
        {**WHY, "valid_until": None},
        {**WHY, "valid_until": "2040-01-01", "valid_from": "2030-01-01", "issue_date": "2029-12-01"},
    ]
    assert transport.requests[0].url.endswith("/v1/licenses/0190/renew")


def test_a_succession_names_relation_and_successors(client: MakeClient) -> None:
    transport = FakeTransport(json_answer({**LICENSE, "status": "superseded"}))
    ended = client(transport).licenses.succession(
        "0190", relation="split_to", successors=("a", "b"), reason_code="division", reason="分立"
    )
    assert ended.status == "superseded"
    assert body_of(transport.requests[0]) == {
        "relation": "split_to",
        "successors": ["a", "b"],
        "reason_code": "division",
        "reason": "分立",
    }


def test_a_revocation_says_its_kind_if_it_is_given(client: MakeClient) -> None:
    transport = FakeTransport(json_answer(LICENSE), json_answer(LICENSE))
    client(transport).licenses.revoke("0190", kind="annulled", **WHY)
    client(transport).licenses.revoke("0190", **WHY)
    assert [body_of(request) for request in transport.requests] == [{**WHY, "kind": "annulled"}, WHY]


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (409, "no_change", NoChangeError),
        (409, "versions_exhausted", VersionsExhaustedError),
        (422, "invalid_succession", InvalidSuccessionError),
    ],
)
def test_refusals_have_errors_of_their_own(
    client: MakeClient, status: int, code: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        client(FakeTransport(problem(status, code))).licenses.amend("0190", area_code="320500", **WHY)


def test_the_history_tells_details_and_a_verification_what_took_the_place(client: MakeClient) -> None:
    entry = {
        "version": "002",
        "action": "amend",
        "from_status": "active",
        "to_status": "active",
        "actor": "c",
        "recorded_at": "2026-11-23T12:00:00Z",
        "effective_at": "2026-11-23T12:00:00Z",
        "reason_code": "change_of_address",
        "reason": "住所变更",
        "details": {"previous": "1.2.156.3005.2.T.A.S.001.X", "changed": "address"},
    }
    verification = {
        "id": "v",
        "verdict": "invalid",
        "reason": "mismatch",
        "superseded_by": None,
        "successors": ["1.2.3", "1.2.4"],
        "elements": [
            {"name": "address", "outcome": "former_value", "changed_on": "2026-11-23"},
            {"name": "number", "outcome": "match"},
        ],
    }
    transport = FakeTransport(json_answer({"data": [entry], "next_cursor": None}), json_answer(verification))
    (read,) = client(transport).licenses.history("0190")
    assert read.details == entry["details"]
    answer = client(transport).verifications.create(license={"identifier": "x"})
    assert answer.successors == ("1.2.3", "1.2.4")
    assert [(item.outcome, item.changed_on) for item in answer.elements] == [
        ("former_value", date(2026, 11, 23)),
        ("match", None),
    ]
