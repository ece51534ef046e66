"""Credentials: every structure the format does not define is refused, however well it is signed."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elicense.claims import read_claims
from elicense.credential import parse_credential
from elicense.encoding import b64url_encode, dump_json
from elicense.jws import assemble_compact, compact_signing_input
from elicense.problems import FormatError, Reason
from tests.credential_parts import (
    CLAIMS,
    GOOD,
    HEADER,
    HOLDER_SIGNER,
    LICENSE,
    SALT,
    SIGNER,
    digest,
    disclose,
    issue,
    payload_of,
    refusal,
    signed_with,
    token_of,
)

# --- claims that are not exactly the ones defined


def edited(edit: Callable[[dict[str, Any]], object]) -> str:
    payload = payload_of()
    edit(payload)
    return token_of(payload)


def setting(*path: str, to: Any) -> Callable[[dict[str, Any]], object]:
    def edit(payload: dict[str, Any]) -> None:
        place = payload
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = to

    return edit


def paths(value: dict[str, Any], at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, inner in value.items():
        found.append((*at, name))
        if isinstance(inner, dict):
            found += paths(inner, (*at, name))
    return found


@pytest.mark.parametrize("path", paths(payload_of()), ids=".".join)
def test_every_claim_is_required(path: tuple[str, ...]) -> None:
    def remove(payload: dict[str, Any]) -> None:
        place = payload
        for name in path[:-1]:
            place = place[name]
        del place[path[-1]]

    assert refusal(edited(remove)) is Reason.MALFORMED


@pytest.mark.parametrize("path", paths(payload_of()), ids=".".join)
@pytest.mark.parametrize("value", [None, True, [], "", {"_sd": []}, -1], ids=str)
def test_no_claim_may_be_of_another_kind(path: tuple[str, ...], value: object) -> None:
    if path == ("license", "valid_until") and value is None:
        return
    assert refusal(edited(setting(*path, to=value))) is Reason.MALFORMED


@pytest.mark.parametrize(
    "edit",
    [
        setting("jti", to="x"),
        setting("aud", to="x"),
        setting("_sd", to=[digest("x")]),
        setting("_sd", to=[]),
        setting("...", to=digest("x")),
        setting("vct#integrity", to="sha256-x"),
        setting("aka_vcts", to=["x"]),
        setting("license", "_sd", to=[digest("x")]),
        setting("license", "extra", to="x"),
        setting("license", "fmt", to=2),
        setting("license", "fmt", to=True),
        setting("license", "fmt", to="1"),
        setting("license", "env", to="production"),
        setting("license", "env", to=["test"]),
        setting("license", "holder", "_sd", to=[digest("x")]),
        setting("license", "holder", "code_type", to="111"),
        setting("license", "holder", "extra", to=""),
        setting("license", "identifier", to=LICENSE.identifier + ".1"),
        setting("license", "identifier", to=LICENSE.identifier + "\n"),
        setting("license", "type_code", to="11100000MB0143028R001\n320102"),
        setting("license", "area_code", to="３２０１０２"),
        setting("license", "version", to="٠٠١"),
        setting("license", "issue_date", to="20190506"),
        setting("license", "issue_date", to="2019-W19-1"),
        setting("license", "issue_date", to="2019-02-30"),
        setting("license", "issue_date", to="0000-01-01"),
        setting("license", "valid_from", to="2019-05-06T00:00:00"),
        setting("license", "valid_until", to=20390505),
        setting("iat", to="1700000000"),
        setting("exp", to="1700000000"),
        setting("exp", to=2**53 - 1),
        setting("exp", to=253402300800),
        setting("nbf", to=False),
        setting("status", "status_list", "idx", to=True),
        setting("status", "status_list", "idx", to="5"),
        setting("status", "status_list", "idx", to=2**31),
        setting("status", "status_list", "bits", to=2),
        setting("status", "other", to={}),
        setting("_sd_alg", to="sha-512"),
        setting("_sd_alg", to="SHA-256"),
        setting("_sd_alg", to=None),
        setting("_sd_alg", to=["sha-256"]),
        setting("elements", to={"address": "in clear"}),
        setting("elements", to=[{"...": digest("x")}]),
        setting("elements", to={"_sd": []}),
        setting("elements", to={"_sd": {}}),
        setting("elements", to={"_sd": digest("x")}),
        setting("elements", to={"_sd": [1]}),
        setting("elements", to={"_sd": [None, digest("x")]}),
        setting("elements", to={"_sd": [[digest("x")]]}),
        setting("elements", to={"_sd": [{"...": digest("x")}]}),
        setting("elements", to={"_sd": [digest("x"), digest("x")]}),
        setting("elements", to={"_sd": [digest("x")[:-1]]}),
        setting("elements", to={"_sd": [digest("x") + "="]}),
        setting("elements", to={"_sd": [digest("x")], "extra": 1}),
        setting("elements", to={"_sd": [digest("x")], "inner": {"_sd": [digest("y")]}}),
        setting("cnf", to={}),
        setting("cnf", to=None),
        setting("cnf", to={"kid": "x"}),
        setting("cnf", to={"jwk": "x"}),
        setting("cnf", to={"jwk": {}, "jku": "https://evil.example"}),
        setting("cnf", to={"jwk": {"kty": "EC", "d": "secret"}}),
    ],
    ids=range(62),
)
def test_claims_outside_the_format_are_refused(edit: Callable[[dict[str, Any]], object]) -> None:
    assert refusal(edited(edit)) is Reason.MALFORMED


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        dump_json(payload_of())[:-1],
        dump_json(payload_of()) + b"{}",
        dump_json(payload_of())[:-1] + b',"iss":"x"}',
        dump_json(payload_of()).replace(b'"fmt":1', b'"fmt":1,"fmt":1'),
        dump_json(payload_of()).replace(b'"fmt":1', b'"fmt":1.0'),
        dump_json(payload_of()).replace(b'"fmt":1', b'"fmt":NaN'),
        dump_json(payload_of()).replace(b'"idx":5', b'"idx":5e0'),
        dump_json(payload_of()).replace(b'"idx":5', b'"idx":18446744073709551621'),
        dump_json(payload_of()).replace("演示".encode(), b"\\ud800"),
        dump_json(payload_of()).replace("演示".encode(), b"\xed\xa0\x80"),
        dump_json(payload_of()).decode().encode("utf-16"),
        b"[" * 30_000,
    ],
    ids=range(15),
)
def test_a_payload_that_is_not_strict_json_is_refused(payload: bytes) -> None:
    assert refusal(token_of(payload)) is Reason.MALFORMED


REPEATS = {
    "claims": (b'"sub":', b'"sub":"x","sub":'),
    "last wins": (b'"license":{', b'"license":{},"license":{'),
    "status": (b'"idx":', b'"idx":9,"idx":'),
    "status list": (b'"status_list":', b'"status_list":{"idx":1},"status_list":'),
    "license": (b'"valid_until":', b'"valid_until":null,"valid_until":'),
    "spaced": (b'"env":', b'"env" :"live", "env"\t:\n'),
    "holder": (b'"code_type":', b'"code_type":"111","code_type":'),
    "elements": (b'"_sd":', b'"_sd":[],"_sd":'),
    "algorithm": (b'"_sd_alg":', b'"_sd_alg":"none","_sd_alg":'),
    "without strings": (b'"iat":', b'"iat":0,"iat":'),
    "escaped": (b'"sub":', b'"s\\u0075b":"x","sub":'),
}


@pytest.mark.parametrize("key", [None, dict(HOLDER_SIGNER.public_key.jwk)], ids=["bearer", "bound"])
@pytest.mark.parametrize("repeat", REPEATS.values(), ids=REPEATS)
def test_a_repeated_name_is_refused_at_every_depth(repeat: tuple[bytes, bytes], key: object) -> None:
    payload = payload_of(GOOD) | ({"cnf": {"jwk": key}} if key else {})
    written = dump_json(payload)
    assert parse_credential(token_of(written, GOOD)).elements == {"address": "x"}
    changed = written.replace(*repeat, 1)
    assert changed != written
    assert refusal(token_of(changed, GOOD)) is Reason.MALFORMED


def test_claims_written_by_others_are_read_the_same() -> None:
    """Spaces, escapes and another order: what other implementations write."""
    payload = payload_of(GOOD)
    for written in (
        json.dumps(payload).encode(),
        json.dumps(payload, ensure_ascii=False, indent=1).encode(),
        b" " + json.dumps(dict(reversed(payload.items())), ensure_ascii=False).encode() + b"\n",
    ):
        assert parse_credential(token_of(written, GOOD)).claims == CLAIMS


def test_quotation_marks_and_braces_inside_text_change_nothing() -> None:
    names = ('甲"乙"', "{" * 40 + "[" * 40, "\\", '","env":"live', "cnf", '"cnf"')
    for name in names:
        claims = replace(CLAIMS, license=replace(LICENSE, name=name))
        assert parse_credential(issue({"address": name}, claims)).claims == claims


def test_a_number_beyond_every_bound_is_refused() -> None:
    for digits in (b"9" * 30, b"9" * 5000, b"-" + b"9" * 5000, b"1e5", b"Infinity"):
        written = dump_json(payload_of()).replace(b'"idx":5', b'"idx":' + digits)
        assert refusal(token_of(written)) is Reason.MALFORMED


# --- disclosures


def raw(content: bytes) -> str:
    return b64url_encode(content)


@pytest.mark.parametrize(
    "disclosure",
    [
        disclose(),
        disclose(SALT),
        disclose(SALT, "address"),
        disclose(SALT, "address", "x", "y"),
        disclose(1, "address", "x"),
        disclose(None, "address", "x"),
        disclose(SALT, 1, "x"),
        disclose(SALT, ["address"], "x"),
        disclose(SALT, "address", 1),
        disclose(SALT, "address", None),
        disclose(SALT, "address", True),
        disclose(SALT, "address", ["x"]),
        disclose(SALT, "address", {"_sd": [digest("x")]}),
        disclose(SALT, "address", [{"...": digest("x")}]),
        raw(b'{"0":1,"1":2,"2":3}'),
        raw(b'"abc"'),
        raw(b"null"),
        raw(b""),
        raw(b"[" * 20_000),
        raw(b'["' + SALT.encode() + b'","address","x"'),
        raw(b'["' + SALT.encode() + b'","address","x"]]'),
        raw(b'["' + SALT.encode() + b'","address","x"],'),
        raw(b'["' + SALT.encode() + b'","address","x"] []'),
        raw(b' ["' + SALT.encode() + b'","address","x"]'),
        raw(b'["' + SALT.encode() + b'","address","\\ud800"]'),
        raw(b'["' + SALT.encode() + b'","address","\xff"]'),
        raw(b'["' + SALT.encode() + b'","address","a\nb"]'),
        raw(b'["' + SALT.encode() + b'","address",NaN]'),
        raw('["s","address","x"]'.encode("utf-16")),
        raw(b"\xef\xbb\xbf" + dump_json([SALT, "address", "x"])),
        GOOD + "=",
        GOOD[:-1],
        GOOD + "A",
        GOOD.replace("W", "+", 1),
        GOOD[:5] + " " + GOOD[5:],
        GOOD + "\n",
    ],
    ids=range(36),
)
def test_a_disclosure_outside_the_format_is_refused_though_its_digest_is_signed(disclosure: str) -> None:
    assert refusal(signed_with(disclosure)) is Reason.MALFORMED
    assert refusal(signed_with(disclose(SALT, "scope", "y"), disclosure)) is Reason.MALFORMED
    assert refusal(signed_with(disclosure, disclose(SALT, "scope", "y"))) is Reason.MALFORMED


@pytest.mark.parametrize("length", range(4), ids=str)
@pytest.mark.parametrize("padding", ["=", "==", "==="])
def test_a_padded_disclosure_is_refused_wherever_it_stands(length: int, padding: str) -> None:
    padded, other = disclose(SALT, "address", "x" * length) + padding, disclose(SALT, "scope", "y")
    for parts in ((padded,), (padded, other), (other, padded)):
        assert refusal(signed_with(*parts)) is Reason.MALFORMED


@pytest.mark.parametrize("length", range(4), ids=str)
def test_a_disclosure_whose_last_character_is_not_canonical_is_refused(length: int) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    text = disclose(SALT, "address", "x" * length)
    assert parse_credential(signed_with(text)).elements == {"address": "x" * length}
    spare = {2: 16, 3: 4}.get(len(text) % 4, 1)
    place = alphabet.index(text[-1])
    for other in range(place + 1, place + spare):
        changed = text[:-1] + alphabet[other]
        assert refusal(signed_with(changed)) is Reason.MALFORMED
        assert refusal(signed_with(changed, disclose(SALT, "scope", "y"))) is Reason.MALFORMED


def test_disclosures_are_read_one_by_one_though_decoded_together() -> None:
    """Parts that only make sense joined, or hold more than one array, are refused in every order."""
    salt = SALT.encode()
    head, tail = raw(b'["' + salt + b'","address"'), raw(b'"x"]')
    two = raw(b'["' + salt + b'","a","1"],["' + salt + b'","b","2"]')
    string_head = raw(b'["' + salt + b'","address","x')
    string_tail = raw(b'["y"]')
    open_array = raw(b'["' + salt + b'",["a"')
    nested_tail = raw(b'["b"]],5')
    closing = raw(b'["c"]]]')
    pieces = (head, tail, two, string_head, string_tail, open_array, nested_tail, closing, GOOD)
    for parts in itertools.chain(itertools.permutations(pieces, 2), itertools.permutations(pieces, 3)):
        assert refusal(signed_with(*parts)) is Reason.MALFORMED


def test_white_space_inside_a_disclosure_is_taken_as_other_implementations_write_it() -> None:
    spaced = raw(f'["{SALT}", "address", "x"]'.encode())
    assert parse_credential(signed_with(spaced)).elements == {"address": "x"}


def test_a_repeated_disclosure_is_refused() -> None:
    assert refusal(token_of(payload_of(GOOD), GOOD, GOOD)) is Reason.MALFORMED


def test_two_disclosures_of_one_element_are_refused() -> None:
    assert refusal(signed_with(GOOD, disclose(SALT, "address", "other"))) is Reason.MALFORMED


def test_a_disclosure_that_the_signature_does_not_reference_is_refused() -> None:
    assert refusal(token_of(payload_of(), GOOD)) is Reason.MALFORMED
    assert refusal(token_of(payload_of(GOOD), disclose(SALT, "address", "y"))) is Reason.MALFORMED


def test_a_disclosure_borrowed_from_another_credential_is_refused() -> None:
    other = issue({"address": "elsewhere"}).split("~")[1]
    first, *rest = issue().split("~")
    assert refusal("~".join((first, other, *rest))) is Reason.MALFORMED


def test_more_disclosures_than_allowed_are_refused_before_they_are_read() -> None:
    many = [disclose(SALT, f"e{index}", "x") for index in range(201)]
    assert refusal(signed_with(*many)) is Reason.MALFORMED
    assert len(parse_credential(signed_with(*many[:-1])).elements) == 200


# --- the whole token


def sized(size: int) -> str:
    """Sign a credential of exactly this many bytes: no single disclosure has every length, two have."""
    for short in range(6):
        spare = size - len(signed_with(disclose(SALT, "a", "x" * short), disclose(SALT, "b", "")))
        for long in range(spare * 3 // 4 - 3, spare * 3 // 4 + 3):
            token = signed_with(disclose(SALT, "a", "x" * short), disclose(SALT, "b", "x" * long))
            if len(token) == size:
                return token
    raise AssertionError(size)


def test_a_credential_of_64_kib_is_read_and_one_byte_more_is_refused() -> None:
    for token in (whole := sized(65536), whole.encode()):
        assert set(parse_credential(token).elements) == {"a", "b"}
    for longer in (sized(65537), sized(65537).encode()):
        assert refusal(longer) is Reason.MALFORMED


def test_a_token_over_64_kb_is_refused() -> None:
    assert refusal(issue() + "x" * 65536) is Reason.MALFORMED
    assert refusal(b"~" * 70_000) is Reason.MALFORMED


def test_tokens_in_another_shape_are_refused() -> None:
    token = issue()
    first = token.split("~")[0]
    for other in (
        "",
        "~",
        "~~",
        first,
        token[:-1],
        token + "~",
        "~" + token,
        token.replace("~", "~~", 1),
        token + "\n",
        " " + token,
        token + "x",
        token + "a.b.c",
        token.replace("~", "\u3030"),
        token.replace(".", "~"),
        first + "." + "~",
        '{"payload":"","signatures":[]}',
    ):
        assert refusal(other) is Reason.MALFORMED


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({**HEADER, "alg": "none"}, Reason.UNSUPPORTED_ALGORITHM),
        ({**HEADER, "alg": "HS256"}, Reason.UNSUPPORTED_ALGORITHM),
        ({**HEADER, "alg": ""}, Reason.UNSUPPORTED_ALGORITHM),
        ({**HEADER, "typ": "vc+sd-jwt"}, Reason.MALFORMED),
        ({**HEADER, "typ": "elicense-receipt+jwt"}, Reason.MALFORMED),
        ({**HEADER, "crit": ["exp"]}, Reason.MALFORMED),
        ({**HEADER, "jwk": {}}, Reason.MALFORMED),
        ({"alg": "ES256", "typ": "dc+sd-jwt"}, Reason.MALFORMED),
    ],
    ids=range(8),
)
def test_headers_are_held_to_the_allow_list(header: dict[str, Any], reason: Reason) -> None:
    signing_input = compact_signing_input(header, dump_json(payload_of()))
    assert refusal(assemble_compact(signing_input, SIGNER.sign(signing_input)) + "~") is reason


@given(st.integers(0, 10_000), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_a_changed_byte_is_refused_or_breaks_the_signature_or_changes_nothing(at: int, byte: int) -> None:
    token = bytearray(GOOD_TOKEN)
    token[at % len(token)] = byte
    if bytes(token) == GOOD_TOKEN:
        return
    try:
        credential = parse_credential(bytes(token))
    except FormatError:
        return
    assert credential.kid != SIGNER.kid or not SIGNER.public_key.verify(
        credential.signature, credential.signing_input
    )


GOOD_TOKEN = issue().encode()


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_parsing_refuses_rubbish_with_its_own_error_alone(token: bytes | str) -> None:
    refusal(token)


def test_reading_claims_alone_follows_the_same_rules() -> None:
    claims, env = read_claims(payload_of(GOOD))
    assert (claims, env) == (CLAIMS, "test")
