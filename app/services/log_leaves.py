"""Leaves of the logs that speak of no license: published documents, receipts, states of the receipts' log."""

from collections.abc import Sequence
from datetime import datetime

from app.domain.events import LogLeaf, LogName
from app.domain.ids import new_id
from app.domain.publication import DocumentKind, PublishedStatusList, SignedDocument
from app.domain.transparency_log import PublishedCheckpoint, document_key
from elicense.encoding import b64url_encode, sha256_hex
from elicense.log_entry import (
    AcceptedLoss,
    EntryKind,
    document_entry,
    loss_digest,
    receipt_entry,
    receipts_entry,
)
from elicense.records import quick_constructor
from elicense.signed_note import parse_checkpoint_text

_new_leaf = quick_constructor(LogLeaf)
_KINDS = {DocumentKind.TRUST_ROOT: EntryKind.TRUST_ROOT, DocumentKind.TRUST_LIST: EntryKind.TRUST_LIST}
_PATHS = {EntryKind.TRUST_ROOT: "/v1/trust-root", EntryKind.TRUST_LIST: "/v1/trust-list"}


def trust_uri(issuer_url: str, kind: EntryKind) -> str:
    """Return the address under which entries name the trust root or the trust list. KeyError for another kind."""
    return f"{issuer_url}{_PATHS[kind]}"


def make_document_leaf(
    document: SignedDocument, *, previous: str | None, issuer_url: str, env: str, at: datetime
) -> LogLeaf:
    """Make the leaf of a trust root or list; `previous` is the digest (hex) of the version before, if any."""
    kind = _KINDS[document.kind]
    return _document_leaf(
        kind,
        uri=trust_uri(issuer_url, kind),
        seq=document.sequence,
        issued_at=document.issued_at,
        sha256=document.sha256,
        previous=previous,
        env=env,
        at=at,
    )


def make_status_list_leaf(
    published: PublishedStatusList, *, previous: str | None, env: str, at: datetime
) -> LogLeaf:
    """Make the leaf of a published status list; `previous` is the digest (hex) of the version before, if any."""
    return _document_leaf(
        EntryKind.STATUS_LIST,
        uri=published.uri,
        seq=published.seq,
        issued_at=published.issued_at,
        sha256=published.sha256,
        previous=previous,
        env=env,
        at=at,
    )


def make_receipt_leaf(token: str, *, receipt_id: str, env: str, at: datetime) -> LogLeaf:
    """Make the leaf of a receipt: the digest of the exact token. It has the receipt's own id and is found by it."""
    return _new_leaf(
        id=receipt_id,
        log=LogName.RECEIPTS,
        kind=EntryKind.RECEIPT.value,
        subject=receipt_id,
        identifier=None,
        entry=receipt_entry(env=env, receipt_sha256=sha256_hex(token.encode("ascii"))),
        event_sha256=None,
        salt=None,
        recorded_at=at,
    )


def make_anchor_leaf(checkpoint: PublishedCheckpoint, *, env: str, at: datetime) -> LogLeaf:
    """Make the leaf that fixes a state of the receipts' log in the public one."""
    state = parse_checkpoint_text(checkpoint.text)
    return LogLeaf(
        id=new_id(),
        log=LogName.REGISTER,
        kind=EntryKind.RECEIPTS.value,
        subject=checkpoint.origin,
        identifier=document_key(checkpoint.origin, checkpoint.size),
        entry=receipts_entry(env=env, checkpoint=state, stated_at=at),
        event_sha256=None,
        salt=None,
        recorded_at=at,
    )


def make_loss_leaf(
    lines: Sequence[str],
    *,
    since: datetime | None,
    until: datetime,
    salt: bytes,
    issuer_url: str,
    env: str,
    at: datetime,
) -> LogLeaf:
    """Make the leaf that tells the public of a loss that was accepted; `lines` are those of the audit."""
    loss = AcceptedLoss(
        env=env, accepted_at=at, since=since, until=until, digest=loss_digest(lines, salt=salt)
    )
    return LogLeaf(
        id=new_id(),
        log=LogName.REGISTER,
        kind=EntryKind.LOSS.value,
        subject=issuer_url,
        identifier=None,
        entry=loss.entry,
        event_sha256=None,
        salt=b64url_encode(salt),
        recorded_at=at,
    )


def _document_leaf(
    kind: EntryKind,
    *,
    uri: str,
    seq: int,
    issued_at: datetime,
    sha256: str,
    previous: str | None,
    env: str,
    at: datetime,
) -> LogLeaf:
    return LogLeaf(
        id=new_id(),
        log=LogName.REGISTER,
        kind=kind.value,
        subject=uri,
        identifier=document_key(uri, seq),
        entry=document_entry(
            env=env, kind=kind, uri=uri, seq=seq, issued_at=issued_at, sha256=sha256, previous=previous
        ),
        event_sha256=None,
        salt=None,
        recorded_at=at,
    )
