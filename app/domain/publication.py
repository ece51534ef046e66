"""What the service publishes: status lists and signed documents."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DocumentKind(StrEnum):
    """Signed documents kept with all their versions."""

    TRUST_ROOT = "trust_root"
    TRUST_LIST = "trust_list"
    FRESHNESS = "freshness"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDocument:
    """One version of a signed document: exact bytes as served, their SHA-256 (hex), when made, until when good."""

    kind: DocumentKind
    sequence: int
    content: bytes
    sha256: str
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Digested:
    """Bytes as they are served, with their SHA-256 (hex): a large answer is not hashed anew for everyone who asks."""

    content: bytes
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusListRow:
    """The bookkeeping of one status list.

    `size` entries (two bits each); `allocated` how many indices were reserved; `changes` grows with every status
    change of the list and `published_changes` is its value when the published token's bits were read: the list is
    dirty while they differ. `seq` is the published version (0: none yet).
    """

    id: str
    uri: str
    authority_code: str
    size: int
    allocated: int
    changes: int
    published_changes: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusListVersion:
    """What names one published version and says how old it is, without its token, which has up to megabytes."""

    list_id: str
    uri: str
    seq: int
    event_seq: int
    sha256: str
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedStatusList(StatusListVersion):
    """One published version: the token as served and what readers check."""

    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedStamp:
    """What the next version of a status list must know of the served one: its digest (hex) and its time."""

    sha256: str
    issued_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSpan:
    """Say when version `seq` of a status list was the newest: from `since` to `until` (excluded), None if it still is.

    `until` is the next version's own time: its signed token shows the end of this one.
    """

    seq: int
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceKey:
    """A public key the installation knows: what it is for, whose it is, and where its private part lives.

    `use` is credential, status, receipt, freshness, log, receipt_log or witness; `authority_code` is set for credential
    keys; `uri` names the private key (`file:NAME`), never its path, or the witness whose key this is (`witness:NAME`).
    `origin` is set for the keys of logs: the log whose checkpoints it signs.
    """

    kid: str
    use: str
    profile: str
    jwk: dict[str, str]
    authority_code: str | None
    uri: str
    valid_from: datetime
    valid_until: datetime
    origin: str | None = None

    def in_window(self, moment: datetime) -> bool:
        """Tell whether the moment lies in the key's window: `valid_from` included, `valid_until` excluded."""
        return self.valid_from <= moment < self.valid_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Fixed at first init and stored: the issuer URL, the environment and the type base of all signed objects."""

    issuer_url: str
    env: str
    created_at: datetime
