"""Crypto profiles: a dated table of the signature algorithms this domain accepts.

A profile is a row with dates, not a branch in code. Which profile a key uses is said by the trusted
list that names the key, never by the token that is being judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Describe one signature profile.

    `alg`, `kty` and `crv` are the JOSE names; `signature_bytes` is the exact raw length. After
    `sign_until` nothing is signed with it; after `verify_until` a signature counts only with proof
    that it existed before. None means no date has been set.
    """

    name: str
    alg: str
    kty: str
    crv: str
    signature_bytes: int
    sign_until: datetime | None = None
    verify_until: datetime | None = None

    def counts_at(self, known: datetime) -> bool:
        """Tell whether a signature still counts by itself when time is known to have come to this moment."""
        return self.verify_until is None or known <= self.verify_until


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        # ECDSA P-256 with SHA-256: RFC 7518 section 3.4.
        "es256": Profile(name="es256", alg="ES256", kty="EC", crv="P-256", signature_bytes=64),
        # Ed25519: RFC 8037 section 3.1.
        "eddsa": Profile(name="eddsa", alg="EdDSA", kty="OKP", crv="Ed25519", signature_bytes=64),
    }
)
"""Every profile by name. A new algorithm is a row here and a suite in `keys`."""

SUPPORTED_ALGS: frozenset[str] = frozenset(profile.alg for profile in PROFILES.values())
"""JOSE `alg` names a token may carry at all; which one it must carry depends on the trusted key."""


def profile_by_name(name: str) -> Profile:
    """Return the profile called `name`; KeyError if the table has none."""
    return PROFILES[name]
