"""Any moment in time: `at` moves the moment that is judged, never what is known."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from elicense.by_reference import LicenseFacts, verify_license
from elicense.evidence import (
    AcceptedStatusList,
    ListStatus,
    LiveStatus,
    RegisterEvidence,
    TrustEvidence,
    accept_archived_lists,
    gather_offline,
)
from elicense.policy import DEFAULT_POLICY, PRESETS, with_max_status_age
from elicense.problems import FormatError, Reason
from elicense.report import CheckId, Outcome, StatusSource, Verdict, VerificationReport
from elicense.status_list import Status
from elicense.trust_list import AuthorityState, ServiceUse
from elicense.verify import verify_credential
from tests.simulator import NOW, OTHER_AUTHORITY_CODE, Installation, SimulatedSigner

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def installation() -> Installation:
    """Lists read 6, 4 and 2 hours ago: active, suspended, active again; the credential was signed ten days ago."""
    made = Installation()
    made.status_read_at = NOW - 6 * HOUR
    made.publish_next(NOW - 4 * HOUR, index_5=Status.SUSPENDED)
    made.publish_next(NOW - 2 * HOUR, index_5=Status.VALID)
    return made


def judge(
    installation: Installation, at: datetime | None = None, token: str | None = None
) -> VerificationReport:
    return verify_credential(
        token or installation.credential(), evidence=installation.evidence(), policy=DEFAULT_POLICY, at=at
    )


def unavailable(report: VerificationReport) -> bool:
    return (report.verdict, report.reason) == (Verdict.INDETERMINATE, Reason.STATUS_UNAVAILABLE)


# --- offline, from archived lists


@pytest.mark.parametrize(
    ("ago", "reason", "seq"),
    [
        (6 * HOUR, Reason.OK, 7),
        (4 * HOUR + timedelta(seconds=1), Reason.OK, 7),
        (4 * HOUR, Reason.SUSPENDED, 8),
        (2 * HOUR + timedelta(seconds=1), Reason.SUSPENDED, 8),
        (2 * HOUR, Reason.OK, 9),
        (timedelta(seconds=1), Reason.OK, 9),
    ],
)
def test_a_past_moment_is_answered_by_the_list_that_was_the_newest_then(
    installation: Installation, ago: timedelta, reason: Reason, seq: int
) -> None:
    report = judge(installation, NOW - ago)
    assert (report.reason, report.status.seq if report.status else None) == (reason, seq)
    assert report.historical
    assert report.to_json()["historical"] is True
    assert report.status_as_of is not None and report.status_as_of <= NOW - ago


def test_now_and_the_present_moment_are_not_historical(installation: Installation) -> None:
    for at in (None, NOW):
        report = judge(installation, at)
        assert report and not report.historical
        assert report.to_json()["historical"] is False


def test_a_judge_given_evidence_of_another_zone_answers_in_utc(installation: Installation) -> None:
    zone = timezone(timedelta(hours=-5))
    evidence = replace(installation.evidence(), now=NOW.astimezone(zone))
    for at in (None, NOW.astimezone(zone)):
        report = verify_credential(installation.credential(), evidence=evidence, policy=DEFAULT_POLICY, at=at)
        assert (report.verified_at.tzinfo, report.evaluated_at.tzinfo) == (UTC, UTC)
        assert report.to_json()["evaluated_at"] == "2026-11-02T04:00:00Z"


def test_before_the_archive_begins_it_cannot_be_told_and_is_said_so(installation: Installation) -> None:
    report = judge(installation, NOW - 6 * HOUR - timedelta(seconds=1))
    assert unavailable(report)
    assert "存档" in report.reason_text("zh") and "archived" in report.reason_text("en")
    assert report.historical


def test_a_list_whose_successor_is_not_at_hand_covers_nothing(installation: Installation) -> None:
    del installation.archive[1]
    assert unavailable(judge(installation, NOW - 5 * HOUR))
    assert judge(installation, NOW - HOUR)


def test_an_archive_that_does_not_reach_the_present_still_covers_what_it_shows(
    installation: Installation,
) -> None:
    installation.publish_next(NOW - HOUR)
    del installation.archive[2]
    assert judge(installation, NOW - 5 * HOUR)
    assert unavailable(judge(installation, NOW - 3 * HOUR))
    assert judge(installation, NOW - HOUR)


def test_before_it_was_signed_no_list_speaks_of_a_credential(installation: Installation) -> None:
    token = installation.credential(signed_at=NOW - 3 * HOUR)
    report = judge(installation, NOW - 5 * HOUR, token)
    assert unavailable(report)
    assert "尚未签发" in report.reason_text("zh")
    assert judge(installation, NOW - 3 * HOUR, token).reason is Reason.SUSPENDED


def test_a_revocation_since_does_not_reach_back_and_an_earlier_one_is_not_undone(
    installation: Installation,
) -> None:
    installation.publish_next(NOW - HOUR, index_5=Status.INVALID)
    assert judge(installation).reason is Reason.REVOKED
    assert judge(installation, NOW - 5 * HOUR)
    assert judge(installation, NOW - 3 * HOUR).reason is Reason.SUSPENDED
    assert judge(installation, NOW - timedelta(minutes=30)).reason is Reason.REVOKED


def test_dates_are_those_of_the_moment(installation: Installation) -> None:
    ended = installation.credential(valid_until=date(2026, 11, 1))  # ended 12 hours ago, at midnight in China
    assert judge(installation, None, ended).reason is Reason.EXPIRED
    installation.archive.clear()
    installation.status_read_at = NOW - 20 * HOUR
    assert judge(installation, NOW - 12 * HOUR - timedelta(seconds=1), ended)
    assert judge(installation, NOW - 12 * HOUR, ended).reason is Reason.EXPIRED


def test_the_status_is_as_old_as_it_was_then(installation: Installation) -> None:
    installation.archive.clear()
    installation.status_read_at = NOW - 40 * HOUR
    installation.status_expires_at = NOW + 5 * DAY
    assert judge(installation).reason is Reason.STATUS_STALE
    assert judge(installation, NOW - 16 * HOUR)
    assert judge(installation, NOW - 16 * HOUR + timedelta(seconds=1)).reason is Reason.STATUS_STALE


def test_an_archived_list_says_nothing_past_its_own_end(installation: Installation) -> None:
    made = Installation()
    made.status_read_at, made.status_expires_at = NOW - 6 * HOUR, NOW - 5 * HOUR
    made.publish_next(NOW - 2 * HOUR)
    assert judge(made, NOW - 5 * HOUR - timedelta(seconds=1))
    assert judge(made, NOW - 5 * HOUR).reason is Reason.STATUS_STALE


def test_trust_documents_count_as_of_now_whatever_moment_is_asked(installation: Installation) -> None:
    at = NOW - 5 * HOUR
    token = installation.credential()
    evidence = installation.evidence(now=NOW + 8 * DAY)
    late = verify_credential(token, evidence=evidence, policy=DEFAULT_POLICY, at=at)
    assert late.reason is Reason.TRUST_STALE
    installation.compromise(installation.credential_signer, None)
    assert judge(installation, at, token).reason is Reason.KEY_COMPROMISED
    installation.change_key(compromised=None)
    installation.change_authority(status=AuthorityState.DISTRUSTED, ended_at=NOW)
    assert judge(installation, at, token).reason is Reason.ISSUER_NOT_AUTHORIZED


def test_a_service_must_speak_for_the_authority_in_the_past_too(installation: Installation) -> None:
    installation.change_service(ServiceUse.STATUS, authorities=(OTHER_AUTHORITY_CODE,))
    assert unavailable(judge(installation, NOW - 5 * HOUR))


# --- which archived lists count


def trust(installation: Installation) -> TrustEvidence:
    evidence = installation.evidence().trust
    assert evidence is not None
    return evidence


def spans(installation: Installation, tokens: list[str], **more: Any) -> list[tuple[int, datetime | None]]:
    archived = accept_archived_lists(tokens, uri=installation.status_uri, trust=trust(installation), **more)
    return [(version.accepted.status_list.seq, version.until) for version in archived]


def test_each_version_is_the_newest_until_the_next(installation: Installation) -> None:
    first, second = installation.archive
    third = installation.status_list()
    until = [(7, NOW - 4 * HOUR), (8, NOW - 2 * HOUR), (9, None)]
    assert spans(installation, [first, second, third]) == until
    assert spans(installation, [third, first, second, first]) == until
    assert spans(installation, [first, second]) == until[:1]
    assert spans(installation, [first, third]) == until[2:]
    assert spans(installation, [first]) == []
    assert spans(installation, []) == []


def test_the_current_list_ends_the_span_of_the_last_archived_one(installation: Installation) -> None:
    status = installation.evidence().status
    assert isinstance(status, ListStatus)
    current = status.lists[installation.status_uri]
    assert isinstance(current, AcceptedStatusList)
    assert spans(installation, installation.archive, current=current)[:2] == [
        (7, NOW - 4 * HOUR),
        (8, NOW - 2 * HOUR),
    ]


def test_versions_of_rising_numbers_whose_times_run_backwards_are_refused() -> None:
    made = Installation()
    made.status_read_at = NOW - 2 * HOUR
    made.publish_next(NOW - 2 * HOUR)
    assert spans(made, [*made.archive, made.status_list()]) == [(7, NOW - 2 * HOUR), (8, None)]
    made.status_read_at = NOW - 2 * HOUR - timedelta(seconds=1)
    with pytest.raises(FormatError, match="run backwards"):
        spans(made, [*made.archive, made.status_list()])


def sign_an_early_list(installation: Installation, signer: SimulatedSigner) -> None:
    installation.status_signer = signer
    installation.edits["status_list"] = lambda p: p.update(seq=1, iat=p["iat"] - 86400)


@pytest.mark.parametrize(
    "bend",
    [
        pytest.param(lambda i: i.edits.update(status_list=lambda p: p.update(env="live")), id="environment"),
        pytest.param(lambda i: i.edits.update(status_list=lambda p: p.update(sub="https://x")), id="uri"),
        pytest.param(lambda i: i.edits.update(status_list=lambda p: p.update(iss="https://x")), id="issuer"),
        pytest.param(
            lambda i: i.edits.update(status_list=lambda p: p.update(seq=99)), id="after the current"
        ),
        pytest.param(lambda i: sign_an_early_list(i, SimulatedSigner()), id="unknown key"),
        pytest.param(lambda i: sign_an_early_list(i, i.receipt_signer), id="key of another use"),
        pytest.param(
            lambda i: i.edits.update(status_list=lambda p: p.update(iat=p["iat"] - 86400 * 60)),
            id="before the key's window",
        ),
        pytest.param(
            lambda i: i.edits.update(status_list=lambda p: p.update(iat=p["iat"] - 86400)),
            id="times running backwards",
        ),
        pytest.param(
            lambda i: i.edits.update(status_list=lambda p: p.update(event_seq=1)), id="two of one number"
        ),
    ],
)
def test_an_archive_with_a_token_that_does_not_count_covers_nothing(
    installation: Installation, bend: Callable[[Installation], object]
) -> None:
    good, evidence = installation.status_list(), trust(installation)
    signer = installation.status_signer
    bend(installation)
    bad = installation.status_list()
    installation.edits.clear()
    installation.status_signer = signer
    with pytest.raises(FormatError):
        accept_archived_lists([*installation.archive, good, bad], uri=installation.status_uri, trust=evidence)
    installation.archive.append(bad)
    gathered = installation.evidence()
    assert [part.reason for part in gathered.refused()] == [Reason.STATUS_UNAVAILABLE]
    token = installation.credential()
    past = verify_credential(token, evidence=gathered, policy=DEFAULT_POLICY, at=NOW - 5 * HOUR)
    assert unavailable(past)
    assert verify_credential(token, evidence=gathered, policy=DEFAULT_POLICY), "the present list stands"


def test_archived_lists_of_a_stolen_status_key_need_proofs_of_both_ends(installation: Installation) -> None:
    at = NOW - 5 * HOUR
    before = [*installation.archive]
    for token in before:
        installation.prove_list(token)
    installation.prove_list(installation.status_list())
    installation.compromise(installation.status_signer, installation.log.checkpoint())
    assert judge(installation, at)
    proofs = dict(installation.list_proofs)
    for digest in list(proofs)[:2]:
        installation.list_proofs = {name: proof for name, proof in proofs.items() if name != digest}
        assert unavailable(judge(installation, at))


def test_a_bundle_without_archive_is_as_it_was(installation: Installation) -> None:
    whole = installation.bundle_parts()
    assert whole.archive == {installation.status_uri: tuple(installation.archive)}
    installation.archive.clear()
    assert b"archive" not in installation.bundle()
    assert b"list_proofs" not in installation.bundle()


@pytest.mark.parametrize(
    "members",
    [{"archive": []}, {"archive": {"u": "token"}}, {"archive": {"u": [1]}}, {"list_proofs": {"d": {}}}],
    ids=str,
)
def test_optional_members_of_another_shape_refuse_the_bundle(
    installation: Installation, members: dict[str, Any]
) -> None:
    installation.edits["bundle"] = lambda bundle: bundle.update(members)
    evidence = gather_offline(trust_root=installation.trust_root(), bundle=installation.bundle(), now=NOW)
    assert evidence.trust is None


# --- online, from the register


def past_answer(installation: Installation, **changes: Any) -> VerificationReport:
    source = StatusSource(kind="list", as_of=NOW - 4 * HOUR, uri="u", seq=8, sha256="0" * 64)
    status = LiveStatus(**{"state": "active", "as_of": NOW, "event_seq": 3, "source": source, **changes})
    evidence = replace(installation.evidence(), status=status, register=RegisterEvidence(known=True))
    return verify_credential(
        installation.credential(), evidence=evidence, policy=DEFAULT_POLICY, at=NOW - 3 * HOUR
    )


def test_the_register_answers_a_past_moment_with_the_state_of_then_and_the_list_that_shows_it(
    installation: Installation,
) -> None:
    report = past_answer(installation)
    assert report
    assert report.status_source == {
        "kind": "list",
        "as_of": "2026-11-02T00:00:00Z",
        "uri": "u",
        "seq": 8,
        "sha256": "0" * 64,
    }
    revoked = past_answer(installation, state="cancelled")
    assert revoked.reason is Reason.CANCELLED
    assert "名单不作区分" not in past_answer(installation, state="revoked").reason_text("zh")


def test_a_state_read_after_the_moment_says_nothing_about_it(installation: Installation) -> None:
    assert unavailable(past_answer(installation, source=None))
    later = StatusSource(kind="list", as_of=NOW - HOUR, uri="u", seq=9, sha256="0" * 64)
    assert unavailable(past_answer(installation, source=later))
    old = StatusSource(kind="list", as_of=NOW - 30 * HOUR, uri="u", seq=1, sha256="0" * 64)
    assert past_answer(installation, source=old).reason is Reason.STATUS_STALE


def test_an_annulment_known_now_makes_every_moment_invalid(installation: Installation) -> None:
    report = past_answer(installation, revocation="annulled")
    assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.REVOKED)
    assert "自始无效" in report.reason_text("zh")
    never_covered = past_answer(installation, revocation="annulled", source=None)
    assert never_covered.reason is Reason.REVOKED


def test_online_without_an_archived_list_the_past_cannot_be_told(installation: Installation) -> None:
    evidence = replace(installation.evidence(), status=None, register=RegisterEvidence(known=True))
    report = verify_credential(
        installation.credential(), evidence=evidence, policy=DEFAULT_POLICY, at=NOW - 3 * HOUR
    )
    assert unavailable(report)
    assert "存档" in report.reason_text("zh")


def facts(**changes: Any) -> LicenseFacts:
    base = LicenseFacts(
        identifier="i", state="active", valid_from=date(2019, 5, 6), valid_until=None, elements={}
    )
    return replace(base, **changes)


def ask(fact: LicenseFacts, at: datetime | None) -> VerificationReport:
    return verify_license([fact], now=NOW, as_of=NOW, event_seq=9, env="test", policy=DEFAULT_POLICY, at=at)


def test_by_reference_a_past_moment_needs_its_list_too() -> None:
    at = NOW - 3 * HOUR
    source = StatusSource(kind="list", as_of=NOW - 4 * HOUR, uri="u", seq=8, sha256="0" * 64)
    assert unavailable(ask(facts(), at))
    report = ask(facts(source=source), at)
    assert report and report.historical and report.status == source
    assert ask(facts(source=source, state="suspended"), at).reason is Reason.SUSPENDED
    assert ask(facts(source=source, revocation="annulled"), at).reason is Reason.REVOKED
    assert ask(facts(revocation="annulled"), None).reason is Reason.REVOKED
    assert ask(facts(), None).status == StatusSource(kind="live", as_of=NOW, event_seq=9)


# --- what does not move


def test_elements_and_policy_are_judged_alike_at_any_moment(installation: Installation) -> None:
    token = installation.credential()
    report = verify_credential(
        token,
        evidence=installation.evidence(),
        policy=PRESETS["bank-strict"],
        at=NOW - HOUR,
        elements={"address": "x"},
        proof=installation.prove(token),
    )
    assert report.reason is Reason.MISMATCH
    assert report.check(CheckId.LOG_PROOF).outcome is Outcome.PASSED


def test_a_short_maximum_age_holds_for_the_past_as_well(installation: Installation) -> None:
    policy = with_max_status_age(DEFAULT_POLICY, HOUR)
    token, evidence = installation.credential(), installation.evidence()
    assert verify_credential(token, evidence=evidence, policy=policy, at=NOW - 5 * HOUR)
    stale = verify_credential(
        token, evidence=evidence, policy=policy, at=NOW - 5 * HOUR + timedelta(seconds=1)
    )
    assert stale.reason is Reason.STATUS_STALE
