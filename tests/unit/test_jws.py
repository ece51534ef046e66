"""Compact and general JWS: an allow-list of what may stand in a header, and no leniency about it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elicense.encoding import b64url_encode, dump_json
from elicense.jws import (
    MAX_HEADER_BYTES,
    MAX_SIGNATURES,
    assemble_compact,
    compact_signing_input,
    parse_compact,
    parse_general,
    sign_compact,
    sign_general,
    valid_signers,
)
from elicense.problems import FormatError, Reason
from tests.simulator import NamedAs, SimulatedSigner

TYP = "elicense-test+jwt"
SIGNER = SimulatedSigner()
OTHER = SimulatedSigner()
EDDSA = SimulatedSigner("eddsa")
HEADER = {"alg": "ES256", "typ": TYP, "kid": SIGNER.kid}


def signed(header: bytes | dict[str, Any], payload: bytes = b"{}") -> str:
    """Sign whatever header, good or not, with a good key."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    signing_input = f"{b64url_encode(raw)}.{b64url_encode(payload)}".encode()
    return assemble_compact(signing_input, SIGNER.sign(signing_input))


def refusal(token: str | bytes, **options: Any) -> Reason:
    with pytest.raises(FormatError) as caught:
        parse_compact(token, **{"typ": TYP, **options})
    return caught.value.reason


@given(st.binary(min_size=1, max_size=300))
def test_a_signed_payload_comes_back_with_a_good_signature(payload: bytes) -> None:
    token = sign_compact(typ=TYP, payload=payload, signer=SIGNER)
    for form in (token, token.encode()):
        jws = parse_compact(form, typ=TYP)
        assert (jws.payload, jws.alg, jws.typ, jws.kid) == (payload, "ES256", TYP, SIGNER.kid)
        assert SIGNER.public_key.verify(jws.signature, jws.signing_input)
        assert assemble_compact(jws.signing_input, jws.signature) == token


def test_the_signing_input_is_header_and_payload_as_they_stand_in_the_token() -> None:
    signing_input = compact_signing_input(HEADER, b"{}")
    token = assemble_compact(signing_input, b"x" * 64)
    assert token.encode().startswith(signing_input + b".")
    assert parse_compact(token, typ=TYP).signing_input == signing_input


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "HS256", "RS256", "ES384", "es256", "ES256K", "Ed25519", "", "SM2"]
)
def test_algorithms_outside_the_profiles_are_refused_by_name(alg: str) -> None:
    assert refusal(signed({**HEADER, "alg": alg})) is Reason.UNSUPPORTED_ALGORITHM


def test_an_unsigned_token_is_refused_for_its_algorithm() -> None:
    header = b64url_encode(dump_json({**HEADER, "alg": "none"}))
    assert refusal(f"{header}.{b64url_encode(b'{}')}.") is Reason.UNSUPPORTED_ALGORITHM


@pytest.mark.parametrize("alg", [None, 1, True, ["ES256"], {"ES256": 1}], ids=str)
def test_an_algorithm_that_is_not_text_is_malformed(alg: object) -> None:
    assert refusal(signed({**HEADER, "alg": alg})) is Reason.MALFORMED


@pytest.mark.parametrize(
    "extra",
    [
        {"crit": []},
        {"crit": ["exp"], "exp": 1},
        {"crit": "b64"},
        {"crit": None},
        {"crit": {"b64": 1}},
        {"b64": False},
        {"jwk": dict(OTHER.public_key.jwk)},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
        {"x5c": ["MII"]},
        {"x5t#S256": "AA"},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"ALG": "none"},
        {"": ""},
    ],
    ids=lambda extra: json.dumps(extra)[:24],
)
def test_a_header_member_that_is_not_allowed_is_refused(extra: dict[str, Any]) -> None:
    assert refusal(signed({**HEADER, **extra})) is Reason.MALFORMED


@pytest.mark.parametrize("name", ["alg", "typ", "kid"])
def test_a_missing_header_member_is_refused(name: str) -> None:
    header = {member: value for member, value in HEADER.items() if member != name}
    assert refusal(signed(header)) is Reason.MALFORMED


@pytest.mark.parametrize("kid", ["", None, 7, ["a"], True], ids=str)
def test_a_key_id_that_is_not_text_is_refused(kid: object) -> None:
    assert refusal(signed({**HEADER, "kid": kid})) is Reason.MALFORMED


@pytest.mark.parametrize(
    "typ", ["JWT", "dc+sd-jwt", TYP.upper(), f"application/{TYP}", f"{TYP} ", "", None, [TYP]], ids=str
)
def test_a_token_of_another_type_is_refused(typ: object) -> None:
    assert refusal(signed({**HEADER, "typ": typ})) is Reason.MALFORMED


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"[]",
        b'"ES256"',
        b'{"alg":"ES256","alg":"ES256","typ":"elicense-test+jwt","kid":"k"}',
        b'{"alg":"none","alg":"ES256","typ":"elicense-test+jwt","kid":"k"}',
        json.dumps(HEADER).encode("utf-16"),
        json.dumps(HEADER).encode("utf-16-le"),
        b"\xef\xbb\xbf" + json.dumps(HEADER).encode(),
        json.dumps(HEADER).encode() + b"x",
        b'{"alg":"ES256","typ":"elicense-test+jwt","kid":"\\ud800"}',
        b'{"alg":"ES256","typ":"elicense-test+jwt","kid":NaN}',
        b'{"kid":' + b"[" * 1200,
        json.dumps({**HEADER, "kid": "k" * MAX_HEADER_BYTES}).encode(),
    ],
    ids=range(14),
)
def test_a_header_that_is_not_strict_json_is_refused(header: bytes) -> None:
    assert refusal(signed(header)) is Reason.MALFORMED


def variants() -> list[tuple[str, str]]:
    header, payload, signature = signed(HEADER, b'{"a":12}').split(".")
    return [
        ("two parts", f"{header}.{payload}"),
        ("four parts", f"{header}.{payload}.{signature}."),
        ("five parts", f"{header}.{payload}.{signature}.{payload}.{signature}"),
        ("no payload", f"{header}..{signature}"),
        ("no signature", f"{header}.{payload}."),
        ("no header", f".{payload}.{signature}"),
        ("padded header", f"{header}=.{payload}.{signature}"),
        ("padded payload", f"{header}.{payload}=.{signature}"),
        ("padded signature", f"{header}.{payload}.{signature}=="),
        ("standard alphabet", f"{header}.{payload}.{'+' + signature[1:]}"),
        ("line feed", f"{header}.{payload}.{signature}\n"),
        ("space", f" {header}.{payload}.{signature}"),
        ("inner space", f"{header}.{payload[:2]} {payload[2:]}.{signature}"),
        ("not canonical", f"{header}.{payload}.{signature[:-1]}{chr(ord(signature[-1]) + 1)}"),
        ("other script", f"{header}.{payload}.{signature[:-1]}Ａ"),
        ("tilde", f"{header}.{payload}.{signature}~"),
        ("empty", ""),
        ("dots", ".."),
        ("JSON form", sign_general(typ=TYP, payload=b"{}", signers=[SIGNER]).decode()),
    ]


@pytest.mark.parametrize("token", [pytest.param(token, id=name) for name, token in variants()])
def test_a_token_that_is_not_exactly_three_canonical_parts_is_refused(token: str) -> None:
    assert refusal(token) is Reason.MALFORMED


def test_bytes_outside_ascii_are_refused() -> None:
    assert refusal(signed(HEADER).encode().replace(b"e", b"\xe9", 1)) is Reason.MALFORMED
    assert refusal(signed(HEADER).encode("utf-16")) is Reason.MALFORMED


def test_a_token_over_the_limit_is_refused() -> None:
    token = signed(HEADER, b"x" * 60_000)
    assert refusal(token) is Reason.MALFORMED
    assert refusal(signed(HEADER), max_bytes=100) is Reason.MALFORMED
    assert parse_compact(token, typ=TYP, max_bytes=100_000).payload == b"x" * 60_000


def test_a_format_without_key_id_refuses_one() -> None:
    header = {"alg": "ES256", "typ": TYP}
    allowed = frozenset({"alg", "typ"})
    assert parse_compact(signed(header), typ=TYP, allowed_header=allowed).kid == ""
    assert refusal(signed(HEADER), allowed_header=allowed) is Reason.MALFORMED


def test_a_parsed_header_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        parse_compact(signed(HEADER), typ=TYP).header["alg"] = "none"  # type: ignore[index]


def test_reading_the_same_header_under_another_type_is_still_refused() -> None:
    token = signed(HEADER)
    assert parse_compact(token, typ=TYP).kid == SIGNER.kid
    assert refusal(token, typ="elicense-other+jwt") is Reason.MALFORMED


def general(**changes: Any) -> dict[str, Any]:
    document = json.loads(sign_general(typ=TYP, payload=b'{"v":1}', signers=[SIGNER, EDDSA]))
    return {name: value for name, value in {**document, **changes}.items() if value is not None}


def parse(document: object, max_bytes: int = 100_000) -> Any:
    return parse_general(json.dumps(document).encode(), typ=TYP, max_bytes=max_bytes)


def test_a_general_document_comes_back_with_all_its_signers() -> None:
    jws = parse(general())
    assert jws.payload == b'{"v":1}'
    assert [entry.kid for entry in jws.signatures] == [SIGNER.kid, EDDSA.kid]
    assert valid_signers(jws, [SIGNER.public_key, OTHER.public_key, EDDSA.public_key]) == {
        SIGNER.kid,
        EDDSA.kid,
    }


def test_a_key_that_signs_twice_counts_once() -> None:
    jws = parse_general(
        sign_general(typ=TYP, payload=b"{}", signers=[SIGNER, SIGNER]), typ=TYP, max_bytes=9999
    )
    assert valid_signers(jws, [SIGNER.public_key, SIGNER.public_key]) == {SIGNER.kid}


def test_a_signature_under_another_keys_name_does_not_count() -> None:
    forged = sign_general(typ=TYP, payload=b"{}", signers=[NamedAs(OTHER, SIGNER.kid)])
    jws = parse_general(forged, typ=TYP, max_bytes=9999)
    assert valid_signers(jws, [SIGNER.public_key, OTHER.public_key]) == frozenset()


def test_a_bad_signature_beside_a_good_one_of_the_same_key_takes_nothing_away() -> None:
    document = general()
    good = document["signatures"][0]
    document["signatures"].insert(0, {**good, "signature": b64url_encode(b"\x01" * 64)})
    assert valid_signers(parse(document), [SIGNER.public_key]) == {SIGNER.kid}


def test_a_header_that_names_another_algorithm_for_a_key_does_not_count() -> None:
    header = b64url_encode(dump_json({"alg": "EdDSA", "typ": TYP, "kid": SIGNER.kid}))
    payload = b64url_encode(b"{}")
    signature = b64url_encode(SIGNER.sign(f"{header}.{payload}".encode()))
    jws = parse({"payload": payload, "signatures": [{"protected": header, "signature": signature}]})
    assert valid_signers(jws, [SIGNER.public_key]) == frozenset()


def test_a_changed_payload_has_no_signers() -> None:
    jws = parse(general(payload=b64url_encode(b'{"v":2}')))
    assert valid_signers(jws, [SIGNER.public_key, EDDSA.public_key]) == frozenset()


FIRST = general()["signatures"][0]


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        general(payload=None),
        general(payload=""),
        general(payload=1),
        general(payload="e30="),
        general(signatures=None),
        general(signatures=[]),
        general(signatures={"0": FIRST}),
        general(signatures=[FIRST] * (MAX_SIGNATURES + 1)),
        general(header={"kid": "k"}),
        general(protected=FIRST["protected"], signature=FIRST["signature"]),
        general(signatures=[{**FIRST, "header": {"alg": "none"}}]),
        general(signatures=[{"protected": FIRST["protected"]}]),
        general(signatures=[{**FIRST, "protected": None}]),
        general(signatures=[{**FIRST, "protected": ""}]),
        general(signatures=[{**FIRST, "protected": "é"}]),
        general(signatures=[{**FIRST, "signature": ""}]),
        general(signatures=[{**FIRST, "signature": 5}]),
        general(signatures=[FIRST, "x"]),
        general(signatures=[{**FIRST, "protected": b64url_encode(dump_json({**HEADER, "typ": "other"}))}]),
        general(signatures=[{**FIRST, "protected": b64url_encode(dump_json({**HEADER, "crit": []}))}]),
        general(signatures=[{**FIRST, "protected": b64url_encode(dump_json(HEADER) + b" " * 3000)}]),
    ],
    ids=range(23),
)
def test_a_document_outside_the_general_form_is_refused(document: object) -> None:
    with pytest.raises(FormatError) as caught:
        parse(document)
    assert caught.value.reason is Reason.MALFORMED


def test_a_document_over_the_limit_is_refused() -> None:
    with pytest.raises(FormatError):
        parse(general(), max_bytes=100)


def test_a_document_with_an_unsupported_algorithm_is_refused_by_name() -> None:
    protected = b64url_encode(dump_json({**HEADER, "alg": "HS256"}))
    with pytest.raises(FormatError) as caught:
        parse(general(signatures=[{**FIRST, "protected": protected}]))
    assert caught.value.reason is Reason.UNSUPPORTED_ALGORITHM
