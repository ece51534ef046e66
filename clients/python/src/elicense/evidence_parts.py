"""The parts of the evidence: what has been verified once and kept, what was refused and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from elicense.elements import HeldElements
from elicense.evidence_ages import TrustTimes
from elicense.freshness import Freshness
from elicense.log_trust import NO_CHECKPOINTS
from elicense.pickling import reduce_record
from elicense.problems import Reason
from elicense.records import quick_constructor
from elicense.references import StatusSource, TrustReference
from elicense.signed_note import Checkpoint
from elicense.status_list import StatusList
from elicense.trust_list import Service, TrustList, TrustRoot

CLOCK_TOLERANCE = timedelta(seconds=120)
"""How far the clock may lie behind the latest time seen before it counts as running backwards."""

_BEGINNING_OF_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RefusedPart:
    """Record why a part of the evidence is not used."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustEvidence:
    """Hold a verified chain of trust: root, list, and the statement that they are the current ones.

    `fresh` is set by the one who publishes the list and so knows it to be current; everyone else needs
    `freshness`. `refused` says why there is none. `checkpoint` is the accepted state of the log that it names.
    """

    root: TrustRoot
    trust_list: TrustList
    freshness: Freshness | None = None
    fresh: bool = False
    refused: RefusedPart | None = None
    checkpoint: Checkpoint | None = None
    reference: TrustReference = field(init=False, compare=False)
    latest: datetime = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Keep what every report needs: the list's reference, and the latest time these parts were signed."""
        reference = TrustReference(
            sequence=self.trust_list.sequence,
            sha256=self.trust_list.sha256,
            times=None if self.fresh else self._times(),
        )
        object.__setattr__(self, "reference", reference)
        signed = [self.trust_list.issued_at]
        if self.freshness is not None:
            signed.append(self.freshness.issued_at)
        object.__setattr__(self, "latest", max(signed))

    def _times(self) -> TrustTimes:
        stated = self.freshness
        return TrustTimes(
            root_version=self.root.version,
            root_expires_at=self.root.expires,
            list_issued_at=self.trust_list.issued_at,
            list_next_update=self.trust_list.next_update,
            stated_at=stated.issued_at if stated is not None else None,
            stated_until=stated.expires_at if stated is not None else None,
            log_size=self.checkpoint.size if self.checkpoint is not None else None,
        )


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
            expires_at=accepted.expires_at,
        )
        object.__setattr__(self, "source", source)


@dataclass(frozen=True, slots=True)
class ArchivedStatusList:
    """Hold a version of a list: the newest from its own `iat` on until the next version's, excluded.

    `until` is None for the newest one of all, which still is.
    """

    accepted: AcceptedStatusList
    until: datetime | None

    def covers(self, moment: datetime) -> bool:
        """Tell whether this was the newest version at the moment."""
        return self.accepted.status_list.issued_at <= moment and (self.until is None or moment < self.until)


Archive = tuple[ArchivedStatusList, ...] | RefusedPart
"""The earlier versions of one list, oldest first, or why none of them is used."""

NO_ARCHIVE: Mapping[str, Archive] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ListStatus:
    """Hold every published list at hand by its URI, accepted or refused, and earlier versions for past moments."""

    lists: Mapping[str, AcceptedStatusList | RefusedPart]
    archive: Mapping[str, Archive] = field(default_factory=lambda: NO_ARCHIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStatus:
    """Hold the register's own answer about one license: its state word, as of a moment and a position.

    `superseded_by` and `successors` name identifiers that took this one's place, never their content; `revocation` is
    the kind of a revocation (`penalty`, `annulled`) as it is known now, where the register kept one: what was annulled
    is void from its beginning. For a past moment the register answers with the state as it was then and with
    `source`, the archived list that shows it (its `as_of` is not after that moment).
    """

    state: str
    as_of: datetime
    event_seq: int
    superseded_by: str | None = None
    successors: tuple[str, ...] = ()
    revocation: str | None = None
    source: StatusSource | None = None


@dataclass(frozen=True, slots=True)
class RegisterEvidence:
    """Say whether the register issued exactly this: identifier, digest of the signing input, status index.

    `elements` are the register's own values, for comparing what a credential does not disclose. `log_origin` and
    `log_index` are the place of its issuance in the public log, both None while it has none yet.
    """

    known: bool
    elements: HeldElements | None = None
    log_origin: str | None = None
    log_index: int | None = None


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """Hold the states of logs that were accepted or are remembered, by origin.

    `origin` is that of the public log the current freshness names, None without one; `refused` says why a checkpoint
    it names is not used.
    """

    origin: str | None
    checkpoints: Mapping[str, Checkpoint]
    refused: RefusedPart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Hold all that one judgement rests on. Keep it and give it a new `now` with `at_time` for the next one."""

    now: datetime
    trust: TrustEvidence | None
    status: ListStatus | LiveStatus | None = None
    register: RegisterEvidence | None = None
    clock_reliable: bool = True
    trust_refused: RefusedPart | None = None
    log: LogEvidence | None = None

    def at_time(self, now: datetime, *, memory: "TrustMemory | None" = None) -> "Evidence":
        """Copy the evidence for another moment; with a memory, a clock behind it is marked unreliable."""
        return _new_evidence(
            now=now,
            trust=self.trust,
            status=self.status,
            register=self.register,
            clock_reliable=memory is None or now >= memory.latest - CLOCK_TOLERANCE,
            trust_refused=self.trust_refused,
            log=self.log,
        )

    @property
    def known(self) -> datetime:
        """Return up to when time has been already: what is signed proves it; a clock known to be behind, anything."""
        if not self.clock_reliable:
            return _END_OF_TIME
        return self.trust.latest if self.trust is not None else _BEGINNING_OF_TIME

    def refused(self) -> tuple[RefusedPart, ...]:
        """List everything that was refused: nothing, when every part is good."""
        found: list[object] = [self.trust_refused]
        if self.trust is not None:
            found.append(self.trust.refused)
        if self.log is not None:
            found.append(self.log.refused)
        if isinstance(self.status, ListStatus):
            found.extend(self.status.lists.values())
            found.extend(self.status.archive.values())
        return tuple(part for part in found if isinstance(part, RefusedPart))


# A verifier calls `at_time` with every credential.
_new_evidence = quick_constructor(Evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustMemory:
    """Remember the highest of everything seen, so that nobody can put an older one back.

    `root_sha256` is the digest of the newest root seen, `checkpoints` the largest state of each log, by origin.
    """

    latest: datetime
    root_version: int
    root_sha256: str
    trust_list_sequence: int
    freshness_issued_at: datetime | None
    status_lists: Mapping[str, int]
    checkpoints: Mapping[str, Checkpoint] = field(default_factory=lambda: NO_CHECKPOINTS)

    __reduce__ = reduce_record
