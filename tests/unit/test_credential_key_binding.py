"""Key binding on a credential: handed on as it came, refused in any other shape; judged elsewhere."""

from typing import Any

import pytest

from elicense.credential import inspect_credential, parse_credential, prepare_credential
from elicense.encoding import dump_json
from elicense.jws import assemble_compact, compact_signing_input
from elicense.problems import FormatError, Reason
from tests.credential_parts import (
    CLAIMS,
    GOOD,
    HOLDER_SIGNER,
    SIGNER,
    digest,
    payload_of,
    refusal,
    token_of,
)


def binding(header: dict[str, Any] | None = None, **changes: Any) -> str:
    members = {"iat": 1, "aud": "https://bank.example", "nonce": "n", "sd_hash": digest("x"), **changes}
    payload = dump_json({name: value for name, value in members.items() if value is not None})
    signing_input = compact_signing_input(header or {"alg": "ES256", "typ": "kb+jwt"}, payload)
    return assemble_compact(signing_input, HOLDER_SIGNER.sign(signing_input))


def test_a_key_binding_is_handed_on_as_it_came() -> None:
    payload = payload_of(GOOD)
    payload["cnf"] = {"jwk": dict(HOLDER_SIGNER.public_key.jwk)}
    bound = binding()
    credential = parse_credential(token_of(payload, GOOD, end=bound))
    assert credential.key_binding == bound
    assert credential.cnf == payload["cnf"]
    assert credential.elements == {"address": "x"}
    assert inspect_credential(token_of(payload, GOOD, end=bound))["key_binding"] is True


@pytest.mark.parametrize(
    "bound",
    [
        binding(aud=None),
        binding(nonce=""),
        binding(sd_hash=1),
        binding(iat=None),
        binding(iat=True),
        binding(iat="1"),
        binding({"alg": "ES256", "typ": "dc+sd-jwt"}),
        binding({"alg": "ES256", "typ": "kb+jwt", "kid": "k"}),
        binding({"alg": "ES256", "typ": "kb+jwt", "jwk": {}}),
        binding() + "~",
        binding().rpartition(".")[0],
        GOOD,
    ],
    ids=range(12),
)
def test_a_key_binding_outside_the_format_is_refused(bound: str) -> None:
    assert refusal(token_of(payload_of(GOOD), GOOD, end=bound)) is Reason.MALFORMED


def test_a_key_binding_with_an_unsupported_algorithm_is_refused_by_name() -> None:
    bound = binding({"alg": "none", "typ": "kb+jwt"})
    assert refusal(token_of(payload_of(GOOD), GOOD, end=bound)) is Reason.UNSUPPORTED_ALGORITHM


def prepared(holder_key: dict[str, str]) -> str:
    made = prepare_credential(
        claims=CLAIMS,
        elements={},
        kid=SIGNER.kid,
        profile="es256",
        salts=[],
        env="test",
        holder_key=holder_key,
    )
    return made.assemble(SIGNER.sign(made.signing_input))


def test_the_holders_public_key_is_signed_into_the_file_and_a_private_one_never() -> None:
    public = {name: str(value) for name, value in HOLDER_SIGNER.public_key.jwk.items()}
    assert parse_credential(prepared(public)).cnf == {"jwk": public}
    with pytest.raises(FormatError):
        prepared({**public, "d": public["x"]})


def test_a_repeated_digest_is_refused_in_a_file_with_a_holders_key_as_in_any_other() -> None:
    for cnf in ({}, {"cnf": {"jwk": dict(HOLDER_SIGNER.public_key.jwk)}}):
        assert parse_credential(token_of({**payload_of(GOOD), **cnf}, GOOD)).elements == {"address": "x"}
        for shown in ((GOOD,), ()):
            repeated = {**payload_of(GOOD, GOOD), **cnf}
            assert refusal(token_of(repeated, *shown)) is Reason.MALFORMED


@pytest.mark.parametrize("extra", [{"jti": "x"}, {"aud": "x"}, {"extra": 1}, {"_sd": [digest("x")]}], ids=str)
def test_an_unknown_claim_is_refused_in_a_file_with_a_holders_key_as_in_any_other(
    extra: dict[str, Any],
) -> None:
    for cnf in ({}, {"cnf": {"jwk": dict(HOLDER_SIGNER.public_key.jwk)}}):
        assert refusal(token_of({**payload_of(GOOD), **cnf, **extra}, GOOD)) is Reason.MALFORMED
