"""Gather: turn pinned root and bundle into frozen evidence, so that the judge needs neither files nor network.

Every part is verified here once and kept; a part that fails is recorded with its reason and never used. Nothing
is raised for a bad bundle, since a bank that cannot verify must be told "cannot tell", not handed an exception.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from elicense.bundle import Bundle, parse_bundle
from elicense.evidence_parts import (
    CLOCK_TOLERANCE,
    AcceptedStatusList,
    Archive,
    ArchivedStatusList,
    Evidence,
    ListStatus,
    LiveStatus,
    LogEvidence,
    RefusedPart,
    RegisterEvidence,
    TrustEvidence,
    TrustMemory,
)
from elicense.freshness import Freshness, parse_freshness
from elicense.list_proof import ListProof, parse_list_proof
from elicense.log_trust import (
    NO_CHECKPOINTS,
    LogKind,
    accept_checkpoint,
    parse_consistency,
    read_origin,
    require_consistent,
    require_no_step_back,
)
from elicense.problems import FormatError, Reason
from elicense.signed_note import Checkpoint
from elicense.status_evidence import accept_archived_lists, accept_status_list
from elicense.trust_list import TrustList, parse_trust_list
from elicense.trust_root import TrustRoot, parse_trust_root, read_root_chain

__all__ = [
    "CLOCK_TOLERANCE",
    "AcceptedStatusList",
    "ArchivedStatusList",
    "Evidence",
    "ListStatus",
    "LiveStatus",
    "LogEvidence",
    "RefusedPart",
    "RegisterEvidence",
    "TrustEvidence",
    "TrustMemory",
    "accept_archived_lists",
    "accept_status_list",
    "gather_offline",
    "remember",
]


def remember(evidence: Evidence, previous: TrustMemory | None = None) -> TrustMemory | None:
    """Raise the memory by what this evidence holds; None while nothing good was ever seen."""
    trust = evidence.trust
    if trust is None:
        return previous
    lists = dict(previous.status_lists) if previous is not None else {}
    latest = trust.latest
    if isinstance(evidence.status, ListStatus):
        for uri, part in evidence.status.lists.items():
            if isinstance(part, AcceptedStatusList):
                lists[uri] = max(lists.get(uri, 0), part.status_list.seq)
                latest = max(latest, part.status_list.issued_at)
    checkpoints = dict(previous.checkpoints) if previous is not None else {}
    for origin, checkpoint in (evidence.log.checkpoints if evidence.log is not None else {}).items():
        checkpoints[origin] = max(checkpoint, checkpoints.get(origin, checkpoint), key=lambda held: held.size)
    stated = trust.freshness.issued_at if trust.freshness is not None else None
    sequence, newest = trust.trust_list.sequence, (trust.root.version, trust.root.sha256)
    if previous is not None:
        latest = max(latest, previous.latest)
        moments = [moment for moment in (stated, previous.freshness_issued_at) if moment is not None]
        stated = max(moments) if moments else None
        sequence = max(sequence, previous.trust_list_sequence)
        if previous.root_version > trust.root.version:
            newest = (previous.root_version, previous.root_sha256)
    return TrustMemory(
        latest=latest,
        root_version=newest[0],
        root_sha256=newest[1],
        trust_list_sequence=sequence,
        freshness_issued_at=stated,
        status_lists=MappingProxyType(lists),
        checkpoints=MappingProxyType(checkpoints),
    )


def gather_offline(
    *, trust_root: bytes, bundle: bytes | None, now: datetime, memory: TrustMemory | None = None
) -> Evidence:
    """Verify a bundle against the pinned root; what fails is recorded in the evidence, never raised.

    1. The pinned root is whole. 2. The bundle's roots lead from it to the newest (`read_root_chain`), of whose
    environment the bundle's frame is. 3. The trust list is signed under the newest root. 4. The freshness names this
    list. 5. The checkpoint it names is signed by a key of its log. 6. Each status list is accepted by
    `accept_status_list`, earlier versions by `accept_archived_lists`. With a memory, anything older than it is
    refused, as is a log that went back or forked since, and a clock behind it is unreliable.
    """
    evidence = _gather_trust(trust_root=trust_root, bundle=bundle, now=now, memory=memory)
    return evidence.at_time(now, memory=memory)


def _gather_trust(
    *, trust_root: bytes, bundle: bytes | None, now: datetime, memory: TrustMemory | None
) -> Evidence:
    if not trust_root:
        return _without_trust(now, "no trust root")
    try:
        # A pinned file often gains a final newline on its way; the bundle holds the exact bytes.
        parse_trust_root(trust_root.strip())
    except FormatError as refusal:
        return _without_trust(now, f"trust root: {refusal.detail}")
    if bundle is None:
        return _without_trust(now, "no bundle")
    try:
        parts = parse_bundle(bundle)
        roots = read_root_chain(trust_root, parts.roots)
        root = roots[-1]
        if parts.env != root.env:
            return _without_trust(now, "bundle is of another environment than the trust root")
        trust_list = parse_trust_list(parts.trust_list, root=root)
        proofs = {digest: parse_list_proof(proof) for digest, proof in parts.list_proofs.items()}
    except FormatError as refusal:
        return _without_trust(now, refusal.detail)
    older = _older_than_seen(roots, trust_list, memory) if memory is not None else None
    if older is not None:
        return _stale(now, older)
    freshness, refused = _gather_freshness(parts, trust_list, memory, now)
    try:
        log = _gather_log(parts, freshness, trust_list, memory, now)
    except FormatError as refusal:
        return _stale(now, refusal.detail)
    trust = TrustEvidence(
        root=root,
        trust_list=trust_list,
        freshness=freshness,
        refused=refused,
        checkpoint=log.checkpoints.get(log.origin) if log is not None and log.origin is not None else None,
    )
    status = _gather_lists(parts, trust, memory, proofs, now)
    return Evidence(now=now, trust=trust, status=status, log=log)


def _without_trust(now: datetime, detail: str) -> Evidence:
    return Evidence(now=now, trust=None, trust_refused=RefusedPart(Reason.TRUST_UNAVAILABLE, detail))


def _stale(now: datetime, detail: str) -> Evidence:
    return Evidence(now=now, trust=None, trust_refused=RefusedPart(Reason.TRUST_STALE, detail))


def _older_than_seen(roots: tuple[TrustRoot, ...], trust_list: TrustList, memory: TrustMemory) -> str | None:
    if roots[-1].version < memory.root_version:
        return f"trust root {roots[-1].version} is older than {memory.root_version} seen before"
    for root in roots:
        if root.version == memory.root_version and root.sha256 != memory.root_sha256:
            return f"trust root {root.version} is another one than seen before"
    if trust_list.sequence < memory.trust_list_sequence:
        return f"trust list {trust_list.sequence} is older than {memory.trust_list_sequence} seen before"
    return None


def _gather_freshness(
    bundle: Bundle, trust_list: TrustList, memory: TrustMemory | None, now: datetime
) -> tuple[Freshness | None, RefusedPart | None]:
    try:
        if bundle.freshness is None:
            raise FormatError(Reason.TRUST_STALE, "bundle has no freshness")
        freshness = parse_freshness(bundle.freshness, trust_list=trust_list, now=now)
        if bundle.created_at != freshness.issued_at or bundle.checkpoint != freshness.checkpoint:
            raise FormatError(Reason.TRUST_STALE, "bundle and freshness disagree on created_at or checkpoint")
        seen = memory.freshness_issued_at if memory is not None else None
        if seen is not None and freshness.issued_at < seen:
            raise FormatError(Reason.TRUST_STALE, "freshness is older than one seen before")
    except FormatError as refusal:
        return None, RefusedPart(Reason.TRUST_STALE, refusal.detail)
    return freshness, None


def _gather_log(
    bundle: Bundle,
    freshness: Freshness | None,
    trust_list: TrustList,
    memory: TrustMemory | None,
    now: datetime,
) -> LogEvidence | None:
    """Accept the checkpoint that the freshness names. FormatError when the log went back or forked since `memory`."""
    seen = memory.checkpoints if memory is not None else NO_CHECKPOINTS
    note = freshness.checkpoint if freshness is not None else None
    if freshness is None or note is None:
        return LogEvidence(None, seen) if seen else None
    try:
        # The statement's own time: a log key may end its window later without unsaying what it signed then.
        checkpoint = accept_checkpoint(note, trust_list, freshness.issued_at, known=now)
        name = read_origin(checkpoint.origin)
        if name is None or name.kind is not LogKind.PUBLIC:
            raise FormatError(Reason.LOG_PROOF_FAILED, "checkpoint is of another log than the public one")
    except FormatError as refusal:
        return LogEvidence(None, seen, RefusedPart(refusal.reason, f"checkpoint: {refusal.detail}"))
    _require_advance(seen.get(checkpoint.origin), checkpoint, bundle)
    return LogEvidence(checkpoint.origin, MappingProxyType({**seen, checkpoint.origin: checkpoint}))


def _require_advance(remembered: Checkpoint | None, offered: Checkpoint, bundle: Bundle) -> None:
    if remembered is None:
        return
    require_no_step_back(remembered, offered)
    consistency = parse_consistency(bundle.consistency) if bundle.consistency is not None else None
    require_consistent(remembered, offered, consistency)


def _gather_lists(
    bundle: Bundle,
    trust: TrustEvidence,
    memory: TrustMemory | None,
    proofs: Mapping[str, ListProof],
    now: datetime,
) -> ListStatus:
    lists = {
        uri: _gather_list(token, uri, trust, memory, proofs, now)
        for uri, token in bundle.status_lists.items()
    }
    archive: dict[str, Archive] = {}
    for uri, tokens in bundle.archive.items():
        current = lists.get(uri)
        try:
            archive[uri] = accept_archived_lists(
                tokens,
                uri=uri,
                trust=trust,
                current=current if isinstance(current, AcceptedStatusList) else None,
                proofs=proofs,
                now=now,
            )
        except FormatError as refusal:
            archive[uri] = RefusedPart(Reason.STATUS_UNAVAILABLE, f"archive: {refusal.detail}")
    return ListStatus(MappingProxyType(lists), MappingProxyType(archive))


def _gather_list(
    token: str,
    uri: str,
    trust: TrustEvidence,
    memory: TrustMemory | None,
    proofs: Mapping[str, ListProof],
    now: datetime,
) -> AcceptedStatusList | RefusedPart:
    try:
        current = trust.freshness.status_lists.get(uri) if trust.freshness is not None else None
        proof = proofs.get(current.sha256) if current is not None else None
        accepted = accept_status_list(
            token,
            uri=uri,
            trust=trust,
            proof=proof.inclusion if proof is not None else None,
            previous=proof.previous if proof is not None else None,
            now=now,
        )
    except FormatError as refusal:
        return RefusedPart(Reason.STATUS_UNAVAILABLE, refusal.detail)
    if memory is not None and accepted.status_list.seq < memory.status_lists.get(uri, 0):
        return RefusedPart(Reason.STATUS_UNAVAILABLE, "status list is older than one seen before")
    return accepted
