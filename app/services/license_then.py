"""What a license was at a past moment: version in force, state, dates, values, and the list that shows the state.

The list that was the newest then says the state, since anybody can check it; the register's history adds what a list
does not tell (revoked, cancelled or transferred), and only where both agree. What is known since then stays known: a
license annulled by now was void at every moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from app.domain.license import STATUS_VALUE, HistoryEntry, IssuedVersion, License, LicenseVersion, State
from app.ports import UnitOfWork
from app.services.license_past import MAY_HAVE_SUCCESSORS, NO_PAST, former_values, version_values
from app.services.past_lists import PastLists
from elicense.credential import parse_credential
from elicense.elements import FormerValue
from elicense.evidence import AcceptedStatusList, TrustEvidence
from elicense.problems import FormatError
from elicense.report import StatusSource
from elicense.status_list import Status

LISTED_STATES: Mapping[Status, State] = {
    Status.VALID: State.ACTIVE,
    Status.INVALID: State.REVOKED,
    Status.SUSPENDED: State.SUSPENDED,
    Status.SUPERSEDED: State.SUPERSEDED,
}
"""What a list's value is called where the register's history does not name the exact state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseThen:
    """A license as of a past moment, asked about by one of its versions.

    `identifier` is that version's. `existed` tells whether any version was issued by then; before that the values are
    the first version's. `source` is the list that shows `state`, None when none covers the moment. `superseded_by` and
    `successors` are what was known then.
    """

    identifier: str
    existed: bool
    state: str
    source: StatusSource | None
    valid_from: date
    valid_until: date | None
    elements: Mapping[str, str]
    former: Mapping[str, tuple[FormerValue, ...]]
    superseded_by: str | None
    successors: tuple[str, ...]


async def read_then(
    unit: UnitOfWork,
    license: License,
    asked: IssuedVersion | None,
    at: datetime,
    *,
    trust: TrustEvidence,
    lists: PastLists,
) -> LicenseThen:
    """Read what a license was at a moment, as seen from one version of it (None: the one in force then)."""
    versions = await unit.licenses.versions(license.id)
    happened = [entry for entry in await unit.licenses.history(license.id) if entry.recorded_at <= at]
    # Recorded, not signed: a promise that was kept late only counts from when the register held its version.
    recorded = {entry.version for entry in happened}
    issued = [version for version in versions if version.version in recorded]
    in_force = issued[-1] if issued else versions[0]
    asked = asked or in_force
    state, source = State.ACTIVE, None
    # Before it was signed a version's entry in the list was nobody's.
    if asked.issued_at <= at:
        past = await lists.find(unit, asked.status_list_id, at, trust=trust)
        if past is not None:
            state, source = _state_shown(past, asked, recorded=_recorded_state(happened, asked))
    valid_from, valid_until = _dates_of(in_force, license)
    replaced = state is State.SUPERSEDED and in_force.version != asked.version
    successors = _successors(happened) if state is not State.ACTIVE else ()
    newer = in_force.identifier if replaced else None
    return LicenseThen(
        identifier=asked.identifier,
        existed=bool(issued),
        state=state.value,
        source=source,
        valid_from=valid_from,
        valid_until=valid_until,
        elements=version_values(in_force, license) or {},
        former=former_values(issued, license) if len(issued) > 1 else NO_PAST.former,
        superseded_by=successors[0] if len(successors) == 1 else newer,
        successors=successors,
    )


def _state_shown(
    past: AcceptedStatusList, asked: IssuedVersion, *, recorded: State | None
) -> tuple[State, StatusSource | None]:
    """Return the state that a list shows, by its exact name where the register's history agrees.

    Where they differ the moment is left open, and stays so when later lists have shown the change: "valid" would be
    wrong about what the register knew already then, and nobody could check what no list has shown.
    """
    try:
        listed = past.status_list.lookup(asked.status_index)
    except FormatError:
        return State.ACTIVE, None
    if recorded is None:
        return LISTED_STATES[listed], past.source
    return recorded, past.source if STATUS_VALUE[recorded] == listed else None


def _recorded_state(happened: Sequence[HistoryEntry], asked: IssuedVersion) -> State | None:
    if not happened or happened[-1].version < asked.version:
        return None
    last = happened[-1]
    return State(last.to_state) if last.version == asked.version else State.SUPERSEDED


def _successors(happened: Sequence[HistoryEntry]) -> tuple[str, ...]:
    """Return the identifiers that the last record of then names as successors, for a license that may have some."""
    if not happened or State(happened[-1].to_state) not in MAY_HAVE_SUCCESSORS:
        return ()
    for entry in reversed(happened):
        if "successors" in entry.details:
            return tuple(entry.details["successors"].split())
    return ()


def _dates_of(version: LicenseVersion, license: License) -> tuple[date, date | None]:
    if version.version == license.version:
        return license.valid_from, license.valid_until
    try:
        claims = parse_credential(version.credential).claims.license
    except FormatError:
        return license.valid_from, license.valid_until  # damage, told where its values are read
    return claims.valid_from, claims.valid_until
