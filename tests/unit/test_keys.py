"""Public keys: strict parsing, ids, and signatures that must be exactly right."""

from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from elicense.encoding import b64url_decode, b64url_encode
from elicense.keys import PublicKey
from elicense.problems import FormatError, Reason
from elicense.profiles import PROFILES, SUPPORTED_ALGS, profile_by_name
from tests.simulator import SimulatedSigner

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_PRIME = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF

ES256 = SimulatedSigner("es256")
EDDSA = SimulatedSigner("eddsa")
SIGNERS = [pytest.param(ES256, id="es256"), pytest.param(EDDSA, id="eddsa")]


def jwk(signer: SimulatedSigner = ES256, **changes: Any) -> dict[str, Any]:
    members: dict[str, Any] = {**signer.public_key.jwk, **changes}
    return {name: value for name, value in members.items() if value is not None}


def test_every_profile_has_its_own_algorithm_name_and_is_found_by_name() -> None:
    assert {profile.alg for profile in PROFILES.values()} == SUPPORTED_ALGS == {"ES256", "EdDSA"}
    for name, profile in PROFILES.items():
        assert profile_by_name(name) is profile and profile.name == name
    with pytest.raises(KeyError):
        profile_by_name("none")


def test_the_key_id_is_the_thumbprint_of_rfc_8037() -> None:
    # RFC 8037 appendix A.3.
    key = PublicKey.from_jwk(
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}, profile="eddsa"
    )
    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize("signer", SIGNERS)
def test_a_key_read_back_from_its_jwk_is_the_same_key(signer: SimulatedSigner) -> None:
    profile = signer.profile
    again = PublicKey.from_jwk(jwk(signer), profile=profile.name)
    assert again == signer.public_key and hash(again) == hash(signer.public_key)
    assert again.verify(signer.sign(b"data"), b"data")
    described = jwk(signer, kid=signer.kid, alg=profile.alg, use="sig")
    assert PublicKey.from_jwk(described, profile=profile.name) == again
    assert set(again.jwk) == set(jwk(signer))


@pytest.mark.parametrize("signer", SIGNERS)
@given(data=st.binary(max_size=200))
@settings(max_examples=25)
def test_a_signature_is_good_over_its_data_alone(signer: SimulatedSigner, data: bytes) -> None:
    signature = signer.sign(data)
    assert signer.public_key.verify(signature, data)
    assert not signer.public_key.verify(signature, data + b"\x00")
    assert not SimulatedSigner(signer.profile.name).public_key.verify(signature, data)


@pytest.mark.parametrize("signer", SIGNERS)
def test_every_flipped_byte_breaks_a_signature(signer: SimulatedSigner) -> None:
    signature = signer.sign(b"data")
    for at in range(len(signature)):
        flipped = signature[:at] + bytes((signature[at] ^ 1,)) + signature[at + 1 :]
        assert not signer.public_key.verify(flipped, b"data")


@pytest.mark.parametrize("signer", SIGNERS)
@given(signature=st.binary(max_size=140))
@settings(max_examples=50)
def test_verifying_never_raises(signer: SimulatedSigner, signature: bytes) -> None:
    assert signer.public_key.verify(signature, b"data") is False


def test_an_es256_signature_has_exactly_64_bytes() -> None:
    signature = ES256.sign(b"data")
    padded = b"\x00" + signature[:32] + b"\x00" + signature[32:]
    for other in (b"", padded, signature + b"\x00", b"\x00" + signature, signature[:63], signature * 2):
        assert not ES256.public_key.verify(other, b"data")


def test_an_es256_signature_in_der_is_not_taken() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    der = key.sign(b"data", ec.ECDSA(hashes.SHA256()))
    assert not PublicKey.from_cryptography(key.public_key()).verify(der, b"data")


@pytest.mark.parametrize(
    ("r", "s"),
    [
        (0, 0),
        (0, 1),
        (1, 0),
        (P256_ORDER, 1),
        (1, P256_ORDER),
        (P256_ORDER, P256_ORDER),
        (2**256 - 1, 2**256 - 1),
    ],
)
def test_es256_numbers_out_of_range_are_no_signature(r: int, s: int) -> None:
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert not ES256.public_key.verify(signature, b"data")
    assert not ES256.public_key.verify(signature, b"")


def test_a_number_shifted_by_the_order_is_no_signature() -> None:
    signature = ES256.sign(b"data")
    s = int.from_bytes(signature[32:], "big") + P256_ORDER
    if s < 2**256:
        assert not ES256.public_key.verify(signature[:32] + s.to_bytes(32, "big"), b"data")


X, Y = ES256.public_key.jwk["x"], ES256.public_key.jwk["y"]


def bumped(text: str) -> str:
    """Set an unused low bit of the last character: the same bytes to a lenient decoder."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) + 1]


@pytest.mark.parametrize(
    "members",
    [
        jwk(d=X),
        jwk(kty="OKP"),
        jwk(kty=None),
        jwk(crv="P-384"),
        jwk(crv=None),
        jwk(crv=["P-256"]),
        jwk(x=None),
        jwk(y=None),
        jwk(x=1),
        jwk(x=[X]),
        jwk(y=X),
        jwk(x=Y),
        jwk(x="A" * 43, y="A" * 43),
        jwk(x=b64url_encode(P256_PRIME.to_bytes(32, "big"))),
        jwk(x=b64url_encode(b"\x00" + b64url_decode(X))),
        jwk(x=b64url_encode(b64url_decode(X)[1:])),
        jwk(x=X + "="),
        jwk(x=bumped(X)),
        jwk(alg="ES384"),
        jwk(alg="none"),
        jwk(use="enc"),
        jwk(kid="another"),
        jwk(kid=7),
        jwk(k="c2VjcmV0"),
        jwk(x5c=["MII"]),
        jwk(x5u="https://evil.example/key"),
        jwk(key_ops=["sign"]),
        jwk(key_ops=["verify", "sign"]),
        jwk(key_ops=[]),
        jwk(key_ops="verify"),
        jwk(EDDSA),
        {},
    ],
    ids=range(32),
)
def test_a_jwk_that_is_not_exactly_a_public_key_of_its_profile_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(FormatError) as caught:
        PublicKey.from_jwk(members, profile="es256")
    assert caught.value.reason is Reason.MALFORMED
    assert X not in caught.value.detail


def test_a_public_key_as_browsers_export_it_is_that_key() -> None:
    exported = jwk(key_ops=["verify"], ext=True)
    key = PublicKey.from_jwk(exported, profile="es256")
    assert key == ES256.public_key and set(key.jwk) == {"kty", "crv", "x", "y"}


@pytest.mark.parametrize("profile", ["eddsa", "sm2", "", "ES256", "none"])
def test_a_key_counts_under_its_own_profile_alone(profile: str) -> None:
    with pytest.raises(FormatError):
        PublicKey.from_jwk(jwk(), profile=profile)


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256K1())],
    ids=["p384", "k1"],
)
def test_curves_without_a_profile_are_refused(key: ec.EllipticCurvePrivateKey) -> None:
    with pytest.raises(FormatError):
        PublicKey.from_cryptography(key.public_key())


def test_kinds_of_keys_without_a_profile_are_refused() -> None:
    with pytest.raises(FormatError):
        PublicKey.from_cryptography(rsa.generate_private_key(65537, 2048).public_key())  # type: ignore[arg-type]


def test_a_short_ed25519_key_is_refused() -> None:
    raw = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with pytest.raises(FormatError):
        PublicKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": b64url_encode(raw[:31])}, profile="eddsa")


def test_a_key_cannot_be_changed_and_shows_no_internals() -> None:
    key = ES256.public_key
    with pytest.raises(AttributeError):
        key.kid = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        key.jwk["x"] = Y  # type: ignore[index]
    assert "_verify" not in repr(key)
