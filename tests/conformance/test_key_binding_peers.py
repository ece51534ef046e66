"""Presentations beside independent implementations: they take ours, and we take theirs.

Peers are test oracles only. `sd-jwt` checks neither age nor reuse of a key binding: our own tests do.
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from jwcrypto.jwk import JWK
from jwcrypto.jws import InvalidJWSSignature
from openvc.keys import P256SigningKey
from openvc.proof.sd_jwt import SdJwtVcProofSuite
from sd_jwt.holder import SDJWTHolder
from sd_jwt.verifier import SDJWTVerifier

from elicense.key_binding import ExpectedBinding, present
from elicense.policy import DEFAULT_POLICY
from elicense.problems import Reason
from elicense.report import CheckId, Outcome, VerificationReport
from elicense.verify import verify_credential
from tests.simulator import SAMPLE_ELEMENTS, Installation, SimulatedSigner

NONCE, AUDIENCE = "qsAzLdZkP3Y0w0iJcYb1hg", "https://bank.example"
EXPECTED = ExpectedBinding(nonce=NONCE, audience=AUDIENCE)
HOLDER = SimulatedSigner()


@pytest.fixture(scope="module")
def installation() -> Installation:
    # The peer signs with the time of the machine, and takes no other.
    return Installation(now=datetime.fromtimestamp(int(time.time()), UTC))


def credential(installation: Installation, jwk: Any) -> str:
    return installation.credential(edit=lambda payload: payload.update(cnf={"jwk": dict(jwk)}))


def issuer_key(installation: Installation) -> Callable[[str, dict[str, Any]], JWK]:
    key = JWK(**installation.credential_signer.public_key.jwk)
    return lambda issuer, header: key


def ours(installation: Installation, **changes: Any) -> str:
    made: dict[str, Any] = {"nonce": NONCE, "audience": AUDIENCE, "issued_at": installation.now, **changes}
    return present(credential(installation, HOLDER.public_key.jwk), signer=HOLDER, **made)


def judge(installation: Installation, token: str, expected: ExpectedBinding = EXPECTED) -> VerificationReport:
    # Peers look at the clock when they sign, which may be a moment after the installation was made.
    evidence = replace(installation.evidence(), now=datetime.now(UTC))
    return verify_credential(token, evidence=evidence, policy=DEFAULT_POLICY, binding=expected)


@pytest.mark.parametrize("names", [list(SAMPLE_ELEMENTS), ["address"], []], ids=["all", "one", "none"])
def test_sd_jwt_verifies_our_presentations(installation: Installation, names: list[str]) -> None:
    token = ours(installation, disclose=names)
    seen = SDJWTVerifier(token, issuer_key(installation), AUDIENCE, NONCE).get_verified_payload()
    assert seen["elements"] == {name: SAMPLE_ELEMENTS[name] for name in names}


def test_sd_jwt_refuses_ours_for_another_nonce_audience_or_presentation(installation: Installation) -> None:
    """The broken twin: the peer does look at what it accepted above."""
    token = ours(installation, disclose=["address"])
    more = ours(installation)
    moved = more[: more.rindex("~") + 1] + token[token.rindex("~") + 1 :]
    for shown, audience, nonce in ((token, AUDIENCE, "n"), (token, "a", NONCE), (moved, AUDIENCE, NONCE)):
        with pytest.raises(ValueError, match="in KB-JWT"):
            SDJWTVerifier(shown, issuer_key(installation), audience, nonce)
    stranger = SimulatedSigner()
    bound = present(
        credential(installation, stranger.public_key.jwk),
        signer=stranger,
        nonce=NONCE,
        audience=AUDIENCE,
        issued_at=installation.now,
    )
    swapped = token[: token.rindex("~") + 1] + bound[bound.rindex("~") + 1 :]
    with pytest.raises(InvalidJWSSignature):
        SDJWTVerifier(swapped, issuer_key(installation), AUDIENCE, NONCE)


def sd_jwt_presentation(installation: Installation, *, nonce: str = NONCE) -> str:
    key = JWK.generate(kty="EC", crv="P-256")
    holder = SDJWTHolder(credential(installation, json.loads(key.export_public())))
    holder.create_presentation({"elements": {"address": True}}, nonce, AUDIENCE, key)
    return str(holder.sd_jwt_presentation)


def test_a_presentation_made_by_sd_jwt_is_accepted_by_us(installation: Installation) -> None:
    report = judge(installation, sd_jwt_presentation(installation))
    assert report and report.check(CheckId.HOLDER_BINDING).outcome is Outcome.PASSED
    assert report.shown is not None and report.shown.elements == {"address": SAMPLE_ELEMENTS["address"]}


def test_a_presentation_made_by_sd_jwt_for_another_nonce_is_refused_by_us(installation: Installation) -> None:
    report = judge(installation, sd_jwt_presentation(installation, nonce="another"))
    assert report.reason is Reason.HOLDER_BINDING_FAILED


def test_a_presentation_made_by_openvc_is_accepted_by_us(installation: Installation) -> None:
    holder = P256SigningKey.generate("holder-key")
    jwk = {name: value for name, value in holder.public_jwk().items() if name in {"kty", "crv", "x", "y"}}
    bound = SdJwtVcProofSuite().create_presentation(
        credential(installation, jwk), holder_key=holder, audience=AUDIENCE, nonce=NONCE
    )
    assert judge(installation, bound)
