"""Own policies: made from the same parts, never more lenient than valid allows, and carried in a file."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from elicense import OfflineVerifier
from elicense.own_policy import (
    PARTS,
    PolicyError,
    make_policy,
    parse_policy_file,
    parse_reference,
    parts_of,
    policy_json,
)
from elicense.policy import DEFAULT_POLICY, PRESETS, Policy
from elicense.problems import INDETERMINATE, REASONS, Reason
from elicense.report import RESULT_CODES, CheckId, Outcome, Verdict
from elicense.status_list import Status
from elicense.verify import verify_credential
from tests.offline_kit import OfflineKit, elicense
from tests.simulator import NOW, TYPE_CODE, Installation, sample_license
from tests.unit.test_verify_license import FACTS, ask

AREA = sample_license().area_code


def own(**parts: Any) -> Policy:
    return make_policy("own", parts, version=1)


def test_an_empty_policy_has_the_conditions_of_platform_default() -> None:
    assert parts_of(own()) == parts_of(DEFAULT_POLICY)


def test_parts_come_back_in_one_form_and_give_one_digest() -> None:
    first = own(max_status_age="2h", types=[TYPE_CODE], areas=["3201", "32", "3201"])
    again = make_policy("own", parts_of(first), version=1)
    assert parts_of(first) == {
        "max_status_age": 7200,
        "accepted_states": ["active"],
        "required_elements": [],
        "types": [TYPE_CODE],
        "areas": ["32", "3201"],
        "require_freshness": True,
        "require_log_proof": False,
    }
    assert again == first
    assert again.sha256 == first.sha256 != make_policy("own", parts_of(first), version=2).sha256


def test_the_presets_keep_their_digests() -> None:
    assert {name: preset.sha256[:16] for name, preset in PRESETS.items()} == PRESET_DIGESTS


@pytest.mark.parametrize(
    ("pointer", "parts"),
    [
        ("/parts/max_status_age", {"max_status_age": "8d"}),
        ("/parts/max_status_age", {"max_status_age": 0}),
        ("/parts/max_status_age", {"max_status_age": True}),
        ("/parts/max_status_age", {"max_status_age": 10**30}),
        ("/parts/max_status_age", {"max_status_age": None}),
        ("/parts/accepted_states", {"accepted_states": ["active", "revoked"]}),
        ("/parts/accepted_states", {"accepted_states": ["suspended"]}),
        ("/parts/accepted_states", {"accepted_states": []}),
        ("/parts/require_freshness", {"require_freshness": False}),
        ("/parts/require_log_proof", {"require_log_proof": 1}),
        ("/parts/types/1", {"types": [TYPE_CODE, "x"]}),
        ("/parts/areas/0", {"areas": ["320"]}),
        ("/parts/areas", {"areas": ["32"] * 101}),
        ("/parts/required_elements/0", {"required_elements": ["Address"]}),
        ("/parts/leeway", {"leeway": 3600}),
        ("/parts/lenient", {"lenient": True}),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(pointer: str, parts: dict[str, Any]) -> None:
    with pytest.raises(PolicyError) as refused:
        own(**parts)
    assert refused.value.pointer == pointer
    assert refused.value.text.zh
    assert refused.value.text.en.isascii()


@pytest.mark.parametrize("name", ["bank-strict", "Own", "", "1st", "a" * 65, "a@1"])
def test_names_of_presets_and_what_is_no_name_are_refused(name: str) -> None:
    with pytest.raises(PolicyError) as refused:
        make_policy(name, {}, version=1)
    assert refused.value.pointer == "/name"


def test_a_policy_is_named_with_or_without_its_version() -> None:
    assert parse_reference("own") == ("own", None)
    assert parse_reference("own@12") == ("own", 12)
    for wrong in ("", "own@", "own@0", "own@01", "Own", "own@1@2", "own@1\n"):
        with pytest.raises(ValueError, match="name"):
            parse_reference(wrong)


def test_no_policy_at_all_accepts_a_state_that_ends_a_license() -> None:
    for state in ("revoked", "cancelled", "superseded", "transferred"):
        with pytest.raises(ValueError, match="end a license"):
            Policy(
                id="own",
                version=1,
                max_status_age=timedelta(hours=1),
                accepted_states=frozenset({"active", state}),
            )


SAMPLES: dict[str, list[Any]] = {
    "max_status_age": ["1s", "7d"],
    "accepted_states": [["active"]],
    "required_elements": [[], ["holder_name"]],
    "types": [[], [TYPE_CODE]],
    "areas": [[], [AREA[:4]]],
    "require_freshness": [True],
    "require_log_proof": [False, True],
    "holder_binding": ["ignored", "if_present", "required"],
}


def every_policy() -> list[Policy]:
    """Return policies of every combination of parts; a part without samples here is a part nobody thought of."""
    assert set(SAMPLES) == set(PARTS)
    return [own(**dict(zip(SAMPLES, values, strict=True))) for values in product(*SAMPLES.values())]


def test_no_own_policy_makes_an_invalid_credential_valid() -> None:
    installation = Installation()
    cases = {}
    for status in (Status.INVALID, Status.SUSPENDED, Status.SUPERSEDED):
        installation.statuses.set(5, status)
        cases[status.name] = (installation.evidence(), installation.credential(), None)
    installation.statuses.set(5, Status.VALID)
    evidence, good = installation.evidence(), installation.credential()
    cases["tampered"] = (evidence, good[:200] + ("A" if good[200] != "A" else "B") + good[201:], None)
    cases["before"] = (evidence, good, NOW - timedelta(days=40_000))
    cases["mismatch"] = (evidence, good, None)
    for name, (at_hand, token, at) in cases.items():
        asked = {"holder_name": "别家"} if name == "mismatch" else None
        usual = verify_credential(token, evidence=at_hand, policy=DEFAULT_POLICY, at=at, elements=asked)
        assert not usual, name
        for policy in every_policy():
            assert not verify_credential(token, evidence=at_hand, policy=policy, at=at, elements=asked), name


def test_no_own_policy_makes_an_invalid_license_of_the_register_valid() -> None:
    for state in ("revoked", "cancelled", "transferred", "superseded", "suspended"):
        for policy in every_policy():
            assert not ask(_facts(state=state), policy=policy)
    for policy in every_policy():
        assert not ask(_facts(), policy=policy, at=NOW + timedelta(days=40_000))
        assert not ask(policy=policy)


def _facts(**changes: Any) -> Any:
    held = {**FACTS.elements, "type_code": TYPE_CODE, "area_code": AREA}
    return replace(FACTS, elements=held, **changes)


@pytest.mark.parametrize(
    ("parts", "accepted"),
    [
        ({"types": [TYPE_CODE]}, True),
        ({"types": ["0" * 21]}, False),
        ({"areas": [AREA[:2]]}, True),
        ({"areas": [AREA]}, True),
        ({"areas": ["11"]}, False),
        ({"types": [TYPE_CODE], "areas": ["11"]}, False),
    ],
)
def test_another_type_or_area_is_outside_the_policy(parts: dict[str, Any], accepted: bool) -> None:
    installation = Installation()
    reports = (
        ask(_facts(), policy=own(**parts)),
        verify_credential(installation.credential(), evidence=installation.evidence(), policy=own(**parts)),
    )
    for report in reports:
        expected = (Verdict.VALID, Reason.OK) if accepted else (Verdict.INVALID, Reason.OUTSIDE_POLICY)
        assert (report.verdict, report.reason) == expected
        check = report.check(CheckId.POLICY)
        assert check.outcome is (Outcome.PASSED if accepted else Outcome.FAILED)


def test_what_is_wrong_with_the_license_itself_leads() -> None:
    strict = own(types=["0" * 21])
    assert ask(_facts(state="revoked"), policy=strict).reason is Reason.REVOKED
    assert ask(_facts(), policy=strict, elements={"address": "x"}).reason is Reason.MISMATCH
    assert ask(policy=strict).reason is Reason.NOT_FOUND
    assert ask(_facts(), _facts(), policy=strict).reason is Reason.AMBIGUOUS
    assert ask(policy=strict).check(CheckId.POLICY).outcome is Outcome.SKIPPED


def test_the_new_reason_is_an_invalid_one_with_texts_and_a_result_code() -> None:
    assert Reason.OUTSIDE_POLICY not in INDETERMINATE
    assert RESULT_CODES[Reason.OUTSIDE_POLICY] == 6
    assert REASONS[Reason.OUTSIDE_POLICY].text.zh


def test_a_policy_without_types_and_areas_lists_no_check_of_them() -> None:
    assert CheckId.POLICY not in {check.id for check in ask(_facts()).checks}


def _file(**changes: object) -> bytes:
    document = {**policy_json(own(areas=["32"])), **changes}
    return json.dumps({name: value for name, value in document.items() if value is not None}).encode()


def test_a_policy_file_is_what_the_service_answers() -> None:
    assert parse_policy_file(_file(created_at="2026-01-01T00:00:00Z")) == own(areas=["32"])
    by_hand = b'{"fmt": 1, "name": "own", "parts": {"areas": ["32"]}}'
    assert parse_policy_file(b"\xef\xbb\xbf" + by_hand) == own(areas=["32"])


@pytest.mark.parametrize(
    ("pointer", "changes"),
    [
        ("/fmt", {"fmt": 2}),
        ("/fmt", {"fmt": None}),
        ("/name", {"name": "public-basic"}),
        ("/name", {"name": 1}),
        ("/version", {"version": 0}),
        ("/version", {"version": True}),
        ("/sha256", {"sha256": "0" * 64}),
        ("/parts", {"parts": []}),
        ("/parts/x", {"parts": {"x": 1}}),
        ("/x", {"x": 1}),
    ],
)
def test_a_policy_file_that_is_none_is_refused_at_its_place(pointer: str, changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_policy_file(_file(**changes))
    assert refused.value.pointer == pointer


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"{" * 70_000])
def test_bytes_that_are_no_object_are_refused(content: bytes) -> None:
    with pytest.raises(PolicyError):
        parse_policy_file(content)


def test_a_bank_verifies_offline_under_its_own_policy(tmp_path: Path) -> None:
    kit = OfflineKit(folder=tmp_path).write()
    path, credential = tmp_path / "own.json", kit.write_credential()
    path.write_bytes(_file())
    for policy in (path, str(path), own(areas=["32"])):
        verifier = OfflineVerifier(trust_root=kit.root_path, bundle=kit.bundle_path, policy=policy)
        report = verifier.verify(credential)
        assert report, report.reason
        assert report.policy.sha256 == own(areas=["32"]).sha256
    elsewhere = OfflineVerifier(trust_root=kit.root_path, bundle=kit.bundle_path, policy=own(areas=["11"]))
    refused = elsewhere.verify(credential)
    assert refused.reason is Reason.OUTSIDE_POLICY
    refused.save_evidence(tmp_path / "evidence.json")
    with pytest.raises(ValueError, match="unknown policy"):
        OfflineVerifier(trust_root=kit.root_path, policy="nobodys")


def test_the_command_takes_a_policy_file_and_repeats_kept_evidence(tmp_path: Path) -> None:
    kit = OfflineKit(folder=tmp_path).write()
    credential = kit.write_credential()
    (tmp_path / "own.json").write_bytes(_file(sha256=None, parts={"areas": ["11"]}))
    trusted = ("--trust-root", kit.root_path)
    ran = elicense(
        "verify",
        credential,
        *trusted,
        *("--bundle", kit.bundle_path, "--policy", tmp_path / "own.json", "--json"),
        *("--save-evidence", tmp_path / "kept.json"),
    )
    answer = json.loads(ran.stdout)
    assert (ran.returncode, answer["reason"], answer["policy"]["id"]) == (1, "outside_policy", "own")
    repeated = elicense("verify", "--evidence", tmp_path / "kept.json", *trusted)
    assert repeated.returncode == 1
    assert b"outside_policy" in repeated.stdout
    (tmp_path / "own.json").write_text('{"fmt": 9}')
    broken = elicense("verify", credential, *trusted, "--policy", tmp_path / "own.json")
    assert (broken.returncode, b"/fmt" in broken.stderr) == (2, True)


PRESET_DIGESTS = {
    "platform-default": "d854cdbb4226a80a",
    "bank-strict": "5a2ac0d4264b08db",
    "public-basic": "a42b27a39f4ce08c",
}
