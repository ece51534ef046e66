"""Orders in the SDK: nobody takes a proposal for a revocation, and every answer has its type."""

from datetime import UTC, date, datetime

import pytest

from elicense import (
    APIResponseError,
    ApprovalPendingError,
    ConfigurationError,
    License,
    Proposal,
    ScheduledChange,
)
from elicense.client.errors import (
    AlreadyDecidedError,
    InvalidEffectiveAtError,
    OwnProposalError,
    ProposalExpiredError,
    ProposalOutdatedError,
)
from tests.sdk_clients import LICENSE, FakeTransport, MakeClient, body_of, json_answer, problem

ORDER = {"license_id": "0190", "action": "revoke", "reason_code": "x", "reason": "y", "arguments": {}}
CHANGE = {
    "kind": "scheduled_change",
    "id": "c-1",
    **ORDER,
    "effective_at": "2026-12-31T16:00:00Z",
    "status": "scheduled",
    "ordered_by": "client-1",
    "ordered_at": "2026-11-24T00:00:00Z",
    "proposal_id": None,
    "proposed_by": None,
    "approved_by": None,
    "ended_by": None,
    "ended_at": None,
    "end_reason": None,
    "outcome": None,
}
PROPOSAL = {
    "kind": "proposal",
    "id": "p-1",
    **ORDER,
    "effective_at": None,
    "status": "open",
    "proposed_by": "client-1",
    "proposed_at": "2026-11-24T00:00:00Z",
    "expires_at": "2026-12-01T00:00:00Z",
    "decided_by": None,
    "decided_at": None,
    "decision_reason": None,
    "scheduled_change_id": None,
}
PREVIEW = {
    "license_id": "0190",
    "identifier": "1.2",
    "action": "revoke",
    "from_state": "active",
    "to_state": "revoked",
    "two_person": True,
    "versions": [
        {
            "version": "001",
            "identifier": "1.2",
            "from_state": "active",
            "to_state": "revoked",
            "status_list": "https://license.example/v1/status-lists/1",
            "status_index": 7,
            "from_value": 0,
            "to_value": 1,
        }
    ],
    "dependants": [{"kind": "relying_parties", "count": 2, "text": {"zh": "两个", "en": "two"}}],
    "as_of": "2026-11-24T00:00:00Z",
}
ACTIONS = ("suspend", "resume", "revoke", "cancel")


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_answers_the_changed_license_as_ever(client: MakeClient, action: str) -> None:
    transport = FakeTransport(json_answer(LICENSE), json_answer(LICENSE))
    licenses = client(transport).licenses
    assert isinstance(getattr(licenses, action)("0190", reason_code="x", reason="y"), License)
    same = getattr(licenses, action)("0190", reason_code="x", reason="y", allow_proposal=True)
    assert isinstance(same, License)
    assert body_of(transport.requests[0]) == {"reason_code": "x", "reason": "y"}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_proposal_is_not_taken_for_a_change_of_the_license(client: MakeClient, action: str) -> None:
    transport = FakeTransport(json_answer(PROPOSAL, 202), json_answer(PROPOSAL, 202))
    licenses = client(transport).licenses
    with pytest.raises(ApprovalPendingError) as pending:
        getattr(licenses, action)("0190", reason_code="x", reason="y")
    assert pending.value.proposal.id == "p-1"
    proposal = getattr(licenses, action)("0190", reason_code="x", reason="y", allow_proposal=True)
    assert proposal == pending.value.proposal


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (date(2027, 1, 1), "2027-01-01"),
        ("2027-01-01", "2027-01-01"),
        (datetime(2027, 1, 1, 8, tzinfo=UTC), "2027-01-01T08:00:00Z"),
        ("2027-01-01T08:00:00+08:00", "2027-01-01T08:00:00+08:00"),
    ],
)
def test_an_order_for_later_answers_what_was_scheduled(
    client: MakeClient, given: datetime | date | str, sent: str
) -> None:
    transport = FakeTransport(json_answer(CHANGE, 202))
    change = client(transport).licenses.revoke("0190", reason_code="x", reason="y", effective_at=given)
    assert isinstance(change, ScheduledChange)
    assert change.effective_at == datetime(2026, 12, 31, 16, tzinfo=UTC)
    assert body_of(transport.requests[0]) == {"reason_code": "x", "reason": "y", "effective_at": sent}


def test_an_order_for_later_may_need_a_second_person_too(client: MakeClient) -> None:
    later = {**PROPOSAL, "effective_at": "2026-12-31T16:00:00Z"}
    transport = FakeTransport(json_answer(later, 202))
    proposal = client(transport).licenses.cancel(
        "0190", reason_code="x", reason="y", effective_at="2027-01-01"
    )
    assert isinstance(proposal, Proposal)
    assert proposal.effective_at == datetime(2026, 12, 31, 16, tzinfo=UTC)


def test_a_moment_without_its_zone_is_refused_before_anything_is_sent(client: MakeClient) -> None:
    transport = FakeTransport()
    with pytest.raises(ConfigurationError, match="zone"):
        client(transport).licenses.revoke(
            "0190",
            reason_code="x",
            reason="y",
            effective_at=datetime(2027, 1, 1),
        )
    assert transport.requests == []


@pytest.mark.parametrize("answer", [CHANGE, {**CHANGE, "kind": "something newer"}])
def test_an_answer_of_another_kind_is_named_as_such(client: MakeClient, answer: dict[str, object]) -> None:
    transport = FakeTransport(json_answer(answer, 202))
    with pytest.raises(APIResponseError, match="kind"):
        client(transport).licenses.revoke("0190", reason_code="x", reason="y")


def test_a_license_in_force_is_no_answer_to_an_order_for_later(client: MakeClient) -> None:
    transport = FakeTransport(json_answer(LICENSE))
    with pytest.raises(APIResponseError, match="kind"):
        client(transport).licenses.revoke("0190", reason_code="x", reason="y", effective_at="2027-01-01")


def test_a_preview_is_read_whole(client: MakeClient) -> None:
    transport = FakeTransport(json_answer(PREVIEW))
    preview = client(transport).licenses.preview("0190", action="revoke")
    assert transport.requests[0].url == "https://license.example/v1/licenses/0190/preview?action=revoke"
    assert (preview.from_state, preview.to_state, preview.two_person) == ("active", "revoked", True)
    assert preview.versions[0].status_index == 7
    (dependant,) = preview.dependants
    assert (dependant.kind, dependant.count, dependant.text_zh) == ("relying_parties", 2, "两个")


@pytest.mark.parametrize("broken", [{"two_person": "yes"}, {"dependants": [{"kind": "x", "count": True}]}])
def test_a_preview_of_another_shape_is_an_error(client: MakeClient, broken: dict[str, object]) -> None:
    with pytest.raises(APIResponseError):
        client(FakeTransport(json_answer(PREVIEW | broken))).licenses.preview("0190", action="revoke")


def test_scheduled_changes_are_listed_read_and_cancelled(client: MakeClient) -> None:
    page = {"data": [CHANGE], "next_cursor": None}
    cancelled = {**CHANGE, "status": "cancelled", "ended_by": "client-1", "ended_at": "2026-11-24T01:00:00Z"}
    transport = FakeTransport(
        json_answer(page), json_answer(page), json_answer(CHANGE), json_answer(cancelled)
    )
    service = client(transport)
    assert [one.id for one in service.licenses.scheduled("0190", status="scheduled")] == ["c-1"]
    assert [one.id for one in service.scheduled_changes.list(status="failed", limit=5)] == ["c-1"]
    assert service.scheduled_changes.get("c-1").outcome is None
    assert service.scheduled_changes.cancel("c-1", reason="不再需要").status == "cancelled"
    assert [request.url.removeprefix("https://license.example") for request in transport.requests] == [
        "/v1/licenses/0190/scheduled?status=scheduled",
        "/v1/scheduled-changes?status=failed&limit=5",
        "/v1/scheduled-changes/c-1",
        "/v1/scheduled-changes/c-1/cancel",
    ]
    assert body_of(transport.requests[-1]) == {"reason": "不再需要"}


def test_a_succession_that_waits_is_not_taken_for_recorded(client: MakeClient) -> None:
    waiting = {**PROPOSAL, "action": "succession"}
    service = client(FakeTransport(json_answer(waiting, 202), json_answer(CHANGE, 202), json_answer(LICENSE)))
    for error in (ApprovalPendingError, APIResponseError):
        with pytest.raises(error):
            service.licenses.succession(
                "0190", relation="replaced_by", successors=["x"], reason_code="x", reason="y"
            )
    recorded = service.licenses.succession(
        "0190", relation="replaced_by", successors=["x"], reason_code="x", reason="y"
    )
    assert isinstance(recorded, License)


def test_cancelling_what_two_persons_scheduled_is_not_taken_for_done(client: MakeClient) -> None:
    waiting = {**PROPOSAL, "action": "cancel_scheduled", "arguments": {"scheduled_change_id": "c-1"}}
    service = client(FakeTransport(json_answer(waiting, 202), json_answer(LICENSE)))
    with pytest.raises(ApprovalPendingError) as pending:
        service.scheduled_changes.cancel("c-1")
    assert pending.value.proposal.arguments == {"scheduled_change_id": "c-1"}
    with pytest.raises(APIResponseError, match="kind"):
        service.scheduled_changes.cancel("c-1")


def test_proposals_are_listed_read_and_decided(client: MakeClient) -> None:
    pages = ({"data": [PROPOSAL], "next_cursor": "c2"}, {"data": [], "next_cursor": None})
    approved = {**PROPOSAL, "status": "approved", "decided_by": "client-2"}
    transport = FakeTransport(
        *(json_answer(page) for page in pages),
        json_answer(PROPOSAL),
        json_answer(approved),
        json_answer({**approved, "status": "rejected"}),
    )
    service = client(transport)
    assert [one.id for one in service.proposals.iterate(status="open")] == ["p-1"]
    assert service.proposals.get("p-1").status == "open"
    assert service.proposals.approve("p-1").decided_by == "client-2"
    assert service.proposals.reject("p-1").status == "rejected"
    assert [request.url.removeprefix("https://license.example") for request in transport.requests] == [
        "/v1/proposals?status=open",
        "/v1/proposals?status=open&cursor=c2",
        "/v1/proposals/p-1",
        "/v1/proposals/p-1/approve",
        "/v1/proposals/p-1/reject",
    ]
    assert body_of(transport.requests[3]) == body_of(transport.requests[4]) == {}
    keys = [request.headers["Idempotency-Key"] for request in transport.requests[3:]]
    assert len(set(keys)) == 2


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "own_proposal", OwnProposalError),
        (409, "already_decided", AlreadyDecidedError),
        (409, "proposal_expired", ProposalExpiredError),
        (409, "proposal_outdated", ProposalOutdatedError),
        (422, "invalid_effective_at", InvalidEffectiveAtError),
    ],
)
def test_each_refusal_has_its_error(
    client: MakeClient, status: int, code: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        client(FakeTransport(problem(status, code))).proposals.approve("p-1")
