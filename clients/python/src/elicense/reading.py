"""Read a credential once: parse it, hold its claims against each other, and remember good signatures.

All of this depends on the token's bytes alone, so it may be remembered by them. Nothing that trust lists,
status, time or scope decide is ever remembered: those are judged anew each time.
"""

from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from threading import Lock
from typing import TypeVar

from elicense.claims import CredentialClaims, LicenseClaims, credential_window
from elicense.credential import Credential, parse_credential
from elicense.encoding import civil_today
from elicense.keys import PublicKey
from elicense.problems import FormatError
from elicense.records import quick_constructor

_Value = TypeVar("_Value")

_ROOT = "1.2.156.3005.2."
_VERSION_OF_IDENTIFIER = slice(-5, -2)  # before the last dot and the check character
_IDENTIFIER_PARTS = 10
"""The five arcs of the root, then type code, authority code, serial, version and check character."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold a parsed credential with what follows from its own bytes.

    `contradiction` names the first pair of claims that disagree, empty when none do; `signed_on` is the civil day
    (+08:00) of `iat`.
    """

    credential: Credential
    contradiction: str
    signed_on: date


_new_reading = quick_constructor(Reading)


def read_credential(token: str | bytes) -> Reading:
    """Parse a token and look for contradictions inside it; FormatError as `parse_credential` raises."""
    credential = parse_credential(token)
    claims = credential.claims
    return _new_reading(
        credential=credential,
        contradiction=_contradiction(claims, claims.license),
        signed_on=civil_today(claims.issued_at),
    )


def _contradiction(claims: CredentialClaims, license_claims: LicenseClaims) -> str:
    identifier = license_claims.identifier
    # The parts have no dots and the version three digits: so says the form `read_claims` holds them to.
    named = f"{_ROOT}{license_claims.type_code}.{license_claims.authority_code}."
    if not identifier.startswith(named) or identifier[_VERSION_OF_IDENTIFIER] != license_claims.version:
        return _identifier_contradiction(license_claims)
    if claims.subject != license_claims.holder.code:
        return "sub and holder.code disagree"
    try:
        window = credential_window(
            valid_from=license_claims.valid_from,
            valid_until=license_claims.valid_until,
            issued_at=claims.issued_at,
        )
    except FormatError as refusal:
        return refusal.detail
    if window != (claims.not_before, claims.expires_at):
        return "nbf, exp and the license's dates disagree"
    return ""


def _identifier_contradiction(license_claims: LicenseClaims) -> str:
    parts = license_claims.identifier.split(".")
    if len(parts) != _IDENTIFIER_PARTS or parts[5] != license_claims.type_code:
        return "identifier and type_code disagree"
    if parts[6] != license_claims.authority_code:
        return "identifier and authority_code disagree"
    return "identifier and version disagree"


class SignatureMemo:
    """Remember readings and good signatures of tokens seen before, both bounded, oldest dropped first.

    Both are kept by the SHA-256 of the whole token. At first sight only the key under which its signature is good
    is kept for long, and the reading for a moment; the reading stays when the token comes again. So tokens shown
    once, or signed by nobody we trust, take next to no room and drive nothing out. Safe to share between threads.
    """

    __slots__ = ("_good", "_lock", "_maxsize", "_readings", "_recent", "_recent_size")

    def __init__(self, maxsize: int = 4096, *, recent: int = 16) -> None:
        """Keep at most `maxsize` of each, and `recent` readings of tokens seen once; ValueError below 1.

        A caller that reads many tokens before it judges the first says in `recent` how many.
        """
        if maxsize < 1 or recent < 1:
            raise ValueError("a memo keeps at least one entry")
        self._maxsize = maxsize
        self._recent_size = recent
        self._lock = Lock()
        self._readings: dict[bytes, Reading] = {}
        self._recent: dict[bytes, Reading] = {}
        self._good: dict[bytes, PublicKey] = {}

    def read(self, token: str | bytes) -> tuple[Reading, bytes | None]:
        """Give a token's reading, remembered or made now, and its digest; FormatError as `read_credential`."""
        try:
            raw = token.encode("ascii") if isinstance(token, str) else token
        except UnicodeEncodeError:
            return read_credential(token), None
        digest = sha256(raw).digest()
        reading = self._readings.get(digest)
        if reading is not None:
            return reading, digest
        reading = self._recent.get(digest)
        if digest in self._good:
            if reading is None:
                reading = read_credential(raw)
            self._keep(self._readings, digest, reading, self._maxsize)
        elif reading is None:
            reading = read_credential(raw)
            self._keep(self._recent, digest, reading, self._recent_size)
        return reading, digest

    def verify(self, digest: bytes | None, credential: Credential, key: PublicKey) -> bool:
        """Tell whether the issuer's signature holds under this key, remembering only good ones.

        `digest` is the one `read` gave with this credential; nothing is remembered without one.
        """
        if digest is None:
            return key.verify(credential.signature, credential.signing_input)
        known = self._good.get(digest)
        # Equal keys have the same id and profile; being one object is the usual case and quicker to tell.
        if known is not None and (known is key or known == key):
            return True
        good = key.verify(credential.signature, credential.signing_input)
        if good:
            self._keep(self._good, digest, key, self._maxsize)
        return good

    def _keep(self, kept: dict[bytes, _Value], digest: bytes, value: _Value, maxsize: int) -> None:
        with self._lock:
            kept[digest] = value
            while len(kept) > maxsize:
                # A dict keeps the order of insertion: the first key is the oldest.
                del kept[next(iter(kept))]
