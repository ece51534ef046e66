"""Proofs that a published status list stands in the log: what saves a list whose signing key was compromised later."""

from dataclasses import dataclass

from elicense.encoding import JsonValue
from elicense.fields import Fields
from elicense.log_entry import EntryKind, document_entry
from elicense.log_proof import Inclusion, read_inclusion
from elicense.status_list import StatusList


@dataclass(frozen=True, slots=True, kw_only=True)
class ListProof:
    """Place a published list in the log; `previous` is the digest (hex) of the version before it, None of the first."""

    inclusion: Inclusion
    previous: str | None

    def to_json(self) -> dict[str, JsonValue]:
        """Give the proof as a bundle carries it."""
        return {**self.inclusion.to_json(), "previous": self.previous}


def parse_list_proof(value: JsonValue) -> ListProof:
    """Parse a proof; FormatError (malformed) for any other shape. Other members are passed over."""
    fields = Fields(value, "list proof")
    previous = fields.digest("previous") if fields.has("previous") else None
    return ListProof(inclusion=read_inclusion(fields), previous=previous)


def list_entry(status_list: StatusList, *, previous: str | None) -> bytes:
    """Make the log entry of a list whose signature has been checked."""
    return document_entry(
        env=status_list.env,
        kind=EntryKind.STATUS_LIST,
        uri=status_list.uri,
        seq=status_list.seq,
        issued_at=status_list.issued_at,
        sha256=status_list.sha256,
        previous=previous,
    )
