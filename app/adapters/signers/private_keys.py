"""Signing with a private key held in memory, under the profile its kind belongs to."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from elicense.keys import PublicKey
from elicense.profiles import Profile

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_ES256 = ec.ECDSA(hashes.SHA256())
_MAKERS: Mapping[str, Callable[[], PrivateKey]] = MappingProxyType(
    {
        "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "eddsa": ed25519.Ed25519PrivateKey.generate,
    }
)


def new_private_key(profile: str) -> PrivateKey:
    """Make a private key of a profile; ValueError when its keys cannot be made here."""
    maker = _MAKERS.get(profile)
    if maker is None:
        raise ValueError(f"no keys of profile {profile} can be made here")
    return maker()


class PrivateKeySigner:
    """Sign with one private key (implements `elicense.keys.Signer`). The key itself can not be read back."""

    __slots__ = ("_sign", "public_key")

    def __init__(self, key: PrivateKey) -> None:
        """Take over a key; FormatError if no profile fits it."""
        self.public_key = PublicKey.from_cryptography(key.public_key())
        self._sign = _signing_function(key)

    @property
    def kid(self) -> str:
        """Return the RFC 7638 thumbprint of the public key."""
        return self.public_key.kid

    @property
    def profile(self) -> Profile:
        """Return the profile the key signs under."""
        return self.public_key.profile

    def sign(self, data: bytes) -> bytes:
        """Return the raw signature over `data` (ES256: r and s, 32 bytes each; RFC 7518 §3.4)."""
        return self._sign(data)


def _signing_function(key: PrivateKey) -> Callable[[bytes], bytes]:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, _ES256))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign
