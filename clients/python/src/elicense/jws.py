"""Strict JWS: compact form for tokens, general JSON form for roots and lists (RFC 7515).

The header is an allow-list. A token may say which key it was signed with, but it can bring no key,
no URL and no extension of its own, and its `typ` must be the one expected at this place.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import cast

from elicense.encoding import (
    JsonValue,
    b64url_decode,
    b64url_encode,
    dump_json,
    malformed,
    parse_json_object,
)
from elicense.keys import PublicKey, Signer
from elicense.problems import FormatError, Reason
from elicense.profiles import SUPPORTED_ALGS

MAX_TOKEN_BYTES = 65536
MAX_HEADER_BYTES = 2048
MAX_SIGNATURES = 64
STANDARD_HEADER: frozenset[str] = frozenset({"alg", "typ", "kid"})


@dataclass(frozen=True, slots=True)
class CompactJws:
    """Hold the parts of a parsed compact JWS; nothing about its signature has been checked."""

    header: Mapping[str, JsonValue]
    payload: bytes
    signing_input: bytes
    signature: bytes

    @property
    def alg(self) -> str:
        """Return the `alg` of the header, one of the profile table's."""
        return cast(str, self.header["alg"])

    @property
    def typ(self) -> str:
        """Return the `typ` of the header."""
        return cast(str, self.header["typ"])

    @property
    def kid(self) -> str:
        """Return the `kid` of the header; empty where the format has none."""
        return cast(str, self.header.get("kid", ""))


@dataclass(frozen=True, slots=True)
class GeneralSignature:
    """Hold one signature of a general JWS with its own protected header."""

    header: Mapping[str, JsonValue]
    protected: str
    signature: bytes
    signing_input: bytes

    @property
    def kid(self) -> str:
        """Return the `kid` of the protected header."""
        return cast(str, self.header["kid"])


@dataclass(frozen=True, slots=True)
class GeneralJws:
    """Hold a parsed general JWS; nothing about its signatures has been checked."""

    payload: bytes
    signatures: tuple[GeneralSignature, ...]


@lru_cache(maxsize=512)
def _parse_header(encoded: bytes, typ: str, allowed: frozenset[str]) -> Mapping[str, JsonValue]:
    # Tokens of one key share their header bytes, so parsing is remembered. Only the reading is:
    # the header is bounded in length, and every judgement on it is a pure function of its bytes.
    header = parse_json_object(b64url_decode(encoded), max_depth=4)
    alg = header.get("alg")
    if not isinstance(alg, str):
        raise malformed("header lacks alg")
    if alg not in SUPPORTED_ALGS:
        raise FormatError(Reason.UNSUPPORTED_ALGORITHM, "header names an algorithm outside the profiles")
    if not header.keys() <= allowed:
        raise malformed("header holds a member that is not allowed")
    if header.get("typ") != typ:
        raise malformed(f"header typ is not {typ}")
    kid = header.get("kid")
    if "kid" in allowed and not (isinstance(kid, str) and kid):
        raise malformed("header lacks kid")
    return MappingProxyType(header)


def parse_header(encoded: bytes, *, typ: str, allowed: frozenset[str]) -> Mapping[str, JsonValue]:
    """Parse a protected header from its base64url bytes; refusals as in `parse_compact`."""
    if len(encoded) > MAX_HEADER_BYTES:
        raise malformed(f"header is longer than {MAX_HEADER_BYTES} bytes")
    return _parse_header(encoded, typ, allowed)


def parse_compact(
    token: str | bytes,
    *,
    typ: str,
    max_bytes: int = MAX_TOKEN_BYTES,
    allowed_header: frozenset[str] = STANDARD_HEADER,
) -> CompactJws:
    """Parse a compact JWS (RFC 7515 section 7.1) without checking its signature.

    `typ` is compared exactly. `kid` is required where `allowed_header` names it. Refused with
    FormatError: malformed for anything outside the strict shape, among it `crit`, `jwk`, `jku`,
    `x5u`, `x5c`, `b64` and every other header member not allowed; unsupported_algorithm for an
    `alg` outside the profile table, `none` included.
    """
    if len(token) > max_bytes:
        raise malformed(f"token is longer than {max_bytes} bytes")
    raw = _ascii(token) if isinstance(token, str) else token
    return CompactJws(*split_compact(raw, typ, allowed_header))


def split_compact(
    raw: bytes, typ: str, allowed_header: frozenset[str]
) -> tuple[Mapping[str, JsonValue], bytes, bytes, bytes]:
    """Return (header, payload, signing input, signature) of a compact JWS of any length.

    `parse_compact` without the length check and without making an object; refusals as there.
    """
    try:
        encoded_header, encoded_payload, encoded_signature = raw.split(b".")
    except ValueError:
        raise malformed("token does not have three parts") from None
    if len(encoded_header) > MAX_HEADER_BYTES:
        raise malformed(f"header is longer than {MAX_HEADER_BYTES} bytes")
    header = _parse_header(encoded_header, typ, allowed_header)
    if not encoded_payload or not encoded_signature:
        raise malformed("token has an empty part")
    payload, signature = b64url_decode(encoded_payload), b64url_decode(encoded_signature)
    return header, payload, raw[: -1 - len(encoded_signature)], signature


def _ascii(token: str) -> bytes:
    try:
        return token.encode("ascii")
    except UnicodeEncodeError:
        raise malformed("token holds a character outside ASCII") from None


def compact_signing_input(header: Mapping[str, object], payload: bytes) -> bytes:
    """Return the bytes to sign for a header and a payload (RFC 7515 section 5.1)."""
    return f"{b64url_encode(dump_json(dict(header)))}.{b64url_encode(payload)}".encode("ascii")


def assemble_compact(signing_input: bytes, signature: bytes) -> str:
    """Join a signing input and its raw signature into a compact JWS."""
    return f"{signing_input.decode('ascii')}.{b64url_encode(signature)}"


def protected_header(*, alg: str, typ: str, kid: str) -> dict[str, str]:
    """Return the header that all our signed objects carry, in its fixed member order."""
    return {"alg": alg, "typ": typ, "kid": kid}


def sign_compact(*, typ: str, payload: bytes, signer: Signer) -> str:
    """Sign `payload` as a compact JWS of type `typ`."""
    header = _encode_header(signer.profile.alg, typ, signer.kid)
    signing_input = f"{header}.{b64url_encode(payload)}".encode("ascii")
    return assemble_compact(signing_input, signer.sign(signing_input))


@lru_cache(maxsize=512)
def _encode_header(alg: str, typ: str, kid: str) -> str:
    # Remembered because all that one key signs begins alike.
    return b64url_encode(dump_json(protected_header(alg=alg, typ=typ, kid=kid)))


def parse_general(data: bytes, *, typ: str, max_bytes: int) -> GeneralJws:
    """Parse a general JSON JWS (RFC 7515 section 7.2.1) without checking its signatures.

    Only `payload` and `signatures` [{`protected`, `signature`}] are allowed: unprotected headers
    are refused, as is everything `parse_compact` refuses. At least one signature, at most 64.
    """
    document = parse_json_object(data, max_bytes=max_bytes, max_depth=4)
    if document.keys() != {"payload", "signatures"}:
        raise malformed("signed document must hold payload and signatures alone")
    payload, entries = document["payload"], document["signatures"]
    if not isinstance(payload, str) or not payload or not isinstance(entries, list):
        raise malformed("signed document has a member of the wrong kind")
    if not 1 <= len(entries) <= MAX_SIGNATURES:
        raise malformed(f"signed document must hold 1 to {MAX_SIGNATURES} signatures")
    decoded = b64url_decode(payload)
    return GeneralJws(decoded, tuple(_parse_signature(entry, payload, typ) for entry in entries))


def _parse_signature(entry: JsonValue, payload: str, typ: str) -> GeneralSignature:
    if not isinstance(entry, dict) or entry.keys() != {"protected", "signature"}:
        raise malformed("signature must hold protected and signature alone")
    protected, signature = entry["protected"], entry["signature"]
    if not isinstance(protected, str) or not isinstance(signature, str) or not signature:
        raise malformed("signature has a member of the wrong kind")
    encoded = _ascii(protected)
    header = parse_header(encoded, typ=typ, allowed=STANDARD_HEADER)
    signing_input = encoded + b"." + payload.encode("ascii")
    return GeneralSignature(header, protected, b64url_decode(signature), signing_input)


def sign_general(*, typ: str, payload: bytes, signers: Sequence[Signer]) -> bytes:
    """Sign `payload` with every signer and return the general JSON JWS as compact UTF-8."""
    encoded = b64url_encode(payload)
    signatures = []
    for signer in signers:
        header = protected_header(alg=signer.profile.alg, typ=typ, kid=signer.kid)
        signing_input = compact_signing_input(header, payload)
        protected = signing_input.partition(b".")[0].decode("ascii")
        signatures.append({"protected": protected, "signature": b64url_encode(signer.sign(signing_input))})
    return dump_json({"payload": encoded, "signatures": signatures})


def valid_signers(jws: GeneralJws, keys: Iterable[PublicKey]) -> frozenset[str]:
    """Return the distinct key ids among `keys` whose signature over `jws` is good.

    The key and its algorithm come from `keys`; a header that names another algorithm for that key
    does not count. One key signing twice counts once, since key ids are thumbprints.
    """
    by_kid = {key.kid: key for key in keys}
    good: set[str] = set()
    for entry in jws.signatures:
        key = by_kid.get(entry.kid)
        if key is None or key.kid in good or entry.header["alg"] != key.profile.alg:
            continue
        if key.verify(entry.signature, entry.signing_input):
            good.add(key.kid)
    return frozenset(good)
