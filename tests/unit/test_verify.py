"""The judge on credentials: one thing changed at a time, and the reason that must lead."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from elicense.elements import HeldElements
from elicense.encoding import CHINA, civil_day_start, dump_json
from elicense.evidence import Evidence, LiveStatus, RegisterEvidence, gather_offline
from elicense.jws import assemble_compact, compact_signing_input
from elicense.log_proof import LogProof
from elicense.policy import DEFAULT_POLICY, PRESETS, Policy, with_max_status_age
from elicense.problems import Reason
from elicense.report import CheckId, Outcome, Verdict, VerificationReport
from elicense.status_list import Status
from elicense.trust_list import AuthorityState, Scope, ServiceUse
from elicense.verify import SignatureMemo, verify_credential
from tests.simulator import (
    NOW,
    OTHER_AUTHORITY_CODE,
    OTHER_TYPE_CODE,
    SAMPLE_ELEMENTS,
    TYPE_CODE,
    Installation,
    NamedAs,
    SimulatedSigner,
    sample_license,
)

DAY = timedelta(days=1)
CHECKS = [check_id for check_id in CheckId if check_id is not CheckId.POLICY]


@pytest.fixture
def installation() -> Installation:
    return Installation()


def judge(
    installation: Installation,
    token: str | bytes | None = None,
    *,
    evidence: Evidence | None = None,
    policy: Policy = DEFAULT_POLICY,
    at: datetime | None = None,
    elements: Mapping[str, str] | None = None,
    memo: SignatureMemo | None = None,
    proof: LogProof | None = None,
) -> VerificationReport:
    return verify_credential(
        installation.credential() if token is None else token,
        evidence=evidence or installation.evidence(),
        policy=policy,
        at=at,
        elements=elements,
        memo=memo,
        proof=proof,
    )


def outcomes(report: VerificationReport, *without: Outcome) -> dict[str, str]:
    return {check.id.value: check.outcome.value for check in report.checks if check.outcome not in without}


# --- the untouched one


def test_an_untouched_credential_is_valid_and_every_check_is_listed(installation: Installation) -> None:
    report = judge(installation)
    assert report
    assert (report.verdict, report.reason) == (Verdict.VALID, Reason.OK)
    assert (report.result_code, report.file_result_code) == (0, 0)
    assert [check.id for check in report.checks] == CHECKS
    assert outcomes(report, Outcome.PASSED) == {
        "register": "skipped",
        "elements": "skipped",
        "holder_binding": "skipped",
        "log_proof": "skipped",
    }
    assert report.env == "test"
    assert report.status_as_of == NOW
    assert report.license is not None
    assert report.license["elements"] == SAMPLE_ELEMENTS


@pytest.mark.parametrize("policy", PRESETS.values(), ids=str)
def test_every_preset_accepts_it(installation: Installation, policy: Policy) -> None:
    token = installation.credential()
    assert judge(installation, token, policy=policy, proof=installation.prove(token))


def test_the_json_of_a_report_has_the_shape_of_the_api(installation: Installation) -> None:
    shown = judge(installation, elements={"address": "不是这里"}).to_json("en")
    expected = {
        "verdict",
        "reason",
        "result_code",
        "file_result_code",
        "env",
        "checks",
        "elements",
        "license",
    }
    expected |= {"superseded_by", "verified_at", "evaluated_at", "status_as_of", "status_source", "policy"}
    assert expected <= shown.keys()
    assert shown["elements"] == [{"name": "address", "outcome": "mismatch"}]
    assert shown["verified_at"] == "2026-11-02T04:00:00Z"
    assert isinstance(shown["checks"], list)
    assert all(
        isinstance(check, dict) and {"id", "outcome", "code", "message"} <= check.keys()
        for check in shown["checks"]
    )


def test_the_authority_is_shown_by_the_name_of_the_trust_list(installation: Installation) -> None:
    report = judge(installation, installation.credential(authority_name="冒名机构"))
    assert report
    assert report.license is not None
    assert report.license["authority_name"] == "演示市场监督管理局"


# --- 1. format


@pytest.mark.parametrize(
    "token",
    ["", "~", "a.b.c~", "not a token", "\ud800", "é", b"\xff\xfe", b"", "x" * 70000, "a" * 10 + "~" * 300],
)
def test_any_text_is_a_question_and_never_an_exception(
    installation: Installation, token: str | bytes
) -> None:
    for memo in (None, SignatureMemo()):
        report = judge(installation, token, memo=memo, elements={"address": "x"})
        assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.MALFORMED)
        assert (report.result_code, report.file_result_code) == (6, 2)
        assert [check.id for check in report.checks] == CHECKS
        assert {check.outcome for check in report.checks[1:]} == {Outcome.SKIPPED}
        assert [element.outcome.value for element in report.elements] == ["cannot_tell"]


def test_one_changed_character_anywhere_is_invalid(installation: Installation) -> None:
    token = installation.credential(elements={"address": "示范路 1 号"})
    evidence = installation.evidence()
    for position, character in enumerate(token):
        for other in {"A" if character != "A" else "B", "~" if character != "~" else "."}:
            bent = token[:position] + other + token[position + 1 :]
            report = judge(installation, bent, evidence=evidence)
            assert report.verdict is Verdict.INVALID, (position, character, other)


def test_an_algorithm_outside_the_table_is_named(installation: Installation) -> None:
    class Weak(NamedAs):
        pass

    signer = Weak(installation.credential_signer, installation.credential_signer.kid)
    signer.profile = replace(signer.profile, alg="HS256")
    report = judge(installation, installation.credential(signer=signer))
    assert report.reason is Reason.UNSUPPORTED_ALGORITHM


# --- 2. trust


def test_without_root_or_bundle_nothing_can_be_told(installation: Installation) -> None:
    token = installation.credential()
    root, bundle = installation.trust_root(), installation.bundle()
    for given in ((root, None), (b"{}", bundle), (Installation().trust_root(), bundle)):
        evidence = gather_offline(trust_root=given[0], bundle=given[1], now=NOW)
        report = judge(installation, token, evidence=evidence)
        assert (report.verdict, report.reason) == (Verdict.INDETERMINATE, Reason.TRUST_UNAVAILABLE)
        assert (report.result_code, report.file_result_code) == (None, None)
        assert report.license is None
        assert report.check(CheckId.SIGNATURE).outcome is Outcome.SKIPPED


@pytest.mark.parametrize("later", [timedelta(days=7), timedelta(days=89), timedelta(days=1000)])
def test_trust_documents_past_their_end_are_stale_whatever_the_status(
    installation: Installation, later: timedelta
) -> None:
    installation.set_status(5, Status.INVALID)
    report = judge(installation, evidence=installation.evidence(now=NOW + later))
    assert (report.verdict, report.reason) == (Verdict.INDETERMINATE, Reason.TRUST_STALE)
    assert report.check(CheckId.SIGNATURE).outcome is Outcome.PASSED


def test_the_end_of_each_trust_document_is_looked_at(installation: Installation) -> None:
    installation.edits["freshness"] = lambda payload: payload.update(exp=payload["exp"] + 90 * 86400)
    stale = judge(installation, evidence=installation.evidence(now=NOW + 89 * DAY))
    assert "next update" in stale.check(CheckId.TRUST).detail
    installation.root_expires = NOW + DAY
    expired = judge(installation, evidence=installation.evidence(now=NOW + DAY))
    assert "root" in expired.check(CheckId.TRUST).detail
    assert expired.reason is Reason.TRUST_STALE


def test_without_freshness_trust_is_stale_unless_the_list_comes_from_its_publisher(
    installation: Installation,
) -> None:
    installation.edits["bundle"] = lambda members: members.update(freshness=None)
    evidence = installation.evidence()
    assert judge(installation, evidence=evidence).reason is Reason.TRUST_STALE
    careless = replace(DEFAULT_POLICY, id="own", require_freshness=False)
    assert judge(installation, evidence=evidence, policy=careless).check(CheckId.TRUST).outcome is (
        Outcome.PASSED
    )
    assert evidence.trust is not None
    own = replace(evidence, trust=replace(evidence.trust, fresh=True))
    assert judge(installation, evidence=own).check(CheckId.TRUST).outcome is Outcome.PASSED


# --- 3. issuer, 4. signature, 5. key


def test_an_unknown_issuer_or_key_is_issuer_unknown(installation: Installation) -> None:
    stranger = SimulatedSigner()
    elsewhere = installation.credential(claims={"issuer": "https://one.example/authorities/else"})
    for token in (installation.credential(signer=stranger), elsewhere):
        report = judge(installation, token)
        assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.ISSUER_UNKNOWN)
        assert report.file_result_code == 1
        assert report.license is None


def test_the_key_of_another_listed_authority_is_not_this_issuers(installation: Installation) -> None:
    token = installation.credential(signer=installation.other_signer)
    assert judge(installation, token).reason is Reason.ISSUER_UNKNOWN


def test_a_forged_signature_under_a_real_key_id_ends_the_judgement(installation: Installation) -> None:
    forger = NamedAs(SimulatedSigner(), installation.credential_signer.kid)
    report = judge(installation, installation.credential(signer=forger), elements={"address": "x"})
    assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.SIGNATURE_INVALID)
    assert report.file_result_code == 1
    assert report.license is None
    after = CHECKS[CHECKS.index(CheckId.SIGNATURE) + 1 :]
    assert {report.check(check_id).outcome for check_id in after} == {Outcome.SKIPPED}


def test_the_algorithm_is_the_listed_keys_not_the_tokens(installation: Installation) -> None:
    signer = NamedAs(installation.credential_signer, installation.credential_signer.kid)
    signer.profile = SimulatedSigner("eddsa").profile
    assert judge(installation, installation.credential(signer=signer)).reason is Reason.SIGNATURE_INVALID


def test_an_ed25519_key_counts_where_the_trust_list_names_one(installation: Installation) -> None:
    installation.credential_signer = SimulatedSigner("eddsa")
    installation.change_key(key=installation.credential_signer.public_key)
    assert judge(installation)


def test_a_distrusted_authority_has_no_good_signature(installation: Installation) -> None:
    installation.change_authority(status=AuthorityState.DISTRUSTED, ended_at=NOW + DAY)
    report = judge(installation)
    assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.ISSUER_NOT_AUTHORIZED)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"valid_from": NOW - 9 * DAY}, Reason.KEY_NOT_VALID_AT_ISSUE),
        ({"valid_until": NOW - 10 * DAY}, Reason.KEY_NOT_VALID_AT_ISSUE),
        ({"valid_until": NOW - 10 * DAY + timedelta(seconds=1)}, Reason.OK),
        ({"valid_from": NOW - 10 * DAY}, Reason.OK),
        ({"valid_until": None}, Reason.OK),
    ],
)
def test_the_key_is_judged_at_the_time_of_signing(
    installation: Installation, change: dict[str, Any], reason: Reason
) -> None:
    installation.change_key(**change)
    assert judge(installation).reason is reason


# --- 6. claims


def _license(**members: object) -> Callable[[dict[str, Any]], object]:
    return lambda payload: payload["license"].update(members)


OTHER_IDENTIFIER = sample_license(authority_code=OTHER_AUTHORITY_CODE).identifier
OTHER_TYPE_IDENTIFIER = sample_license(type_code=OTHER_TYPE_CODE).identifier


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(_license(authority_code=OTHER_AUTHORITY_CODE), id="authority_code"),
        pytest.param(_license(identifier=OTHER_IDENTIFIER), id="authority in the identifier"),
        pytest.param(
            _license(authority_code=OTHER_AUTHORITY_CODE, identifier=OTHER_IDENTIFIER),
            id="authority in both, not in iss",
        ),
        pytest.param(_license(type_code=OTHER_TYPE_CODE), id="type_code"),
        pytest.param(_license(identifier=OTHER_TYPE_IDENTIFIER), id="type in the identifier"),
        pytest.param(_license(version="002"), id="version"),
        pytest.param(lambda payload: payload.update(sub="91320102MA0T00099X"), id="sub"),
        pytest.param(lambda payload: payload.update(nbf=payload["nbf"] + 1), id="nbf"),
        pytest.param(lambda payload: payload.update(exp=payload["exp"] + 86400), id="exp"),
        pytest.param(_license(valid_until="2027-01-01"), id="valid_until"),
        pytest.param(lambda payload: payload.update(vct=payload["vct"][:-1]), id="vct without version"),
        pytest.param(lambda payload: payload.update(vct=payload["vct"] + "x"), id="vct with an odd version"),
        pytest.param(
            lambda payload: payload.update(vct=payload["vct"][:-1] + "\u0661"),
            id="vct in another script's digits",
        ),
        pytest.param(
            lambda payload: payload.update(vct=f"https://two.example/types/{TYPE_CODE}/1"), id="type base"
        ),
        pytest.param(
            lambda payload: payload.update(vct=f"https://one.example/types/{OTHER_TYPE_CODE}/1"),
            id="type in vct",
        ),
        pytest.param(_license(env="live"), id="env"),
    ],
)
def test_claims_that_disagree_are_inconsistent(
    installation: Installation, edit: Callable[[dict[str, Any]], object]
) -> None:
    report = judge(installation, installation.credential(edit=edit))
    assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.CLAIMS_INCONSISTENT)
    assert report.file_result_code == 2


def test_a_wrong_check_character_is_a_warning_not_a_refusal(installation: Installation) -> None:
    identifier = sample_license().identifier
    wrong = identifier[:-1] + ("A" if identifier[-1] != "A" else "B")
    report = judge(installation, installation.credential(identifier=wrong))
    assert report
    assert [warning.code for warning in report.warnings] == ["identifier_check_character"]
    assert judge(installation).warnings == ()


# --- 7. scope


@pytest.mark.parametrize(
    "scopes",
    [
        (),
        (Scope(type_code=OTHER_TYPE_CODE, areas=("32",)),),
        (Scope(type_code=TYPE_CODE, areas=("3202", "3205")),),
        (Scope(type_code=TYPE_CODE, areas=()),),
        (Scope(type_code=TYPE_CODE, areas=("3201",), valid_until=date(2026, 10, 22)),),
        (Scope(type_code=TYPE_CODE, areas=("3201",), valid_from=date(2026, 10, 24)),),
    ],
    ids=["none", "other type", "other areas", "no areas", "ended before signing", "began after signing"],
)
def test_a_credential_outside_the_scopes_is_not_authorized(
    installation: Installation, scopes: tuple[Scope, ...]
) -> None:
    # Signed 2026-10-23 12:00 at +08:00.
    installation.change_authority(scopes=scopes)
    report = judge(installation)
    assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.ISSUER_NOT_AUTHORIZED)


def test_the_day_of_signing_is_a_civil_day_at_plus_eight(installation: Installation) -> None:
    signed_at = datetime(2026, 10, 22, 23, 0, tzinfo=UTC)  # 07:00 of the 23rd in China
    day = date(2026, 10, 23)
    installation.change_authority(
        scopes=(Scope(type_code=TYPE_CODE, areas=("32",), valid_from=day, valid_until=day),)
    )
    assert judge(installation, installation.credential(signed_at=signed_at))


def test_an_ended_authority_may_not_sign_and_what_it_signed_stays_good(installation: Installation) -> None:
    token = installation.credential()
    installation.change_authority(status=AuthorityState.ENDED, ended_at=NOW - 9 * DAY)
    assert judge(installation, token)
    installation.change_authority(ended_at=NOW - 10 * DAY)
    assert judge(installation, token).reason is Reason.ISSUER_NOT_AUTHORIZED


# --- 8. register


def live(installation: Installation, state: str = "active", *, known: bool = True, **more: Any) -> Evidence:
    status = LiveStatus(state=state, as_of=NOW, event_seq=99, **more) if known else None
    return replace(installation.evidence(), status=status, register=RegisterEvidence(known))


def test_a_good_signature_over_what_the_register_never_issued_is_not_registered(
    installation: Installation,
) -> None:
    report = judge(installation, evidence=live(installation, known=False))
    assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.NOT_REGISTERED)
    assert (report.result_code, report.file_result_code) == (5, 2)
    assert report.check(CheckId.STATUS).outcome is Outcome.SKIPPED


@pytest.mark.parametrize(
    ("state", "reason", "result_code"),
    [
        ("active", Reason.OK, 0),
        ("suspended", Reason.SUSPENDED, 2),
        ("revoked", Reason.REVOKED, 3),
        ("cancelled", Reason.CANCELLED, 3),
        ("transferred", Reason.TRANSFERRED, 3),
        ("superseded", Reason.SUPERSEDED, 3),
        ("burnt", Reason.STATUS_UNAVAILABLE, None),
    ],
)
def test_the_live_state_decides_online(
    installation: Installation, state: str, reason: Reason, result_code: int | None
) -> None:
    report = judge(installation, evidence=live(installation, state))
    assert (report.reason, report.result_code) == (reason, result_code)
    assert report.status_source == {"kind": "live", "as_of": "2026-11-02T04:00:00Z", "event_seq": 99}
    assert report.check(CheckId.REGISTER).outcome is Outcome.PASSED


def test_a_superseded_license_names_its_successor_online(installation: Installation) -> None:
    evidence = live(installation, "superseded", superseded_by="1.2.156.3005.2.X")
    assert judge(installation, evidence=evidence).superseded_by == "1.2.156.3005.2.X"


def test_the_text_says_what_the_source_can_know(installation: Installation) -> None:
    installation.set_status(5, Status.INVALID)
    assert "名单不作区分" in judge(installation).reason_text("zh")
    assert "名单不作区分" not in judge(installation, evidence=live(installation, "revoked")).reason_text("zh")


# --- 9. status


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Status.INVALID, Reason.REVOKED),
        (Status.SUSPENDED, Reason.SUSPENDED),
        (Status.SUPERSEDED, Reason.SUPERSEDED),
    ],
)
def test_the_list_decides_offline_for_its_own_index_alone(
    installation: Installation, status: Status, reason: Reason
) -> None:
    installation.set_status(5, status)
    assert judge(installation).reason is reason
    assert judge(installation).verdict is Verdict.INVALID
    assert judge(installation, installation.credential(status_index=4))
    assert judge(installation, installation.credential(status_index=6))


@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param(
            lambda i: i.change_service(ServiceUse.STATUS, authorities=()), id="service for no authority"
        ),
        pytest.param(
            lambda i: i.change_service(ServiceUse.STATUS, authorities=(OTHER_AUTHORITY_CODE,)),
            id="service for another authority",
        ),
        pytest.param(
            lambda i: i.change_service(ServiceUse.STATUS, authorities=("*", OTHER_AUTHORITY_CODE)),
            id="star beside a code means no more than the code",
        ),
        pytest.param(lambda i: i.change_service(ServiceUse.STATUS, uri_prefixes=()), id="no prefixes"),
        pytest.param(
            lambda i: i.change_service(ServiceUse.STATUS, uri_prefixes=("https://two.example/",)),
            id="prefix elsewhere",
        ),
        pytest.param(lambda i: i.compromise(i.status_signer, None), id="compromised key"),
        pytest.param(lambda i: i.change_service(ServiceUse.STATUS, valid_until=NOW), id="key past its end"),
        pytest.param(
            lambda i: i.change_service(ServiceUse.STATUS, valid_from=NOW + DAY), id="key before its window"
        ),
        pytest.param(lambda i: setattr(i, "status_signer", SimulatedSigner()), id="unknown status key"),
        pytest.param(lambda i: setattr(i, "status_signer", i.receipt_signer), id="key of another use"),
        pytest.param(
            lambda i: i.edits.update(status_list=lambda p: p.update(env="live")), id="other environment"
        ),
        pytest.param(
            lambda i: i.edits.update(status_list=lambda p: p.update(sub=p["sub"] + "0")), id="other sub"
        ),
        pytest.param(
            lambda i: i.edits.update(status_list=lambda p: p.update(iss="https://x.example")), id="other iss"
        ),
        pytest.param(
            lambda i: i.edits.update(status_list=lambda p: p.update(seq=p["seq"] + 1)), id="seq not named"
        ),
        pytest.param(
            lambda i: i.edits.update(freshness=lambda p: p["status_lists"][0].update(sha256="0" * 64)),
            id="digest not named",
        ),
        pytest.param(lambda i: i.edits.update(freshness=lambda p: p.update(status_lists=[])), id="not named"),
        pytest.param(lambda i: i.edits.update(bundle=lambda p: p.update(status_lists={})), id="not carried"),
    ],
)
def test_a_status_list_that_may_not_speak_leaves_the_status_unavailable(
    installation: Installation, break_it: Callable[[Installation], object]
) -> None:
    break_it(installation)
    report = judge(installation)
    assert (report.verdict, report.reason) == (Verdict.INDETERMINATE, Reason.STATUS_UNAVAILABLE)


def test_a_service_limited_to_the_authority_speaks_for_it(installation: Installation) -> None:
    code = installation.authorities[0].code
    installation.change_service(ServiceUse.STATUS, authorities=(OTHER_AUTHORITY_CODE, code))
    assert judge(installation)


def test_an_index_outside_the_list_or_another_uri_is_unavailable(installation: Installation) -> None:
    for token in (
        installation.credential(status_index=1024),
        installation.credential(claims={"status_uri": installation.status_uri + "0"}),
    ):
        assert judge(installation, token).reason is Reason.STATUS_UNAVAILABLE


def aged(installation: Installation, age: timedelta) -> Installation:
    installation.status_read_at = NOW - age
    installation.status_expires_at = installation.status_read_at + 7 * DAY
    return installation


@pytest.mark.parametrize(
    ("age", "limit", "reason"),
    [
        (timedelta(hours=24), timedelta(hours=24), Reason.OK),
        (timedelta(hours=24, seconds=1), timedelta(hours=24), Reason.STATUS_STALE),
        (timedelta(days=6), timedelta(days=7), Reason.OK),
        (timedelta(days=7), timedelta(days=7), Reason.STATUS_STALE),
    ],
)
def test_a_status_counts_up_to_the_policys_age_and_never_past_its_exp(
    installation: Installation, age: timedelta, limit: timedelta, reason: Reason
) -> None:
    report = judge(aged(installation, age), policy=with_max_status_age(DEFAULT_POLICY, limit))
    assert report.reason is reason
    if reason is Reason.STATUS_STALE:
        assert report.verdict is Verdict.INDETERMINATE
        assert report.status_as_of == NOW - age


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Status.INVALID, Reason.REVOKED),
        (Status.SUPERSEDED, Reason.SUPERSEDED),
        (Status.SUSPENDED, Reason.STATUS_STALE),
    ],
)
def test_a_stale_list_still_proves_an_end_but_not_a_suspension(
    installation: Installation, status: Status, reason: Reason
) -> None:
    installation.set_status(5, status)
    assert judge(aged(installation, timedelta(hours=30))).reason is reason
    weekend = with_max_status_age(DEFAULT_POLICY, 7 * DAY)
    expired = judge(aged(installation, 7 * DAY), policy=weekend)
    assert expired.reason is Reason.STATUS_STALE


def test_a_policy_may_accept_a_suspended_license(installation: Installation) -> None:
    installation.set_status(5, Status.SUSPENDED)
    lenient = replace(DEFAULT_POLICY, id="own", accepted_states=frozenset({"active", "suspended"}))
    assert judge(installation, policy=lenient)


# --- 10. dates and `at`


def china(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, second, tzinfo=CHINA).astimezone(UTC)


@pytest.mark.parametrize(
    ("valid_until", "now", "reason"),
    [
        (date(2026, 11, 2), china(2026, 11, 2, 23, 59, 59), Reason.OK),
        (date(2026, 11, 2), china(2026, 11, 3), Reason.EXPIRED),
        (date(2026, 10, 30), NOW, Reason.EXPIRED),
    ],
)
def test_the_last_day_is_included_and_ends_at_midnight_in_china(
    installation: Installation, valid_until: date, now: datetime, reason: Reason
) -> None:
    token = installation.credential(valid_until=valid_until)
    report = judge(installation, token, evidence=installation.evidence(now=now))
    assert report.reason is reason
    assert report.result_code == (0 if reason is Reason.OK else 3)


def test_a_license_not_begun_is_not_yet_valid_to_the_second(installation: Installation) -> None:
    token = installation.credential(valid_from=date(2026, 11, 3))
    before = judge(installation, token, evidence=installation.evidence(now=china(2026, 11, 2, 23, 59, 59)))
    assert (before.reason, before.result_code) == (Reason.NOT_YET_VALID, 1)
    assert judge(installation, token, evidence=installation.evidence(now=china(2026, 11, 3)))


def test_a_revoked_license_not_yet_begun_is_revoked(installation: Installation) -> None:
    installation.set_status(5, Status.INVALID)
    report = judge(installation, installation.credential(valid_from=date(2027, 1, 1)))
    assert report.reason is Reason.REVOKED
    assert report.check(CheckId.DATES).code is Reason.NOT_YET_VALID


def test_a_credential_signed_in_the_future_is_not_yet_valid_beyond_the_leeway(
    installation: Installation,
) -> None:
    assert judge(installation, installation.credential(signed_at=NOW + timedelta(seconds=60)))
    report = judge(installation, installation.credential(signed_at=NOW + timedelta(seconds=61)))
    assert report.reason is Reason.NOT_YET_VALID


def test_the_last_hours_of_the_calendar_have_no_day_here_and_are_malformed(
    installation: Installation,
) -> None:
    last = datetime(9999, 12, 31, 15, 59, 59, tzinfo=UTC)
    ahead = judge(installation, installation.credential(valid_until=None, signed_at=last))
    assert ahead.check(CheckId.DATES).code is Reason.NOT_YET_VALID
    beyond = installation.credential(valid_until=None, signed_at=last + timedelta(seconds=1))
    assert judge(installation, beyond).reason is Reason.MALFORMED


def test_a_file_that_ends_with_the_calendar_is_expired_at_its_last_second(installation: Installation) -> None:
    token = installation.credential(valid_until=date.max, signed_at=datetime(9999, 6, 1, tzinfo=UTC))
    report = judge(installation, token, at=datetime(9999, 12, 31, tzinfo=UTC))
    assert report.check(CheckId.DATES).code is Reason.EXPIRED


def test_a_license_older_than_1970_and_without_end_is_valid(installation: Installation) -> None:
    token = installation.credential(
        issue_date=date(1958, 1, 1), valid_from=date(1958, 1, 1), valid_until=None
    )
    assert judge(installation, token)


def test_a_credential_past_five_years_says_that_the_file_ended(installation: Installation) -> None:
    installation.change_key(valid_from=NOW - 2500 * DAY)
    token = installation.credential(valid_until=None, signed_at=NOW - 2000 * DAY)
    report = judge(installation, token)
    assert report.reason is Reason.EXPIRED
    assert "重新申领" in report.reason_text("zh")
    ended = judge(installation, installation.credential(valid_until=date(2026, 10, 30)))
    assert "重新申领" not in ended.reason_text("zh")


def test_a_past_moment_is_covered_by_no_list_unless_a_date_rule_leads(installation: Installation) -> None:
    token = installation.credential(valid_from=date(2026, 10, 1))
    past = judge(installation, token, at=NOW - 2 * DAY)
    assert (past.verdict, past.reason) == (Verdict.INDETERMINATE, Reason.STATUS_UNAVAILABLE)
    assert "存档" in past.check(CheckId.STATUS).message("zh")
    assert past.evaluated_at == NOW - 2 * DAY
    assert past.verified_at == NOW
    before = judge(installation, token, at=china(2026, 9, 30, 12))
    assert before.reason is Reason.NOT_YET_VALID
    # A revocation made since then says nothing about that moment either.
    installation.set_status(5, Status.INVALID)
    assert judge(installation, token, at=NOW - 2 * DAY).reason is Reason.STATUS_UNAVAILABLE


def test_a_past_moment_after_the_list_was_read_is_covered(installation: Installation) -> None:
    aged(installation, timedelta(hours=5))
    assert judge(installation, at=NOW - timedelta(hours=4))


def test_a_future_moment_ages_the_evidence(installation: Installation) -> None:
    assert judge(installation, at=NOW + timedelta(hours=24))
    assert judge(installation, at=NOW + timedelta(hours=25)).reason is Reason.STATUS_STALE
    assert judge(installation, at=NOW + timedelta(days=8)).reason is Reason.TRUST_STALE


def test_a_moment_without_a_time_zone_is_the_callers_error(installation: Installation) -> None:
    with pytest.raises(ValueError, match="time zone"):
        judge(installation, at=datetime(2026, 11, 2))


# --- 11. elements


def test_disclosed_elements_and_visible_metadata_can_be_asked(installation: Installation) -> None:
    asked = {
        "holder_name": sample_license().holder.name,
        "address": "南京市玄武区示范路1号\uff08集群登记\uff09",
        "valid_until": "2039-05-05",
    }
    report = judge(installation, elements=asked)
    assert report
    assert [result.outcome.value for result in report.elements] == ["match", "match_normalized", "match"]


def test_a_mismatch_outranks_the_status_and_echoes_nothing(installation: Installation) -> None:
    installation.set_status(5, Status.INVALID)
    report = judge(installation, elements={"legal_representative": "王某", "address": "x"})
    assert (report.reason, report.result_code) == (Reason.MISMATCH, 6)
    shown = report.to_json()
    assert SAMPLE_ELEMENTS["legal_representative"] not in str(shown["elements"]) + str(shown["checks"])


def test_an_element_not_disclosed_cannot_be_told(installation: Installation) -> None:
    whole = installation.credential()
    bare = whole.split("~")[0] + "~"
    report = judge(installation, bare, elements={"address": "x", "holder_name": "x"})
    assert (report.verdict, report.reason, report.result_code) == (
        Verdict.INDETERMINATE,
        Reason.INCOMPLETE,
        4,
    )
    assert [result.outcome.value for result in report.elements] == ["cannot_tell", "mismatch"]
    assert judge(installation, bare)


def test_an_element_the_license_does_not_have_is_a_mismatch(installation: Installation) -> None:
    report = judge(installation, elements={"registered_on": "2019-05-06"})
    assert report.reason is Reason.MISMATCH
    assert report.elements[0].outcome.value == "not_on_license"


def test_the_registers_values_are_compared_where_the_evidence_has_them(installation: Installation) -> None:
    held = HeldElements(values={"address": "新址"}, complete=True)
    evidence = replace(live(installation), register=RegisterEvidence(known=True, elements=held))
    bare = installation.credential().split("~")[0] + "~"
    assert judge(installation, bare, evidence=evidence, elements={"address": "新址"})
    assert (
        judge(installation, bare, evidence=evidence, elements={"address": "旧址"}).reason is Reason.MISMATCH
    )


def test_a_policy_can_require_elements(installation: Installation) -> None:
    policy = replace(DEFAULT_POLICY, id="own", required_elements=("address",))
    assert judge(installation, policy=policy)
    bare = installation.credential().split("~")[0] + "~"
    assert judge(installation, bare, policy=policy).reason is Reason.INCOMPLETE


def test_what_a_policy_requires_need_not_be_disclosed_where_the_register_has_it(
    installation: Installation,
) -> None:
    policy = replace(DEFAULT_POLICY, id="own", required_elements=("address", "holder_name"))
    bare = installation.credential().split("~")[0] + "~"
    for values, reason in (({"address": "x", "holder_name": "y"}, Reason.OK), ({}, Reason.INCOMPLETE)):
        register = RegisterEvidence(known=True, elements=HeldElements(values=values, complete=True))
        online = replace(live(installation), register=register)
        assert judge(installation, bare, evidence=online, policy=policy).reason is reason
    named = replace(policy, required_elements=("holder_name", "number"))
    assert judge(installation, bare, policy=named)  # metadata stands in every file


# --- 12-15


def test_a_key_binding_that_nobody_checked_is_a_warning(installation: Installation) -> None:
    members = {"iat": 1, "aud": "platform", "nonce": "n", "sd_hash": "h"}
    header = {"alg": "ES256", "typ": "kb+jwt"}
    signing_input = compact_signing_input(header, dump_json(members))
    binding = assemble_compact(signing_input, SimulatedSigner().sign(signing_input))
    report = judge(installation, installation.credential() + binding)
    assert report
    assert report.check(CheckId.HOLDER_BINDING).outcome is Outcome.SKIPPED
    assert [warning.code for warning in report.warnings] == ["key_binding_not_checked"]


def test_an_unreliable_clock_cannot_tell(installation: Installation) -> None:
    evidence = replace(installation.evidence(), clock_reliable=False)
    assert judge(installation, evidence=evidence).reason is Reason.CLOCK_UNRELIABLE


def test_a_clock_behind_the_signed_evidence_cannot_tell(installation: Installation) -> None:
    near = installation.evidence(now=NOW - timedelta(seconds=60))
    assert judge(installation, evidence=near)
    behind = installation.evidence(now=NOW - timedelta(seconds=61))
    report = judge(installation, evidence=behind)
    assert (report.verdict, report.reason) == (Verdict.INDETERMINATE, Reason.CLOCK_UNRELIABLE)


def test_a_clock_behind_the_signed_evidence_never_calls_a_credential_signed_in_the_future(
    installation: Installation,
) -> None:
    behind = installation.evidence(now=NOW - timedelta(hours=1))
    report = judge(installation, installation.credential(signed_at=NOW), evidence=behind)
    assert (report.verdict, report.reason) == (Verdict.INDETERMINATE, Reason.CLOCK_UNRELIABLE)


def test_a_clock_behind_the_signed_evidence_never_calls_a_license_not_yet_valid(
    installation: Installation,
) -> None:
    today = civil_day_start(date(2026, 11, 2))
    token = installation.credential(valid_from=date(2026, 11, 2))
    behind = installation.evidence(now=today - timedelta(hours=3))
    report = judge(installation, token, evidence=behind)
    assert (report.verdict, report.reason) == (Verdict.INDETERMINATE, Reason.CLOCK_UNRELIABLE)
    later = installation.credential(valid_from=date(2027, 1, 1))
    assert judge(installation, later, evidence=behind).reason is Reason.NOT_YET_VALID
    asked = judge(installation, token, at=today - timedelta(hours=3))
    assert asked.check(CheckId.DATES).code is Reason.NOT_YET_VALID, "a past moment asked for is no clock"


def test_all_failing_checks_are_listed_whichever_leads(installation: Installation) -> None:
    installation.set_status(5, Status.SUSPENDED)
    installation.change_authority(scopes=())
    report = judge(
        installation, installation.credential(valid_until=date(2026, 10, 30)), elements={"address": "x"}
    )
    assert report.reason is Reason.ISSUER_NOT_AUTHORIZED
    codes = {check.code for check in report.checks}
    assert {Reason.MISMATCH, Reason.SUSPENDED, Reason.EXPIRED} <= codes


# --- the memo


def test_a_memo_never_remembers_a_verdict(installation: Installation) -> None:
    memo = SignatureMemo()
    token = installation.credential(valid_until=date(2026, 11, 2))
    assert judge(installation, token, memo=memo)
    assert judge(installation, token, memo=memo)
    tomorrow = installation.evidence(now=NOW + DAY - timedelta(hours=1))
    assert judge(installation, token, memo=memo, evidence=tomorrow).reason is Reason.EXPIRED
    installation.set_status(5, Status.INVALID)
    assert judge(installation, token, memo=memo).reason is Reason.REVOKED
    installation.compromise(installation.credential_signer, None)
    assert judge(installation, token, memo=memo).reason is Reason.KEY_COMPROMISED
    installation.change_authority(keys=())
    assert judge(installation, token, memo=memo).reason is Reason.ISSUER_UNKNOWN


def test_a_memo_does_not_lend_a_good_signature_to_other_disclosures_or_bytes(
    installation: Installation,
) -> None:
    memo = SignatureMemo(maxsize=2)
    token = installation.credential()
    assert judge(installation, token, memo=memo)
    issuer_signed, first, *_ = token.split("~")
    fewer = judge(installation, f"{issuer_signed}~{first}~", memo=memo)
    assert fewer
    assert fewer.license is not None
    assert list(fewer.license["elements"]) == ["company_type"]  # type: ignore[arg-type, call-overload]
    forged = judge(
        installation,
        installation.credential(signer=NamedAs(SimulatedSigner(), installation.credential_signer.kid)),
        memo=memo,
    )
    assert forged.reason is Reason.SIGNATURE_INVALID
    assert judge(installation, f"{issuer_signed}~{first}A~", memo=memo).reason is Reason.MALFORMED


def test_a_memo_stays_within_its_size(installation: Installation) -> None:
    memo = SignatureMemo(maxsize=3)
    tokens = [installation.credential(status_index=index) for index in range(10)]
    evidence = installation.evidence()
    for token in tokens * 2:
        assert judge(installation, token, memo=memo, evidence=evidence)
    with pytest.raises(ValueError, match="at least one"):
        SignatureMemo(0)
    with pytest.raises(ValueError, match="at least one"):
        SignatureMemo(ahead=0)


def test_a_memo_reads_ahead_for_a_moment_and_keeps_for_long_once_the_token_comes_again(
    installation: Installation,
) -> None:
    memo = SignatureMemo(ahead=1)
    token, other = (installation.credential(status_index=index) for index in (1, 2))
    first = memo.read_ahead(token)
    assert memo.read(token) is first
    assert judge(installation, token, memo=memo)
    memo.read_ahead(other)
    again = memo.read(token)
    assert again is not first and again.credential.claims == first.credential.claims
    memo.read_ahead(other)
    assert memo.read(token) is again


def test_a_memo_does_not_lend_a_good_signature_to_other_claims(installation: Installation) -> None:
    memo = SignatureMemo()
    token, other = (installation.credential(status_index=index) for index in (1, 2))
    for _ in range(3):
        assert judge(installation, token, memo=memo)
    header, payload, _ = other.split("~")[0].split(".")
    signature = token.split("~")[0].split(".")[2]
    swapped = "~".join((f"{header}.{payload}.{signature}", *other.split("~")[1:]))
    for _ in range(2):
        assert judge(installation, swapped, memo=memo).reason is Reason.SIGNATURE_INVALID
    assert judge(installation, token, memo=memo)
