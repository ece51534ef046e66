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
from app.services.succession import ends_of
from elicense.credential import parse_credential
from elicense.elements import FormerValue
from elicense.evidence import AcceptedStatusList, TrustEvidence
from elicense.problems import FormatError
from elicense.report import StatusSource


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
    versions, happened, issued, is_overtaken = await _read_life(unit, license.id, at)
    in_force = issued[-1] if issued else versions[0]
    asked = asked or in_force
    state, source = State.ACTIVE, None
    # Before it was signed a version's entry in the list was nobody's; and a list of then cannot show what was ordered
    # for then and recorded later.
    if asked.issued_at <= at and not is_overtaken:
        past = await lists.find(unit, asked.status_list_id, at, trust=trust)
        if past is not None:
            state, source = _state_shown(past, asked, recorded=_recorded_state(happened, asked))
    valid_from, valid_until = _dates_of(in_force, license)
    replaced = state is State.SUPERSEDED and in_force.version != asked.version
    ended = state is not State.ACTIVE and State(happened[-1].to_state) in MAY_HAVE_SUCCESSORS
    successors = await _successors(unit, license.id, at) if ended else ()
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


async def _read_life(
    unit: UnitOfWork, license_id: str, at: datetime
) -> tuple[Sequence[LicenseVersion], Sequence[HistoryEntry], Sequence[LicenseVersion], bool]:
    """Return all versions of a license, what had been recorded of it by then, the versions it had by then, and whether
    a change that had effect already was recorded only later.
    """
    versions, history = await unit.licenses.versions(license_id), await unit.licenses.history(license_id)
    happened = [entry for entry in history if entry.recorded_at <= at]
    is_overtaken = any(entry.effective_at <= at < entry.recorded_at for entry in history)
    # Recorded, not signed: a promise that was kept late only counts from when the register held its version.
    recorded = {entry.version for entry in happened}
    return versions, happened, [one for one in versions if one.version in recorded], is_overtaken


def _state_shown(
    past: AcceptedStatusList, asked: IssuedVersion, *, recorded: State | None
) -> tuple[State, StatusSource | None]:
    """Return the state that a list shows, by its exact name where the register's history agrees.

    Where they differ the moment is left open, and stays so when later lists have shown the change: "valid" would be
    wrong about what the register knew already then, and nobody could check what no list has shown. So is that of a
    version that was promised by then and held only later.
    """
    try:
        listed = past.status_list.lookup(asked.status_index)
    except FormatError:
        return State.ACTIVE, None
    if recorded is None:
        return State.ACTIVE, None
    return recorded, past.source if STATUS_VALUE[recorded] == listed else None


def _recorded_state(happened: Sequence[HistoryEntry], asked: IssuedVersion) -> State | None:
    if not happened or happened[-1].version < asked.version:
        return None
    last = happened[-1]
    return State(last.to_state) if last.version == asked.version else State.SUPERSEDED


async def _successors(unit: UnitOfWork, license_id: str, at: datetime) -> tuple[str, ...]:
    """Return the identifiers in force then of the licenses at which the succession of then ended."""
    ends = await ends_of(unit, [license_id], at=at)
    lives = [await _read_life(unit, end, at) for end in ends[license_id]]
    return tuple(issued[-1].identifier for _, _, issued, _ in lives if issued)


def _dates_of(version: LicenseVersion, license: License) -> tuple[date, date | None]:
    if version.version == license.version:
        return license.valid_from, license.valid_until
    try:
        claims = parse_credential(version.credential).claims.license
    except FormatError:
        return license.valid_from, license.valid_until  # damage, told where its values are read
    return claims.valid_from, claims.valid_until
