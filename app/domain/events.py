"""Rows that go with every change: outbox events, unsequenced log leaves, audit entries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLeaf:
    """A leaf of the transparency log before it has a place in it. `digest` is hex SHA-256, salted, no personal data."""

    id: str
    kind: str
    license_id: str
    identifier: str
    digest: str
    salt: str
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
