"""Log proofs: what comes beside a credential or a receipt to show that it stands in the log.

A proof holds the entry's opening (salt and event digest, so that the verifier makes the entry itself from the
credential in hand), its index, its audit path (RFC 6962), and the signed checkpoint whose root the path leads to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from elicense.encoding import JsonValue, b64url_decode, b64url_encode, malformed
from elicense.fields import Fields
from elicense.log_entry import (
    LOG_FMT,
    EntryKind,
    issuance_digest,
    license_entry,
    receipt_entry,
)
from elicense.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from elicense.signed_note import Checkpoint, parse_checkpoint_text, parse_note

MAX_PATH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """Place an entry in a log: its 0-based index, its audit path, and the signed note whose root the path leads to."""

    origin: str
    index: int
    path: tuple[bytes, ...]
    checkpoint: str

    def to_json(self) -> dict[str, JsonValue]:
        """Give the inclusion as proofs carry it."""
        return {
            "origin": self.origin,
            "index": self.index,
            "path": [b64url_encode(node) for node in self.path],
            "checkpoint": self.checkpoint,
        }

    def claimed_checkpoint(self) -> Checkpoint:
        """Read the checkpoint without checking its signature; FormatError (malformed) for another shape or origin."""
        checkpoint = parse_checkpoint_text(parse_note(self.checkpoint).text)
        if checkpoint.origin != self.origin:
            raise malformed("log proof carries the checkpoint of another log")
        return checkpoint

    def includes(self, entry: bytes, checkpoint: Checkpoint) -> bool:
        """Tell whether the path leads from this entry to the checkpoint's root."""
        return verify_inclusion(leaf_hash(entry), self.index, checkpoint.size, self.path, checkpoint.root)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProof:
    """Prove that a credential was logged when it was issued. `event_sha256` (hex) and `salt` open its entry."""

    env: str
    event_sha256: str
    salt: bytes
    inclusion: Inclusion

    def entry(self, signing_input_sha256: str) -> bytes:
        """Make the entry this proof speaks of, for the credential with this digest (hex) of its signing input."""
        digest = issuance_digest(
            signing_input_sha256=signing_input_sha256, event_sha256=self.event_sha256, salt=self.salt
        )
        return license_entry(env=self.env, kind=EntryKind.ISSUANCE, digest=digest)

    def to_json(self) -> dict[str, JsonValue]:
        """Give the proof as it is stapled to a credential."""
        return {
            "fmt": LOG_FMT,
            "env": self.env,
            "event_sha256": self.event_sha256,
            "salt": b64url_encode(self.salt),
            **self.inclusion.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptProof:
    """Prove that a receipt stands in the receipts' log, and that log's state (at `anchored_at`) in the public log.

    `anchor` and `anchored_at` (Unix seconds) are None while that state has not been fixed in the public log yet.
    """

    env: str
    inclusion: Inclusion
    anchor: Inclusion | None = None
    anchored_at: int | None = None

    def entry(self, receipt_sha256: str) -> bytes:
        """Make the entry this proof speaks of, for the receipt with this digest (hex)."""
        return receipt_entry(env=self.env, receipt_sha256=receipt_sha256)

    def to_json(self) -> dict[str, JsonValue]:
        """Give the proof as the service answers it."""
        anchor = {**self.anchor.to_json(), "iat": self.anchored_at} if self.anchor is not None else None
        return {"fmt": LOG_FMT, "env": self.env, **self.inclusion.to_json(), "anchor": anchor}


def parse_log_proof(value: JsonValue) -> LogProof:
    """Parse a stapled proof; FormatError (malformed) for any other shape, `fmt` or environment word."""
    fields = Fields(value, "log proof")
    fields.require_format(LOG_FMT)
    salt = b64url_decode(fields.text("salt"))
    if len(salt) < 16:
        raise malformed("log proof has a salt that is too short")
    return LogProof(
        env=fields.env(),
        event_sha256=fields.digest("event_sha256"),
        salt=salt,
        inclusion=read_inclusion(fields),
    )


def parse_receipt_proof(value: JsonValue) -> ReceiptProof:
    """Parse a receipt's proof; FormatError (malformed) for any other shape, `fmt` or environment word."""
    fields = Fields(value, "receipt proof")
    fields.require_format(LOG_FMT)
    anchor = fields.child("anchor") if fields.has("anchor") else None
    return ReceiptProof(
        env=fields.env(),
        inclusion=read_inclusion(fields),
        anchor=read_inclusion(anchor) if anchor is not None else None,
        anchored_at=anchor.integer("iat", minimum=0) if anchor is not None else None,
    )


def read_path(texts: Sequence[str], what: str) -> tuple[bytes, ...]:
    """Read hashes written as base64url; FormatError (malformed) for other lengths or more than 64 of them."""
    nodes = tuple(b64url_decode(text) for text in texts)
    if len(nodes) > MAX_PATH or any(len(node) != HASH_BYTES for node in nodes):
        raise malformed(f"{what} holds something else than up to 64 hashes")
    return nodes


def read_inclusion(fields: Fields) -> Inclusion:
    """Read the members of an inclusion out of a proof; FormatError (malformed) for any other shape."""
    return Inclusion(
        origin=fields.text("origin"),
        index=fields.integer("index", minimum=0),
        path=read_path(fields.texts("path"), "log proof"),
        checkpoint=fields.text("checkpoint"),
    )
