"""Public keys, their ids, and the one place where a signature is checked.

A key is parsed strictly once and kept; its id is its RFC 7638 SHA-256 thumbprint, so that two
names never mean one key and one name never means two.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from elicense.encoding import b64url_decode, b64url_encode, canonical_json, malformed, sha256
from elicense.profiles import PROFILES, Profile

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ES256 = ec.ECDSA(Prehashed(hashes.SHA256()))
_COORDINATE_BYTES = 32
# Browsers' Web Cryptography writes `key_ops` and `ext` into every key that it exports.
_OPTIONAL_MEMBERS = frozenset({"kid", "alg", "use", "key_ops", "ext"})
_VERIFY_ALONE = ["verify"]

_Verify: TypeAlias = Callable[[bytes, bytes, bytes | None], bool]
"""Signature, data, and the data's SHA-256 where the caller has made it already."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Hold a parsed public key under one profile; two are equal when profile and kid are.

    `jwk` has the public members alone; `kid` is their RFC 7638 SHA-256 thumbprint as base64url.
    """

    profile: Profile
    jwk: Mapping[str, str] = field(compare=False)
    kid: str
    _verify: _Verify = field(repr=False, compare=False)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, object], *, profile: str) -> "PublicKey":
        """Parse a JWK (RFC 7517) under the named profile.

        Refuses with FormatError (malformed): an unknown profile, private or unknown members, a
        `kty` or `crv` other than the profile's, coordinates that are not canonical base64url of
        full length, points off the curve, and an `alg`, `use`, `key_ops` or `kid` that contradicts the key.
        """
        row = PROFILES.get(profile)
        if row is None:
            raise malformed("key names an unknown profile")
        suite = _SUITES[row.name]
        if "d" in jwk:
            raise malformed("key holds a private member")
        if jwk.get("kty") != row.kty or jwk.get("crv") != row.crv:
            raise malformed("key does not fit its profile")
        if not jwk.keys() - _OPTIONAL_MEMBERS <= {"kty", "crv", *suite.coordinates}:
            raise malformed("key holds an unknown member")
        if (
            jwk.get("alg", row.alg) != row.alg
            or jwk.get("use", "sig") != "sig"
            or jwk.get("key_ops", _VERIFY_ALONE) != _VERIFY_ALONE
        ):
            raise malformed("key is meant for another use")
        key = cls._build(row, {name: _coordinate(jwk, name) for name in suite.coordinates})
        if jwk.get("kid", key.kid) != key.kid:
            raise malformed("key id is not the key's thumbprint")
        return key

    @classmethod
    def from_cryptography(cls, key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> "PublicKey":
        """Take over a public key object of `cryptography`; FormatError if no profile fits it."""
        if isinstance(key, ed25519.Ed25519PublicKey):
            return cls._build(PROFILES["eddsa"], {"x": key.public_bytes(Encoding.Raw, PublicFormat.Raw)})
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            return cls._build(PROFILES["es256"], {"x": point[1:33], "y": point[33:]})
        raise malformed("no profile fits this key")

    @classmethod
    def _build(cls, profile: Profile, coordinates: Mapping[str, bytes]) -> "PublicKey":
        verify = _SUITES[profile.name].load(coordinates)
        encoded = {name: b64url_encode(value) for name, value in coordinates.items()}
        jwk = {"kty": profile.kty, "crv": profile.crv, **encoded}
        return cls(profile, MappingProxyType(jwk), _thumbprint(jwk), verify)

    def verify(self, signature: bytes, data: bytes, *, digest: bytes | None = None) -> bool:
        """Return whether `signature` (raw, of the profile's exact length) is good over `data`.

        `digest` is the SHA-256 of `data`, from a caller who has made it already: it saves making it again.
        Never raises: whatever is wrong with a signature, the answer is False.
        """
        return len(signature) == self.profile.signature_bytes and self._verify(signature, data, digest)


class Signer(Protocol):
    """Sign bytes with one private key, wherever it is kept."""

    @property
    def kid(self) -> str:
        """Return the key id: the thumbprint of `public_key`."""
        ...

    @property
    def profile(self) -> Profile:
        """Return the profile the key signs under."""
        ...

    @property
    def public_key(self) -> PublicKey:
        """Return the public half."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the raw signature over `data` (ES256: r and s, 32 bytes each)."""
        ...


class HolderSigner:
    """Sign presentations with a holder's private key, P-256 under ES256 (implements `Signer`)."""

    __slots__ = ("_key", "public_key")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        """Take over a private key; FormatError (malformed) for another curve."""
        self.public_key = PublicKey.from_cryptography(key.public_key())
        self._key = key

    @classmethod
    def from_pem(cls, pem: bytes, *, password: bytes | None = None) -> "HolderSigner":
        """Load a private key from PEM (PKCS #8 or SEC 1), encrypted with `password` where one is given.

        FormatError (malformed) for anything else, a wrong password and every key but P-256 among it.
        """
        try:
            key = load_pem_private_key(pem, password)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # The reason may speak of the key or the password, and is of no use to anybody else.
            raise malformed("no private key can be read from this PEM with this password") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise malformed("a holder's key is one of P-256")
        return cls(key)

    @property
    def kid(self) -> str:
        """Return the RFC 7638 thumbprint of the public key."""
        return self.public_key.kid

    @property
    def profile(self) -> Profile:
        """Return the profile: es256."""
        return self.public_key.profile

    def sign(self, data: bytes) -> bytes:
        """Return the raw signature over `data`: r and s, 32 bytes each (RFC 7518 section 3.4)."""
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")


@dataclass(frozen=True, slots=True)
class _Suite:
    """Say how one profile's keys are laid out and loaded."""

    coordinates: tuple[str, ...]
    load: Callable[[Mapping[str, bytes]], _Verify]


def _load_p256(coordinates: Mapping[str, bytes]) -> _Verify:
    x, y = (int.from_bytes(coordinates[name], "big") for name in ("x", "y"))
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except ValueError:
        raise malformed("key is not a point of its curve") from None
    check = key.verify

    def verify(signature: bytes, data: bytes, digest: bytes | None) -> bool:
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        if not (0 < r < _P256_ORDER and 0 < s < _P256_ORDER):
            return False
        try:
            check(encode_dss_signature(r, s), sha256(data) if digest is None else digest, _ES256)
        except InvalidSignature:
            return False
        return True

    return verify


def _load_ed25519(coordinates: Mapping[str, bytes]) -> _Verify:
    try:
        check = ed25519.Ed25519PublicKey.from_public_bytes(coordinates["x"]).verify
    except ValueError:
        raise malformed("key is not a point of its curve") from None

    def verify(signature: bytes, data: bytes, digest: bytes | None) -> bool:
        try:
            check(signature, data)
        except InvalidSignature:
            return False
        return True

    return verify


_SUITES: Mapping[str, _Suite] = MappingProxyType(
    {
        "es256": _Suite(coordinates=("x", "y"), load=_load_p256),
        "eddsa": _Suite(coordinates=("x",), load=_load_ed25519),
    }
)


def _coordinate(jwk: Mapping[str, object], name: str) -> bytes:
    text = jwk.get(name)
    if not isinstance(text, str):
        raise malformed("key lacks a coordinate")
    value = b64url_decode(text)
    if len(value) != _COORDINATE_BYTES:
        raise malformed("key coordinate has the wrong length")
    return value


def _thumbprint(jwk: Mapping[str, str]) -> str:
    # RFC 7638 section 3.3: required members alone, in lexicographic order, without white space.
    return b64url_encode(sha256(canonical_json(dict(jwk))))
