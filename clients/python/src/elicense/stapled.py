"""Stapled credentials: a credential with its log proof in one file (`GET /v1/licenses/{id}/credential?proof=1`).

    {"fmt": 1, "env", "credential": "<SD-JWT>", "proof": {a log proof, see elicense.log_proof}}

Everything that takes a credential takes this as well: the proof goes beside the credential, never into it, so that
what the holder shows stays the same bytes whether or not anyone asks for the proof.
"""

from dataclasses import dataclass, field

from elicense.encoding import JsonValue, malformed, parse_json_object
from elicense.fields import Fields
from elicense.file_text import trimmed
from elicense.jws import MAX_TOKEN_BYTES
from elicense.log_proof import LogProof, parse_log_proof
from elicense.problems import FormatError
from elicense.signed_note import MAX_NOTE_BYTES

STAPLED_FMT = 1
MAX_STAPLED_BYTES = 2 * (MAX_TOKEN_BYTES + MAX_NOTE_BYTES)
"""Credential and proof at their own bounds, with room for escapes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StapledCredential:
    """Hold a credential and its proof as they came: nothing here has been verified."""

    env: str
    credential: str = field(repr=False)
    proof: LogProof = field(repr=False)

    def to_json(self) -> dict[str, JsonValue]:
        """Give the file's content."""
        return {
            "fmt": STAPLED_FMT,
            "env": self.env,
            "credential": self.credential,
            "proof": self.proof.to_json(),
        }


def looks_stapled(source: str | bytes) -> bool:
    """Tell whether this is JSON rather than a token, by its first character."""
    return source.lstrip()[:1] in ("{", b"{")


def parse_stapled(data: str | bytes) -> StapledCredential:
    """Parse a stapled credential; the credential in it is left to the judge.

    FormatError (malformed): more than 256 KB, another shape, an unknown `fmt`, a proof of another shape or another
    environment than the file's.
    """
    raw = _utf8(data) if isinstance(data, str) else data
    content = parse_json_object(raw, max_bytes=MAX_STAPLED_BYTES, max_depth=4)
    fields = Fields(content, "stapled credential")
    fields.require_format(STAPLED_FMT)
    stapled = StapledCredential(
        env=fields.env(), credential=fields.text("credential"), proof=parse_log_proof(fields.raw("proof"))
    )
    if stapled.proof.env != stapled.env:
        raise malformed("stapled credential carries a proof of another environment")
    return stapled


def split_stapled(source: str | bytes) -> tuple[str | bytes, LogProof | None]:
    """Give the credential to judge and its proof, None for a bare credential; FormatError as `parse_stapled`."""
    if not looks_stapled(source):
        return source, None
    stapled = parse_stapled(source)
    return stapled.credential, stapled.proof


def take_apart(source: str | bytes) -> tuple[str | bytes, LogProof | None]:
    """Give the credential in a text and its log proof, if one is stapled to it; whatever else it is stays whole.

    What editors put around a text is dropped: a byte order mark before it, white space on both sides.
    """
    source = trimmed(source)
    try:
        return split_stapled(source)
    except FormatError:
        return (
            source,
            None,
        )  # JSON that is no stapled credential: the judge says that it is no credential either


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise malformed("stapled credential holds a lone surrogate") from None
