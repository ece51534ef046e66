"""Signed notes and log checkpoints: what a transparency log signs, in the formats all log tools read.

A note (C2SP signed-note) is UTF-8 text that ends in a newline, a blank line, and signature lines
`— <name> base64(4-byte key id || signature)`. A checkpoint (C2SP tlog-checkpoint) is a note whose text is the
log's origin, its size and its root. A cosignature (C2SP tlog-cosignature, cosignature/v1) is a witness's
statement that it saw a checkpoint at a time and that it followed from every earlier one it has seen.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from elicense.encoding import b64url_decode, b64url_encode, from_unix, malformed, sha256, to_unix
from elicense.keys import PublicKey, Signer
from elicense.problems import FormatError, Reason

NOTE_KEY_ED25519 = 0x01
NOTE_KEY_COSIGNATURE = 0x04
MAX_NOTE_BYTES = 65536
MAX_NOTE_SIGNATURES = 64
_SIGNATURE_PREFIX = "— "  # U+2014 and a space
_ED25519_BYTES = 64
_TIME_BYTES = 8
_MAX_SIZE = 2**53 - 1


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """Hold one signature line: the key's name, its id (4 bytes), and the bytes behind the id."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedNote:
    """Hold a parsed note; nothing about its signatures has been checked."""

    text: str
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True, order=True)
class Checkpoint:
    """Name one state of one log: origin, number of entries, Merkle root (32 bytes)."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """Give the note text that is signed: origin, size, base64 root, each on its line."""
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\n"


def require_key_name(name: str) -> str:
    """Return a key name as notes allow it; FormatError (malformed) when empty or with white space or a plus sign."""
    if not name or "+" in name or any(sign.isspace() or not sign.isprintable() for sign in name):
        raise malformed("key name of a note is empty or holds white space or a plus sign")
    return name


def note_key_id(name: str, key: PublicKey, *, kind: int = NOTE_KEY_ED25519) -> bytes:
    """Compute the id of a key under a name: SHA-256(name || 0x0A || kind || public key), first 4 bytes."""
    return sha256(require_key_name(name).encode("utf-8") + b"\n" + bytes([kind]) + _raw(key))[:4]


def verifier_key(name: str, key: PublicKey, *, kind: int = NOTE_KEY_ED25519) -> str:
    """Give a key as other log tools take it (vkey): `<name>+<hex key id>+<base64 of kind and public key>`."""
    return f"{name}+{note_key_id(name, key, kind=kind).hex()}+{_b64(bytes([kind]) + _raw(key))}"


def parse_verifier_key(vkey: str) -> tuple[str, int, PublicKey]:
    """Read a key as `verifier_key` gives it; return its name, its kind and the key.

    FormatError (malformed) for any other shape, a key id that is not this key's, and kinds other than Ed25519 and
    cosignature/v1.
    """
    name, _, rest = vkey.partition("+")
    key_id, separator, encoded = rest.partition("+")
    raw = _unb64(encoded) if separator else b""
    if len(raw) != 33 or raw[0] not in (NOTE_KEY_ED25519, NOTE_KEY_COSIGNATURE):
        raise malformed("verifier key is not <name>+<key id>+<an Ed25519 key>")
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64url_encode(raw[1:])}
    key = PublicKey.from_jwk(jwk, profile="eddsa")
    if note_key_id(name, key, kind=raw[0]).hex() != key_id:
        raise malformed("verifier key has an id that is not its key's")
    return name, raw[0], key


def parse_note(note: str | bytes) -> SignedNote:
    """Parse a note strictly; FormatError (malformed) for any other shape.

    Refused: more than 64 KB, control characters, no final newline, no blank line before the signatures, no or more
    than 64 signatures, a signature line that is not `— name base64` in canonical base64.
    """
    text = _note_text(note)
    body, separator, tail = text.rpartition("\n\n")
    if not separator or not body:
        raise malformed("note has no blank line before its signatures")
    lines = tail.split("\n")
    if lines.pop() != "" or not lines:
        raise malformed("note does not end in signature lines")
    if len(lines) > MAX_NOTE_SIGNATURES:
        raise malformed(f"note has more than {MAX_NOTE_SIGNATURES} signatures")
    return SignedNote(body + "\n", tuple(_parse_signature(line) for line in lines))


def add_signature(text: str, signature: NoteSignature, *, note: str | None = None) -> str:
    """Return a note with one signature line more: over `text` alone, or behind those of `note`."""
    line = f"{_SIGNATURE_PREFIX}{signature.name} {_b64(signature.key_id + signature.signature)}\n"
    return f"{text}\n{line}" if note is None else f"{note}{line}"


def sign_note(text: str, *, name: str, signer: Signer) -> str:
    """Sign text that ends in a newline with an Ed25519 key under a name; ValueError for other text or key."""
    if not text.endswith("\n") or "\n\n" in text:
        raise ValueError("the text of a note ends in one newline and holds no blank line")
    signature = signer.sign(text.encode("utf-8"))
    return add_signature(text, NoteSignature(name, note_key_id(name, signer.public_key), signature))


def is_signed_by(note: SignedNote, *, name: str, key: PublicKey) -> bool:
    """Tell whether the note carries a good signature of this key under this name."""
    wanted = note_key_id(name, key)
    data = note.text.encode("utf-8")
    return any(
        entry.name == name
        and entry.key_id == wanted
        and len(entry.signature) == _ED25519_BYTES
        and key.verify(entry.signature, data)
        for entry in note.signatures
    )


def parse_checkpoint_text(text: str) -> Checkpoint:
    """Parse a checkpoint's text; FormatError (malformed) unless it is exactly origin, size and root.

    Extension lines are allowed by C2SP and refused here: our logs write none, and what nobody reads can hide a fork.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] != "":
        raise malformed("checkpoint is not three lines")
    origin, size, root = require_key_name(lines[0]), lines[1], lines[2]
    if not size.isascii() or not size.isdigit() or (size != "0" and size.startswith("0")) or len(size) > 16:
        raise malformed("checkpoint size is not a number")
    if int(size) > _MAX_SIZE:
        raise malformed("checkpoint size is too large")
    hash_ = _unb64(root)
    if len(hash_) != 32:
        raise malformed("checkpoint root is not a SHA-256 hash")
    return Checkpoint(origin, int(size), hash_)


def open_checkpoint(note: str | bytes, *, origin: str, key: PublicKey) -> Checkpoint:
    """Check a checkpoint of a log and return it.

    FormatError: malformed for another shape or origin, signature_invalid without a good signature of the log's key
    under its origin (the key name of a log is its origin).
    """
    parsed = parse_note(note)
    checkpoint = parse_checkpoint_text(parsed.text)
    if checkpoint.origin != origin:
        raise malformed("checkpoint is of another log")
    if not is_signed_by(parsed, name=origin, key=key):
        raise FormatError(Reason.SIGNATURE_INVALID, "checkpoint is not signed by the key of its log")
    return checkpoint


def cosignature_message(text: str, time: datetime) -> bytes:
    """Return the bytes a witness signs: header line, time line (Unix seconds), the checkpoint's text."""
    return f"cosignature/v1\ntime {to_unix(time)}\n{text}".encode()


def cosign(note: str, *, name: str, signer: Signer, time: datetime) -> str:
    """Return the note with a witness's cosignature/v1 behind its signatures."""
    parsed = parse_note(note)
    signature = signer.sign(cosignature_message(parsed.text, time))
    stamped = to_unix(time).to_bytes(_TIME_BYTES, "big") + signature
    key_id = note_key_id(name, signer.public_key, kind=NOTE_KEY_COSIGNATURE)
    return add_signature(parsed.text, NoteSignature(name, key_id, stamped), note=note)


def cosigned_at(note: SignedNote, *, witnesses: Mapping[str, PublicKey]) -> Mapping[str, datetime]:
    """Return, by witness name, when each of the known witnesses says it saw this checkpoint; bad ones are left out."""
    found: dict[str, datetime] = {}
    for entry in note.signatures:
        key = witnesses.get(entry.name)
        if key is None or len(entry.signature) != _TIME_BYTES + _ED25519_BYTES:
            continue
        if entry.key_id != note_key_id(entry.name, key, kind=NOTE_KEY_COSIGNATURE):
            continue
        seconds = int.from_bytes(entry.signature[:_TIME_BYTES], "big")
        if not 0 < seconds <= _MAX_SIZE:
            continue
        try:
            moment = from_unix(seconds)
        except (ValueError, OverflowError, FormatError):
            continue  # a time no calendar holds: this line counts as no cosignature
        if key.verify(entry.signature[_TIME_BYTES:], cosignature_message(note.text, moment)):
            found[entry.name] = moment
    return found


def _note_text(note: str | bytes) -> str:
    if isinstance(note, bytes):
        if len(note) > MAX_NOTE_BYTES:
            raise malformed("note is too long")
        try:
            note = note.decode("utf-8")
        except UnicodeDecodeError:
            raise malformed("note is not UTF-8") from None
    if len(note) > MAX_NOTE_BYTES:
        raise malformed("note is too long")
    if any(sign < " " and sign != "\n" for sign in note) or "\x7f" in note:
        raise malformed("note holds a control character")
    return note


def _parse_signature(line: str) -> NoteSignature:
    if not line.startswith(_SIGNATURE_PREFIX):
        raise malformed("note has a line after its text that is no signature")
    name, separator, encoded = line[len(_SIGNATURE_PREFIX) :].partition(" ")
    if not separator or " " in encoded:
        raise malformed("note has a signature line of another shape")
    value = _unb64(encoded)
    if len(value) < 5:
        raise malformed("note has a signature that is too short")
    return NoteSignature(require_key_name(name), value[:4], value[4:])


def _raw(key: PublicKey) -> bytes:
    if key.profile.name != "eddsa":
        raise malformed("notes are signed with Ed25519 keys alone")
    return b64url_decode(key.jwk["x"])


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unb64(text: str) -> bytes:
    try:
        value = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise malformed("note holds a value that is not base64") from None
    if _b64(value) != text:
        raise malformed("note holds base64 that is not canonical")
    return value
