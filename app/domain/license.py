"""The register's license: its lifecycle, versions and history."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from app.domain.errors import DomainError
from app.domain.ids import LicenseId
from elicense.cn import normalize_code, uscc_problem


class State(StrEnum):
    """Stored states. `expired` and `not_yet_valid` are computed at the moment of judgement, never stored."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    TRANSFERRED = "transferred"


class Action(StrEnum):
    """What may be done to a license after it was issued."""

    SUSPEND = "suspend"
    RESUME = "resume"
    REVOKE = "revoke"
    CANCEL = "cancel"
    AMEND = "amend"
    RENEW = "renew"
    REISSUE = "reissue"
    SUCCESSION = "succession"


STATE_ACTIONS = (Action.SUSPEND, Action.RESUME, Action.REVOKE, Action.CANCEL)
"""The actions that change nothing but the state. Amending and renewing make a version, a succession names licenses."""


class RevocationKind(StrEnum):
    """Why an authority ended a license: as a penalty (吊销), or because it should never have been (撤销).

    An annulled license is void from its start, whatever moment is asked about.
    """

    PENALTY = "penalty"
    ANNULLED = "annulled"


_WITHOUT_WIDTH = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))

ENDED = frozenset({State.REVOKED, State.CANCELLED, State.SUPERSEDED, State.TRANSFERRED})

_TRANSITIONS: Mapping[tuple[State, Action], State] = {
    (State.ACTIVE, Action.SUSPEND): State.SUSPENDED,
    (State.SUSPENDED, Action.RESUME): State.ACTIVE,
    (State.ACTIVE, Action.REVOKE): State.REVOKED,
    (State.SUSPENDED, Action.REVOKE): State.REVOKED,
    (State.ACTIVE, Action.CANCEL): State.CANCELLED,
    (State.SUSPENDED, Action.CANCEL): State.CANCELLED,
    # A new version takes its predecessor's state over: a suspension is lifted by `resume` alone.
    (State.ACTIVE, Action.AMEND): State.ACTIVE,
    (State.SUSPENDED, Action.AMEND): State.SUSPENDED,
    (State.ACTIVE, Action.RENEW): State.ACTIVE,
    (State.SUSPENDED, Action.RENEW): State.SUSPENDED,
    # The same content under another key, after the one that signed it was lost.
    (State.ACTIVE, Action.REISSUE): State.ACTIVE,
    (State.SUSPENDED, Action.REISSUE): State.SUSPENDED,
    # Naming successors ends a license in force. Of an ended one it is a record (or a correction of it) that changes no
    # state; a revoked license has no successors, or a revocation could be made to look like a replacement.
    (State.ACTIVE, Action.SUCCESSION): State.SUPERSEDED,
    (State.SUSPENDED, Action.SUCCESSION): State.SUPERSEDED,
    (State.SUPERSEDED, Action.SUCCESSION): State.SUPERSEDED,
    (State.CANCELLED, Action.SUCCESSION): State.CANCELLED,
    (State.TRANSFERRED, Action.SUCCESSION): State.TRANSFERRED,
}

# The value of the published two-bit status list (IETF Token Status List §7.1 and CONTRACT of this product).
STATUS_VALUE: Mapping[State, int] = {
    State.ACTIVE: 0,
    State.REVOKED: 1,
    State.CANCELLED: 1,
    State.TRANSFERRED: 1,
    State.SUSPENDED: 2,
    State.SUPERSEDED: 3,
}


def next_state(state: State, action: Action) -> State:
    """Return the state an action leads to. Raises DomainError `state_conflict` for every pair not in the table."""
    target = _TRANSITIONS.get((state, action))
    if target is None:
        raise DomainError("state_conflict", f"a license in state {state} cannot be changed by {action}")
    return target


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a license: code (USCC for type 001), code type (GB/T 36903), registered name."""

    code: str
    code_type: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class License:
    """A register entry at its current version. Never leaves the register; its credential does.

    `state` is what is stored; `status_on` adds what the clock says. `row_version` grows with each change and is
    compared by every update. `area_code` is six digits; `valid_until` None means long-term (长期). `revocation` tells
    of which kind the revocation was; `source_digest` recognizes the row of a file the license was last taken from, and
    each of its columns. `holder_key` is the holder's public key (JWK) that its file names, None for a file that anybody
    may show.
    """

    id: LicenseId
    identifier: str
    version: str
    state: State
    type_code: str
    type_name: str
    number: str
    authority_code: str
    authority_name: str
    holder: Holder
    area_code: str
    issue_date: date
    valid_from: date
    valid_until: date | None
    elements: Mapping[str, str]
    created_at: datetime
    updated_at: datetime
    row_version: int
    source_digest: str | None = None
    revocation: RevocationKind | None = None
    holder_key: Mapping[str, str] | None = None

    def status_on(self, today: date) -> str:
        """Return the status people see on a civil day (+08:00): the state, or expired / not_yet_valid if active."""
        if self.state is State.ACTIVE:
            if self.valid_until is not None and today > self.valid_until:
                return "expired"
            if today < self.valid_from:
                return "not_yet_valid"
        return self.state.value


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedVersion:
    """All that recognizes one issued version.

    `signing_input_sha256` is hex SHA-256 over exactly the JWS signing input; `status_index` the entry in the list
    `status_list_id`, never used again.
    """

    license_id: LicenseId
    version: str
    identifier: str
    signing_input_sha256: str
    status_list_id: str
    status_index: int
    kid: str
    issued_at: datetime
    state: State
    env: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseVersion(IssuedVersion):
    """One issued version with its credential: the whole SD-JWT with every disclosure."""

    credential: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One event in the life of a license: who, when recorded, from when, why, what it led to.

    `details` holds what only some actions have, by name: the kind of a revocation, a successor.
    """

    id: str
    license_id: LicenseId
    version: str
    action: str
    from_state: str | None
    to_state: str
    actor: str
    recorded_at: datetime
    effective_at: datetime
    reason_code: str | None
    reason: str | None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLicense:
    """What a department asks to be issued; already shape-checked, not yet judged by the rules."""

    type_code: str
    number: str
    holder: Holder
    area_code: str
    issue_date: date
    valid_from: date
    valid_until: date | None
    elements: Mapping[str, str]
    authority_code: str
    holder_key: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseFilter:
    """Which licenses a list shows. All given parts must hold; `status` may be a computed one (judged on `today`).

    A `number` is found as it is given and as the register would hold it.
    """

    authority_code: str | None = None
    holder_code: str | None = None
    type_code: str | None = None
    number: str | None = None
    identifier: str | None = None
    status: str | None = None
    today: date | None = None


class IntentState(StrEnum):
    """An intent is open until its license is stored (done) or it is given up (voided)."""

    OPEN = "open"
    DONE = "done"
    VOIDED = "voided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """Which version a promised one takes the place of, and why.

    It may do so only while the license still has this `row_version` and `state`: whatever changed it in between, a
    revocation above all, goes before. The other fields are fixed facts of the version in force when the promise was
    made; `changed` names what differs, never a value.
    """

    row_version: int
    state: State
    identifier: str
    version: str
    status_list_id: str
    status_index: int
    signing_input_sha256: str
    action: Action
    reason_code: str
    reason: str
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """The durable promise to issue exactly these bytes. While open it holds the number and the status index.

    `signing_input` is what will be signed, `disclosures` what follows it; `fence` is the fencing token of whoever
    holds the lease until `lease_until`; a write that carries an older fence is refused. `replaces` is None for the
    first version of a license.
    """

    id: str
    license: License
    signing_input: bytes
    disclosures: tuple[str, ...]
    kid: str
    status_list_id: str
    status_index: int
    issued_at: datetime
    actor: str
    state: IntentState
    lease_until: datetime
    fence: int
    idempotency_id: str | None = None
    replaces: Replacement | None = None


def stored_number(text: str) -> str:
    """Return a license's number as the register holds it, so that one number has one spelling.

    In NFKC (full-width forms become plain ones) and without the invisible marks that copying brings along; a correct
    social credit code, which a business license's number is, without spaces and hyphens and in capitals.
    """
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text.translate(_WITHOUT_WIDTH))
    normal = normalize_code(folded)
    return normal if uscc_problem(normal) is None else folded


def stored_holder_code(text: str) -> str:
    """Return a holder's code as the register holds it, by the rule of numbers."""
    return stored_number(text)


def code_spellings(asked: str) -> tuple[str, ...]:
    """Return under what to look for a number or a holder's code: as it was asked first, then as it would be held."""
    return tuple(dict.fromkeys((asked, stored_number(asked), normalize_code(asked))))
