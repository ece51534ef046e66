"""Compromise statements: what a key signed before a witnessed state of the log stays good, what came after does not.

A stolen key can be used with any time in its signatures, so no time that it signed is believed. What counts is the
log: the statement names its last state that was witnessed before the theft, and only what stands in that state was
made before. The root's keys sign the statement, because whoever could declare a key compromised could end licenses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from elicense.encoding import JsonValue, dump_json, malformed, parse_json, parse_json_object, to_unix
from elicense.fields import Fields
from elicense.jws import parse_general, sign_general
from elicense.keys import Signer
from elicense.signed_note import Checkpoint
from elicense.trust_root import TRUST_FMT, TrustRoot, require_threshold

COMPROMISE_TYP = "elicense-compromise"
MAX_STATEMENT_BYTES = 1 << 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Compromise:
    """Declare a key compromised from `since` on; `statement` holds the exact bytes the root's keys signed.

    `checkpoint` is the last state of the log that was witnessed before `since`: what stands in it below its size is
    older than the theft. None when nothing had been witnessed.
    """

    since: datetime
    checkpoint: Checkpoint | None
    statement: bytes = field(repr=False)

    @property
    def log_origin(self) -> str | None:
        """Name the log; None when nothing had been witnessed."""
        return self.checkpoint.origin if self.checkpoint is not None else None

    @property
    def log_size(self) -> int:
        """Count the entries that are older than the theft; 0 when nothing had been witnessed."""
        return self.checkpoint.size if self.checkpoint is not None else 0

    @property
    def log_root(self) -> bytes | None:
        """Give the root of the log over those entries, 32 bytes; None when nothing had been witnessed."""
        return self.checkpoint.root if self.checkpoint is not None else None

    def to_json(self) -> dict[str, JsonValue]:
        """Give the declaration as a key's entry carries it, the signed statement inside."""
        return {**_members(self.since, self.checkpoint), "statement": parse_json(self.statement)}


def build_compromise_payload(
    *, env: str, kid: str, use: str, since: datetime, checkpoint: Checkpoint | None
) -> bytes:
    """Build the payload of a statement about one key; sign it with `sign_compromise`.

    `use` is the key's in the trust list (`credential`, `status`, `receipt`, `log`, `freshness`, `witness`);
    `checkpoint` the last state of the log witnessed before `since`, None when there is none.
    """
    return dump_json({"fmt": TRUST_FMT, "env": env, "kid": kid, "use": use, **_members(since, checkpoint)})


def sign_compromise(payload: bytes, *, signers: Sequence[Signer]) -> bytes:
    """Sign a statement's payload with root keys: a general JWS (RFC 7515 section 7.2.1)."""
    return sign_general(typ=COMPROMISE_TYP, payload=payload, signers=signers)


def parse_compromise(statement: bytes, *, root: TrustRoot, kid: str, use: str) -> Compromise:
    """Parse a statement and check that the root's threshold made it about this key and use.

    FormatError: signature_invalid below the threshold; malformed for another key, use or environment and every other
    shape.
    """
    jws = parse_general(statement, typ=COMPROMISE_TYP, max_bytes=MAX_STATEMENT_BYTES)
    require_threshold(jws, root.root_keys, root.root_threshold, "compromise statement")
    fields = Fields(
        parse_json_object(jws.payload, max_bytes=MAX_STATEMENT_BYTES, max_depth=2), "compromise statement"
    )
    fields.require_format(TRUST_FMT)
    if (fields.env(), fields.text("kid"), fields.text("use")) != (root.env, kid, use):
        raise malformed("compromise statement speaks of another key")
    since, checkpoint = _read_members(fields)
    return Compromise(since=since, checkpoint=checkpoint, statement=statement)


def read_compromise(value: JsonValue, *, root: TrustRoot, kid: str, use: str) -> Compromise | None:
    """Read the member `compromised` of a key's entry: null, or a declaration that its statement bears out.

    FormatError as `parse_compromise`, and malformed when declaration and statement disagree.
    """
    if value is None:
        return None
    fields = Fields(value, "compromised")
    statement = dump_json(dict(fields.child("statement").members()))
    compromise = parse_compromise(statement, root=root, kid=kid, use=use)
    if _read_members(fields) != (compromise.since, compromise.checkpoint):
        raise malformed("a compromised key and its statement disagree")
    return compromise


def _members(since: datetime, checkpoint: Checkpoint | None) -> dict[str, JsonValue]:
    return {
        "since": to_unix(since),
        "log_origin": checkpoint.origin if checkpoint is not None else None,
        "log_size": checkpoint.size if checkpoint is not None else 0,
        "log_root": checkpoint.root.hex() if checkpoint is not None else None,
    }


def _read_members(fields: Fields) -> tuple[datetime, Checkpoint | None]:
    since, size = fields.time("since"), fields.integer("log_size")
    origin = fields.optional_text("log_origin")
    if origin is None:
        if size != 0 or fields.raw("log_root") is not None:
            raise malformed("a compromised key names a size or root of no log")
        return since, None
    return since, Checkpoint(origin, size, bytes.fromhex(fields.digest("log_root")))
