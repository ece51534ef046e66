"""The judge by reference: what the register's snapshots answer, and what they never give away."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from elicense.policy import DEFAULT_POLICY
from elicense.problems import Reason
from elicense.report import CheckId, StatusSource, TrustReference, Verdict, VerificationReport
from elicense.verify import LicenseFacts, verify_license
from tests.simulator import NOW

FACTS = LicenseFacts(
    identifier="1.2.156.3005.2.T.A.S.001.0",
    state="active",
    valid_from=date(2020, 1, 1),
    valid_until=date(2030, 1, 1),
    elements={"holder_name": "演示(南京)贸易有限公司", "address": "示范路 1 号"},
)
REVOKED = replace(FACTS, state="revoked")


def ask(*facts: LicenseFacts, elements: Mapping[str, str] | None = None, **more: Any) -> VerificationReport:
    given = {"now": NOW, "as_of": NOW, "event_seq": 12, "env": "test", "policy": DEFAULT_POLICY, **more}
    return verify_license(facts, elements=elements, **given)


def test_one_active_license_is_valid_and_its_claims_stay_in_the_register() -> None:
    report = ask(FACTS, elements={"address": "示范路1号"}, trust=TrustReference(3, "0" * 64))
    assert report
    assert (report.result_code, report.file_result_code) == (0, None)
    assert report.license is None
    assert report.to_json()["status_source"] == {
        "kind": "live",
        "as_of": "2026-11-02T04:00:00Z",
        "event_seq": 12,
    }
    assert report.trust_list == {"sequence": 3, "sha256": "0" * 64}


def test_moments_of_another_zone_are_answered_in_utc() -> None:
    zone = timezone(timedelta(hours=8))
    report = ask(FACTS, now=NOW.astimezone(zone), at=(NOW + timedelta(hours=1)).astimezone(zone))
    shown = report.to_json()
    assert (shown["verified_at"], shown["evaluated_at"]) == ("2026-11-02T04:00:00Z", "2026-11-02T05:00:00Z")
    for moment in (datetime(2026, 11, 2), datetime.min.replace(tzinfo=zone)):
        with pytest.raises(ValueError, match="moment"):
            ask(FACTS, at=moment)


def test_no_license_is_not_found() -> None:
    report = ask(elements={"address": "x"})
    assert (report.verdict, report.reason, report.result_code) == (Verdict.INVALID, Reason.NOT_FOUND, 5)
    assert [result.outcome.value for result in report.elements] == ["cannot_tell"]


def test_several_live_licenses_are_ambiguous_with_their_count_only() -> None:
    report = ask(FACTS, replace(FACTS, state="suspended"), REVOKED, elements={"address": "示范路 1 号"})
    assert (report.verdict, report.reason, report.result_code) == (
        Verdict.INDETERMINATE,
        Reason.AMBIGUOUS,
        4,
    )
    assert report.to_json()["candidates"] == 2
    assert [result.outcome.value for result in report.elements] == ["cannot_tell"]


def test_the_one_live_license_answers_beside_ended_ones() -> None:
    assert ask(REVOKED, FACTS)
    lapsed = replace(FACTS, valid_until=date(2026, 11, 1))
    assert ask(lapsed, FACTS)
    assert ask(lapsed).reason is Reason.EXPIRED


def test_of_ended_licenses_the_newest_answers() -> None:
    superseded = replace(FACTS, state="superseded", superseded_by="1.2.156.3005.2.T.A.S.002.0")
    assert ask(REVOKED, superseded).reason is Reason.REVOKED
    newest = ask(superseded, REVOKED)
    assert (newest.reason, newest.superseded_by) == (Reason.SUPERSEDED, "1.2.156.3005.2.T.A.S.002.0")


@pytest.mark.parametrize(
    ("facts", "reason", "result_code"),
    [
        (REVOKED, Reason.REVOKED, 3),
        (replace(FACTS, state="cancelled"), Reason.CANCELLED, 3),
        (replace(FACTS, state="transferred"), Reason.TRANSFERRED, 3),
        (replace(FACTS, state="suspended"), Reason.SUSPENDED, 2),
        (replace(FACTS, valid_from=date(2026, 11, 3)), Reason.NOT_YET_VALID, 1),
        (replace(FACTS, valid_until=date(2026, 11, 1)), Reason.EXPIRED, 3),
        (replace(FACTS, valid_until=date(2026, 11, 2)), Reason.OK, 0),
        (replace(FACTS, valid_until=None), Reason.OK, 0),
        (replace(FACTS, valid_from=date(1, 1, 1), valid_until=date(9999, 12, 31)), Reason.OK, 0),
    ],
)
def test_state_and_dates_decide(facts: LicenseFacts, reason: Reason, result_code: int) -> None:
    report = ask(facts)
    assert (report.reason, report.result_code) == (reason, result_code)


def test_a_revoked_license_not_begun_is_revoked_not_merely_inactive() -> None:
    assert ask(replace(REVOKED, valid_from=date(2027, 1, 1))).reason is Reason.REVOKED


def test_a_mismatch_outranks_every_state_and_echoes_nothing() -> None:
    report = ask(REVOKED, elements={"address": "别处", "holder_name": "演示(南京)贸易有限公司"})
    assert (report.verdict, report.reason, report.result_code) == (Verdict.INVALID, Reason.MISMATCH, 6)
    assert report.check(CheckId.STATUS).code is Reason.REVOKED
    assert "示范路" not in str(report.to_json())


def test_an_element_not_on_the_license_is_a_mismatch() -> None:
    report = ask(FACTS, elements={"registered_capital": "1"})
    assert report.reason is Reason.MISMATCH
    assert report.elements[0].outcome.value == "not_on_license"


def test_what_the_policy_requires_must_be_asked() -> None:
    policy = replace(DEFAULT_POLICY, id="own", required_elements=("holder_name",))
    report = ask(FACTS, policy=policy)
    assert (report.verdict, report.reason, report.result_code) == (
        Verdict.INDETERMINATE,
        Reason.INCOMPLETE,
        4,
    )
    assert ask(FACTS, policy=policy, elements={"holder_name": "演示(南京)贸易有限公司"})


def test_a_past_moment_before_the_snapshot_cannot_be_told() -> None:
    report = ask(FACTS, at=NOW - timedelta(days=3))
    assert (report.verdict, report.reason) == (Verdict.INDETERMINATE, Reason.STATUS_UNAVAILABLE)


def test_an_unreliable_clock_cannot_tell() -> None:
    assert ask(FACTS, clock_reliable=False).reason is Reason.CLOCK_UNRELIABLE
    assert ask(FACTS, as_of=NOW + timedelta(minutes=5)).reason is Reason.CLOCK_UNRELIABLE


def test_what_took_a_license_s_place_is_named_by_identifiers_alone() -> None:
    ended = replace(FACTS, state="superseded", superseded_by="NEW", successors=("NEW",))
    report = ask(ended)
    assert (report.reason, report.superseded_by, report.successors) == (Reason.SUPERSEDED, "NEW", ("NEW",))
    assert report.to_json()["successors"] == ["NEW"]
    assert "successors" not in ask(FACTS).to_json()
    several = ask(FACTS, replace(FACTS, state="suspended", successors=("NEW",)))
    assert (several.reason, several.successors) == (Reason.AMBIGUOUS, ())


@pytest.mark.parametrize(
    ("kind", "words"),
    [("penalty", "证照已被吊销。"), ("annulled", "证照已被撤销,自始无效。"), (None, "证照已被吊销或撤销。")],
)
def test_a_revocation_is_told_by_its_kind(kind: str | None, words: str) -> None:
    report = ask(replace(REVOKED, revocation=kind))
    assert report.reason is Reason.REVOKED
    assert report.check(CheckId.STATUS).message("zh") == report.reason_text("zh") == words


@pytest.mark.parametrize("moment", [None, NOW - timedelta(days=3)])
def test_what_is_annulled_by_now_is_void_at_every_moment_and_a_penalty_from_its_day_on(
    moment: datetime | None,
) -> None:
    # The register's facts for a moment hold the state of then and the kind as it is known now.
    then = StatusSource(kind="list", as_of=NOW - timedelta(days=4), event_seq=3) if moment else None
    active = replace(FACTS, source=then)
    report = ask(replace(active, revocation="annulled"), at=moment)
    assert report.reason is Reason.REVOKED
    assert report.reason_text("zh") == "证照已被撤销,自始无效。"
    assert ask(replace(active, revocation="penalty"), at=moment).reason is not Reason.REVOKED
