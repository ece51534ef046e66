"""Key binding: who presents a credential holds the key it names, where question or policy ask for it.

The matrix bends every part of a presentation, one at a time; none may be valid. Broken twins of the core show that
each check is what keeps some bent presentation out.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from elicense.by_reference import LicenseFacts, verify_license
from elicense.credential import select_disclosures
from elicense.encoding import b64url_decode, b64url_encode, dump_json, parse_json_object, to_unix
from elicense.evidence_file import new_judgement, parse_evidence, repeat, write_evidence
from elicense.jws import assemble_compact, compact_signing_input
from elicense.key_binding import ExpectedBinding, present
from elicense.policy import DEFAULT_POLICY, PRESETS, HolderBinding, Policy
from elicense.problems import FormatError, Reason
from elicense.report import CheckId, Outcome, Verdict, VerificationReport
from elicense.verify import verify_credential
from tests.simulator import HOLDER_CODE, NOW, Installation, SimulatedSigner
from tests.unit.twins import Twin

NONCE = "6pPlKmVb0fGTL2Xh1u0r8Q"
AUDIENCE = "https://bank.example"
EXPECTED = ExpectedBinding(nonce=NONCE, audience=AUDIENCE)
HOLDER = SimulatedSigner()
OTHER_HOLDER = SimulatedSigner()
REQUIRED = replace(DEFAULT_POLICY, id="own", holder_binding=HolderBinding.REQUIRED)
IF_PRESENT = replace(DEFAULT_POLICY, id="own", holder_binding=HolderBinding.IF_PRESENT)
SHOWN = ("address", "business_scope")


@pytest.fixture(scope="module")
def installation() -> Installation:
    return Installation()


def naming(key: Any) -> Callable[[dict[str, Any]], object]:
    """Let a credential name a holder's key."""
    return lambda payload: payload.update(cnf={"jwk": dict(key)})


def bound_credential(installation: Installation, holder: SimulatedSigner = HOLDER, **changes: Any) -> str:
    return installation.credential(edit=naming(holder.public_key.jwk), **changes)


def presentation(installation: Installation, **changes: Any) -> str:
    made: dict[str, Any] = {
        "disclose": SHOWN,
        "signer": HOLDER,
        "nonce": NONCE,
        "audience": AUDIENCE,
        "issued_at": NOW,
    }
    return present(bound_credential(installation), **{**made, **changes})


def signed_binding(
    shown: str,
    *,
    signer: SimulatedSigner = HOLDER,
    alg: str | None = None,
    typ: str = "kb+jwt",
    **changes: Any,
) -> str:
    """Put any key binding behind what is shown, good or not."""
    members = {
        "iat": to_unix(NOW),
        "aud": AUDIENCE,
        "nonce": NONCE,
        "sd_hash": b64url_encode(sha256(shown.encode()).digest()),
        **changes,
    }
    header = {"alg": alg or signer.profile.alg, "typ": typ}
    signing_input = compact_signing_input(header, dump_json(members))
    return shown + assemble_compact(signing_input, signer.sign(signing_input))


def judge(
    installation: Installation,
    token: str,
    *,
    binding: ExpectedBinding | None = EXPECTED,
    policy: Policy = DEFAULT_POLICY,
    **more: Any,
) -> VerificationReport:
    return verify_credential(token, evidence=installation.evidence(), policy=policy, binding=binding, **more)


def detail(report: VerificationReport) -> str:
    return report.check(CheckId.HOLDER_BINDING).detail


# --- who is asked, and when


def test_a_presentation_by_the_holder_passes_and_shows_only_what_was_chosen(
    installation: Installation,
) -> None:
    report = judge(installation, presentation(installation))
    assert report
    assert report.check(CheckId.HOLDER_BINDING).outcome is Outcome.PASSED
    assert report.shown is not None and set(report.shown.elements) == set(SHOWN)
    assert report.warnings == ()


@pytest.mark.parametrize("disclose", [None, (), ("address",)], ids=["all", "none", "one"])
def test_every_subset_of_disclosures_can_be_presented(
    installation: Installation, disclose: tuple[str, ...] | None
) -> None:
    assert judge(installation, presentation(installation, disclose=disclose))


def test_without_being_asked_the_answer_is_about_the_bearer(installation: Installation) -> None:
    for token in (bound_credential(installation), installation.credential()):
        report = judge(installation, token, binding=None)
        check = report.check(CheckId.HOLDER_BINDING)
        assert report and report.warnings == ()
        assert (check.outcome, check.detail) == (Outcome.SKIPPED, "bearer")
        assert "bearer" in check.message("en") and "凭文件出示" in check.message("zh")


def test_a_binding_nobody_asked_for_is_a_warning(installation: Installation) -> None:
    report = judge(installation, presentation(installation), binding=None)
    assert report and report.check(CheckId.HOLDER_BINDING).outcome is Outcome.SKIPPED
    assert [warning.code for warning in report.warnings] == ["key_binding_not_checked"]


@pytest.mark.parametrize("policy", [DEFAULT_POLICY, IF_PRESENT, REQUIRED], ids=lambda one: one.holder_binding)
def test_a_stated_nonce_asks_under_every_policy_so_that_taking_the_proof_off_never_helps(
    installation: Installation, policy: Policy
) -> None:
    whole = presentation(installation)
    stripped = whole[: whole.rindex("~") + 1]
    assert judge(installation, whole, policy=policy)
    assert judge(installation, stripped, policy=policy).reason is Reason.HOLDER_BINDING_FAILED
    assert (
        judge(installation, installation.credential(), policy=policy).reason is Reason.HOLDER_BINDING_FAILED
    )


@pytest.mark.parametrize(
    ("policy", "plain", "with_key", "with_proof"),
    [
        (DEFAULT_POLICY, Reason.OK, Reason.OK, Reason.OK),
        (IF_PRESENT, Reason.OK, Reason.OK, Reason.INCOMPLETE),
        (REQUIRED, Reason.HOLDER_BINDING_FAILED, Reason.HOLDER_BINDING_FAILED, Reason.INCOMPLETE),
    ],
    ids=["ignored", "if_present", "required"],
)
def test_without_a_stated_nonce_the_policy_decides(
    installation: Installation, policy: Policy, plain: Reason, with_key: Reason, with_proof: Reason
) -> None:
    tokens = (installation.credential(), bound_credential(installation), presentation(installation))
    seen = [judge(installation, token, binding=None, policy=policy) for token in tokens]
    assert [report.reason for report in seen] == [plain, with_key, with_proof]
    incomplete = next((report for report in seen if report.reason is Reason.INCOMPLETE), None)
    if incomplete is not None:
        assert incomplete.verdict is Verdict.INDETERMINATE and incomplete.result_code == 4
        assert "nonce" in incomplete.reason_text("en")


def test_a_question_by_reference_cannot_meet_a_policy_that_requires_the_holder() -> None:
    facts = LicenseFacts(
        identifier="1.2", state="active", valid_from=NOW.date(), valid_until=None, elements={"number": "x"}
    )
    answers = [
        verify_license([facts], now=NOW, as_of=NOW, event_seq=1, env="test", policy=policy).reason
        for policy in (DEFAULT_POLICY, IF_PRESENT, REQUIRED)
    ]
    assert answers == [Reason.OK, Reason.OK, Reason.INCOMPLETE]


def test_a_failed_binding_outranks_the_status_and_not_a_mismatch(installation: Installation) -> None:
    stranger = signed_binding(bound_credential(installation), signer=OTHER_HOLDER)
    later = installation.evidence(now=NOW + timedelta(days=6000))
    report = verify_credential(stranger, evidence=later, policy=DEFAULT_POLICY, binding=EXPECTED)
    assert report.reason is Reason.TRUST_STALE
    report = judge(installation, stranger, elements={"address": "别处"})
    assert report.reason is Reason.MISMATCH
    report = judge(installation, stranger, at=NOW - timedelta(days=8000))
    assert report.reason is Reason.HOLDER_BINDING_FAILED


# --- time


@pytest.mark.parametrize(
    ("signed", "good"),
    [(-301, False), (-300, True), (0, True), (60, True), (61, False)],
)
def test_a_binding_counts_for_five_minutes_and_one_ahead(
    installation: Installation, signed: int, good: bool
) -> None:
    shown = bound_credential(installation)
    report = judge(installation, signed_binding(shown, iat=to_unix(NOW) + signed))
    assert report.reason is (Reason.OK if good else Reason.HOLDER_BINDING_FAILED)
    assert report.check(CheckId.HOLDER_BINDING).outcome is (Outcome.PASSED if good else Outcome.FAILED)


def test_a_binding_that_states_its_own_window_counts_inside_it(installation: Installation) -> None:
    windows = {(1, None): True, (0, None): False, (None, 0): True, (None, 60): True, (None, 61): False}
    for window, good in windows.items():
        named = zip(("exp", "nbf"), window, strict=True)
        times = {name: to_unix(NOW) + seconds for name, seconds in named if seconds is not None}
        report = judge(installation, signed_binding(bound_credential(installation), **times))
        assert report.reason is (Reason.OK if good else Reason.HOLDER_BINDING_FAILED), window


def test_the_age_is_held_against_the_verification_not_the_moment_asked_about(
    installation: Installation,
) -> None:
    past = NOW - timedelta(hours=1)
    shown = bound_credential(installation)
    report = judge(installation, signed_binding(shown), at=past)
    assert report.check(CheckId.HOLDER_BINDING).outcome is Outcome.PASSED
    report = judge(installation, signed_binding(shown, iat=to_unix(past)), at=past)
    assert report.reason is Reason.HOLDER_BINDING_FAILED


# --- the matrix


class Bent(NamedTuple):
    """One bent presentation, and what the verifier expects of it."""

    name: str
    token: str
    expected: ExpectedBinding = EXPECTED


def bent_presentations(installation: Installation) -> list[Bent]:
    mine, theirs = bound_credential(installation), bound_credential(installation, OTHER_HOLDER)
    other_of_mine = bound_credential(installation, elements={"address": "别处"})
    shown, less = select_disclosures(mine, SHOWN), select_disclosures(mine, SHOWN[:1])
    good = signed_binding(shown)
    proof = good[good.rindex("~") + 1 :]
    now = to_unix(NOW)
    eddsa = SimulatedSigner("eddsa")
    ed_credential = installation.credential(edit=naming(eddsa.public_key.jwk))
    plain = installation.credential()
    swapped_key = _with_payload(
        mine, lambda payload: payload.update(cnf={"jwk": dict(OTHER_HOLDER.public_key.jwk)})
    )
    broken = proof[:-4] + ("AAAA" if proof[-4:] != "AAAA" else "BBBB")
    return [
        Bent("no proof", shown),
        Bent("proof of a presentation of another credential", other_of_mine + proof),
        Bent("proof of A with the credential of B", theirs + signed_binding(theirs)[len(theirs) :]),
        Bent("proof of A taken from A, put behind B", theirs + proof),
        Bent("another nonce", signed_binding(shown, nonce="another")),
        Bent("the nonce in other case", signed_binding(shown, nonce=NONCE.swapcase())),
        Bent("another nonce expected", good, replace(EXPECTED, nonce="another")),
        Bent("a nonce used before", good, replace(EXPECTED, used_before=True)),
        Bent("another audience", signed_binding(shown, aud="https://other.example")),
        Bent("the audience with a slash", signed_binding(shown, aud=f"{AUDIENCE}/")),
        Bent("another audience expected", good, replace(EXPECTED, audience="https://other.example")),
        Bent("an old proof", signed_binding(shown, iat=now - 301)),
        Bent("a proof of the future", signed_binding(shown, iat=now + 61)),
        Bent("an expired proof", signed_binding(shown, exp=now)),
        Bent("a proof with an end that is no number", signed_binding(shown, exp="never")),
        Bent("a proof that begins later", signed_binding(shown, nbf=now + 61)),
        Bent("another digest", signed_binding(shown, sd_hash=b64url_encode(bytes(32)))),
        Bent("the digest without the last tilde", signed_binding(shown, sd_hash=_digest(shown[:-1]))),
        Bent("the digest of the whole credential", signed_binding(shown, sd_hash=_digest(mine))),
        Bent("a disclosure removed afterwards", less + proof),
        Bent("a disclosure added afterwards", mine + proof),
        Bent("disclosures in another order", _reordered(shown) + proof),
        Bent("signed by a stranger", signed_binding(shown, signer=OTHER_HOLDER)),
        Bent("signed by the issuer", signed_binding(shown, signer=installation.credential_signer)),
        Bent("a broken signature", shown + broken),
        Bent("algorithm renamed", signed_binding(shown, alg="EdDSA")),
        Bent("signed with another algorithm", signed_binding(shown, signer=eddsa)),
        Bent("no algorithm", signed_binding(shown, alg="none")),
        Bent("a holder key of another profile", signed_binding(ed_credential, signer=eddsa)),
        Bent("another typ", signed_binding(shown, typ="jwt")),
        Bent("the credential names no key", signed_binding(plain)),
        Bent("cnf swapped, signature of the issuer kept", signed_binding(swapped_key, signer=OTHER_HOLDER)),
        Bent("two proofs", f"{good}~{proof}"),
    ]


def _digest(text: str) -> str:
    return b64url_encode(sha256(text.encode()).digest())


def _reordered(shown: str) -> str:
    issuer_signed, first, second, _ = shown.split("~")
    return "~".join((issuer_signed, second, first, ""))


def _with_payload(token: str, edit: Callable[[dict[str, Any]], object]) -> str:
    issuer_signed, rest = token.split("~", 1)
    header, payload, signature = issuer_signed.split(".")
    members: dict[str, Any] = dict(parse_json_object(b64url_decode(payload)))
    edit(members)
    return f"{header}.{b64url_encode(dump_json(members))}.{signature}~{rest}"


def test_no_bent_presentation_is_valid(installation: Installation) -> None:
    bent = bent_presentations(installation)
    assert len({one.name for one in bent}) == len(bent) >= 30
    answers = {one.name: judge(installation, one.token, binding=one.expected) for one in bent}
    assert [name for name, report in answers.items() if report.verdict is not Verdict.INVALID] == []
    others = {
        "no algorithm": Reason.UNSUPPORTED_ALGORITHM,
        "another typ": Reason.MALFORMED,
        "two proofs": Reason.MALFORMED,
        "cnf swapped, signature of the issuer kept": Reason.SIGNATURE_INVALID,
    }
    assert {name: report.reason for name, report in answers.items()} == {
        name: others.get(name, Reason.HOLDER_BINDING_FAILED) for name in answers
    }


def test_the_answer_names_what_was_wrong(installation: Installation) -> None:
    said = {
        one.name: detail(judge(installation, one.token, binding=one.expected))
        for one in bent_presentations(installation)
    }
    assert "used before" in said["a nonce used before"]
    assert "audience" in said["another audience"]
    assert "sd_hash" in said["a disclosure removed afterwards"]
    assert "cnf" in said["the credential names no key"]
    assert not any(NONCE in text for text in said.values())


TWINS = [
    pytest.param('if members["aud"] != expected.audience:', "if False:", id="audience"),
    pytest.param('if members["nonce"] != expected.nonce:', "if False:", id="nonce"),
    pytest.param(
        'if members["sd_hash"] != digest_of_presentation(token):', "if False:", id="what is presented"
    ),
    pytest.param("if not key.verify(jws.signature, jws.signing_input):", "if False:", id="signature"),
    pytest.param("if expected.used_before:", "if False:", id="used before"),
    pytest.param("if issued_at < (now - KEY_BINDING_AGE).timestamp():", "if False:", id="age"),
    pytest.param("or issued_at > ahead:", "or False:", id="future"),
    pytest.param('if "exp" in members and', "if False and", id="end"),
    pytest.param('if "nbf" in members and', "if False and", id="begin"),
    pytest.param(
        "fault = _fault(token, credential, expected, policy=policy, now=now)",
        'fault = "" if credential.key_binding is None else '
        "_fault(token, credential, expected, policy=policy, now=now)",
        id="a proof is there",
    ),
]


@pytest.mark.parametrize(("passage", "instead"), TWINS)
def test_a_twin_without_this_check_lets_a_bent_presentation_through(
    installation: Installation, tmp_path: Path, passage: str, instead: str
) -> None:
    name = f"twin_binding_{sha256(passage.encode()).hexdigest()[:12]}"
    twin = Twin(tmp_path, name, file="key_binding.py", passage=passage, instead=instead)
    expected = twin.module("key_binding").ExpectedBinding
    evidence = twin.verify.gather_offline(
        trust_root=installation.pinned_root(), bundle=installation.bundle(), now=NOW
    )
    policy = twin.module("policy").DEFAULT_POLICY

    def passes(one: Bent) -> bool:
        asked = expected(
            nonce=one.expected.nonce,
            audience=one.expected.audience,
            used_before=one.expected.used_before,
        )
        return bool(twin.verify.verify_credential(one.token, evidence=evidence, policy=policy, binding=asked))

    assert [one.name for one in bent_presentations(installation) if passes(one)] != []


# --- policies keep their digests, and evidence repeats


def test_a_policy_that_asks_for_nothing_keeps_the_digest_it_had() -> None:
    assert all("holder_binding" not in preset.to_json() for preset in PRESETS.values())
    assert REQUIRED.to_json()["holder_binding"] == "required"
    assert len({policy.sha256 for policy in (REQUIRED, IF_PRESENT, replace(DEFAULT_POLICY, id="own"))}) == 3


def test_kept_evidence_repeats_the_judgement_of_a_key_binding(installation: Installation) -> None:
    judgement = new_judgement(
        token=presentation(installation),
        proof=None,
        trust_root=installation.pinned_root(),
        bundle=installation.bundle(),
        policy=REQUIRED,
        now=NOW,
        at=None,
        elements=None,
        memory=None,
        clock_reliable=True,
        binding=EXPECTED,
    )
    report = judgement.judge(judgement.evidence())
    assert report
    kept = write_evidence(judgement, report, created_at=NOW)
    again = repeat(parse_evidence(kept))
    assert again.report and again.differences == ()
    members: dict[str, Any] = dict(parse_json_object(kept, max_bytes=1 << 24, max_depth=16))
    members["key_binding"]["nonce"] = "another"
    again = repeat(parse_evidence(dump_json(members)))
    assert not again.report and "checks.holder_binding" in again.differences
    del members["key_binding"]
    assert repeat(parse_evidence(dump_json(members))).report.reason is Reason.INCOMPLETE


# --- presenting


@pytest.mark.parametrize(
    "changes",
    [
        {"signer": OTHER_HOLDER},
        {"disclose": ("address", "no_such_element")},
        {"nonce": ""},
        {"audience": ""},
    ],
    ids=["another key", "an element it lacks", "no nonce", "no audience"],
)
def test_what_a_verifier_would_refuse_is_not_presented(
    installation: Installation, changes: dict[str, Any]
) -> None:
    with pytest.raises(FormatError):
        presentation(installation, **changes)


def test_a_credential_that_names_no_key_cannot_be_presented(installation: Installation) -> None:
    with pytest.raises(FormatError):
        present(installation.credential(), signer=HOLDER, nonce=NONCE, audience=AUDIENCE, issued_at=NOW)


def test_a_presentation_can_be_narrowed_by_its_holder_alone(installation: Installation) -> None:
    first = presentation(installation)
    again = present(first, disclose=SHOWN[:1], signer=HOLDER, nonce=NONCE, audience=AUDIENCE, issued_at=NOW)
    assert judge(installation, again)
    assert HOLDER_CODE not in detail(judge(installation, first[: first.rindex("~") + 1]))


@pytest.mark.parametrize("texts", [("", AUDIENCE), (NONCE, "")])
def test_an_empty_nonce_or_audience_is_not_expected(texts: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="nonce and an audience"):
        ExpectedBinding(nonce=texts[0], audience=texts[1])
