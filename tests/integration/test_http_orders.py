"""Previews, scheduled changes and proposals over HTTP, as a department's program meets them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.schemas.answers import HistoryPage, LicenseAnswer, LicenseTypeAnswer
from app.api.schemas.orders import (
    PreviewAnswer,
    ProposalAnswer,
    ProposalPage,
    ScheduledChangeAnswer,
    ScheduledChangePage,
)
from tests.installation import BUSINESS_LICENSE
from tests.integration.http_service import HttpService, assert_problem, open_http, shown
from tests.integration.ordering import add_colleague, need_two_persons

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        await add_colleague(opened.installation)
        yield opened


def ahead(service: HttpService, **span: float) -> str:
    """Write a moment ahead of the service's clock."""
    moment = service.installation.clock.now() + timedelta(**span)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


async def order(
    service: HttpService, license_id: str, action: str, *, role: str = "authority", key: str = "", **more: Any
) -> httpx.Response:
    body = {"reason_code": "inspection", "reason": "现场检查", **more}
    headers = {"idempotency-key": key} if key else None
    return await service.call(role, "POST", f"/v1/licenses/{license_id}/{action}", json=body, headers=headers)


async def test_a_preview_changes_nothing_and_names_nobody(service: HttpService) -> None:
    issued = await service.issue()
    await service.verify(credential=await service.credential(issued["id"]))
    path = f"/v1/licenses/{issued['id']}/preview"
    response = await service.call("authority", "GET", f"{path}?action=revoke")
    assert response.status_code == 200, response.text
    PreviewAnswer.model_validate(response.json())
    assert (response.json()["from_state"], response.json()["to_state"]) == ("active", "revoked")
    counts = {one["kind"]: one["count"] for one in response.json()["dependants"]}
    assert counts == {
        "relying_parties": 1,
        "licenses_of_holder": 0,
        "licenses_of_holder_elsewhere": 0,
        "scheduled_changes": 0,
        "proposals": 0,
    }
    assert (await service.call("authority", "GET", f"/v1/licenses/{issued['id']}")).json() == issued
    audit = (await service.call("operator", "GET", "/v1/audit?limit=5")).json()["data"]
    assert {("license.revoke.preview", issued["id"])} <= {(one["action"], one["subject"]) for one in audit}
    assert_problem(await service.call("authority", "GET", f"{path}?action=resume"), "state_conflict")
    for query in ("", "?action=", "?action=issue", "?action=revoke&action=cancel", "?action=revoke&x=1"):
        assert_problem(await service.call("authority", "GET", path + query), "invalid_request")


async def test_an_order_for_later_is_accepted_and_found_again(service: HttpService) -> None:
    issued = await service.issue()
    moment = ahead(service, hours=1)
    response = await order(service, issued["id"], "revoke", effective_at=moment, key="k")
    assert response.status_code == 202, response.text
    change = response.json()
    ScheduledChangeAnswer.model_validate(change)
    assert (change["kind"], change["status"], change["effective_at"]) == (
        "scheduled_change",
        "scheduled",
        moment,
    )
    assert response.headers["location"] == f"/v1/scheduled-changes/{change['id']}"
    again = await order(service, issued["id"], "revoke", effective_at=moment, key="k")
    assert (again.status_code, again.json()) == (202, change)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == response.headers["location"]
    other = await order(service, issued["id"], "revoke", effective_at=ahead(service, hours=2), key="k")
    assert_problem(other, "idempotency_mismatch")

    assert (await service.call("authority", "GET", response.headers["location"])).json() == change
    for path in (f"/v1/licenses/{issued['id']}/scheduled", "/v1/scheduled-changes?status=scheduled"):
        listed = await service.call("colleague", "GET", path)
        ScheduledChangePage.model_validate(listed.json())
        assert listed.json() == {"data": [change], "next_cursor": None}
    assert (await service.call("authority", "GET", "/v1/scheduled-changes?status=done")).json()["data"] == []

    service.installation.clock.advance(seconds=3601)
    assert await service.installation.services.due_changes.perform_due() == 1
    done = (await service.call("authority", "GET", response.headers["location"])).json()
    ScheduledChangeAnswer.model_validate(done)
    assert (done["status"], done["outcome"]) == ("done", "ok")
    history = (await service.call("authority", "GET", f"/v1/licenses/{issued['id']}/history")).json()
    HistoryPage.model_validate(history)
    assert history["data"][-1]["effective_at"] == moment
    assert history["data"][-1]["details"] == {"kind": "penalty", "scheduled_change": change["id"]}
    cancel = await service.call("authority", "POST", f"{response.headers['location']}/cancel", json={})
    assert_problem(cancel, "already_decided")


async def test_a_civil_day_stands_for_its_beginning_in_china(service: HttpService) -> None:
    issued = await service.issue()
    day = (service.installation.clock.now() + timedelta(days=30)).astimezone(UTC).date()
    response = await order(service, issued["id"], "suspend", effective_at=day.isoformat())
    assert response.status_code == 202, response.text
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=8)
    assert response.json()["effective_at"] == midnight.strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_a_time_of_effect_that_is_none_is_refused(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    issued = await service.issue()
    cases: tuple[tuple[object, str], ...] = (
        ("2026-02-30", "invalid_request"),
        ("2030-01-01T00:00:00", "invalid_request"),
        ("tomorrow", "invalid_request"),
        (1_900_000_000, "invalid_request"),
        ("", "invalid_request"),
        ("0001-01-01", "invalid_request"),
        ("9999-12-31T23:59:59-23:59", "invalid_request"),
        ("1970-01-01", "invalid_effective_at"),
        ("9999-12-31", "invalid_effective_at"),
        (ahead(service, seconds=-1), "invalid_effective_at"),
        (ahead(service, days=367), "invalid_effective_at"),
    )
    for value, code in cases:
        with subtests.test(value=shown(value)):
            response = await order(service, issued["id"], "suspend", effective_at=value)
            assert_problem(response, code)
            assert response.json()["errors"][0]["pointer"] == "/effective_at"
    at_once = await order(service, issued["id"], "suspend", effective_at=None)
    assert at_once.status_code == 200
    LicenseAnswer.model_validate(at_once.json())


async def test_cancelling_is_repeated_under_its_key(service: HttpService) -> None:
    issued = await service.issue()
    change = (await order(service, issued["id"], "revoke", effective_at=ahead(service, hours=1))).json()
    path = f"/v1/scheduled-changes/{change['id']}/cancel"
    headers = {"idempotency-key": "c"}
    first = await service.call("colleague", "POST", path, json={"reason": "不再需要"}, headers=headers)
    again = await service.call("colleague", "POST", path, json={"reason": "不再需要"}, headers=headers)
    ScheduledChangeAnswer.model_validate(first.json())
    assert (first.json()["status"], first.json()["end_reason"]) == ("cancelled", "不再需要")
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert_problem(await service.call("authority", "POST", path, json={"reasn": "x"}), "invalid_request")


async def test_two_persons_revoke_a_license(service: HttpService) -> None:
    await need_two_persons(service.installation, "revoke")
    kind = (await service.http.get(f"/v1/license-types/{BUSINESS_LICENSE}")).json()
    LicenseTypeAnswer.model_validate(kind)
    assert kind["two_person"] == ["revoke"]
    issued = await service.issue()
    response = await order(service, issued["id"], "revoke", key="k")
    assert response.status_code == 202, response.text
    proposal = response.json()
    ProposalAnswer.model_validate(proposal)
    assert (proposal["kind"], proposal["status"]) == ("proposal", "open")
    assert response.headers["location"] == f"/v1/proposals/{proposal['id']}"
    assert (await order(service, issued["id"], "revoke", key="k")).json() == proposal
    listed = await service.call("colleague", "GET", "/v1/proposals?status=open")
    ProposalPage.model_validate(listed.json())
    assert listed.json()["data"] == [proposal]

    path = response.headers["location"]
    own = await service.call("authority", "POST", f"{path}/approve", json={})
    assert_problem(own, "own_proposal")
    assert_problem(
        await service.call("colleague", "POST", f"{path}/approve", json={"x": 1}), "invalid_request"
    )
    headers = {"idempotency-key": "a"}
    approved = await service.call("colleague", "POST", f"{path}/approve", json={}, headers=headers)
    assert approved.status_code == 200, approved.text
    ProposalAnswer.model_validate(approved.json())
    assert approved.json()["status"] == "approved"
    again = await service.call("colleague", "POST", f"{path}/approve", json={}, headers=headers)
    assert (again.content, again.headers["idempotent-replayed"]) == (approved.content, "true")
    assert_problem(await service.call("colleague", "POST", f"{path}/approve", json={}), "already_decided")
    assert_problem(await service.call("authority", "POST", f"{path}/reject", json={}), "already_decided")
    assert (await service.call("authority", "GET", path)).json() == approved.json()
    license = (await service.call("authority", "GET", f"/v1/licenses/{issued['id']}")).json()
    assert license["status"] == "revoked"
    history = (await service.call("authority", "GET", f"/v1/licenses/{issued['id']}/history")).json()
    assert history["data"][-1]["details"]["approved_by"] == history["data"][-1]["actor"]


async def test_a_proposal_can_be_rejected_with_a_reason_or_for_a_later_time(service: HttpService) -> None:
    await need_two_persons(service.installation, "cancel")
    issued = await service.issue()
    first = (await order(service, issued["id"], "cancel")).json()
    path = f"/v1/proposals/{first['id']}"
    rejected = await service.call("colleague", "POST", f"{path}/reject", json={"reason": "材料不齐"})
    ProposalAnswer.model_validate(rejected.json())
    assert (rejected.json()["status"], rejected.json()["decision_reason"]) == ("rejected", "材料不齐")
    moment = ahead(service, hours=2)
    later = (await order(service, issued["id"], "cancel", effective_at=moment)).json()
    assert (later["kind"], later["effective_at"], later["expires_at"]) == ("proposal", moment, moment)
    approved = await service.call("colleague", "POST", f"/v1/proposals/{later['id']}/approve", json={})
    change = f"/v1/scheduled-changes/{approved.json()['scheduled_change_id']}"
    scheduled = (await service.call("authority", "GET", change)).json()
    assert scheduled["proposal_id"] == later["id"]
    assert scheduled["proposed_by"] == later["proposed_by"] != scheduled["approved_by"]
    statuses = [
        one["status"] for one in (await service.call("authority", "GET", "/v1/proposals")).json()["data"]
    ]
    assert sorted(statuses) == ["approved", "rejected"]


async def test_what_two_persons_scheduled_takes_two_to_cancel(service: HttpService) -> None:
    await need_two_persons(service.installation, "revoke")
    issued = await service.issue()
    moment = ahead(service, hours=2)
    revocation = (await order(service, issued["id"], "revoke", effective_at=moment)).json()
    approved = await service.call("colleague", "POST", f"/v1/proposals/{revocation['id']}/approve", json={})
    change = f"/v1/scheduled-changes/{approved.json()['scheduled_change_id']}"
    # Whoever ordered or approved it cannot take it back alone, and neither can anybody else.
    proposed = await service.call(
        "colleague",
        "POST",
        f"{change}/cancel",
        json={"reason": "另有处理"},
        headers={"idempotency-key": "c"},
    )
    assert proposed.status_code == 202, proposed.text
    proposal = proposed.json()
    ProposalAnswer.model_validate(proposal)
    assert (proposal["action"], proposal["reason"]) == ("cancel_scheduled", "另有处理")
    assert (proposal["status"], proposal["license_id"]) == ("open", issued["id"])
    assert (await service.call("authority", "GET", change)).json()["status"] == "scheduled"
    approve = f"/v1/proposals/{proposal['id']}/approve"
    assert_problem(await service.call("colleague", "POST", approve, json={}), "own_proposal")
    assert_problem(await service.call("other_authority", "POST", approve, json={}), "not_found")
    done = await service.call("authority", "POST", approve, json={}, headers={"idempotency-key": "a"})
    assert (done.status_code, done.json()["status"]) == (200, "approved")
    cancelled = (await service.call("authority", "GET", change)).json()
    assert (cancelled["status"], cancelled["outcome"]) == ("cancelled", "cancelled")
    assert (cancelled["end_reason"], cancelled["ended_by"]) == ("另有处理", done.json()["decided_by"])
    assert (await service.call("authority", "GET", f"/v1/licenses/{issued['id']}")).json()[
        "status"
    ] == "active"
    repeated = (
        ("colleague", f"{change}/cancel", {"reason": "另有处理"}, "c", proposed),
        ("authority", approve, {}, "a", done),
    )
    for role, path, body, key, first in repeated:
        again = await service.call(role, "POST", path, json=body, headers={"idempotency-key": key})
        assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert_problem(await service.call("authority", "POST", f"{change}/cancel", json={}), "already_decided")
    # What one person scheduled one person cancels, as before.
    alone = (await order(service, issued["id"], "suspend", effective_at=moment)).json()
    path = f"/v1/scheduled-changes/{alone['id']}/cancel"
    assert (await service.call("colleague", "POST", path, json={})).json()["status"] == "cancelled"


async def test_a_succession_takes_two_persons_where_its_type_says_so(service: HttpService) -> None:
    await need_two_persons(service.installation, "succession")
    issued, successor = await service.issue(), await service.issue()
    path = f"/v1/licenses/{issued['id']}"
    why = {"reason_code": "merger", "reason": "吸收合并", "relation": "merged_into"}

    async def record(*successors: str, key: str | None = None) -> httpx.Response:
        headers = {"idempotency-key": key} if key else {}
        body = {**why, "successors": list(successors)}
        return await service.call("authority", "POST", f"{path}/succession", json=body, headers=headers)

    for wrong in ((issued["id"],), ("unknown",), (successor["id"], successor["identifier"])):
        assert_problem(await record(*wrong), "invalid_succession")
    preview = await service.call("authority", "GET", f"{path}/preview", params={"action": "succession"})
    assert (preview.json()["two_person"], preview.json()["to_state"]) == (True, "superseded")
    proposed = await record(successor["identifier"], key="s")
    assert proposed.status_code == 202, proposed.text
    proposal = proposed.json()
    ProposalAnswer.model_validate(proposal)
    assert proposal["action"] == "succession"
    assert proposal["arguments"] == {"relation": "merged_into", "successors": [successor["identifier"]]}
    assert (await service.call("authority", "GET", path)).json()["status"] == "active"
    approve = f"/v1/proposals/{proposal['id']}/approve"
    assert_problem(await service.call("authority", "POST", approve, json={}), "own_proposal")
    approved = await service.call("colleague", "POST", approve, json={})
    assert approved.json()["status"] == "approved"
    assert (await service.call("authority", "GET", path)).json()["status"] == "superseded"
    entry = (await service.call("authority", "GET", f"{path}/history")).json()["data"][-1]
    assert entry["details"] == {
        "relation": "merged_into",
        "successors": successor["identifier"],
        "proposal": proposal["id"],
        "proposed_by": proposal["proposed_by"],
        "approved_by": approved.json()["decided_by"],
    }
    answer = await service.verify(license={"identifier": issued["identifier"]})
    assert (answer["reason"], answer["superseded_by"]) == ("superseded", successor["identifier"])
    assert (await record(successor["identifier"], key="s")).content == proposed.content


async def test_a_proposed_successor_that_has_ended_since_is_refused_at_approval(service: HttpService) -> None:
    await need_two_persons(service.installation, "succession")
    issued, successor = await service.issue(), await service.issue()
    body = {"reason_code": "x", "reason": "y", "relation": "replaced_by", "successors": [successor["id"]]}
    path = f"/v1/licenses/{issued['id']}/succession"
    proposal = (await service.call("authority", "POST", path, json=body)).json()
    await service.act(successor["id"], "revoke")
    approve = f"/v1/proposals/{proposal['id']}/approve"
    assert_problem(await service.call("colleague", "POST", approve, json={}), "invalid_succession")
    state = (await service.call("authority", "GET", f"/v1/proposals/{proposal['id']}")).json()["status"]
    assert state == "open"


async def test_lists_are_paged_and_wrong_queries_refused(service: HttpService) -> None:
    await need_two_persons(service.installation, "revoke")
    issued = await service.issue()
    for hours in (3, 1, 2):
        await order(service, issued["id"], "revoke")
        suspended = (await service.issue())["id"]
        await order(service, suspended, "suspend", effective_at=ahead(service, hours=hours))
    for path, page in (("/v1/proposals", ProposalPage), ("/v1/scheduled-changes", ScheduledChangePage)):
        seen: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            shown_page = await service.call("authority", "GET", path, params={"cursor": cursor, "limit": "2"})
            page.model_validate(shown_page.json())
            seen += shown_page.json()["data"]
            cursor = shown_page.json()["next_cursor"]
        assert len({one["id"] for one in seen}) == 3
        if path == "/v1/scheduled-changes":
            assert seen == sorted(seen, key=lambda one: one["effective_at"])
        for query in ("status=gone", "cursor=x", "limit=0", "sttus=open"):
            assert_problem(await service.call("authority", "GET", f"{path}?{query}"), "invalid_request")
        assert_problem(
            await service.call("authority", "GET", f"{path}/{seen[0]['id']}?x=1"), "invalid_request"
        )


async def test_another_authority_finds_none_of_it(service: HttpService) -> None:
    await need_two_persons(service.installation, "revoke")
    issued = await service.issue()
    proposal = (await order(service, issued["id"], "revoke")).json()["id"]
    change = (await order(service, issued["id"], "suspend", effective_at=ahead(service, hours=1))).json()[
        "id"
    ]
    for method, path in (
        ("GET", f"/v1/licenses/{issued['id']}/preview?action=revoke"),
        ("GET", f"/v1/licenses/{issued['id']}/scheduled"),
        ("GET", f"/v1/scheduled-changes/{change}"),
        ("POST", f"/v1/scheduled-changes/{change}/cancel"),
        ("GET", f"/v1/proposals/{proposal}"),
        ("POST", f"/v1/proposals/{proposal}/approve"),
        ("POST", f"/v1/proposals/{proposal}/reject"),
    ):
        body = {"wrong": 1} if method == "POST" else None  # existence is judged before the shape
        assert_problem(await service.call("other_authority", method, path, json=body), "not_found")
    for path in ("/v1/proposals", "/v1/scheduled-changes"):
        assert (await service.call("other_authority", "GET", path)).json()["data"] == []
