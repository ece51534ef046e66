"""Status lists: the packing, the bounds on what is inflated, and what a token must say."""

import zlib
from collections.abc import Callable
from typing import Any

import pytest

from elicense.encoding import b64url_encode, parse_json_object
from elicense.jws import sign_compact
from elicense.problems import FormatError, Reason
from elicense.status_list import (
    MAX_COMPRESSED_BYTES,
    MAX_INFLATED_BYTES,
    STATUS_LIST_TYP,
    Status,
    StatusBuffer,
    decode_bits,
    encode_bits,
    inflate_bits,
    parse_status_list,
)
from tests.simulator import Installation, SimulatedSigner


@pytest.fixture(scope="module")
def installation() -> Installation:
    return Installation()


def test_entries_are_packed_four_to_a_byte_with_the_first_in_the_lowest_bits() -> None:
    buffer = StatusBuffer(8)
    for index, status in enumerate([1, 2, 0, 3, 0, 1, 0, 1]):
        buffer.set(index, status)
    # The two-bit example of draft-ietf-oauth-status-list section 4.1.
    assert buffer.to_bytes() == bytes([0xC9, 0x44])
    assert [buffer.get(index) for index in range(8)] == [1, 2, 0, 3, 0, 1, 0, 1]


def test_a_packed_list_survives_compression_and_can_be_continued() -> None:
    buffer = StatusBuffer(4001)
    buffer.set(4000, Status.SUSPENDED)
    packed = decode_bits(encode_bits(buffer.to_bytes()))
    assert packed == buffer.to_bytes()
    again = StatusBuffer.from_bytes(packed)
    assert again.to_bytes() == packed
    assert again.get(4000) is Status.SUSPENDED
    again.set(4000, Status.VALID)
    assert again.to_bytes() == bytes(len(packed))


@pytest.mark.parametrize(("size", "index"), [(8, -1), (8, 8), (6, 6), (6, 7)])
def test_an_index_outside_the_list_is_refused_by_the_buffer(size: int, index: int) -> None:
    """Also one that still lies in the last byte."""
    with pytest.raises(IndexError):
        StatusBuffer(size).set(index, 1)
    with pytest.raises(IndexError):
        StatusBuffer(size).get(index)


def test_a_value_that_does_not_fit_two_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="two-bit"):
        StatusBuffer(8).set(0, 4)
    with pytest.raises(ValueError, match="entries"):
        StatusBuffer(0)


@pytest.mark.parametrize(
    "lst",
    [
        pytest.param(b64url_encode(zlib.compress(bytes(MAX_INFLATED_BYTES + 1))), id="inflates too far"),
        pytest.param(b64url_encode(zlib.compress(bytes(1000))[:-1]), id="cut short"),
        pytest.param(b64url_encode(zlib.compress(bytes(1000)) + b"more"), id="followed by other data"),
        pytest.param(b64url_encode(b"not zlib at all"), id="not zlib"),
        pytest.param(b64url_encode(zlib.compress(b"")), id="no entries"),
        pytest.param(encode_bits(bytes(10)) + "=", id="padded base64url"),
    ],
)
def test_hostile_entries_are_refused(lst: str) -> None:
    with pytest.raises(FormatError) as refusal:
        decode_bits(lst)
    assert refusal.value.reason is Reason.MALFORMED


def test_a_list_says_two_bits_and_its_bounds_are_8_and_16_mib(installation: Installation) -> None:
    payload = parse_json_object(installation.status_payload(), max_bytes=1 << 20)
    assert payload["status_list"]["bits"] == 2  # type: ignore[index, call-overload]
    assert (MAX_COMPRESSED_BYTES, MAX_INFLATED_BYTES) == (8 * 1024 * 1024, 16 * 1024 * 1024)


def test_a_list_of_more_than_8_mb_compressed_is_not_inflated() -> None:
    stored = zlib.compress(bytes(MAX_COMPRESSED_BYTES - 1_000), level=0)
    largest = stored + bytes(MAX_COMPRESSED_BYTES - len(stored))
    for compressed, words in ((largest, "followed by"), (largest + b"x", "larger than")):
        with pytest.raises(FormatError, match=words):
            inflate_bits(compressed)


def test_a_bomb_is_not_inflated_before_its_signature_holds(installation: Installation) -> None:
    bomb = b64url_encode(zlib.compress(bytes(MAX_INFLATED_BYTES + 1)))
    token = signed(installation, lambda payload: payload["status_list"].update(lst=bomb))
    unverified = parse_status_list(token)
    with pytest.raises(FormatError) as refusal:
        unverified.accept(SimulatedSigner().public_key)
    assert refusal.value.reason is Reason.SIGNATURE_INVALID
    with pytest.raises(FormatError) as refusal:
        unverified.accept(installation.status_signer.public_key)
    assert refusal.value.reason is Reason.MALFORMED


def signed(installation: Installation, edit: Callable[[dict[str, Any]], object]) -> str:
    installation.edits["status_list"] = edit
    try:
        return sign_compact(
            typ=STATUS_LIST_TYP, payload=installation.status_payload(), signer=installation.status_signer
        )
    finally:
        del installation.edits["status_list"]


def test_an_accepted_list_answers_by_index_and_refuses_one_outside(installation: Installation) -> None:
    installation.set_status(17, Status.SUPERSEDED)
    accepted = parse_status_list(installation.status_list()).accept(installation.status_signer.public_key)
    assert accepted.lookup(17) is Status.SUPERSEDED
    assert accepted.lookup(16) is Status.VALID
    assert accepted.size == 1024
    for index in (1024, -1):
        with pytest.raises(FormatError) as refusal:
            accepted.lookup(index)
        assert refusal.value.reason is Reason.STATUS_UNAVAILABLE


def _set(**members: object) -> Callable[[dict[str, Any]], object]:
    return lambda payload: payload.update(members)


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(_set(fmt=2), id="unknown fmt"),
        pytest.param(_set(fmt=True), id="fmt is no integer"),
        pytest.param(_set(env="prod"), id="unknown env"),
        pytest.param(_set(exp=1), id="exp before iat"),
        pytest.param(_set(exp="9999999999"), id="exp is text"),
        pytest.param(_set(iat=1.5), id="iat is no integer"),
        pytest.param(_set(seq=0), id="seq below one"),
        pytest.param(_set(ttl=0), id="ttl below one"),
        pytest.param(_set(sub=""), id="empty sub"),
        pytest.param(lambda payload: payload.pop("event_seq"), id="event_seq missing"),
        pytest.param(lambda payload: payload["status_list"].update(bits=1), id="one bit an entry"),
        pytest.param(lambda payload: payload["status_list"].pop("aggregation_uri"), id="no aggregation_uri"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(
    installation: Installation, edit: Callable[[dict[str, Any]], object]
) -> None:
    with pytest.raises(FormatError) as refusal:
        parse_status_list(signed(installation, edit))
    assert refusal.value.reason is Reason.MALFORMED


def test_an_unknown_format_is_refused_by_name(installation: Installation) -> None:
    with pytest.raises(FormatError, match="fmt 2"):
        parse_status_list(signed(installation, _set(fmt=2)))


def test_a_token_of_another_type_is_refused(installation: Installation) -> None:
    with pytest.raises(FormatError):
        parse_status_list(installation.freshness())
