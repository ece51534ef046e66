"""Log entries tell nobody whose license they are about, and proofs open exactly one of them."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from app.adapters.signers.private_keys import PrivateKeySigner
from elicense.log_entry import (
    AcceptedLoss,
    EntryKind,
    LicenseEvent,
    change_digest,
    document_entry,
    issuance_digest,
    license_entry,
    loss_digest,
    parse_entry,
    receipt_entry,
    receipts_entry,
)
from elicense.log_proof import (
    Inclusion,
    LogProof,
    ReceiptProof,
    parse_log_proof,
    parse_receipt_proof,
)
from elicense.merkle import MerkleTree, leaf_hash
from elicense.problems import FormatError
from elicense.signed_note import Checkpoint, sign_note

ORIGIN = "license.example/log"
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
LOG = PrivateKeySigner(ed25519.Ed25519PrivateKey.from_private_bytes(b"\x01" * 32))
EVENT = LicenseEvent(
    env="test",
    kind="issued",
    license_id="0190",
    identifier="1.2.156.3005.2.x",
    version="001",
    row_version=1,
    from_state=None,
    to_state="active",
    actor="clerk",
    recorded_at=NOW,
    effective_at=NOW,
    reason_code=None,
    reason=None,
    signing_input_sha256="a" * 64,
    status_list="list-1",
    status_index=7,
)
SALT = b"s" * 16


def _proof(*, index: int = 2) -> tuple[LogProof, Checkpoint]:
    digest = issuance_digest(signing_input_sha256="a" * 64, event_sha256=EVENT.sha256, salt=SALT)
    entries = [b"0", b"1", b"2", b"3", b"4"]
    entries[index] = license_entry(env="test", kind=EntryKind.ISSUANCE, digest=digest)
    tree = MerkleTree([leaf_hash(entry) for entry in entries])
    checkpoint = Checkpoint(ORIGIN, tree.size, tree.root)
    inclusion = Inclusion(
        origin=ORIGIN,
        index=index,
        path=tuple(tree.path(index)),
        checkpoint=sign_note(checkpoint.text, name=ORIGIN, signer=LOG),
    )
    return LogProof(env="test", event_sha256=EVENT.sha256, salt=SALT, inclusion=inclusion), checkpoint


def test_a_proof_opens_the_entry_of_its_credential_and_no_other() -> None:
    proof, checkpoint = _proof()
    read = parse_log_proof(proof.to_json())
    assert read == proof
    assert read.inclusion.claimed_checkpoint() == checkpoint
    assert read.inclusion.includes(read.entry("a" * 64), checkpoint)
    assert not read.inclusion.includes(read.entry("b" * 64), checkpoint)
    assert not replace(read.inclusion, index=3).includes(read.entry("a" * 64), checkpoint)
    assert not replace(read, salt=b"t" * 16).inclusion.includes(
        replace(read, salt=b"t" * 16).entry("a" * 64), checkpoint
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fmt", 2),
        ("env", "prod"),
        ("salt", "AAAA"),
        ("event_sha256", "zz"),
        ("index", -1),
        ("index", "2"),
        ("path", ["AAAA"]),
        ("path", ["A" * 43] * 65),
        ("checkpoint", None),
        ("origin", 7),
    ],
)
def test_a_proof_of_another_shape_is_refused(name: str, value: object) -> None:
    document = {**_proof()[0].to_json(), name: value}
    with pytest.raises(FormatError):
        parse_log_proof(document)  # type: ignore[arg-type]


def test_the_checkpoint_of_another_log_does_not_fit() -> None:
    inclusion = replace(_proof()[0].inclusion, origin="other.example/log")
    with pytest.raises(FormatError, match="another log"):
        inclusion.claimed_checkpoint()


def test_an_entry_shows_no_part_of_the_event() -> None:
    digest = change_digest(event_sha256=EVENT.sha256, salt=SALT)
    entry = license_entry(env="test", kind=EntryKind.CHANGE, digest=digest)
    assert parse_entry(entry).content == {
        "fmt": 1,
        "env": "test",
        "kind": "change",
        "alg": "sha-256",
        "digest": digest,
    }
    for shown in (EVENT.identifier, EVENT.actor, EVENT.license_id):
        assert shown.encode() not in entry


def test_every_field_of_an_event_changes_its_digest() -> None:
    changed = {
        "kind": "revoked",
        "license_id": "0191",
        "identifier": "1.2.156.3005.2.y",
        "version": "002",
        "row_version": 2,
        "from_state": "active",
        "to_state": "revoked",
        "actor": "other",
        "recorded_at": datetime(2026, 11, 24, 9, 0, 1, tzinfo=UTC),
        "effective_at": datetime(2026, 11, 24, 9, 0, 1, tzinfo=UTC),
        "reason_code": "penalty",
        "reason": "x",
        "signing_input_sha256": "b" * 64,
        "status_list": "list-2",
        "status_index": 8,
        "env": "live",
        "details": {"successor": "x"},
    }
    digests = {replace(EVENT, **{name: value}).sha256 for name, value in changed.items()}  # type: ignore[arg-type]
    assert EVENT.sha256 not in digests
    assert len(digests) == len(changed)


def test_documents_stand_in_clear() -> None:
    entry = document_entry(
        env="test",
        kind=EntryKind.STATUS_LIST,
        uri="https://x.example/v1/status-lists/a",
        seq=3,
        issued_at=NOW,
        sha256="c" * 64,
        previous="b" * 64,
    )
    content = parse_entry(entry).content
    assert (content["seq"], content["sha256"], content["previous"]) == (3, "c" * 64, "b" * 64)
    with pytest.raises(ValueError, match="no document"):
        document_entry(
            env="test", kind=EntryKind.CHANGE, uri="x", seq=1, issued_at=NOW, sha256="c", previous=None
        )
    with pytest.raises(FormatError):
        parse_entry(entry.replace(b"status_list", b"status_lisp"))
    with pytest.raises(FormatError):
        parse_entry(b" " + entry)


LOSS = AcceptedLoss(env="test", accepted_at=NOW, since=None, until=NOW, digest="d" * 64)


def test_an_accepted_loss_tells_its_times_and_hides_what_was_lost() -> None:
    told = {"fmt": 1, "env": "test", "kind": "loss", "alg": "sha-256", "digest": "d" * 64}
    now = int(NOW.timestamp())
    for loss, since in ((LOSS, None), (replace(LOSS, since=NOW), now)):
        assert parse_entry(loss.entry).content == {**told, "iat": now, "since": since, "until": now}
    lines = ["rows licenses -5", "gap a -> b"]
    digest = loss_digest(lines, salt=SALT)
    assert digest == loss_digest(lines[::-1], salt=SALT), "the order of the audit's rows does not matter"
    assert digest not in (loss_digest(lines[:1], salt=SALT), loss_digest(lines, salt=bytes(16)))


def test_a_receipt_is_proven_in_its_own_log_and_that_log_in_the_public_one() -> None:
    receipts = [receipt_entry(env="test", receipt_sha256=f"{n:064d}") for n in range(3)]
    inner = MerkleTree([leaf_hash(entry) for entry in receipts])
    state = Checkpoint("license.example/receipts", inner.size, inner.root)
    anchor_entry = receipts_entry(env="test", checkpoint=state, stated_at=NOW)
    outer = MerkleTree([leaf_hash(anchor_entry), leaf_hash(b"other")])
    public = Checkpoint(ORIGIN, outer.size, outer.root)
    proof = ReceiptProof(
        env="test",
        inclusion=Inclusion(
            origin=state.origin,
            index=1,
            path=tuple(inner.path(1)),
            checkpoint=sign_note(state.text, name=state.origin, signer=LOG),
        ),
        anchor=Inclusion(
            origin=ORIGIN,
            index=0,
            path=tuple(outer.path(0)),
            checkpoint=sign_note(public.text, name=ORIGIN, signer=LOG),
        ),
        anchored_at=int(NOW.timestamp()),
    )
    read = parse_receipt_proof(proof.to_json())
    assert read == proof
    assert read.inclusion.includes(read.entry(f"{1:064d}"), state)
    assert read.anchor is not None
    assert read.anchor.includes(anchor_entry, public)
