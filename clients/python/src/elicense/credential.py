"""Credentials: SD-JWT VC (RFC 9901, draft-ietf-oauth-sd-jwt-vc) about one version of a license.

A credential is `<issuer-signed JWS>~<disclosure>~…~`, with one disclosure for each element, and a
key-binding JWT at the end if its presenter added one. Parsing refuses every structure the format
does not define; it checks no signature and trusts nothing.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from re import compile as compile_pattern
from types import MappingProxyType
from typing import Any, Final, cast

from elicense.claims import (
    CREDENTIAL_FMT,
    ENVIRONMENTS,
    HOLDER_CODE_TYPES,
    LICENSE_CLAIM_NAMES,
    CredentialClaims,
    Holder,
    LicenseClaims,
    count_strings,
    credential_window,
    read_claims,
    write_claims,
)
from elicense.encoding import (
    JsonValue,
    b64url_encode,
    decode_groups,
    dump_json,
    malformed,
    parse_json_counted,
    parse_json_object,
    parse_json_texts,
    to_unix,
)
from elicense.jws import (
    MAX_TOKEN_BYTES,
    STANDARD_HEADER,
    assemble_compact,
    compact_signing_input,
    parse_compact,
    protected_header,
    split_compact,
)
from elicense.profiles import profile_by_name
from elicense.quick_base64 import encode_url
from elicense.records import quick_constructor

__all__ = [
    "CREDENTIAL_TYP",
    "HOLDER_CODE_TYPES",
    "Credential",
    "CredentialClaims",
    "Disclosure",
    "Holder",
    "LicenseClaims",
    "PreparedCredential",
    "credential_window",
    "inspect_credential",
    "is_element_name",
    "parse_credential",
    "parse_disclosure",
    "prepare_credential",
    "select_disclosures",
]

CREDENTIAL_TYP: Final = "dc+sd-jwt"
KEY_BINDING_TYP: Final = "kb+jwt"
KEY_BINDING_HEADER: Final = frozenset({"alg", "typ"})
MAX_DISCLOSURES: Final = 200
SALT_BYTES: Final = 16
"""Length of a disclosure's salt: 128 bits, as RFC 9901 section 9.3 recommends."""

_DIGEST_LENGTH = 43  # 32 bytes as base64url
_ELEMENT_NAME = compile_pattern(r"[a-z][a-z0-9_]{0,63}")
_REGISTERED_NAMES = frozenset({"iss", "iat", "nbf", "exp", "vct", "cnf", "status", "sub", "aka_vcts"})
_RESERVED_NAMES = _REGISTERED_NAMES | LICENSE_CLAIM_NAMES | {"license", "elements"}
# "W" begins the encoding of "[", and of three letters that begin no JSON value.
_ARRAY_START = ord("W")
_DIGEST_SLICES = tuple(slice(44 * index, 44 * index + _DIGEST_LENGTH) for index in range(MAX_DISCLOSURES))
_SEPARATOR = b64url_encode(b",\n ").encode()
_OPENING, _CLOSING = b64url_encode(b"[  ").encode(), b64url_encode(b"  ]").encode()
# By length modulo 4: nothing; a mark that is refused; line feed and space; space.
_FILLING = (b"", b"=", b"og", b"g")


def is_element_name(name: str) -> bool:
    """Return whether an element may be called `name`.

    Lower-case letters, digits and underscores, a letter first, at most 64. No registered claim
    name and no member of the license claims, so that nothing disclosed can pass for either.
    """
    return _ELEMENT_NAME.fullmatch(name) is not None and name not in _RESERVED_NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """Hold one disclosure: its encoded form, the element it discloses, and its digest."""

    encoded: str
    name: str
    value: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Hold a parsed credential. Nothing in it has been verified.

    `signed_digest` is the SHA-256 of `signing_input`: what the signature is over, and what register and log know it by.
    `elements` are the disclosed ones; `undisclosed_count` says how many digests stay closed.
    `key_binding` is the raw key-binding JWT.
    """

    header: Mapping[str, JsonValue]
    claims: CredentialClaims
    signing_input: bytes
    signed_digest: bytes
    signature: bytes
    elements: Mapping[str, str]
    undisclosed_count: int
    key_binding: str | None
    env: str
    cnf: Mapping[str, JsonValue] | None

    @property
    def fmt(self) -> int:
        """Return the format number of the license claims; the one that parsing accepts."""
        return CREDENTIAL_FMT

    @property
    def disclosed_count(self) -> int:
        """Return how many elements are disclosed."""
        return len(self.elements)

    @property
    def issuer_signed(self) -> str:
        """Return the compact JWS without disclosures; base64url is canonical, so these are its very bytes."""
        return assemble_compact(self.signing_input, self.signature)

    @property
    def kid(self) -> str:
        """Return the id of the key the token says it was signed with."""
        return cast(str, self.header["kid"])

    @property
    def alg(self) -> str:
        """Return the algorithm the token names; the trusted key decides which one counts."""
        return cast(str, self.header["alg"])


_new_credential = quick_constructor(Credential)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCredential:
    """Hold the exact bytes to sign and the disclosures that go with them."""

    signing_input: bytes
    disclosures: tuple[str, ...]

    def assemble(self, signature: bytes) -> str:
        """Return the credential: the signed JWS and every disclosure, ending with a tilde."""
        return "~".join((assemble_compact(self.signing_input, signature), *self.disclosures, ""))


def prepare_credential(
    *,
    claims: CredentialClaims,
    elements: Mapping[str, str],
    kid: str,
    profile: str,
    salts: Sequence[bytes],
    env: str,
    holder_key: Mapping[str, str] | None = None,
) -> PreparedCredential:
    """Build what is to be signed for `claims` with every element as one disclosure.

    `salts` are fresh random values of 16 bytes, one for each element; `kid` and `profile` name the
    key that will sign. `holder_key` (a public JWK) goes into `cnf`. Raises FormatError (malformed)
    for what `parse_credential` would refuse, so that nothing is signed that cannot be read.
    """
    if env not in ENVIRONMENTS or claims.license.holder.code_type not in HOLDER_CODE_TYPES:
        raise malformed("env or kind of holder is not supported")
    if len(salts) != len(elements) or any(len(salt) != SALT_BYTES for salt in salts):
        raise malformed(f"every element needs its own salt of {SALT_BYTES} bytes")
    if len(set(salts)) != len(salts) or len(elements) > MAX_DISCLOSURES:
        raise malformed(f"salts repeat, or there are more than {MAX_DISCLOSURES} elements")
    if claims.expires_at <= claims.not_before:
        raise malformed("credential would end before it begins")
    _check_names(tuple(elements))
    disclosures = tuple(
        b64url_encode(dump_json([b64url_encode(salt), name, value]))
        for salt, (name, value) in zip(salts, elements.items(), strict=True)
    )
    digests = [b64url_encode(sha256(text.encode("ascii")).digest()) for text in disclosures]
    payload = write_claims(claims, env=env, digests=digests)
    if holder_key is not None:
        payload["cnf"] = {"jwk": dict(holder_key)}
        _read_confirmation(payload["cnf"])
    # Read back: a license whose codes or dates have another form is refused before it is signed.
    read_claims(payload)
    header = protected_header(alg=profile_by_name(profile).alg, typ=CREDENTIAL_TYP, kid=kid)
    prepared = PreparedCredential(
        signing_input=compact_signing_input(header, dump_json(payload)), disclosures=disclosures
    )
    if len(prepared.signing_input) + sum(map(len, disclosures)) + len(disclosures) + 256 > MAX_TOKEN_BYTES:
        raise malformed(f"credential would be longer than {MAX_TOKEN_BYTES} bytes")
    return prepared


def parse_credential(token: str | bytes) -> Credential:
    """Parse a credential strictly, whole or with disclosures removed, without judging it.

    Raises FormatError: unsupported_algorithm for an `alg` outside the profile table; malformed for
    everything else the format does not define, among it more than 64 KB or 200 disclosures,
    claims missing or unknown, reserved or repeated element names, unreferenced or repeated
    disclosures, digests that repeat or are not text, and any digest algorithm but sha-256.
    """
    issuer_signed, *encoded = _ascii_token(token).split(b"~")
    if not encoded:
        raise malformed("credential does not end with a tilde")
    last = encoded.pop()
    header, signed_bytes, signing_input, signature = split_compact(
        issuer_signed, CREDENTIAL_TYP, STANDARD_HEADER
    )
    payload, strings = _read_payload(signed_bytes)
    claims, env = read_claims(payload)
    digests = _read_digests(payload["elements"])
    if strings is not None and strings != count_strings(payload) + len(digests):
        raise malformed("claims repeat a name")
    elements = _open_disclosures(encoded, digests) if encoded else {}
    return _new_credential(
        header=header,
        claims=claims,
        signing_input=signing_input,
        signed_digest=sha256(signing_input).digest(),
        signature=signature,
        elements=MappingProxyType(elements),
        undisclosed_count=len(digests) - len(elements),
        key_binding=_read_key_binding(last) if last else None,
        env=env,
        cnf=_read_confirmation(payload["cnf"]) if "cnf" in payload else None,
    )


def _ascii_token(token: str | bytes) -> bytes:
    if len(token) > MAX_TOKEN_BYTES:
        raise malformed(f"credential is longer than {MAX_TOKEN_BYTES} bytes")
    if isinstance(token, bytes):
        return token
    try:
        return token.encode("ascii")
    except UnicodeEncodeError:
        raise malformed("credential holds a character outside ASCII") from None


def _read_payload(signed_bytes: bytes) -> tuple[dict[str, Any], int | None]:
    payload, strings = parse_json_counted(signed_bytes)
    if type(payload) is not dict:
        raise malformed("claims are not an object")
    if "cnf" in payload:
        # A holder's key has members of its own, whose strings no shape tells: watch every name.
        return parse_json_object(signed_bytes), None
    return payload, strings


def _read_digests(value: object) -> frozenset[str]:
    if type(value) is not dict:
        raise malformed("elements is not an object")
    if not value:
        return frozenset()
    listed = value.get("_sd")
    if len(value) != 1 or type(listed) is not list or not listed:
        raise malformed("elements holds something beside digests")
    for digest in listed:
        if type(digest) is not str or len(digest) != _DIGEST_LENGTH:
            raise malformed("elements holds a digest of another form")
    digests = frozenset(listed)
    if len(digests) != len(listed):
        raise malformed("elements repeats a digest")
    return digests


def _open_disclosures(encoded: list[bytes], digests: frozenset[str]) -> dict[str, str]:
    count = len(encoded)
    if count > MAX_DISCLOSURES:
        raise malformed(f"credential holds more than {MAX_DISCLOSURES} disclosures")
    for part in encoded:
        if not part or part[0] != _ARRAY_START:
            raise malformed("disclosure is not an array of salt, name and value")
    # One that is repeated discloses its element twice, which is refused below.
    if not digests.issuperset(_digests_of(encoded)):
        raise malformed("credential holds a disclosure that it does not reference")
    opened = _decode_arrays(encoded)
    # Each disclosure starts with a bracket, and none stands inside an array: so as many arrays as
    # disclosures means one in each.
    if len(opened) != count:
        raise malformed("disclosure is not an array of salt, name and value")
    # A plain loop: the interpreter has these comparisons built in, and sets of types cost four times as much.
    elements: dict[str, str] = {}
    for array in opened:
        if type(array) is not list or len(array) != 3:
            raise malformed("disclosure is not an array of salt, name and value")
        salt, name, value = array
        if type(salt) is not str or type(name) is not str or type(value) is not str:
            raise malformed("disclosure holds something beside text")
        elements[name] = value
    if len(elements) != count:
        raise malformed("an element is disclosed twice")
    _check_names(tuple(elements))
    return elements


def _decode_arrays(encoded: list[bytes]) -> list[Any]:
    # One run of the decoder and one of the scanner for all disclosures. Each is filled up to whole
    # groups of four characters with ones that decode to white space, provided the unused bits of
    # its last character are zero; otherwise they decode to bytes that JSON refuses after an array,
    # so the scanner itself finds text that is not canonical. The separator brings a line feed,
    # which may not stand inside a string: no string reaches from one disclosure into the next.
    filled = [part + _FILLING[len(part) & 3] for part in encoded]
    filled[0] = _OPENING + filled[0]
    filled[-1] += _CLOSING
    arrays: Any = parse_json_texts(decode_groups(_SEPARATOR.join(filled)))
    return arrays  # type: ignore[no-any-return]


def _digests_of(encoded: list[bytes]) -> Iterator[str]:
    # One encoding for all digests: 32 bytes and a zero byte fill 44 characters exactly, of which
    # the first 43 are the digest's own base64url.
    joined = b"\x00".join([sha256(part).digest() for part in encoded]) + b"\x00"
    text = encode_url(joined).decode("ascii")
    return map(text.__getitem__, _DIGEST_SLICES[: len(encoded)])


@lru_cache(maxsize=1024)
def _check_names(names: tuple[str, ...]) -> None:
    # Remembered because credentials of one license type carry the same names.
    if len(set(names)) != len(names):
        raise malformed("an element is disclosed twice")
    if not all(map(is_element_name, names)):
        raise malformed("an element has a reserved or unusable name")


def _read_key_binding(last: bytes) -> str:
    jws = parse_compact(last, typ=KEY_BINDING_TYP, allowed_header=KEY_BINDING_HEADER)
    members = parse_json_object(jws.payload, max_bytes=MAX_TOKEN_BYTES)
    texts = [members.get(name) for name in ("aud", "nonce", "sd_hash")]
    if not all(isinstance(text, str) and text for text in texts) or type(members.get("iat")) is not int:
        raise malformed("key binding lacks iat, aud, nonce or sd_hash")
    return last.decode("ascii")


def _read_confirmation(value: object) -> Mapping[str, JsonValue]:
    if type(value) is not dict or value.keys() != {"jwk"} or type(value["jwk"]) is not dict:
        raise malformed("cnf is not exactly one jwk")
    if "d" in value["jwk"]:
        raise malformed("cnf holds a private key")
    return MappingProxyType(value)


def parse_disclosure(encoded: str) -> Disclosure:
    """Parse one disclosure (RFC 9901 section 4.2.1); refusals as in `parse_credential`."""
    part = encoded.encode("ascii", errors="replace")
    (digest,) = _digests_of([part])
    ((name, value),) = _open_disclosures([part], frozenset({digest})).items()
    return Disclosure(encoded=encoded, name=name, value=value, digest=digest)


def select_disclosures(token: str | bytes, names: Collection[str]) -> str:
    """Return the credential with the disclosures of `names` alone, without key binding.

    Names it does not disclose are left out silently: a holder cannot show what is not there.
    Raises FormatError as `parse_credential` does.
    """
    credential = parse_credential(token)
    parts = _ascii_token(token).decode("ascii").split("~")[1:-1]
    kept = [part for part, name in zip(parts, credential.elements, strict=True) if name in frozenset(names)]
    return "~".join((credential.issuer_signed, *kept, ""))


def disclosed_part(token: str | bytes) -> bytes:
    """Return what a key binding is about: the exact bytes up to and including the last tilde.

    Raises FormatError (malformed) for what is too long or not ASCII; nothing else is looked at.
    """
    raw = _ascii_token(token)
    return raw[: raw.rfind(b"~") + 1]


def inspect_credential(token: str | bytes) -> dict[str, Any]:
    """Return what a credential claims, as JSON members plainly marked unverified.

    Raises FormatError as `parse_credential` does.
    """
    credential = parse_credential(token)
    claims = credential.claims
    return {
        "verified": False,
        "notice": {
            "zh": "以下内容仅为文件所述,未经核验。",
            "en": "This is what the file claims; nothing here has been verified.",
        },
        "fmt": credential.fmt,
        "env": credential.env,
        "header": dict(credential.header),
        "issuer": claims.issuer,
        "vct": claims.vct,
        "subject": claims.subject,
        "issued_at": claims.issued_at.isoformat(),
        "not_before": claims.not_before.isoformat(),
        "expires_at": claims.expires_at.isoformat(),
        "status": {"uri": claims.status_uri, "index": claims.status_index},
        "license": claims.license.to_json(),
        "elements": dict(credential.elements),
        "disclosed": credential.disclosed_count,
        "undisclosed": credential.undisclosed_count,
        "key_binding": credential.key_binding is not None,
        "not_before_unix": to_unix(claims.not_before),
        "expires_at_unix": to_unix(claims.expires_at),
    }
