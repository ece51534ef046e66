"""The history of keys: which followed which, and which turned out to have been in other hands. Values, no storage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.events import LogName
from app.domain.publication import ServiceKey, SignedDocument
from app.domain.transparency_log import LogHead, PublishedCheckpoint
from elicense.compromise import Compromise
from elicense.signed_note import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCompromise:
    """A key declared compromised from `since` on, with the statement that the root's threshold signed about it.

    What stands in the log `log_origin` below `log_size` (of root `log_root`) is older than the theft; None and 0 when
    nothing was seen before. `use` is the key's in the trust list; `root_version` says which root signed the statement:
    the next root signs it again. `witnessed` tells whether a witness had seen that state of the log, or only this
    register says that it was published then.
    """

    kid: str
    use: str
    since: datetime
    log_origin: str | None
    log_size: int
    log_root: bytes | None
    witnessed: bool
    statement: bytes
    root_version: int
    declared_at: datetime
    reason: str | None

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Return the state of the log that is older than the theft, None without one."""
        if self.log_origin is None or self.log_root is None:
            return None
        return Checkpoint(self.log_origin, self.log_size, self.log_root)

    @property
    def declaration(self) -> Compromise:
        """Return what the trust list's entry of the key carries."""
        return Compromise(since=self.since, checkpoint=self.checkpoint, statement=self.statement)


@dataclass(frozen=True, slots=True, kw_only=True)
class NextGeneration:
    """A log that goes on under its next origin: the old one is cut back to `keep` and frozen, its tail placed anew.

    `keep` None keeps nothing of it. `head` is the new origin's, still empty, and `first` its signed checkpoint. All
    three are None where the old origin had been frozen before: then it is only cut back further.
    """

    log: LogName
    origin: str
    keep: Checkpoint | None
    head: LogHead | None = None
    first: PublishedCheckpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChanges:
    """What one publication of the trust list changes about keys; all of it is stored with that list, or nothing.

    `ended` holds the new ends of windows by key id: a window is cut, never extended.
    """

    added: Sequence[ServiceKey] = ()
    ended: Mapping[str, datetime] = field(default_factory=dict)
    compromised: Sequence[KeyCompromise] = ()
    root: SignedDocument | None = None
    generation: NextGeneration | None = None

    @property
    def are_none(self) -> bool:
        """Tell whether nothing about keys changes."""
        return not (self.added or self.ended or self.compromised or self.root or self.generation)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedVersion:
    """The version of a license in force, by the key that signed it, and its place in the log (None: not yet)."""

    license_id: str
    identifier: str
    kid: str
    log_origin: str | None
    log_index: int | None
