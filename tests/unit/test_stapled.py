"""Credentials with a stapled proof: taken everywhere a credential is, and strict in shape."""

import json
from typing import Any

import pytest

from elicense import OfflineVerifier
from elicense.problems import FormatError, Reason
from elicense.report import CheckId, Outcome
from elicense.stapled import MAX_STAPLED_BYTES, looks_stapled, parse_stapled, split_stapled
from tests.simulator import Installation


@pytest.fixture
def installation() -> Installation:
    return Installation()


def verifier(installation: Installation) -> OfflineVerifier:
    return OfflineVerifier(
        trust_root=installation.trust_root(), bundle=installation.bundle(), clock=lambda: installation.now
    )


def test_a_stapled_credential_gives_credential_and_proof(installation: Installation) -> None:
    token = installation.credential()
    proof = installation.prove(token)
    data = installation.staple(token, proof)
    assert split_stapled(data) == split_stapled(data.decode()) == (token, proof)
    assert split_stapled(token) == (token, None)
    assert looks_stapled("\n {") and not looks_stapled(token) and not looks_stapled(b"")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("fmt", 2),
        ("fmt", None),
        ("env", "live"),
        ("env", "moon"),
        ("credential", None),
        ("credential", ""),
        ("credential", 7),
        ("proof", None),
        ("proof", {}),
        ("proof", []),
        ("proof", "x"),
    ],
)
def test_another_shape_is_refused(installation: Installation, member: str, value: object) -> None:
    document: dict[str, Any] = json.loads(installation.staple(installation.credential()))
    with pytest.raises(FormatError):
        parse_stapled(json.dumps({**document, member: value}))
    del document[member]
    with pytest.raises(FormatError):
        parse_stapled(json.dumps(document))


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"fmt":1,"fmt":1}', "{" * 1000, '{"\ud800":1}'])
def test_noise_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse_stapled(text)


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(FormatError, match="longer"):
        parse_stapled(b"{" + b" " * MAX_STAPLED_BYTES)


@pytest.mark.parametrize("form", ["bytes", "text", "path", "text path"])
def test_the_verifier_takes_a_stapled_credential_in_every_form(
    installation: Installation, tmp_path: Any, form: str
) -> None:
    data = installation.staple(installation.credential())
    path = tmp_path / "stapled.json"
    path.write_bytes(data + b"\n")
    source = {"bytes": data, "text": data.decode(), "path": path, "text path": str(path)}[form]
    report = verifier(installation).verify(source)
    assert report
    assert report.check(CheckId.LOG_PROOF).outcome is Outcome.PASSED


@pytest.mark.parametrize("text", ["{", "{}", '{"fmt": 1}', '{"credential": "x"}'])
def test_json_that_is_no_stapled_credential_is_a_malformed_one(installation: Installation, text: str) -> None:
    report = verifier(installation).verify(text)
    assert report.reason is Reason.MALFORMED


def test_the_proof_of_another_credential_is_no_proof(installation: Installation) -> None:
    token, other = installation.credential(), installation.credential(status_index=6)
    stolen = installation.prove(other)
    report = verifier(installation).verify(installation.staple(token, stolen))
    assert report.reason is Reason.LOG_PROOF_FAILED
    assert not report
