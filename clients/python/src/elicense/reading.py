"""Read a credential once: parse it, hold its claims against each other, and remember good signatures.

All of this depends on the token's bytes alone, so it may be remembered by them. Nothing that trust lists,
status, time or scope decide is ever remembered: those are judged anew each time.
"""

from dataclasses import dataclass
from datetime import date
from threading import Lock
from typing import TypeAlias, TypeVar

from elicense.claims import CredentialClaims, LicenseClaims, credential_window
from elicense.credential import Credential, parse_credential
from elicense.encoding import civil_today, malformed
from elicense.keys import PublicKey
from elicense.problems import FormatError
from elicense.records import quick_constructor

_Value = TypeVar("_Value")

_ROOT = "1.2.156.3005.2."
_SIGNATURE_LENGTH = 86  # 64 bytes as base64url, at the end of the issuer-signed part
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
_Remembered: TypeAlias = tuple[bytes, Reading]


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

    A signature is remembered with the digest of what it is over and the key under which it is good, so it vouches for
    nothing else; a reading is remembered with the very bytes it was read from. A token seen for the first time leaves
    only the former, and its reading stays when it comes again. So tokens shown once, or signed by nobody we trust,
    take next to no room and drive nothing out. Safe to share between threads.
    """

    __slots__ = ("_ahead", "_ahead_size", "_good", "_lock", "_maxsize", "_readings")

    def __init__(self, maxsize: int = 4096, *, ahead: int = 16) -> None:
        """Keep at most `maxsize` of each, and `ahead` readings made by `read_ahead`; ValueError below 1."""
        if maxsize < 1 or ahead < 1:
            raise ValueError("a memo keeps at least one entry")
        self._maxsize = maxsize
        self._ahead_size = ahead
        self._lock = Lock()
        self._readings: dict[bytes, _Remembered] = {}
        self._ahead: dict[bytes, _Remembered] = {}
        self._good: dict[bytes, PublicKey] = {}

    def read(self, token: str | bytes) -> Reading:
        """Give a token's reading, remembered or made now; FormatError as `read_credential`."""
        raw = token if isinstance(token, bytes) else _encode(token)
        end = raw.find(b"~")
        place = raw[end - _SIGNATURE_LENGTH : end]
        found = self._readings.get(place)
        if found is not None and found[0] == raw:
            return found[1]
        found = self._ahead.get(place) if self._ahead else None
        reading = found[1] if found is not None and found[0] == raw else read_credential(raw)
        credential = reading.credential
        if credential.signature + credential.signed_digest in self._good:
            self._keep(self._readings, place, (raw, reading), self._maxsize)
        return reading

    def read_ahead(self, token: str | bytes) -> Reading:
        """Read a token that will be judged in a moment, and remember the reading until then; otherwise as `read`."""
        raw = token if isinstance(token, bytes) else _encode(token)
        reading = self.read(raw)
        end = raw.find(b"~")
        place = raw[end - _SIGNATURE_LENGTH : end]
        if place not in self._readings:
            self._keep(self._ahead, place, (raw, reading), self._ahead_size)
        return reading

    def verify(self, credential: Credential, key: PublicKey) -> bool:
        """Tell whether the issuer's signature holds under this key, remembering only good ones."""
        signature, digest = credential.signature, credential.signed_digest
        name = signature + digest
        known = self._good.get(name)
        # Equal keys have the same id and profile; being one object is the usual case and quicker to tell.
        if known is not None and (known is key or known == key):
            return True
        good = key.verify(signature, credential.signing_input, digest=digest)
        if good:
            self._keep(self._good, name, key, self._maxsize)
        return good

    def _keep(self, kept: dict[bytes, _Value], name: bytes, value: _Value, maxsize: int) -> None:
        with self._lock:
            kept[name] = value
            while len(kept) > maxsize:
                # A dict keeps the order of insertion: the first key is the oldest.
                del kept[next(iter(kept))]


def _encode(token: str) -> bytes:
    try:
        return token.encode("ascii")
    except UnicodeEncodeError:
        raise malformed("credential holds a character outside ASCII") from None
