"""Credentials piece by piece: sign any payload and attach any disclosures, good or not."""

from typing import Any

import pytest
from hypothesis import strategies as st

from elicense.claims import write_claims
from elicense.credential import (
    CredentialClaims,
    credential_window,
    is_element_name,
    parse_credential,
    prepare_credential,
)
from elicense.encoding import b64url_decode, b64url_encode, dump_json, parse_json_object, sha256
from elicense.jws import assemble_compact, compact_signing_input
from elicense.problems import FormatError, Reason
from tests.simulator import NOW, SAMPLE_ELEMENTS, SimulatedSigner, sample_license

SIGNER = SimulatedSigner()
HOLDER_SIGNER = SimulatedSigner()
LICENSE = sample_license()
OPENS, CLOSES = credential_window(
    valid_from=LICENSE.valid_from, valid_until=LICENSE.valid_until, issued_at=NOW
)
CLAIMS = CredentialClaims(
    issuer=f"https://one.example/authorities/{LICENSE.authority_code}",
    vct=f"https://one.example/types/{LICENSE.type_code}/1",
    issued_at=NOW,
    not_before=OPENS,
    expires_at=CLOSES,
    status_uri="https://one.example/v1/status-lists/1",
    status_index=5,
    subject=LICENSE.holder.code,
    license=LICENSE,
)
HEADER = {"alg": "ES256", "typ": "dc+sd-jwt", "kid": SIGNER.kid}
SALT = b64url_encode(bytes(16))


element_names = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True).filter(is_element_name)
element_values = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)


def salts(count: int) -> list[bytes]:
    return [index.to_bytes(16, "big") for index in range(count)]


def issue(elements: dict[str, str] | None = None, claims: CredentialClaims = CLAIMS) -> str:
    chosen = dict(SAMPLE_ELEMENTS) if elements is None else elements
    prepared = prepare_credential(
        claims=claims,
        elements=chosen,
        kid=SIGNER.kid,
        profile="es256",
        salts=salts(len(chosen)),
        env="test",
    )
    return prepared.assemble(SIGNER.sign(prepared.signing_input))


def disclose(*content: Any) -> str:
    return b64url_encode(dump_json(list(content)))


GOOD = disclose(SALT, "address", "x")


def digest(disclosure: str) -> str:
    return b64url_encode(sha256(disclosure.encode()))


def payload_of(*disclosures: str) -> dict[str, Any]:
    return write_claims(CLAIMS, env="test", digests=[digest(one) for one in disclosures])


def token_of(payload: dict[str, Any] | bytes, *disclosures: str, end: str = "") -> str:
    """Sign whatever payload, good or not, and add whatever disclosures."""
    raw = payload if isinstance(payload, bytes) else dump_json(payload)
    signing_input = compact_signing_input(HEADER, raw)
    return "~".join((assemble_compact(signing_input, SIGNER.sign(signing_input)), *disclosures, end))


def signed_with(*disclosures: str) -> str:
    """Make a token whose signed digests cover exactly these disclosures."""
    return token_of(payload_of(*disclosures), *disclosures)


def refusal(token: str | bytes) -> Reason:
    with pytest.raises(FormatError) as caught:
        parse_credential(token)
    return caught.value.reason


def read_payload(token: str) -> dict[str, Any]:
    """Return the signed payload as JSON members."""
    return dict(parse_json_object(b64url_decode(token.split("~")[0].split(".")[1])))
