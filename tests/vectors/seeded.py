"""Keys from public phrases, and the simulated installation under them: the same bytes whenever vectors are made.

Whoever reads this file can make these keys. They protect nothing and are trusted nowhere but in these vectors.
"""

import hashlib
import zlib
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from elicense.encoding import b64url_decode, b64url_encode
from elicense.keys import PublicKey
from elicense.status_list import inflate_bits
from tests.simulator import Installation, SimulatedSigner

PHRASE = "elicense test vectors, worthless key of "
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_DETERMINISTIC = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)  # RFC 6979


class SeededSigner(SimulatedSigner):
    """Sign with the key of a name: SHA-256 of `PHRASE` and the name is the scalar (P-256) or the seed (Ed25519)."""

    def __init__(self, name: str, profile: str = "es256") -> None:
        seed = hashlib.sha256((PHRASE + name).encode()).digest()
        if profile == "es256":
            scalar = int.from_bytes(seed, "big") % (_P256_ORDER - 1) + 1
            self._key = ec.derive_private_key(scalar, ec.SECP256R1())
        else:
            self._key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = PublicKey.from_cryptography(self._key.public_key())

    def sign(self, data: bytes) -> bytes:
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(data)
        r, s = decode_dss_signature(self._key.sign(data, _DETERMINISTIC))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


RECEIPT_SIGNER = SeededSigner("receipts")
"""Signs the answers of a service that holds a vector's register."""


def seeded_installation() -> Installation:
    """Make the installation that every vector is cut from."""
    made = Installation(
        root_signers=[SeededSigner(f"root {number}") for number in range(3)],
        list_signers=[SeededSigner(f"trust list {number}") for number in range(2)],
        credential_signer=SeededSigner("authority"),
        other_signer=SeededSigner("other authority"),
        status_signer=SeededSigner("status"),
        receipt_signer=RECEIPT_SIGNER,
        freshness_signer=SeededSigner("freshness"),
        log_signer=SeededSigner("log", "eddsa"),
        receipt_log_signer=SeededSigner("receipt log", "eddsa"),
        witness_signer=SeededSigner("witness", "eddsa"),
    )
    made.edits["status_list"] = _store_uncompressed
    return made


def _store_uncompressed(payload: dict[str, Any]) -> None:
    # What a compressor makes is its own affair, and differs between builds of zlib; one stored block (RFC 1950, RFC
    # 1951 section 3.2.4) is the same everywhere, and every reader reads it.
    bits = inflate_bits(b64url_decode(payload["status_list"]["lst"]))
    header, size = b"\x78\x01", len(bits)
    block = b"\x01" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + bits
    payload["status_list"]["lst"] = b64url_encode(header + block + zlib.adler32(bits).to_bytes(4, "big"))
