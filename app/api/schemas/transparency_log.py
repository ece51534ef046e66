"""What may be asked of the transparency logs, and the shapes of their answers."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from app.api.schemas.answers import Answer
from app.api.schemas.fields import Code, Name, StrictModel
from elicense.signed_note import MAX_NOTE_BYTES

_MOST = 2**53 - 1  # what a checkpoint may count


def _parse_count(value: object) -> int:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,16}", value):
        return int(value)
    raise PydanticCustomError("int_type", "must be an integer")


Count = Annotated[
    int,
    Field(ge=0, le=_MOST),
    BeforeValidator(_parse_count),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": _MOST}),
]
"""A number of leaves, or the number of a document."""

Sha256Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in hexadecimal."""


class CheckpointQuery(StrictModel):
    """Which checkpoint: the newest, or with `witnessed=1` the newest that a witness has cosigned."""

    witnessed: Literal["1"] | None = None


class ProofQuery(StrictModel):
    """What is to be proven: a license's issuance, a status list's version, or a trust document's."""

    identifier: Code | None = None
    signing_input_sha256: Sha256Hex | None = None
    status_list: Name | None = None
    seq: Count | None = None
    trust_list: Count | None = None
    trust_root: Count | None = None

    @model_validator(mode="after")
    def _one_entry(self) -> "ProofQuery":
        asked = {name for name in self.model_fields_set if getattr(self, name) is not None}
        if asked - {"signing_input_sha256"} not in (
            {"identifier"},
            {"status_list", "seq"},
            {"trust_list"},
            {"trust_root"},
        ) or ("signing_input_sha256" in asked and self.identifier is None):
            raise PydanticCustomError("one_entry", "must name exactly one entry")
        return self


class ConsistencyQuery(StrictModel):
    """Between which sizes, of which log: the public one's in force when no origin is given."""

    from_: Annotated[Count, Field(alias="from")]
    to: Count | None = None
    origin: Code | None = None


class CosignatureBody(StrictModel):
    """A checkpoint with a witness's cosignature: the whole signed note."""

    note: Annotated[str, StringConstraints(min_length=1, max_length=MAX_NOTE_BYTES)]


class EntryProofAnswer(Answer):
    """An entry of a log, its place, its audit path (RFC 6962, base64url) and the signed checkpoint it leads to.

    `entry` is the exact entry (base64url). `event_sha256` and `salt` open a license's entry; they are there for
    whoever named the digest of the credential's signing input.
    """

    fmt: int
    env: Literal["test", "live"]
    kind: str
    entry: str
    event_sha256: str | None = None
    salt: str | None = None
    origin: str
    index: int
    path: list[str]
    checkpoint: str


class LogProofAnswer(Answer):
    """The proof stapled to a credential."""

    fmt: int
    env: Literal["test", "live"]
    event_sha256: str
    salt: str
    origin: str
    index: int
    path: list[str]
    checkpoint: str


class ProvenCredentialAnswer(Answer):
    """A credential and the proof that it was logged when it was issued."""

    fmt: int
    env: Literal["test", "live"]
    credential: str
    proof: LogProofAnswer


class ConsistencyAnswer(Answer):
    """The proof (RFC 6962, base64url) that the log of `to` leaves begins with that of `from`."""

    fmt: int
    env: Literal["test", "live"]
    origin: str
    from_: int = Field(alias="from")
    to: int
    path: list[str]


class AnchorAnswer(Answer):
    """The entry of the public log that fixes the state of the receipts' log; `iat` is the time it states."""

    origin: str
    index: int
    path: list[str]
    checkpoint: str
    iat: int


class ReceiptProofAnswer(Answer):
    """The place of a receipt in the receipts' log; `anchor` null until the public log has fixed that state."""

    fmt: int
    env: Literal["test", "live"]
    origin: str
    index: int
    path: list[str]
    checkpoint: str
    anchor: AnchorAnswer | None


class CosignaturesAnswer(Answer):
    """The witnesses of a checkpoint and when each states to have seen it."""

    witnesses: dict[str, str]
