"""What we publish is accepted by implementations of others, and the published status list vectors read as published.

jwcrypto and joserfc check the general JWS of root and trust list, and the compact tokens; openvc-core reads the
status list token. None of them shares a line with ours.
"""

import json
from typing import Any

import pytest
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jws as jwcrypto_jws
from openvc.status.issue import verify_status_list_token
from openvc.status.token_status_list import check_token_status, decode_status_list, get_status

from elicense.jws import sign_compact
from elicense.keys import PublicKey
from elicense.receipt import RECEIPT_TYP, build_receipt_payload
from elicense.status_list import Status, StatusBuffer, decode_bits, encode_bits
from tests.simulator import NOW, Installation, SimulatedSigner

# draft-ietf-oauth-status-list, test vectors: 2 bits, 2^20 entries; all not named are 0.
TWO_BIT_LST = (
    "eNrt2zENACEQAEEuoaBABP5VIO01fCjIHTMStt9ovGVIAAAAAABAbiEBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEB5"
    "WwIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAID0ugQAAAAAAAAAAAAAAAAAQG12SgAAAAAAAAAAAAAAAAAAAAAAAAAAAOCSIQEAAAAAAAAAAAAAAAAAAAAAAAD8ExIA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAwJEuAQAAAAAAAAAAAAAAAAAAAAAAAMB9SwIAAAAAAAAAAAAAAAAAAACoYUoA"
    "AAAAAAAAAAAAAEBqH81gAQw"
)
TWO_BIT_ENTRIES = {
    0: 1,
    1993: 2,
    25460: 1,
    159495: 3,
    495669: 1,
    554353: 1,
    645645: 2,
    723232: 1,
    854545: 1,
    934534: 2,
    1000345: 3,
}


@pytest.fixture(scope="module")
def installation() -> Installation:
    made = Installation()
    made.set_status(5, Status.SUSPENDED)
    made.set_status(6, Status.INVALID)
    made.set_status(7, Status.SUPERSEDED)
    return made


def jwk_of(key: PublicKey) -> dict[str, str]:
    return dict(key.jwk)


# --- root and trust list: general JSON JWS


def documents(installation: Installation) -> list[tuple[bytes, list[SimulatedSigner]]]:
    return [
        (installation.trust_root(), installation.root_signers[:2]),
        (installation.trust_list(), installation.list_signers),
    ]


def test_jwcrypto_accepts_every_signature_of_root_and_trust_list(installation: Installation) -> None:
    for data, signers in documents(installation):
        for signer in signers:
            token = jwcrypto_jws.JWS()
            token.deserialize(data.decode())
            token.verify(jwcrypto_jwk.JWK(**jwk_of(signer.public_key)))
            assert json.loads(token.payload)["fmt"] == 1
        stranger = jwcrypto_jws.JWS()
        stranger.deserialize(data.decode())
        with pytest.raises(jwcrypto_jws.InvalidJWSSignature):
            stranger.verify(jwcrypto_jwk.JWK(**jwk_of(SimulatedSigner().public_key)))


def test_joserfc_accepts_root_and_trust_list_by_their_key_ids(installation: Installation) -> None:
    for data, signers in documents(installation):
        keys = {signer.kid: ECKey.import_key(jwk_of(signer.public_key)) for signer in signers}
        found = joserfc_jws.deserialize_json(
            json.loads(data), lambda member, keys=keys: keys[member.headers()["kid"]]
        )
        assert json.loads(found.payload)["env"] == "test"


def test_our_key_ids_are_the_thumbprints_others_compute(installation: Installation) -> None:
    for data, _ in documents(installation):
        payload: dict[str, Any] = json.loads(_payload(data))
        roles = payload.get("roles", {})
        entries = [entry for role in roles.values() for entry in role["keys"]]
        entries += payload.get("services", [])
        entries += [entry for authority in payload.get("authorities", []) for entry in authority["keys"]]
        assert len(entries) >= 5
        for entry in entries:
            assert jwcrypto_jwk.JWK(**entry["jwk"]).thumbprint() == entry["kid"]


def _payload(data: bytes) -> bytes:
    token = jwcrypto_jws.JWS()
    token.deserialize(data.decode())
    return bytes(token.objects["payload"])


# --- compact tokens


def test_joserfc_accepts_freshness_status_list_and_receipt(installation: Installation) -> None:
    receipt = sign_compact(
        typ=RECEIPT_TYP,
        payload=build_receipt_payload(
            issuer=installation.issuer_url,
            receipt_id="1",
            issued_at=NOW,
            audience="platform",
            env="test",
            statement={"verdict": "valid"},
        ),
        signer=installation.receipt_signer,
    )
    for token, signer, typ in (
        (installation.freshness(), installation.freshness_signer, "elicense-freshness+jwt"),
        (installation.status_list(), installation.status_signer, "statuslist+jwt"),
        (receipt, installation.receipt_signer, "elicense-receipt+jwt"),
    ):
        found = joserfc_jws.deserialize_compact(token, ECKey.import_key(jwk_of(signer.public_key)))
        assert found.headers()["typ"] == typ
        assert found.headers()["kid"] == signer.kid


# --- the status list token


def test_openvc_accepts_our_status_list_token_and_reads_the_same_entries(installation: Installation) -> None:
    claims = verify_status_list_token(
        installation.status_list(),
        public_key_jwk=jwk_of(installation.status_signer.public_key),
        expected_uri=installation.status_uri,
        now=NOW,
    )
    for index, expected in ((4, 0), (5, 2), (6, 1), (7, 3)):
        reference = {"status": {"status_list": {"idx": index, "uri": installation.status_uri}}}
        result = check_token_status(reference, resolve_status_list_token=lambda uri: claims)
        assert result is not None
        assert result.status == expected
    assert claims["exp"] - claims["iat"] == 7 * 86400
    assert claims["ttl"] == 300


def test_openvc_reads_the_status_reference_of_our_credential(installation: Installation) -> None:
    payload = installation.credential(status_index=6).split(".")[1]
    claims = json.loads(jwcrypto_jws.base64url_decode(payload))
    status = verify_status_list_token(
        installation.status_list(),
        public_key_jwk=jwk_of(installation.status_signer.public_key),
        now=NOW,
    )
    result = check_token_status(claims, resolve_status_list_token=lambda uri: status)
    assert result is not None and result.revoked


def test_the_published_two_bit_vector_reads_as_published() -> None:
    packed = decode_bits(TWO_BIT_LST)
    buffer = StatusBuffer.from_bytes(packed)
    assert buffer.size == 1 << 20
    assert {index: buffer.get(index) for index in range(buffer.size) if buffer.get(index)} == TWO_BIT_ENTRIES


def test_entries_we_write_are_the_published_ones_and_are_read_by_openvc() -> None:
    buffer = StatusBuffer(1 << 20)
    for index, status in TWO_BIT_ENTRIES.items():
        buffer.set(index, status)
    assert buffer.to_bytes() == decode_bits(TWO_BIT_LST)
    read_by_openvc = decode_status_list(encode_bits(buffer.to_bytes()))
    assert {index: get_status(read_by_openvc, index, bits=2) for index in TWO_BIT_ENTRIES} == TWO_BIT_ENTRIES
