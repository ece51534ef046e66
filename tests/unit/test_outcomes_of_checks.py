"""What each check says beside the verdict: failed for what is wrong, cannot_tell for what nobody knows."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from elicense.element_kinds import ElementKind
from elicense.elements import FormerValue
from elicense.encoding import civil_day_start
from elicense.evidence import Evidence, LiveStatus, RegisterEvidence
from elicense.policy import DEFAULT_POLICY, Policy
from elicense.problems import INDETERMINATE, Reason
from elicense.report import Check, CheckId, Outcome, StatusSource, VerificationReport, verdict_of
from elicense.status_list import Status
from elicense.trust_list import AuthorityState
from elicense.verify import LicenseFacts, verify_credential, verify_license
from tests.simulator import NOW, TYPE_CODE, Installation, sample_license
from tests.vectors.runners import run_core
from tests.vectors.vector import read_vectors

DAY = timedelta(days=1)
VECTORS = [vector for vector in read_vectors() if "core" not in vector.not_by]


@pytest.fixture
def installation() -> Installation:
    return Installation()


def judge(
    installation: Installation,
    token: str | None = None,
    *,
    evidence: Evidence | None = None,
    policy: Policy = DEFAULT_POLICY,
    **asked: Any,
) -> VerificationReport:
    return verify_credential(
        token or installation.credential(),
        evidence=evidence or installation.evidence(),
        policy=policy,
        **asked,
    )


# --- one rule for every check


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.id)
def test_a_check_fails_for_what_is_wrong_and_cannot_tell_what_nobody_knows(vector: Any) -> None:
    checks = run_core(vector)["checks"]
    indeterminate = {reason.value for reason in INDETERMINATE}
    for check in checks:
        if check["code"] == "ok":
            assert check["outcome"] in {"passed", "skipped"}, check
        else:
            assert check["outcome"] == ("cannot_tell" if check["code"] in indeterminate else "failed"), check


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_alone_tells_its_verdict(reason: Reason) -> None:
    expected = "valid" if reason is Reason.OK else "indeterminate" if reason in INDETERMINATE else "invalid"
    assert verdict_of(reason).value == expected


def scopeless(installation: Installation) -> None:
    installation.change_authority(scopes=())


def ended(installation: Installation) -> None:
    installation.change_authority(status=AuthorityState.ENDED, ended_at=NOW - 30 * DAY)


def distrusted(installation: Installation) -> None:
    installation.change_authority(status=AuthorityState.DISTRUSTED, ended_at=NOW)


def no_longer_fresh(installation: Installation) -> None:
    installation.edits["freshness"] = lambda payload: payload.update(exp=payload["iat"])


def unlisted_status(installation: Installation) -> None:
    installation.edits["bundle"] = lambda payload: payload.update(status_lists={})


@pytest.mark.parametrize(
    ("break_it", "check_id", "outcome", "code", "file_result_code"),
    [
        (distrusted, CheckId.ISSUER, Outcome.FAILED, Reason.ISSUER_NOT_AUTHORIZED, 1),
        (ended, CheckId.SCOPE, Outcome.FAILED, Reason.ISSUER_NOT_AUTHORIZED, 1),
        (scopeless, CheckId.SCOPE, Outcome.FAILED, Reason.ISSUER_NOT_AUTHORIZED, 1),
        (no_longer_fresh, CheckId.TRUST, Outcome.CANNOT_TELL, Reason.TRUST_STALE, 0),
        (unlisted_status, CheckId.STATUS, Outcome.CANNOT_TELL, Reason.STATUS_UNAVAILABLE, 0),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_file_check_fails_with_the_right_to_issue_and_not_with_missing_evidence(
    installation: Installation,
    break_it: Callable[[Installation], None],
    check_id: CheckId,
    outcome: Outcome,
    code: Reason,
    file_result_code: int,
) -> None:
    break_it(installation)
    report = judge(installation)
    check = report.check(check_id)
    assert (check.outcome, check.code) == (outcome, code)
    assert (report.reason, report.file_result_code) == (code, file_result_code)


def test_a_restricting_policy_lists_its_check_for_a_file_that_cannot_be_read_too(
    installation: Installation,
) -> None:
    restricting = replace(DEFAULT_POLICY, id="own", types=(TYPE_CODE,))
    report = judge(installation, "not a token", policy=restricting)
    assert [check.id for check in report.checks] == list(CheckId)
    assert report.check(CheckId.POLICY).outcome is Outcome.SKIPPED
    assert judge(installation, policy=restricting)


# --- dates


def test_dates_that_do_not_hold_fail_their_check(installation: Installation) -> None:
    installation.change_key(valid_from=NOW - 2500 * DAY)
    ahead = installation.credential(signed_at=NOW + timedelta(seconds=61))
    spent = installation.credential(valid_until=None, signed_at=NOW - 2000 * DAY)
    for token, code in ((ahead, Reason.NOT_YET_VALID), (spent, Reason.EXPIRED)):
        check = judge(installation, token).check(CheckId.DATES)
        assert (check.outcome, check.code) == (Outcome.FAILED, code)


def test_a_license_that_is_over_is_expired_whenever_it_was_signed(installation: Installation) -> None:
    over = installation.credential(valid_until=date(2026, 11, 1), signed_at=NOW + DAY)
    report = judge(installation, over)
    assert (report.reason, report.result_code) == (Reason.EXPIRED, 3)


def test_a_file_that_ends_long_before_its_license_is_said_to_need_a_new_one(
    installation: Installation,
) -> None:
    installation.change_key(valid_from=NOW - 2500 * DAY)
    token = installation.credential(valid_until=date(2039, 5, 5), signed_at=NOW - 2000 * DAY)
    assert "重新申领" in judge(installation, token).reason_text("zh")


# --- what the register says of its own


FACTS = LicenseFacts(
    identifier="1.2.156.3005.2.T.A.S.001.0",
    state="active",
    valid_from=date(2020, 1, 1),
    valid_until=date(2030, 1, 1),
    elements={"address": "示范路 1 号", "type_code": TYPE_CODE, "area_code": "320102"},
)
BY_REFERENCE = ["register", "status", "dates", "elements", "holder_binding", "clock"]


def ask(*facts: LicenseFacts, elements: Mapping[str, str] | None = None, **more: Any) -> VerificationReport:
    given = {"now": NOW, "as_of": NOW, "event_seq": 12, "env": "test", "policy": DEFAULT_POLICY, **more}
    return verify_license(facts, elements=elements, **given)


@pytest.mark.parametrize(
    ("facts", "outcome", "code"),
    [
        ((), Outcome.FAILED, Reason.NOT_FOUND),
        ((FACTS, FACTS), Outcome.CANNOT_TELL, Reason.AMBIGUOUS),
        ((FACTS,), Outcome.PASSED, Reason.OK),
    ],
    ids=["none", "several", "one"],
)
def test_every_question_by_reference_lists_the_same_checks(
    facts: tuple[LicenseFacts, ...], outcome: Outcome, code: Reason
) -> None:
    report = ask(*facts)
    assert (report.check(CheckId.REGISTER).outcome, report.check(CheckId.REGISTER).code) == (outcome, code)
    assert [check.id.value for check in report.checks] == BY_REFERENCE
    restricting = replace(DEFAULT_POLICY, id="own", types=(TYPE_CODE,))
    listed = [check.id.value for check in ask(*facts, policy=restricting).checks]
    assert sorted(listed) == sorted([*BY_REFERENCE, "policy"])


def test_by_reference_a_license_counts_from_the_first_second_of_its_first_day_to_the_last_of_its_last() -> (
    None
):
    first, after = date(2026, 11, 3), date(2026, 11, 5)
    facts = replace(FACTS, valid_from=first, valid_until=after - DAY)
    second = timedelta(seconds=1)
    begins, ends = civil_day_start(first), civil_day_start(after)
    moments = {begins - second: "not_yet_valid", begins: "ok", ends - second: "ok", ends: "expired"}
    for moment, reason in moments.items():
        assert ask(facts, now=moment, as_of=moment).reason.value == reason, moment


def test_of_two_licenses_one_is_no_longer_live_from_the_second_it_ends() -> None:
    ends = civil_day_start(date(2026, 11, 3))
    lapsing = replace(FACTS, valid_until=date(2026, 11, 2))
    assert ask(lapsing, FACTS, now=ends, as_of=ends)
    before = ends - timedelta(seconds=1)
    assert ask(lapsing, FACTS, now=before, as_of=before).reason is Reason.AMBIGUOUS


def test_a_value_that_was_right_before_a_change_is_a_mismatch_and_kinds_are_those_declared() -> None:
    changed = replace(
        FACTS,
        elements={**FACTS.elements, "deposit": "100万元"},
        former={"address": (FormerValue("旧路 9 号", date(2025, 3, 4)),)},
        kinds={"deposit": ElementKind.AMOUNT},
    )
    report = ask(changed, elements={"address": "旧路9号", "deposit": "1,000,000"})
    assert (report.reason, report.result_code) == (Reason.MISMATCH, 6)
    assert [result.to_json() for result in report.elements] == [
        {"name": "address", "outcome": "former_value", "changed_on": "2025-03-04"},
        {"name": "deposit", "outcome": "match_normalized"},
    ]
    assert ask(changed, elements={"deposit": "1,000,000"})


def test_a_report_names_candidates_and_details_only_where_there_are_any() -> None:
    shown = ask(FACTS).to_json()
    assert not {"candidates", "successors", "evidence_ages"} & shown.keys()
    assert ask(FACTS, FACTS).to_json()["candidates"] == 2
    plain = Check(CheckId.FORMAT, Outcome.PASSED)
    assert plain.to_json("en") == {
        "id": "format",
        "outcome": "passed",
        "code": "ok",
        "message": "Format: passed",
    }
    assert plain.message("zh") == "文件格式:通过"
    assert Check(CheckId.CLOCK, Outcome.SKIPPED).message("zh") == "系统时钟:未检查"
    assert Check(CheckId.DATES, Outcome.FAILED, Reason.EXPIRED, detail="why").to_json()["detail"] == "why"


def test_the_holder_is_named_of_a_file_that_was_verified_alone(installation: Installation) -> None:
    holder = judge(installation).holder
    assert holder is not None and holder.code == sample_license().holder.code
    assert judge(installation, "not a token").holder is None
    assert ask(FACTS).holder is None


# --- the register about the past of a credential


def online(installation: Installation, as_of: datetime, **status: Any) -> Evidence:
    source = StatusSource(kind="list", as_of=as_of, event_seq=3)
    live = LiveStatus(as_of=as_of, event_seq=3, source=source, **status)
    return replace(installation.evidence(), status=live, register=RegisterEvidence(known=True))


def test_online_no_state_is_told_for_a_moment_before_the_file_was_signed(installation: Installation) -> None:
    signed = NOW - 5 * DAY
    token = installation.credential(signed_at=signed)
    evidence = online(installation, signed - 2 * DAY, state="active")
    policy = replace(DEFAULT_POLICY, id="own", max_status_age=7 * DAY)
    early = judge(installation, token, evidence=evidence, policy=policy, at=signed - timedelta(seconds=1))
    assert (early.reason, early.status_as_of) == (Reason.STATUS_UNAVAILABLE, None)
    assert early.check(CheckId.STATUS).outcome is Outcome.CANNOT_TELL
    assert "尚未签发" in early.check(CheckId.STATUS).message("zh")
    assert judge(installation, token, evidence=evidence, policy=policy, at=signed)


def test_online_an_annulled_license_was_never_good_not_even_before_its_file(
    installation: Installation,
) -> None:
    signed = NOW - 5 * DAY
    token = installation.credential(signed_at=signed)
    evidence = online(installation, signed - 2 * DAY, state="active", revocation="annulled")
    assert judge(installation, token, evidence=evidence, at=signed - DAY).reason is Reason.REVOKED


def test_a_file_signed_a_little_ahead_of_this_clock_has_the_state_of_now(installation: Installation) -> None:
    token = installation.credential(signed_at=NOW + timedelta(seconds=30))
    assert judge(installation, token, evidence=online(installation, NOW, state="active"))
    installation.set_status(5, Status.VALID)
    assert judge(installation, token)


def test_a_clock_behind_anything_that_was_signed_or_read_is_not_relied_on(installation: Installation) -> None:
    ahead = online(installation, NOW + timedelta(minutes=5), state="active")
    assert judge(installation, evidence=ahead).reason is Reason.CLOCK_UNRELIABLE
    # Whichever is the latest counts: here the freshness, with a status list of hours before it.
    installation.status_read_at = NOW - timedelta(hours=5)
    behind = installation.evidence(now=NOW - timedelta(minutes=2))
    assert judge(installation, evidence=behind).reason is Reason.CLOCK_UNRELIABLE
    assert judge(installation)


def test_online_a_superseded_file_names_what_took_its_license_s_place(installation: Installation) -> None:
    evidence = online(installation, NOW, state="superseded", superseded_by="NEW", successors=("NEW", "OTHER"))
    report = judge(installation, evidence=evidence)
    assert (report.reason, report.superseded_by, report.successors) == (
        Reason.SUPERSEDED,
        "NEW",
        ("NEW", "OTHER"),
    )


def test_without_any_word_on_trust_it_is_unavailable(installation: Installation) -> None:
    nothing = replace(installation.evidence(), trust=None, trust_refused=None)
    report = judge(installation, evidence=nothing)
    assert (report.reason, report.check(CheckId.TRUST).outcome) == (
        Reason.TRUST_UNAVAILABLE,
        Outcome.CANNOT_TELL,
    )


def test_a_list_speaks_from_the_very_second_it_was_read(installation: Installation) -> None:
    read = NOW - timedelta(hours=5)
    installation.status_read_at = read
    assert judge(installation, at=read)
    assert judge(installation, at=read - timedelta(seconds=1)).reason is Reason.STATUS_UNAVAILABLE
