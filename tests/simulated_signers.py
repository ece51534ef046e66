"""Signers with fresh keys, good and forging ones, and credentials signed whatever they say. For the simulator."""

import hashlib
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from elicense.credential import CREDENTIAL_TYP
from elicense.encoding import b64url_encode, dump_json
from elicense.jws import assemble_compact, compact_signing_input
from elicense.keys import PublicKey
from elicense.profiles import Profile


class SimulatedSigner:
    """Sign with a fresh private key of a profile; never written anywhere."""

    def __init__(self, profile: str = "es256") -> None:
        self._key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
        if profile == "es256":
            self._key = ec.generate_private_key(ec.SECP256R1())
        else:
            self._key = ed25519.Ed25519PrivateKey.generate()
        self.public_key = PublicKey.from_cryptography(self._key.public_key())

    @property
    def kid(self) -> str:
        return self.public_key.kid

    @property
    def profile(self) -> Profile:
        return self.public_key.profile

    def sign(self, data: bytes) -> bytes:
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(data)
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class NamedAs:
    """Sign with one's own key while naming another's id in the header: what a forger would do."""

    def __init__(self, signer: SimulatedSigner, kid: str) -> None:
        self._signer = signer
        self.kid = kid
        self.profile = signer.profile
        self.public_key = signer.public_key

    def sign(self, data: bytes) -> bytes:
        return self._signer.sign(data)


def sign_credential(
    payload: Mapping[str, Any], signer: SimulatedSigner | NamedAs, disclosures: list[str]
) -> str:
    """Sign any payload as a credential, whether or not it makes sense."""
    header = {"alg": signer.profile.alg, "typ": CREDENTIAL_TYP, "kid": signer.kid}
    signing_input = compact_signing_input(header, dump_json(dict(payload)))
    return "~".join([assemble_compact(signing_input, signer.sign(signing_input)), *disclosures, ""])


def make_disclosure(name: str, value: str) -> str:
    salt = hashlib.sha256(f"salt of {name} {value}".encode()).digest()[:16]
    return b64url_encode(dump_json([b64url_encode(salt), name, value]))
