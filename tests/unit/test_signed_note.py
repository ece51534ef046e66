"""Signed notes, checkpoints and cosignatures (C2SP), strict on reading."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from app.adapters.signers.private_keys import PrivateKeySigner
from elicense.problems import FormatError
from elicense.signed_note import (
    NOTE_KEY_COSIGNATURE,
    NOTE_KEY_ED25519,
    Checkpoint,
    cosign,
    cosigned_at,
    is_signed_by,
    note_key_id,
    open_checkpoint,
    parse_checkpoint_text,
    parse_note,
    parse_verifier_key,
    sign_note,
    verifier_key,
)

ORIGIN = "license.example/log"
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def _signer(seed: int) -> PrivateKeySigner:
    return PrivateKeySigner(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


LOG, WITNESS, STRANGER = _signer(1), _signer(2), _signer(3)
CHECKPOINT = Checkpoint(ORIGIN, 42, bytes(range(32)))


def test_a_checkpoint_signed_by_its_log_is_opened() -> None:
    note = sign_note(CHECKPOINT.text, name=ORIGIN, signer=LOG)
    assert open_checkpoint(note, origin=ORIGIN, key=LOG.public_key) == CHECKPOINT
    assert open_checkpoint(note.encode(), origin=ORIGIN, key=LOG.public_key) == CHECKPOINT


def test_a_checkpoint_of_another_key_name_or_origin_is_refused() -> None:
    note = sign_note(CHECKPOINT.text, name=ORIGIN, signer=LOG)
    other_name = sign_note(CHECKPOINT.text, name="other.example/log", signer=LOG)
    with pytest.raises(FormatError, match="not signed by the key"):
        open_checkpoint(note, origin=ORIGIN, key=STRANGER.public_key)
    with pytest.raises(FormatError, match="not signed by the key"):
        open_checkpoint(other_name, origin=ORIGIN, key=LOG.public_key)
    with pytest.raises(FormatError, match="another log"):
        open_checkpoint(note, origin="other.example/log", key=LOG.public_key)


def test_every_changed_character_of_a_note_is_noticed() -> None:
    note = sign_note(CHECKPOINT.text, name=ORIGIN, signer=LOG)
    for position in range(len(note)):
        changed = note[:position] + ("x" if note[position] != "x" else "y") + note[position + 1 :]
        with pytest.raises(FormatError):
            open_checkpoint(changed, origin=ORIGIN, key=LOG.public_key)


@pytest.mark.parametrize(
    "text",
    [
        "license.example/log\n042\n" + "A" * 43 + "=\n",
        "license.example/log\n-1\n" + "A" * 43 + "=\n",
        "license.example/log\n٤٢\n" + "A" * 43 + "=\n",
        "license.example/log\n42\n" + "A" * 40 + "\n",
        "license.example/log\n42\n" + "A" * 43 + "=\nextension\n",
        "license example/log\n42\n" + "A" * 43 + "=\n",
        "license.example/log\n42\n" + "A" * 42 + "B=\n",
        "license.example/log\n99999999999999999\n" + "A" * 43 + "=\n",
    ],
)
def test_a_checkpoint_text_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse_checkpoint_text(text)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\n— name\n",
        "text\n\n— name AAAA\n",
        "text\n\n- name AAAAAAAA\n",
        "text\n\n— name AAAAAAAA",
        "text\n\n— na+me AAAAAAAA\n",
        "te\x00xt\n\n— name AAAAAAAA\n",
        "te\rxt\n\n— name AAAAAAAA\n",
        "text\n\n" + "— name AAAAAAAA\n" * 65,
        b"te\xffxt\n\n\xe2\x80\x94 name AAAAAAAA\n",
    ],
)
def test_a_note_of_another_shape_is_refused(note: str | bytes) -> None:
    with pytest.raises(FormatError):
        parse_note(note)


def test_a_witness_says_when_it_saw_a_checkpoint() -> None:
    note = sign_note(CHECKPOINT.text, name=ORIGIN, signer=LOG)
    seen = parse_note(cosign(note, name="witness.example/w1", signer=WITNESS, time=NOW))
    assert cosigned_at(seen, witnesses={"witness.example/w1": WITNESS.public_key}) == {
        "witness.example/w1": NOW
    }
    assert is_signed_by(seen, name=ORIGIN, key=LOG.public_key)
    assert cosigned_at(seen, witnesses={"witness.example/w1": STRANGER.public_key}) == {}
    assert cosigned_at(seen, witnesses={"witness.example/w2": WITNESS.public_key}) == {}


def test_a_log_signature_is_no_cosignature_and_the_reverse() -> None:
    assert note_key_id("a", LOG.public_key) != note_key_id("a", LOG.public_key, kind=4)
    note = parse_note(sign_note(CHECKPOINT.text, name=ORIGIN, signer=LOG))
    assert cosigned_at(note, witnesses={ORIGIN: LOG.public_key}) == {}


def test_a_key_is_given_as_other_tools_take_it() -> None:
    name, key_id, encoded = verifier_key(ORIGIN, LOG.public_key).split("+", 2)
    assert (name, key_id) == (ORIGIN, note_key_id(ORIGIN, LOG.public_key).hex())
    assert encoded.startswith("AY")  # 0x01 and the 32 bytes of the key


@pytest.mark.parametrize("kind", [NOTE_KEY_ED25519, NOTE_KEY_COSIGNATURE])
def test_a_verifier_key_is_read_as_it_was_written(kind: int) -> None:
    vkey = verifier_key(ORIGIN, LOG.public_key, kind=kind)
    assert parse_verifier_key(vkey) == (ORIGIN, kind, LOG.public_key)


def test_a_published_verifier_key_is_read() -> None:
    """The key of Go's checksum database, as sum.golang.org publishes it."""
    name, kind, key = parse_verifier_key(
        "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    )
    assert (name, kind) == ("sum.golang.org", NOTE_KEY_ED25519)
    assert note_key_id(name, key).hex() == "033de0ae"


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+033de0ae",
        "sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        "other.example+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        "sum.golang.org+033de0ae+As4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        "sum.golang.org+033de0ae+Ac4zctda0e5eza",
        "sum.golang.org+033DE0AE+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        "sum golang+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
    ],
)
def test_what_is_no_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(FormatError):
        parse_verifier_key(vkey)
