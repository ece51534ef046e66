"""Rows that go with every change: outbox events, unsequenced log leaves, audit entries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a license; delivered later in the order of `seq`, which the sequencer gives."""

    id: str
    kind: str
    license_id: str
    type_code: str
    occurred_at: datetime
    payload: Mapping[str, object]
    seq: int | None = None


class LogName(StrEnum):
    """The two logs: what departments and the service publish, and the receipts of verifications."""

    REGISTER = "register"
    RECEIPTS = "receipts"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLeaf:
    """A leaf of a transparency log before it has a place in it.

    `entry` is exactly what the log will hold (`elicense.log_entry`), without personal data. `subject` is the license's
    id, the document's URI, or the issuer URL of a register that accepted a loss. Of a license's entry `event_sha256`
    (hex) and `salt` (base64url) open its digest, of a loss `salt` does; they stay in the register.
    """

    id: str
    log: LogName
    kind: str
    subject: str
    identifier: str | None
    entry: bytes
    event_sha256: str | None
    salt: str | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what to which subject, with what outcome. Written in the transaction of what it speaks of."""

    id: str
    at: datetime
    actor: str
    action: str
    subject: str
    outcome: str
    request_id: str | None = None
