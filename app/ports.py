"""What the inside needs from the outside, as Protocols. Adapters implement them; tests bring fakes.

A unit of work is one database transaction. `Store.write` runs a function in one, commits, and only then returns;
it runs the function again when the database asks for a retry, so the function must have no other effects.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, TypeVar

from app.caller_ports import OAuthRepository, PlanRepository, RequestLogRepository, SandboxRepository
from app.domain.api_client import ApiClient, ApiKey, ClientWithKeys
from app.domain.authority import Area, Authority, LicenseType
from app.domain.events import AuditEntry, Event, LogLeaf
from app.domain.guessing import Guesses, GuessingAlarm
from app.domain.high_water import Floors, HighWaterMark, KeptOutside
from app.domain.key_history import KeyCompromise, SignedVersion
from app.domain.license import (
    HistoryEntry,
    Intent,
    IntentState,
    IssuedVersion,
    License,
    LicenseFilter,
    LicenseVersion,
    Replacement,
    RevocationKind,
    State,
)
from app.domain.policy import OwnPolicy
from app.domain.presentation_nonce import NonceUse
from app.domain.proposal import Proposal, ProposalStatus
from app.domain.publication import (
    DocumentKind,
    Installation,
    ListSpan,
    PublishedStatusList,
    ServedStamp,
    ServiceKey,
    SignedDocument,
    StatusListRow,
    StatusListVersion,
)
from app.domain.scheduled_change import ChangeStatus, ScheduledChange
from app.domain.succession import Succession
from app.domain.verification import VerificationRecord
from app.log_ports import TransparencyLogRepository
from elicense.keys import PublicKey, Signer

T = TypeVar("T")


class Clock(Protocol):
    """The one door for time."""

    def now(self) -> datetime:
        """Return the current moment, timezone-aware UTC."""
        ...

    def monotonic(self) -> float:
        """Return the seconds since any fixed beginning; nobody can set it, and sleeping machines count on."""
        ...


class Signers(Protocol):
    """The private keys this process may use."""

    def signer(self, key: ServiceKey) -> Signer:
        """Return the signer of a key. Raises DomainError `unavailable` when its private part is not here."""
        ...


class KeyMaker(Protocol):
    """Makes the private keys of authorities and services."""

    def make_key(self, name: str, *, profile: str) -> tuple[str, PublicKey]:
        """Make a key, or find the one already made under the name; return its URI and public half."""
        ...


class RootKeys(Protocol):
    """The root folder, which only the key ceremony opens."""

    def make_root_keys(self, count: int, *, profile: str, version: int = 1) -> Sequence[Signer]:
        """Return `count` root keys that come with a version of the root, making those that are missing."""
        ...

    def make_list_keys(self, count: int, *, profile: str, version: int = 1) -> Sequence[Signer]:
        """Return `count` trust-list keys that come with a version of the root, making those that are missing."""
        ...

    def root_signers(self) -> Sequence[Signer]:
        """Return the root keys at hand, of whatever version."""
        ...

    def list_signers(self) -> Sequence[Signer]:
        """Return the trust-list keys at hand."""
        ...


class HighWaterKeeper(Protocol):
    """Keeps the mark outside the database. Every call is durable on return; OSError when it cannot be."""

    def load(self) -> KeptOutside | None:
        """Return what is kept, None before the first. Raises ServiceRefusal when it cannot be read."""
        ...

    def raise_to(self, mark: HighWaterMark) -> None:
        """Raise the mark, part by part, never lowering any."""
        ...

    def change(self, work: Callable[[KeptOutside | None], KeptOutside]) -> None:
        """Replace what is kept by what `work` makes of it, while nobody else changes it: for an operator's word."""
        ...


class DirectoryRepository(Protocol):
    """Areas, license types and authorities: configuration data, small, read as a whole."""

    async def areas(self) -> Sequence[Area]: ...
    async def license_types(self) -> Sequence[LicenseType]: ...
    async def authorities(self) -> Sequence[Authority]: ...
    async def put_area(self, area: Area) -> None: ...
    async def put_license_type(self, license_type: LicenseType) -> None: ...
    async def put_authority(self, authority: Authority) -> None: ...
    async def revision(self) -> int:
        """Return a number that grows with every put; callers cache the directory by it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLicense:
    """A license together with its current version, as one read saw them, with or without its credential."""

    license: License
    version: IssuedVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseSnapshot(FoundLicense):
    """A license together with its current version and its credential, as one read saw them."""

    version: LicenseVersion


class LicenseRepository(Protocol):
    """Licenses, their versions and history. Uniqueness of number and identifier lives in the database."""

    async def get(self, license_id: str) -> License | None: ...
    async def snapshot(self, license_id: str) -> LicenseSnapshot | None: ...
    async def snapshots(self, license_ids: Sequence[str]) -> Mapping[str, LicenseSnapshot]: ...
    async def found(self, license_ids: Sequence[str]) -> Mapping[str, FoundLicense]:
        """Answer many as `snapshots` does, without credentials."""
        ...

    async def by_identifier(self, identifier: str) -> tuple[LicenseSnapshot, LicenseVersion] | None:
        """Return the license (with its current version) and the version the identifier names."""
        ...

    async def by_identifiers(
        self, identifiers: Sequence[str]
    ) -> Mapping[str, tuple[FoundLicense, IssuedVersion]]:
        """Answer many as `by_identifier` does, without credentials; those that name nothing are left out."""
        ...

    async def find(
        self, *, number: str | None = None, holder_code: str | None = None, type_code: str, limit: int = 1000
    ) -> Sequence[LicenseSnapshot]:
        """Return licenses by number or by holder, of one type, live ones first."""
        ...

    async def find_by_numbers(
        self, numbers: Sequence[str], *, type_code: str
    ) -> Mapping[str, Sequence[FoundLicense]]:
        """Answer many as `find` does by number, without credentials; numbers that nobody has are left out."""
        ...

    async def find_by_former_holder(
        self, holder_code: str, *, type_code: str, limit: int = 1000
    ) -> Sequence[LicenseSnapshot]:
        """Return licenses of one type of which an earlier version names a holder by this code, live ones first."""
        ...

    async def by_numbers(self, *, type_code: str, numbers: Sequence[str]) -> Mapping[str, License]: ...
    async def count_live(self, holder_code: str, *, today: date, besides: str) -> Mapping[str, int]:
        """Count a holder's licenses that are live on a civil day, one left out, by issuing authority."""
        ...

    async def version(self, license_id: str, version: str) -> LicenseVersion | None: ...
    async def versions(self, license_id: str) -> Sequence[LicenseVersion]: ...
    async def versions_of_many(self, license_ids: Sequence[str]) -> Mapping[str, Sequence[LicenseVersion]]:
        """Answer many as `versions` does, by license id; unknown ones are left out."""
        ...

    async def signed_after(
        self, kid: str, *, log_origin: str | None, log_size: int, after: str | None, limit: int
    ) -> Sequence[SignedVersion]:
        """Return versions in force of live licenses that a key signed and that do not stand in a log below a size.

        By license id, from `after` (excluded) on. Places in other logs are given too: whoever asks weighs them.
        """
        ...

    async def history(self, license_id: str) -> Sequence[HistoryEntry]: ...
    async def page(
        self, where: LicenseFilter, *, cursor: str | None, limit: int
    ) -> tuple[Sequence[License], str | None]:
        """Return one page in a stable order and the cursor of the next, None at the end.

        Raises DomainError `invalid_request` for a cursor that is not ours.
        """
        ...

    async def add_many(self, rows: Sequence[tuple[License, LicenseVersion, HistoryEntry]]) -> None:
        """Store new licenses with their first version and history. Raises NumberTaken."""
        ...

    async def hold(self, license_ids: Sequence[str]) -> None:
        """Let nobody else change these licenses until the transaction ends; if one was changed since, it runs again."""
        ...

    async def change_state(
        self,
        *,
        license_id: str,
        expected_row_version: int,
        state: State,
        at: datetime,
        entry: HistoryEntry,
        revocation: RevocationKind | None = None,
    ) -> None:
        """Move license and current version to a state, raise row_version by one, add history.

        Raises ConcurrentChange when the row version is not the expected one.
        """
        ...

    async def add_version(
        self, license: License, version: LicenseVersion, entry: HistoryEntry, *, expected: Replacement
    ) -> bool:
        """Make a version the current one, the one before superseded, add history.

        False, with nothing written, when the license's row version or state is not the expected one.
        """
        ...


class SuccessionRepository(Protocol):
    """Which licenses took the place of which."""

    async def add(self, succession: Succession) -> None: ...
    async def of_many(
        self, license_ids: Sequence[str], *, at: datetime | None = None
    ) -> Mapping[str, Succession]:
        """Return the newest record of each license, or the one that was the newest at a moment; those without one
        are left out.
        """
        ...


class IntentRepository(Protocol):
    """Open promises to issue. An open intent reserves its number against licenses and other intents."""

    async def add_many(self, intents: Sequence[Intent]) -> None:
        """Store open intents. Raises NumberTaken when a number is held by a license or an intent not voided, and
        ConcurrentChange when a further version of the same license is promised already.
        """
        ...

    async def held_numbers(self, *, type_code: str, numbers: Sequence[str]) -> frozenset[str]:
        """Return those numbers that a license or an intent not voided holds."""
        ...

    async def get(self, intent_id: str) -> Intent | None: ...
    async def finish_many(self, intents: Sequence[Intent]) -> None:
        """Mark done where still open under the same fence. Raises ConcurrentChange when any is not."""
        ...

    async def void(self, intent: Intent) -> None:
        """Give up: identifier burnt; the number of a license that never came to be is freed.

        Raises ConcurrentChange as `finish_many`.
        """
        ...

    async def promised_versions(self, license_ids: Sequence[str]) -> Mapping[str, Mapping[str, IntentState]]:
        """Return the further versions ever promised for each license, with the state of the promise."""
        ...

    async def claim_expired(self, *, now: datetime, lease_until: datetime, limit: int) -> Sequence[Intent]:
        """Take over open intents whose lease ran out: new lease, fence + 1, in one statement."""
        ...


class StatusRepository(Protocol):
    """Status lists: which index belongs to which license version, bits, publication state."""

    async def lists(self) -> Sequence[StatusListRow]: ...
    async def add_list(self, row: StatusListRow) -> None: ...
    async def reserve(self, *, list_id: str, count: int) -> int:
        """Advance `allocated` by count and return its old value. Raises ConcurrentChange when the list is full."""
        ...

    async def set_values(self, values: Sequence[tuple[str, int, int]]) -> None:
        """Set (list id, index, value) entries and raise `changes` of each list by one."""
        ...

    async def read_for_publication(
        self, list_id: str
    ) -> tuple[StatusListRow, Sequence[tuple[int, int]], int]:
        """Return, from one snapshot, the row, all (index, value) with a value other than 0, and the highest event seq.

        The answer's `row.changes` is what `publish` must be given.
        """
        ...

    async def publish(self, published: PublishedStatusList, *, expected_seq: int, changes: int) -> None:
        """Store a version and make it the served one, if the served one still is `expected_seq`.

        Raises ConcurrentChange otherwise: a stalled publisher cannot put back an older list.
        """
        ...

    async def served(self, list_id: str) -> PublishedStatusList | None: ...
    async def served_stamp(self, list_id: str) -> ServedStamp | None:
        """Return digest and time of the served version without reading it, None before the first."""
        ...

    async def all_served(self) -> Sequence[StatusListVersion]:
        """Return which version of every list is served, by list id, without reading the tokens."""
        ...

    async def versions(self, wanted: Mapping[str, int]) -> Sequence[PublishedStatusList]:
        """Return one published version of each list, by URI and `seq`, in the order of `all_served`; none unknown."""
        ...

    async def newest_at(self, list_id: str, at: datetime) -> ListSpan | None:
        """Return which version of a list was the newest at a moment, None before the first.

        Of those whose time had come the one with the highest number, whatever the times of the others say.
        """
        ...

    async def version(self, list_id: str, seq: int) -> PublishedStatusList | None: ...
    async def value(self, *, list_id: str, index: int) -> int | None: ...


class DocumentRepository(Protocol):
    """Trust roots and trust lists, every version kept, and freshness statements until they are swept."""

    async def latest(self, kind: DocumentKind) -> SignedDocument | None: ...
    async def get(self, kind: DocumentKind, sequence: int) -> SignedDocument | None: ...
    async def by_sha256(self, kind: DocumentKind, sha256: str) -> SignedDocument | None: ...
    async def all(self, kind: DocumentKind) -> Sequence[SignedDocument]: ...
    async def add(self, document: SignedDocument, *, follows: int | None = None) -> None:
        """Store the next version.

        Raises ConcurrentChange unless the highest stored is `follows`: the sequence before the document's own when
        nothing is said, a lower one after a recovery that has given numbers up.
        """
        ...

    async def sweep(self, kind: DocumentKind, *, ended_before: datetime, limit: int) -> int:
        """Delete the oldest versions of a kind, at most `limit`, and note which one is the oldest now; return how many.

        The youngest of those that had ended before the moment stays: signed, it shows that all before it had ended.
        """
        ...


class KeyRepository(Protocol):
    """Public keys of authorities and services."""

    async def all(self) -> Sequence[ServiceKey]: ...
    async def add(self, key: ServiceKey) -> None: ...
    async def end(self, kid: str, *, valid_until: datetime) -> None:
        """Cut a key's window. Raises ConcurrentChange unless that ends it earlier than it ended."""
        ...

    async def compromises(self) -> Sequence[KeyCompromise]: ...
    async def put_compromise(self, compromise: KeyCompromise) -> None:
        """Store a declaration, over an earlier one about the same key."""
        ...


class ApiClientRepository(Protocol):
    """API clients and their keys."""

    async def add(self, client: ApiClient) -> None: ...
    async def get(self, client_id: str) -> ApiClient | None: ...
    async def by_name(self, name: str) -> ApiClient | None: ...
    async def all(self) -> Sequence[ClientWithKeys]: ...
    async def hold(self, client_id: str) -> None:
        """Let no other transaction that holds this client count the same keys: of two at once one runs again."""
        ...

    async def add_key(self, key: ApiKey) -> None: ...
    async def by_handle(self, handle: str) -> tuple[ApiClient, ApiKey] | None: ...
    async def expire_keys(self, client_id: str, *, expires_at: datetime, except_handle: str) -> None: ...
    async def keys_of(self, client_id: str) -> Sequence[ApiKey]: ...
    async def end_key(self, handle: str, *, at: datetime) -> None: ...
    async def set_networks(self, client_id: str, networks: Sequence[str]) -> None: ...
    async def revoke(self, client_id: str, *, at: datetime) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotentCall:
    """One call that may be repeated: whose, which operation, which key, and the digest (hex) of its body."""

    client_id: str
    method: str
    path: str
    key: str
    body_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """A finished answer as it was sent: status, headers that belong to it (Location), body bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyRow:
    """The state of one call: `answer` None while it is still running. `bound_to` holds what ends the answer early:
    pairs (license id, row version) at the time of the answer."""

    id: str
    call: IdempotentCall
    started_at: datetime
    expires_at: datetime
    answer: StoredAnswer | None
    bound_to: tuple[tuple[str, int], ...] = ()


class IdempotencyRepository(Protocol):
    """Answers kept for repeated calls."""

    async def find(self, call: IdempotentCall) -> IdempotencyRow | None:
        """Find by client, method, path and key (whatever the body)."""
        ...

    async def add(self, row: IdempotencyRow) -> None:
        """Reserve. Raises ConcurrentChange when another call holds the key."""
        ...

    async def finish(
        self,
        row_id: str,
        answer: StoredAnswer,
        *,
        expires_at: datetime,
        bound_to: Sequence[tuple[str, int]] = (),
    ) -> None: ...
    async def remove(self, row_id: str) -> None: ...
    async def sweep(self, *, now: datetime, limit: int) -> int:
        """Delete up to `limit` finished rows past their end; return how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptVerifications:
    """How many verifications are kept for a purpose, and when the oldest was made."""

    count: int
    oldest: datetime


class VerificationRepository(Protocol):
    """Verifications made."""

    async def add_many(self, records: Sequence[VerificationRecord]) -> None: ...
    async def get(self, verification_id: str, *, client_id: str) -> VerificationRecord | None: ...
    async def page(
        self,
        *,
        client_id: str,
        reference: str | None,
        due_before: datetime | None,
        cursor: str | None,
        limit: int,
    ) -> tuple[Sequence[VerificationRecord], str | None]: ...
    async def between(
        self, *, client_id: str, since: datetime, until: datetime, cursor: str | None, limit: int
    ) -> tuple[Sequence[VerificationRecord], str | None]:
        """Return a client's verifications of a span (`until` excluded), newest first, and the cursor of the next page.

        Raises DomainError `invalid_request` for a cursor that is not ours.
        """
        ...

    async def count_between(self, *, client_id: str, since: datetime, until: datetime) -> int: ...
    async def is_kept_before(self, client_id: str, purpose: str, *, before: datetime) -> bool:
        """Tell whether a client has verifications for a purpose made before a moment."""
        ...

    async def remove_before(self, client_id: str, purpose: str, *, before: datetime, limit: int) -> int:
        """Remove at most `limit` of them, the oldest first; return how many."""
        ...

    async def kept_by_purpose(self) -> Mapping[str, KeptVerifications]: ...
    async def count_relying_parties(self, license_id: str, *, due_after: datetime) -> int:
        """Count the clients that verified a license and are to verify it again after a moment."""
        ...


class GuessingRepository(Protocol):
    """Wrong guesses by caller and subject, and the alarms about them."""

    async def get(self, client_id: str, subject: str) -> Guesses | None: ...
    async def near_budget(self, client_ids: Sequence[str], *, least: int) -> frozenset[str]:
        """Return those clients that have at least so many wrong guesses about some subject."""
        ...

    async def add(
        self, client_id: str, subject: str, *, times: int, at: datetime, before: datetime
    ) -> Guesses:
        """Count wrong guesses (negative: give back) in one statement.

        A window begun by `before`, or ahead of `at` by more than clocks may differ, begins anew.
        """
        ...

    async def total(self, subject: str, *, since: datetime) -> tuple[int, int]:
        """Return the wrong guesses of all callers in windows begun after `since`, and how many callers."""
        ...

    async def lower(self, subject: str, *, since: datetime, until: datetime) -> None:
        """Lower the budget of everybody who guessed at a subject since."""
        ...

    async def raise_alarm(self, alarm: GuessingAlarm, *, since: datetime) -> bool:
        """Store an alarm, or raise the figures of the license's one since; tell whether it is new."""
        ...

    async def alarms(
        self, *, authority_code: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[GuessingAlarm], str | None]: ...
    async def sweep(self, *, now: datetime, before: datetime, limit: int) -> int:
        """Delete up to `limit` counts whose window began by `before` and whose budget is not lowered.

        Returns how many.
        """
        ...


class PresentationNonceRepository(Protocol):
    """Nonces that were used."""

    async def use(self, uses: Sequence[NonceUse]) -> None:
        """Store uses; of a nonce that its client has used already nothing changes."""
        ...

    async def users(self, client_id: str, nonces: Sequence[str]) -> Mapping[str, str]:
        """Return by whom a client's nonces (digests) were used; those nobody used are left out."""
        ...

    async def sweep(self, *, before: datetime, limit: int) -> int:
        """Forget up to `limit` nonces used before a moment; return how many."""
        ...


class PolicyRepository(Protocol):
    """Policies of relying parties, every version as it was made."""

    async def add(self, own: OwnPolicy) -> None:
        """Store a version. Raises ConcurrentChange when this version has been made by somebody else."""
        ...

    async def get(self, client_id: str, name: str, *, version: int | None = None) -> OwnPolicy | None:
        """Return one version of a client's policy, the newest when none is named."""
        ...

    async def page(self, client_id: str, *, after: str, limit: int) -> Sequence[OwnPolicy]:
        """Return the newest version of each of a client's policies, by name, from `after` (excluded) on."""
        ...


class ScheduledChangeRepository(Protocol):
    """Changes ordered ahead of their time. Whoever ends one shows its fence; an older one is refused."""

    async def add(self, change: ScheduledChange) -> None: ...
    async def get(self, change_id: str) -> ScheduledChange | None: ...
    async def waiting_of(self, license_id: str) -> Sequence[ScheduledChange]:
        """Return what still waits for one license, in the order in which it will be done."""
        ...

    async def page(
        self,
        *,
        authority_code: str,
        license_id: str | None,
        status: ChangeStatus | None,
        cursor: str | None,
        limit: int,
    ) -> tuple[Sequence[ScheduledChange], str | None]: ...
    async def count_waiting(self, license_id: str) -> int: ...
    async def is_overdue(self, since: datetime) -> bool:
        """Tell whether anything still waits whose time had come by then, whoever holds it."""
        ...

    async def overdue_among(self, license_ids: Sequence[str], since: datetime) -> frozenset[str]:
        """Return those licenses for which a change still waits whose time had come by then."""
        ...

    async def is_due(self, now: datetime) -> bool:
        """Tell whether anything waits whose time has come and that nobody holds."""
        ...

    async def claim_due(
        self, *, now: datetime, lease_until: datetime, limit: int
    ) -> Sequence[ScheduledChange]:
        """Take what is due, of each license only the first: new lease, fence + 1, in one statement."""
        ...

    async def end(self, ended: ScheduledChange) -> None:
        """Store how a change ended. Raises ConcurrentChange unless it still waits under the fence shown."""
        ...

    async def cancel_waiting(self, license_id: str, *, at: datetime, by: str, outcome: str) -> Sequence[str]:
        """Cancel whatever waits for one license, whoever holds it; return the ids."""
        ...


class ProposalRepository(Protocol):
    """Orders that wait for a second person."""

    async def add(self, proposal: Proposal) -> None: ...
    async def get(self, proposal_id: str) -> Proposal | None: ...
    async def page(
        self,
        *,
        authority_code: str,
        status: ProposalStatus | None,
        now: datetime,
        cursor: str | None,
        limit: int,
    ) -> tuple[Sequence[Proposal], str | None]: ...
    async def count_open(self, license_id: str, *, now: datetime) -> int: ...
    async def decide(self, decided: Proposal) -> None:
        """Store a decision. Raises ConcurrentChange when one has been made."""
        ...

    async def outdate_open(self, license_id: str, *, at: datetime, by: str) -> Sequence[str]:
        """Close the open proposals of a license that has changed; return the ids."""
        ...


class JournalRepository(Protocol):
    """Append-only rows that accompany changes."""

    async def add_events(self, events: Sequence[Event]) -> None: ...
    async def add_leaves(self, leaves: Sequence[LogLeaf]) -> None: ...
    async def add_audit(self, entries: Sequence[AuditEntry]) -> None: ...
    async def audit_page(
        self, *, cursor: str | None, limit: int
    ) -> tuple[Sequence[AuditEntry], str | None]: ...
    async def sequence_events(self, *, limit: int) -> int:
        """Give up to `limit` committed events their gap-free `seq`, in a transaction of its own; return how many."""
        ...

    async def last_event_seq(self) -> int:
        """Return the highest `seq` given, as this snapshot sees it; 0 before the first."""
        ...


class InstallationRepository(Protocol):
    """The installation's fixed facts, and the highest time it has seen."""

    async def get(self) -> Installation | None: ...
    async def create(self, installation: Installation) -> None: ...


class HighWaterRepository(Protocol):
    """What the database itself has of the high-water mark, and what a recovery gives up."""

    async def standing(self) -> HighWaterMark | None:
        """Return how far everything is, floors counted in; None before the first trust list. No logs, no rows.

        The trust list and the root count as they are stored: what is lost of them must be published again.
        """
        ...

    async def floors(self) -> Floors: ...
    async def keep(self, *, to: int | None = None) -> int:
        """Raise how often the mark was kept by one, or to a number if that is more; return it."""
        ...

    async def count_rows(self) -> Mapping[str, int]:
        """Count the tables whose rows are never deleted."""
        ...

    async def give_up(self, mark: HighWaterMark, *, margin: int, event_margin: int) -> None:
        """Move every number past the mark: floors for what is published, list rows and their indices, events.

        Published numbers and events also leave a margin for what was given out after the mark was last raised.
        """
        ...

    async def owners(self, list_id: str) -> Sequence[tuple[int, str, str]]:
        """Return (index, identifier, license id) of every version whose status is in a list."""
        ...

    async def void_unowned(self, list_id: str) -> int:
        """Set to 1 every index of a list that was reserved and belongs to no license or intent; return how many."""
        ...


class UnitOfWork(Protocol):
    """One transaction over all repositories."""

    directory: DirectoryRepository
    licenses: LicenseRepository
    successions: SuccessionRepository
    intents: IntentRepository
    status: StatusRepository
    documents: DocumentRepository
    keys: KeyRepository
    api_clients: ApiClientRepository
    idempotency: IdempotencyRepository
    verifications: VerificationRepository
    guessing: GuessingRepository
    presentation_nonces: PresentationNonceRepository
    policies: PolicyRepository
    scheduled_changes: ScheduledChangeRepository
    proposals: ProposalRepository
    journal: JournalRepository
    transparency_log: TransparencyLogRepository
    installation: InstallationRepository
    high_water: HighWaterRepository
    plans: PlanRepository
    oauth: OAuthRepository
    request_log: RequestLogRepository
    sandbox: SandboxRepository


class Store(Protocol):
    """The database as the inside sees it."""

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """Run `work` in one transaction, commit durably, then return its result.

        Retries serialization failures and lock time-outs a few times; raises DomainError `unavailable` when the
        database is out of reach. Any exception of `work` rolls everything back.
        """
        ...

    async def read(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """Run `work` on one consistent snapshot; nothing it does is kept."""
        ...

    async def ready(self) -> None:
        """Raise DomainError `unavailable` unless the database answers and has the current schema."""
        ...

    async def close(self) -> None: ...
