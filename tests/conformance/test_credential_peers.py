"""Our formats beside independent implementations: they take what we make, and we take what they make.

Peers are test oracles only. Where they are more lenient than we are, or know less, the tests say so.
"""

import json
from typing import Any

import jwt as pyjwt
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey as JoserfcKey
from joserfc.jwk import OKPKey as JoserfcOkpKey
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS
from openvc.keys import P256SigningKey
from openvc.proof.errors import SignatureInvalid
from openvc.proof.sd_jwt import SdJwtVcProofSuite, disclosure_digest, make_object_disclosure
from sd_jwt.common import SDObj
from sd_jwt.holder import SDJWTHolder
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier
from stdnum.cn import uscc as stdnum_uscc

from elicense.claims import write_claims
from elicense.cn import USCC_ALPHABET, CodeProblem, make_uscc, uscc_check_character, uscc_problem
from elicense.credential import parse_credential, parse_disclosure, select_disclosures
from elicense.encoding import MAX_SAFE_INTEGER, canonical_json
from elicense.jws import parse_compact, parse_general, sign_compact, sign_general, valid_signers
from elicense.keys import PublicKey
from elicense.problems import FormatError
from tests.credential_parts import CLAIMS, LICENSE, SIGNER, issue
from tests.simulator import NOW, SAMPLE_ELEMENTS, SimulatedSigner

TOKEN = issue()
TYP = "elicense-test+jwt"
EDDSA = SimulatedSigner("eddsa")
SIGNERS = [pytest.param(SIGNER, id="es256"), pytest.param(EDDSA, id="eddsa")]

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=6),
    max_leaves=20,
)


def jwcrypto_key(signer: SimulatedSigner) -> JWK:
    return JWK(**signer.public_key.jwk)


# --- credentials


def chosen_tokens() -> list[Any]:
    names = list(SAMPLE_ELEMENTS)
    return [
        pytest.param(TOKEN, names, id="whole"),
        pytest.param(select_disclosures(TOKEN, names[:2]), names[:2], id="two disclosed"),
        pytest.param(select_disclosures(TOKEN, []), [], id="none disclosed"),
        pytest.param(issue({}), [], id="no elements"),
    ]


@pytest.mark.parametrize(("token", "names"), chosen_tokens())
def test_openvc_verifies_our_credentials(token: str, names: list[str]) -> None:
    seen = SdJwtVcProofSuite().verify(
        token, public_key_jwk=dict(SIGNER.public_key.jwk), expected_vct=CLAIMS.vct, now=NOW
    )
    assert seen.issuer == CLAIMS.issuer
    assert seen.claims["elements"] == {name: SAMPLE_ELEMENTS[name] for name in names}
    assert seen.claims["license"] == {"fmt": 1, "env": "test", **LICENSE.to_json()}


@pytest.mark.parametrize(("token", "names"), chosen_tokens())
def test_sd_jwt_verifies_our_credentials(token: str, names: list[str]) -> None:
    seen = SDJWTVerifier(token, lambda issuer, header: jwcrypto_key(SIGNER)).get_verified_payload()
    assert seen["elements"] == {name: SAMPLE_ELEMENTS[name] for name in names}
    assert seen["sub"] == LICENSE.holder.code


def test_a_presentation_made_by_the_sd_jwt_holder_is_read_by_us() -> None:
    holder = SDJWTHolder(TOKEN)
    holder.create_presentation({"elements": {"address": True}})
    credential = parse_credential(holder.sd_jwt_presentation)
    assert credential.elements == {"address": SAMPLE_ELEMENTS["address"]}
    assert SIGNER.public_key.verify(credential.signature, credential.signing_input)


def our_claims() -> dict[str, Any]:
    return write_claims(CLAIMS, env="test", digests=[])


def test_a_credential_issued_by_sd_jwt_is_read_by_us() -> None:
    key = JWK.generate(kty="EC", crv="P-256")
    public = PublicKey.from_jwk(key.export_public(as_dict=True), profile="es256")
    claims = our_claims()
    claims["elements"] = {SDObj(name): value for name, value in SAMPLE_ELEMENTS.items()}
    issued = SDJWTIssuer(claims, key, extra_header_parameters={"typ": "dc+sd-jwt", "kid": public.kid})
    credential = parse_credential(issued.sd_jwt_issuance)
    assert credential.claims == CLAIMS
    assert credential.elements == SAMPLE_ELEMENTS
    assert credential.kid == public.kid
    assert public.verify(credential.signature, credential.signing_input)


def test_decoy_digests_of_sd_jwt_count_as_undisclosed() -> None:
    key = JWK.generate(kty="EC", crv="P-256")
    claims = our_claims()
    claims["elements"] = {SDObj("address"): "x"}
    # Decoys in every object: outside `elements` our format has no digests and refuses them.
    issued = SDJWTIssuer(
        claims, key, add_decoy_claims=True, extra_header_parameters={"typ": "dc+sd-jwt", "kid": "k"}
    )
    with pytest.raises(FormatError):
        parse_credential(issued.sd_jwt_issuance)
    claims["elements"] = {"_sd": [*issued.decoy_digests[:3], disclosure_digest(issued.ii_disclosures[0].b64)]}
    signed = SdJwtVcProofSuite().issue(claims, signing_key=P256SigningKey.generate("k"))
    credential = parse_credential(f"{signed}{issued.ii_disclosures[0].b64}~")
    assert (credential.disclosed_count, credential.undisclosed_count) == (1, 3)


def openvc_credential(key: P256SigningKey, holder_jwk: dict[str, Any] | None = None) -> str:
    disclosures = [
        make_object_disclosure("c2FsdC1vZi1vcGVudmM" * 2, *item) for item in SAMPLE_ELEMENTS.items()
    ]
    claims = our_claims()
    claims["elements"] = {"_sd": sorted(map(disclosure_digest, disclosures))}
    signed = SdJwtVcProofSuite().issue(claims, signing_key=key, holder_jwk=holder_jwk)
    return signed + "".join(f"{disclosure}~" for disclosure in disclosures)


def test_a_credential_issued_by_openvc_is_read_by_us() -> None:
    key = P256SigningKey.generate("some-key")
    public = PublicKey.from_jwk(key.public_jwk(), profile="es256")
    credential = parse_credential(openvc_credential(key))
    assert credential.claims == CLAIMS
    assert credential.elements == SAMPLE_ELEMENTS
    assert public.verify(credential.signature, credential.signing_input)


def test_a_key_binding_made_by_openvc_is_read_by_us() -> None:
    key, holder = P256SigningKey.generate("some-key"), P256SigningKey.generate("holder-key")
    token = openvc_credential(key, holder.public_jwk())
    bound = SdJwtVcProofSuite().create_presentation(
        token, holder_key=holder, audience="https://bank.example", nonce="n-1"
    )
    credential = parse_credential(bound)
    assert credential.key_binding == bound.rpartition("~")[2]
    assert credential.cnf == {"jwk": holder.public_jwk()}
    public = PublicKey.from_jwk(holder.public_jwk(), profile="es256")
    binding = parse_compact(credential.key_binding, typ="kb+jwt", allowed_header=frozenset({"alg", "typ"}))
    assert public.verify(binding.signature, binding.signing_input)


def test_a_disclosure_has_the_digest_openvc_gives_it() -> None:
    encoded = TOKEN.split("~")[1]
    assert parse_disclosure(encoded).digest == disclosure_digest(encoded)


def test_openvc_refuses_our_credential_under_another_key() -> None:
    """The broken twin: the peer does look at what it accepted above."""
    with pytest.raises(SignatureInvalid):
        SdJwtVcProofSuite().verify(TOKEN, public_key_jwk=dict(SimulatedSigner().public_key.jwk), now=NOW)


# --- JWS and keys


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # the name RFC 8037 gave it, and peers know
@pytest.mark.parametrize("signer", SIGNERS)
def test_joserfc_verifies_our_compact_jws(signer: SimulatedSigner) -> None:
    token = sign_compact(typ=TYP, payload=b'{"a":1}', signer=signer)
    kind = JoserfcKey if signer is SIGNER else JoserfcOkpKey
    key = kind.import_key(dict(signer.public_key.jwk))
    seen = joserfc_jws.deserialize_compact(token, key, algorithms=[signer.profile.alg])
    assert seen.payload == b'{"a":1}'
    assert seen.headers() == {"alg": signer.profile.alg, "typ": TYP, "kid": signer.kid}


@pytest.mark.parametrize("signer", SIGNERS)
def test_jwcrypto_verifies_our_compact_and_general_jws(signer: SimulatedSigner) -> None:
    compact = JWS()
    compact.deserialize(sign_compact(typ=TYP, payload=b"{}", signer=signer), jwcrypto_key(signer))
    assert compact.payload == b"{}"
    general = JWS()
    general.deserialize(sign_general(typ=TYP, payload=b"{}", signers=[SIGNER, EDDSA]).decode())
    general.verify(jwcrypto_key(signer))
    assert general.payload == b"{}"


@pytest.mark.parametrize("signer", SIGNERS)
def test_pyjwt_verifies_our_compact_jws(signer: SimulatedSigner) -> None:
    token = sign_compact(typ=TYP, payload=b'{"a":1}', signer=signer)
    key = pyjwt.PyJWK(dict(signer.public_key.jwk), algorithm=signer.profile.alg)
    assert pyjwt.decode(token, key, algorithms=[signer.profile.alg]) == {"a": 1}


def test_documents_signed_by_jwcrypto_are_read_by_us() -> None:
    keys = [JWK.generate(kty="EC", crv="P-256"), JWK.generate(kty="OKP", crv="Ed25519")]
    publics = [
        PublicKey.from_jwk(key.export_public(as_dict=True), profile=profile)
        for key, profile in zip(keys, ("es256", "eddsa"), strict=True)
    ]
    made = JWS(b'{"v":1}')
    for key, public in zip(keys, publics, strict=True):
        header = {"alg": public.profile.alg, "typ": TYP, "kid": public.kid}
        made.add_signature(key, public.profile.alg, protected=json.dumps(header))
    seen = parse_general(made.serialize().encode(), typ=TYP, max_bytes=10_000)
    assert seen.payload == b'{"v":1}'
    assert valid_signers(seen, publics) == {public.kid for public in publics}


@pytest.mark.parametrize("signer", SIGNERS)
def test_the_key_id_is_jwcryptos_thumbprint(signer: SimulatedSigner) -> None:
    assert signer.kid == jwcrypto_key(signer).thumbprint()


# --- canonical JSON


@given(json_values)
@settings(max_examples=200)
def test_canonical_json_is_that_of_the_rfc8785_package(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


# --- unified social credit codes


def test_stdnum_takes_the_codes_we_take_also_those_whose_check_character_is_zero() -> None:
    codes = [make_uscc("9", "1", "320100", f"MA0T{number:04d}") for number in range(400)]
    assert all(stdnum_uscc.is_valid(code) for code in codes)
    assert all(uscc_problem(code) is None for code in codes)
    assert any(code[17] == "0" for code in codes)


@given(
    st.sampled_from("159"),
    st.sampled_from("1239"),
    st.text("0123456789", min_size=6, max_size=6),
    st.text(USCC_ALPHABET, min_size=9, max_size=9),
    st.sampled_from(USCC_ALPHABET),
)
@settings(max_examples=300)
def test_whatever_we_take_stdnum_takes(department: str, kind: str, area: str, rest: str, check: str) -> None:
    code = department + kind + area + rest + check
    assert uscc_problem(code) is not None or stdnum_uscc.is_valid(code)
    assert stdnum_uscc.calc_check_digit(code[:17]) == uscc_check_character(code[:17])


def test_stdnum_misses_the_check_of_the_organisation_code() -> None:
    """Known fault of python-stdnum: it takes codes whose 17th character is wrong."""
    assert stdnum_uscc.is_valid("914403002311457880")
    assert uscc_problem("914403002311457880") is CodeProblem.ORGANISATION_CHECK


def test_stdnum_refuses_letters_at_the_start_of_real_codes() -> None:
    """Known fault of python-stdnum: departments A, N and Y begin with a letter."""
    code = make_uscc("N", "1", "320100", "MA0T0001")
    assert uscc_problem(code) is None
    assert not stdnum_uscc.is_valid(code)
