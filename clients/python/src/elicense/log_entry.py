"""What stands in the transparency log: entries that commit to everything and tell nobody whose license it is.

An entry is the canonical JSON (RFC 8785) of a small object; its Merkle leaf is SHA-256(0x00 || entry). Entries about
licenses hold a salted digest alone: of an issuance over the digest of the credential's signing input and of its event,
of a change over its event. Published documents (status lists, trust lists, states of the receipts' log) stand in clear.
An accepted loss tells in clear when it was accepted and which time is gone; what is gone stands in the register's
audit, line by line, and here as the salted digest of those lines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from elicense.encoding import (
    JsonValue,
    b64url_encode,
    canonical_json,
    malformed,
    parse_json_object,
    sha256_hex,
    to_unix,
)
from elicense.fields import Fields
from elicense.signed_note import Checkpoint

LOG_FMT = 1
SALT_BYTES = 16
MAX_ENTRY_BYTES = 4096


class EntryKind(StrEnum):
    """Name what an entry speaks of."""

    ISSUANCE = "issuance"
    CHANGE = "change"
    STATUS_LIST = "status_list"
    TRUST_LIST = "trust_list"
    TRUST_ROOT = "trust_root"
    RECEIPTS = "receipts"
    RECEIPT = "receipt"
    LOSS = "loss"


LICENSE_KINDS = frozenset({EntryKind.ISSUANCE, EntryKind.CHANGE})
DOCUMENT_KINDS = frozenset({EntryKind.STATUS_LIST, EntryKind.TRUST_LIST, EntryKind.TRUST_ROOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseEvent:
    """Say what happened to one version of one license, so completely that nothing of it can be changed unnoticed.

    `kind` is issued, suspended, resumed, revoked, cancelled, superseded, succeeded or voided; `row_version` counts the
    license's changes from 1 (0 for a voided promise); `details` holds what only some kinds have (the kind of a
    revocation, a successor's identifier). It never leaves the register: the log holds its salted digest.
    """

    env: str
    kind: str
    license_id: str
    identifier: str
    version: str
    row_version: int
    from_state: str | None
    to_state: str
    actor: str
    recorded_at: datetime
    effective_at: datetime
    reason_code: str | None
    reason: str | None
    signing_input_sha256: str
    status_list: str
    status_index: int
    details: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def to_json(self) -> dict[str, JsonValue]:
        """Give the event as its digest covers it."""
        return {
            "fmt": LOG_FMT,
            "env": self.env,
            "kind": self.kind,
            "license_id": self.license_id,
            "identifier": self.identifier,
            "version": self.version,
            "row_version": self.row_version,
            "from_state": self.from_state,
            "to_state": self.to_state,
            "actor": self.actor,
            "recorded_at": to_unix(self.recorded_at),
            "effective_at": to_unix(self.effective_at),
            "reason_code": self.reason_code,
            "reason": self.reason,
            "signing_input_sha256": self.signing_input_sha256,
            "status_list": self.status_list,
            "status_index": self.status_index,
            "details": dict(self.details),
        }

    @property
    def sha256(self) -> str:
        """Give the digest (hex) of the canonical JSON (RFC 8785) of the event."""
        return sha256_hex(canonical_json(self.to_json()))


def issuance_digest(*, signing_input_sha256: str, event_sha256: str, salt: bytes) -> str:
    """Commit to an issued credential: hex SHA-256 of the canonical JSON of both digests (hex) and the salt."""
    return _salted({"signing_input_sha256": signing_input_sha256, "event_sha256": event_sha256}, salt)


def change_digest(*, event_sha256: str, salt: bytes) -> str:
    """Commit to a change: hex SHA-256 of the canonical JSON of the event's digest (hex) and the salt."""
    return _salted({"event_sha256": event_sha256}, salt)


def license_entry(*, env: str, kind: EntryKind, digest: str) -> bytes:
    """Write the entry of an issuance or a change: its salted digest (hex) and nothing else."""
    if kind not in LICENSE_KINDS:
        raise ValueError(f"an entry of kind {kind} does not speak of a license")
    return canonical_json({**_frame(env, kind), "alg": "sha-256", "digest": digest})


def document_entry(
    *, env: str, kind: EntryKind, uri: str, seq: int, issued_at: datetime, sha256: str, previous: str | None
) -> bytes:
    """Write the entry of a published document: where it is served, its number, time and digest (hex), and the digest
    of the one before it (None for the first).
    """
    if kind not in DOCUMENT_KINDS:
        raise ValueError(f"an entry of kind {kind} is no document")
    content = {"uri": uri, "seq": seq, "iat": to_unix(issued_at), "sha256": sha256, "previous": previous}
    return canonical_json({**_frame(env, kind), **content})


def receipts_entry(*, env: str, checkpoint: Checkpoint, stated_at: datetime) -> bytes:
    """Write the entry that fixes a state of the receipts' log in the public one."""
    return canonical_json(
        {
            **_frame(env, EntryKind.RECEIPTS),
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": checkpoint.root.hex(),
            "iat": to_unix(stated_at),
        }
    )


def receipt_entry(*, env: str, receipt_sha256: str) -> bytes:
    """Write the entry of one receipt: the digest (hex) of the exact token; its signature is salt enough."""
    return canonical_json({**_frame(env, EntryKind.RECEIPT), "alg": "sha-256", "digest": receipt_sha256})


def loss_digest(lines: Sequence[str], *, salt: bytes) -> str:
    """Commit to what a register lost: hex SHA-256 of the canonical JSON of the audit's lines, sorted, and the salt."""
    return _salted({"lines": [*sorted(lines)]}, salt)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedLoss:
    """Say that a register went on without what it lost: members `fmt env kind alg digest iat since until`, no others.

    `accepted_at` (`iat`) is when an operator accepted it, `since` the time of the last entry that was left (None in an
    empty register), `until` the highest time known outside: what was done between the two may be gone. `digest` (hex)
    is that of `loss_digest`. Times are whole Unix seconds.
    """

    env: str
    accepted_at: datetime
    since: datetime | None
    until: datetime
    digest: str

    @property
    def entry(self) -> bytes:
        """Give the exact bytes of the entry."""
        return canonical_json(
            {
                **_frame(self.env, EntryKind.LOSS),
                "alg": "sha-256",
                "digest": self.digest,
                "iat": to_unix(self.accepted_at),
                "since": to_unix(self.since) if self.since is not None else None,
                "until": to_unix(self.until),
            }
        )


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Hold a parsed entry: its kind, environment, and all of its members."""

    kind: EntryKind
    env: str
    content: Mapping[str, JsonValue]


def parse_entry(entry: bytes) -> LogEntry:
    """Parse an entry; FormatError (malformed) unless it is the canonical JSON of a known kind."""
    content = parse_json_object(entry, max_bytes=MAX_ENTRY_BYTES, max_depth=3)
    if canonical_json(content) != entry:
        raise malformed("log entry is not canonical JSON")
    fields = Fields(content, "log entry")
    fields.require_format(LOG_FMT)
    try:
        kind = EntryKind(fields.text("kind"))
    except ValueError:
        raise malformed("log entry is of an unknown kind") from None
    return LogEntry(kind, fields.env(), MappingProxyType(content))


def _frame(env: str, kind: EntryKind) -> dict[str, JsonValue]:
    return {"fmt": LOG_FMT, "env": env, "kind": kind.value}


def _salted(content: Mapping[str, JsonValue], salt: bytes) -> str:
    if len(salt) < SALT_BYTES:
        raise ValueError(f"a log salt has at least {SALT_BYTES} bytes")
    return sha256_hex(canonical_json({**content, "fmt": LOG_FMT, "salt": b64url_encode(salt)}))
