"""Status lists: the IETF Token Status List with two bits an entry, its encoder and its reader.

An entry is 0 valid, 1 invalid, 2 suspended or 3 superseded. Entries are packed four to a byte, the first in the
lowest bits (draft-ietf-oauth-status-list section 4.1), compressed with zlib and carried in a signed token. What
is inflated is bounded, and nothing is inflated before the signature holds.
"""

import zlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from elicense.encoding import (
    JsonValue,
    b64url_decode,
    b64url_encode,
    dump_json,
    malformed,
    parse_json_object,
    sha256_hex,
    to_unix,
)
from elicense.fields import Fields
from elicense.jws import CompactJws, parse_compact
from elicense.keys import PublicKey
from elicense.problems import FormatError, Reason

STATUS_LIST_TYP = "statuslist+jwt"
STATUS_LIST_FMT = 1
BITS = 2
ENTRIES_PER_BYTE = 4
MAX_COMPRESSED_BYTES = 8 << 20
MAX_INFLATED_BYTES = 16 << 20
MAX_TOKEN_BYTES = MAX_COMPRESSED_BYTES * 16 // 9 + 65536
"""Two rounds of base64url over the compressed list, and room for the other claims."""

# Level 9 takes 13 times as long for 17 % less; a list is signed anew within a minute of every change.
_ZLIB_LEVEL = 6
_SEGMENT_BYTES = 8192


class Status(IntEnum):
    """Name the four values of an entry."""

    VALID = 0
    INVALID = 1
    SUSPENDED = 2
    SUPERSEDED = 3


_STATUSES = (Status.VALID, Status.INVALID, Status.SUSPENDED, Status.SUPERSEDED)


class StatusBuffer:
    """Hold the packed entries of one list while they are being set; every entry starts as valid."""

    __slots__ = ("_packed", "size")

    def __init__(self, size: int) -> None:
        """Make a list of `size` entries, 1 to 4 x 16 MiB; ValueError outside."""
        if not 0 < size <= MAX_INFLATED_BYTES * ENTRIES_PER_BYTE:
            raise ValueError("a status list holds 1 to 67108864 entries")
        self.size = size
        self._packed = bytearray(-(-size // ENTRIES_PER_BYTE))

    @classmethod
    def from_bytes(cls, packed: bytes) -> "StatusBuffer":
        """Take over entries packed four to a byte."""
        buffer = cls(len(packed) * ENTRIES_PER_BYTE)
        buffer._packed[:] = packed
        return buffer

    def set(self, index: int, status: int) -> None:
        """Set one entry to 0-3; IndexError outside the list, ValueError for another value."""
        if not 0 <= index < self.size:
            raise IndexError("status index is outside the list")
        if not 0 <= status <= 3:
            raise ValueError("a two-bit status is 0, 1, 2 or 3")
        shift = (index & 3) << 1
        self._packed[index >> 2] = (self._packed[index >> 2] & ~(3 << shift)) | (status << shift)

    def get(self, index: int) -> Status:
        """Read one entry; IndexError outside the list."""
        if not 0 <= index < self.size:
            raise IndexError("status index is outside the list")
        return _STATUSES[(self._packed[index >> 2] >> ((index & 3) << 1)) & 3]

    def to_bytes(self) -> bytes:
        """Give the packed entries, four to a byte, the first in the lowest bits."""
        return bytes(self._packed)


def deflate_bits(packed: bytes | bytearray) -> bytes:
    """Compress packed entries with zlib, in segments that do not depend on one another.

    The compressor starts anew every 8 KiB (a full flush; any zlib reader reads it). So one changed entry changes the
    bytes of its own segment alone, and who holds the list of yesterday needs no more than those, whatever zlib made
    them (`elicense.bundle_delta`). It costs 8 % where one license in a hundred has ended, 3 % where five have.
    """
    compressor = zlib.compressobj(_ZLIB_LEVEL)
    parts = []
    with memoryview(packed) as view:
        for start in range(0, len(view), _SEGMENT_BYTES):
            parts.append(compressor.compress(view[start : start + _SEGMENT_BYTES]))
            parts.append(compressor.flush(zlib.Z_FULL_FLUSH))
    parts.append(compressor.flush())
    return b"".join(parts)


def encode_bits(packed: bytes | bytearray) -> str:
    """Compress packed entries (`deflate_bits`) and encode them as base64url: the member `lst`."""
    return b64url_encode(deflate_bits(packed))


def inflate_bits(compressed: bytes) -> bytes:
    """Inflate packed entries; refusals as in `decode_bits`."""
    if len(compressed) > MAX_COMPRESSED_BYTES:
        raise malformed(f"status list is larger than {MAX_COMPRESSED_BYTES} bytes compressed")
    inflater = zlib.decompressobj()
    try:
        packed = inflater.decompress(compressed, MAX_INFLATED_BYTES + 1)
    except zlib.error:
        raise malformed("status list is not a zlib stream") from None
    if len(packed) > MAX_INFLATED_BYTES:
        raise malformed(f"status list inflates to more than {MAX_INFLATED_BYTES} bytes")
    if not inflater.eof or inflater.unused_data or inflater.unconsumed_tail:
        raise malformed("status list is cut short or followed by other data")
    return packed


def decode_bits(lst: str) -> bytes:
    """Inflate the member `lst` into packed entries.

    Refused with FormatError (malformed): more than 8 MB compressed, more than 16 MiB inflated, a stream cut
    short, and data after its end.
    """
    packed = inflate_bits(b64url_decode(lst))
    if not packed:
        raise malformed("status list has no entries")
    return packed


def build_status_list_payload(
    *,
    uri: str,
    issuer: str,
    issued_at: datetime,
    expires_at: datetime,
    ttl: int,
    aggregation_uri: str,
    seq: int,
    event_seq: int,
    bits: bytes,
    env: str,
    fmt: int = STATUS_LIST_FMT,
) -> bytes:
    """Build the payload to sign (draft-ietf-oauth-status-list section 5.1).

    `bits` are the packed entries (`StatusBuffer.to_bytes`), `issued_at` the moment they were read, `ttl` seconds,
    `seq` the number of this version of the list and `event_seq` the last register event it includes.
    """
    payload = {
        "iss": issuer,
        "sub": uri,
        "iat": to_unix(issued_at),
        "exp": to_unix(expires_at),
        "ttl": ttl,
        "fmt": fmt,
        "env": env,
        "seq": seq,
        "event_seq": event_seq,
        "status_list": {"bits": BITS, "lst": encode_bits(bits), "aggregation_uri": aggregation_uri},
    }
    return dump_json(payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusList:
    """Hold one list whose signature has been checked; `sha256` (hex) is over the token's exact bytes."""

    uri: str
    issuer: str
    issued_at: datetime
    expires_at: datetime
    ttl: int
    seq: int
    event_seq: int
    env: str
    kid: str
    size: int
    sha256: str
    bits: bytes = field(repr=False)

    def lookup(self, index: int) -> Status:
        """Read one entry; FormatError (status_unavailable) for an index outside the list."""
        if not 0 <= index < self.size:
            raise FormatError(Reason.STATUS_UNAVAILABLE, "status index is outside the list")
        return _STATUSES[(self.bits[index >> 2] >> ((index & 3) << 1)) & 3]


@dataclass(frozen=True, slots=True)
class UnverifiedStatusList:
    """Hold a parsed status list token whose signature nobody has looked at; `claims` are not to be believed."""

    jws: CompactJws
    claims: "StatusListClaims"
    sha256: str

    @property
    def kid(self) -> str:
        """Name the key the token says it was signed with."""
        return self.jws.kid

    def accept(self, key: PublicKey) -> StatusList:
        """Check the signature with a key of the trust list, then inflate the entries.

        FormatError (signature_invalid) when the algorithm is not the key's or the signature does not hold;
        malformed for entries that break a bound.
        """
        jws = self.jws
        if (
            jws.kid != key.kid
            or jws.alg != key.profile.alg
            or not key.verify(jws.signature, jws.signing_input)
        ):
            raise FormatError(Reason.SIGNATURE_INVALID, "signature of the status list does not hold")
        bits = decode_bits(self.claims.lst)
        claims = self.claims
        return StatusList(
            uri=claims.uri,
            issuer=claims.issuer,
            issued_at=claims.issued_at,
            expires_at=claims.expires_at,
            ttl=claims.ttl,
            seq=claims.seq,
            event_seq=claims.event_seq,
            env=claims.env,
            kid=key.kid,
            size=len(bits) * ENTRIES_PER_BYTE,
            sha256=self.sha256,
            bits=bits,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusListClaims:
    """Hold the claims of a status list token, its entries still compressed (`lst`)."""

    uri: str
    issuer: str
    issued_at: datetime
    expires_at: datetime
    ttl: int
    seq: int
    event_seq: int
    env: str
    aggregation_uri: str
    lst: str = field(repr=False)


def parse_status_list(token: str | bytes) -> UnverifiedStatusList:
    """Parse a status list token strictly; its signature is checked by `UnverifiedStatusList.accept`.

    Refused with FormatError: anything `parse_compact` refuses, an unknown `fmt`, `bits` other than 2, an `exp`
    not after `iat`, and missing or wrong members.
    """
    jws = parse_compact(token, typ=STATUS_LIST_TYP, max_bytes=MAX_TOKEN_BYTES)
    payload: JsonValue = parse_json_object(jws.payload, max_bytes=MAX_TOKEN_BYTES, max_depth=4)
    fields = Fields(payload, "status list")
    fields.require_format(STATUS_LIST_FMT)
    entries = fields.child("status_list")
    if entries.integer("bits") != BITS:
        raise malformed("status list does not have two bits an entry")
    claims = StatusListClaims(
        uri=fields.text("sub"),
        issuer=fields.text("iss"),
        issued_at=fields.time("iat"),
        expires_at=fields.time("exp"),
        ttl=fields.integer("ttl", minimum=1),
        seq=fields.integer("seq", minimum=1),
        event_seq=fields.integer("event_seq"),
        env=fields.env(),
        aggregation_uri=entries.text("aggregation_uri"),
        lst=entries.text("lst"),
    )
    if claims.expires_at <= claims.issued_at:
        raise malformed("status list expires before it was issued")
    raw = token.encode("ascii") if isinstance(token, str) else token
    return UnverifiedStatusList(jws=jws, claims=claims, sha256=sha256_hex(raw))
