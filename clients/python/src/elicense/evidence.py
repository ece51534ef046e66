"""Gather: turn pinned root and bundle into frozen evidence, so that the judge needs neither files nor network.

Every part is verified here once and kept; a part that fails is recorded with its reason and never used. Nothing
is raised for a bad bundle, since a bank that cannot verify must be told "cannot tell", not handed an exception.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from elicense.bundle import Bundle, parse_bundle
from elicense.elements import HeldElements
from elicense.freshness import Freshness, parse_freshness
from elicense.problems import FormatError, Reason
from elicense.records import quick_constructor
from elicense.report import StatusSource, TrustReference
from elicense.status_list import StatusList, parse_status_list
from elicense.trust_list import Service, ServiceUse, TrustList, TrustRoot, parse_trust_list, parse_trust_root

CLOCK_TOLERANCE = timedelta(seconds=120)
"""How far the clock may lie behind the latest time seen before it counts as running backwards."""


@dataclass(frozen=True, slots=True)
class RefusedPart:
    """Record why a part of the evidence is not used."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustEvidence:
    """Hold a verified chain of trust: root, list, and the statement that they are the current ones.

    `fresh` is set by the one who publishes the list and so knows it to be current; everyone else needs
    `freshness`. `refused` says why there is none.
    """

    root: TrustRoot
    trust_list: TrustList
    freshness: Freshness | None = None
    fresh: bool = False
    refused: RefusedPart | None = None
    reference: TrustReference = field(init=False, compare=False)
    latest: datetime = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Keep what every report needs: the list's reference, and the latest time these parts were signed."""
        reference = TrustReference(sequence=self.trust_list.sequence, sha256=self.trust_list.sha256)
        object.__setattr__(self, "reference", reference)
        signed = [self.trust_list.issued_at]
        if self.freshness is not None:
            signed.append(self.freshness.issued_at)
        object.__setattr__(self, "latest", max(signed))


@dataclass(frozen=True, slots=True)
class AcceptedStatusList:
    """Hold a list that passed every check, and the service that signed it (whose authorities it speaks for)."""

    status_list: StatusList
    service: Service
    source: StatusSource = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Keep the report's reference to this list; it is the same for every credential in it."""
        accepted = self.status_list
        source = StatusSource(
            kind="list",
            as_of=accepted.issued_at,
            event_seq=accepted.event_seq,
            uri=accepted.uri,
            seq=accepted.seq,
            sha256=accepted.sha256,
        )
        object.__setattr__(self, "source", source)


@dataclass(frozen=True, slots=True)
class ListStatus:
    """Hold every published list at hand by its URI, accepted or refused."""

    lists: Mapping[str, AcceptedStatusList | RefusedPart]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStatus:
    """Hold the register's own answer about one license: its state word, as of a moment and a position."""

    state: str
    as_of: datetime
    event_seq: int
    superseded_by: str | None = None


@dataclass(frozen=True, slots=True)
class RegisterEvidence:
    """Say whether the register issued exactly this: identifier, digest of the signing input, status index.

    `elements` are the register's own values, for comparing what a credential does not disclose.
    """

    known: bool
    elements: HeldElements | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Hold all that one judgement rests on. Keep it and give it a new `now` with `at_time` for the next one."""

    now: datetime
    trust: TrustEvidence | None
    status: ListStatus | LiveStatus | None = None
    register: RegisterEvidence | None = None
    clock_reliable: bool = True
    trust_refused: RefusedPart | None = None

    def at_time(self, now: datetime, *, memory: "TrustMemory | None" = None) -> "Evidence":
        """Copy the evidence for another moment; with a memory, a clock behind it is marked unreliable."""
        reliable = memory is None or now >= memory.latest - CLOCK_TOLERANCE
        return _new_evidence(
            now=now,
            trust=self.trust,
            status=self.status,
            register=self.register,
            clock_reliable=reliable,
            trust_refused=self.trust_refused,
        )

    def refused(self) -> tuple[RefusedPart, ...]:
        """List everything that was refused: nothing, when every part is good."""
        found = [self.trust_refused]
        if self.trust is not None:
            found.append(self.trust.refused)
        if isinstance(self.status, ListStatus):
            found.extend(part for part in self.status.lists.values() if isinstance(part, RefusedPart))
        return tuple(part for part in found if part is not None)


# A verifier calls `at_time` with every credential.
_new_evidence = quick_constructor(Evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustMemory:
    """Remember the highest of everything seen, so that nobody can put an older one back."""

    latest: datetime
    root_version: int
    trust_list_sequence: int
    freshness_issued_at: datetime | None
    status_lists: Mapping[str, int]


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
    stated = trust.freshness.issued_at if trust.freshness is not None else None
    if previous is not None:
        latest = max(latest, previous.latest)
        moments = [moment for moment in (stated, previous.freshness_issued_at) if moment is not None]
        stated = max(moments) if moments else None
    return TrustMemory(
        latest=latest,
        root_version=max(trust.root.version, previous.root_version if previous else 0),
        trust_list_sequence=max(trust.trust_list.sequence, previous.trust_list_sequence if previous else 0),
        freshness_issued_at=stated,
        status_lists=MappingProxyType(lists),
    )


def gather_offline(
    *, trust_root: bytes, bundle: bytes | None, now: datetime, memory: TrustMemory | None = None
) -> Evidence:
    """Verify a bundle against the pinned root; what fails is recorded in the evidence, never raised.

    1. The root is whole. 2. The bundle's frame is of its environment and carries exactly this root. 3. The trust
    list is signed under it. 4. The freshness names this list. 5. Each status list is accepted by
    `accept_status_list`. With a memory, anything older than it is refused, and a clock behind it is unreliable.
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
        root = parse_trust_root(trust_root.strip())
    except FormatError as refusal:
        return _without_trust(now, f"trust root: {refusal.detail}")
    if bundle is None:
        return _without_trust(now, "no bundle")
    try:
        parts = parse_bundle(bundle)
        _require_frame(parts, root)
        trust_list = parse_trust_list(parts.trust_list, root=root)
    except FormatError as refusal:
        return _without_trust(now, refusal.detail)
    if memory is not None and (root.version, trust_list.sequence) < (
        memory.root_version,
        memory.trust_list_sequence,
    ):
        detail = f"trust list {trust_list.sequence} is older than {memory.trust_list_sequence} seen before"
        return Evidence(now=now, trust=None, trust_refused=RefusedPart(Reason.TRUST_STALE, detail))
    trust = _gather_freshness(parts, root, trust_list, memory)
    lists = {uri: _gather_list(token, uri, trust, memory) for uri, token in parts.status_lists.items()}
    return Evidence(now=now, trust=trust, status=ListStatus(MappingProxyType(lists)))


def _without_trust(now: datetime, detail: str) -> Evidence:
    return Evidence(now=now, trust=None, trust_refused=RefusedPart(Reason.TRUST_UNAVAILABLE, detail))


def _require_frame(bundle: Bundle, root: TrustRoot) -> None:
    if bundle.env != root.env:
        raise FormatError(Reason.TRUST_UNAVAILABLE, "bundle is of another environment than the trust root")
    if bundle.roots != (root.raw,):
        raise FormatError(Reason.TRUST_UNAVAILABLE, "bundle carries another root than the pinned one")


def _gather_freshness(
    bundle: Bundle, root: TrustRoot, trust_list: TrustList, memory: TrustMemory | None
) -> TrustEvidence:
    try:
        if bundle.freshness is None:
            raise FormatError(Reason.TRUST_STALE, "bundle has no freshness")
        freshness = parse_freshness(bundle.freshness, trust_list=trust_list)
        if bundle.created_at != freshness.issued_at or bundle.checkpoint != freshness.checkpoint:
            raise FormatError(Reason.TRUST_STALE, "bundle and freshness disagree on created_at or checkpoint")
        seen = memory.freshness_issued_at if memory is not None else None
        if seen is not None and freshness.issued_at < seen:
            raise FormatError(Reason.TRUST_STALE, "freshness is older than one seen before")
    except FormatError as refusal:
        refused = RefusedPart(Reason.TRUST_STALE, refusal.detail)
        return TrustEvidence(root=root, trust_list=trust_list, refused=refused)
    return TrustEvidence(root=root, trust_list=trust_list, freshness=freshness)


def _gather_list(
    token: str, uri: str, trust: TrustEvidence, memory: TrustMemory | None
) -> AcceptedStatusList | RefusedPart:
    try:
        accepted = accept_status_list(token, uri=uri, trust=trust)
    except FormatError as refusal:
        return RefusedPart(Reason.STATUS_UNAVAILABLE, refusal.detail)
    if memory is not None and accepted.status_list.seq < memory.status_lists.get(uri, 0):
        return RefusedPart(Reason.STATUS_UNAVAILABLE, "status list is older than one seen before")
    return accepted


def accept_status_list(token: str | bytes, *, uri: str, trust: TrustEvidence) -> AcceptedStatusList:
    """Check a status list token fetched as `uri` against the chain of trust.

    1. Its key is a status key of the trust list. 2. That service speaks for this URI. 3. `sub`, `env` and `iss`
    agree. 4. The key was valid when it signed. 5. The signature holds. 6. The freshness names exactly this
    version. Which authorities it speaks for, and its age, the judge looks at. FormatError otherwise.
    """
    unverified = parse_status_list(token)
    claims = unverified.claims
    service = trust.trust_list.service(unverified.kid, ServiceUse.STATUS)
    if service is None:
        raise FormatError(
            Reason.STATUS_UNAVAILABLE, "status list is signed by no status key of the trust list"
        )
    if not service.covers_uri(uri):
        raise FormatError(Reason.STATUS_UNAVAILABLE, "status key does not speak for this URI")
    if claims.uri != uri:
        raise FormatError(Reason.STATUS_UNAVAILABLE, "status list is of another URI")
    if claims.env != trust.trust_list.env:
        raise FormatError(Reason.STATUS_UNAVAILABLE, "status list is of another environment")
    if claims.issuer not in trust.trust_list.issuers:
        raise FormatError(Reason.STATUS_UNAVAILABLE, "status list is of an issuer outside the trust list")
    if not service.valid_at(claims.issued_at):
        raise FormatError(Reason.STATUS_UNAVAILABLE, "status key was not valid when it signed")
    accepted = unverified.accept(service.key)
    _require_named(accepted, trust.freshness)
    return AcceptedStatusList(accepted, service)


def _require_named(status_list: StatusList, freshness: Freshness | None) -> None:
    current = freshness.status_lists.get(status_list.uri) if freshness is not None else None
    if current is None:
        raise FormatError(Reason.STATUS_UNAVAILABLE, "no current freshness names this status list")
    if (current.seq, current.sha256) != (status_list.seq, status_list.sha256):
        raise FormatError(
            Reason.STATUS_UNAVAILABLE,
            f"freshness names version {current.seq} of this status list, this is {status_list.seq}",
        )
