"""What a report names as its evidence: a source of the status, a trust list, a place in a log."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from elicense.encoding import JsonValue, rfc3339
from elicense.evidence_ages import TrustTimes


@dataclass(frozen=True, slots=True)
class StatusSource:
    """Name where the status came from: the live register, or one published status list.

    `expires_at` is the end of that list; reports do not repeat it.
    """

    kind: Literal["live", "list"]
    as_of: datetime
    event_seq: int | None = None
    uri: str | None = None
    seq: int | None = None
    sha256: str | None = None
    expires_at: datetime | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, JsonValue]:
        """Give the members that belong to this kind of source."""
        shown: dict[str, JsonValue] = {"kind": self.kind, "as_of": rfc3339(self.as_of)}
        if self.event_seq is not None:
            shown["event_seq"] = self.event_seq
        if self.kind == "list":
            shown.update(uri=self.uri, seq=self.seq, sha256=self.sha256)
        return shown


@dataclass(frozen=True, slots=True)
class TrustReference:
    """Name the trust list an answer rests on: its sequence and the digest (hex) of its exact bytes.

    `times` are those of the documents around it; None where their publisher judges, who knows them to be current.
    """

    sequence: int
    sha256: str
    times: TrustTimes | None = field(default=None, compare=False, repr=False)

    def to_json(self) -> dict[str, JsonValue]:
        """Give the reference as reports and receipts carry it."""
        return {"sequence": self.sequence, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Name where in which log something stands: the log's origin, the entry's 0-based index.

    `size` counts the entries of the log state that proves it, None where the register itself says so; `seen_at` is
    the earliest time at which a listed witness saw that state, None where none did.
    """

    origin: str
    index: int
    size: int | None = None
    seen_at: datetime | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Give the place as reports and receipts carry it."""
        return {"origin": self.origin, "index": self.index, "size": self.size}
