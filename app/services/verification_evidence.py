"""Gather: everything one judgement rests on, read from the register at this moment and frozen.

The register's own answer is read anew for every question, so that a change committed anywhere is seen by the next
verification on every process. A stolen key must not borrow a healthy license's status: a credential is only known when
identifier, digest of exactly this signing input, and status entry are all those of one issued version.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime

from app.domain.directory import Directory
from app.domain.license import IssuedVersion, License, code_spellings
from app.domain.verification import LicenseReference
from app.ports import FoundLicense, UnitOfWork
from app.services.late_changes import late_among
from app.services.license_past import NO_PAST, Past, Pasts, held_elements
from app.services.license_then import LicenseThen, read_then
from app.services.past_lists import PastLists
from app.services.status_indices import list_uri
from elicense.by_reference import LicenseFacts
from elicense.checks import UNSETTLED
from elicense.credential import Credential
from elicense.elements import HeldElements
from elicense.evidence import LiveStatus, RegisterEvidence, TrustEvidence
from elicense.log_entry import EntryKind
from elicense.records import quick_constructor


@dataclass(frozen=True, slots=True)
class RegisterAnswer:
    """What the register says about one credential, and the license it belongs to."""

    register: RegisterEvidence
    status: LiveStatus | None
    license: License | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastMoment:
    """A past moment that is asked about, and what answers for it: the trust of now and the archive of lists."""

    at: datetime
    trust: TrustEvidence
    lists: PastLists

    async def read(self, unit: UnitOfWork, license: License, asked: IssuedVersion | None) -> LicenseThen:
        """Read what a license was then, as seen from one of its versions (None: the one in force then)."""
        return await read_then(unit, license, asked, self.at, trust=self.trust, lists=self.lists)


UNKNOWN = RegisterAnswer(RegisterEvidence(known=False), None, None)
_KNOWN = RegisterEvidence(known=True)
_new_facts = quick_constructor(LicenseFacts)
_new_live_status = quick_constructor(LiveStatus)


async def ask_register(
    unit: UnitOfWork,
    found: tuple[FoundLicense, IssuedVersion] | None,
    credential: Credential,
    *,
    issuer_url: str,
    as_of: datetime,
    event_seq: int,
    compared: bool,
    placed: bool,
    pasts: Pasts,
    late: Set[str],
    past: PastMoment | None = None,
) -> RegisterAnswer:
    """Tell whether the register issued exactly this credential, and what state its version is in, or was in.

    `found` is what was read at `as_of` or later under the credential's own identifier; every event up to `event_seq`
    is in it. `compared` tells whether elements matter, `past` that a past moment was, `placed` whether its place
    in the log matters: after its key was compromised that alone tells what is older than the theft. `pasts` has or
    reads what the license was before. `late` are the licenses that a late change is about.
    """
    if found is None or not _is_ours(credential, found[1], issuer_url):
        return UNKNOWN
    snapshot, version = found
    if past is not None:
        then = await past.read(unit, snapshot.license, version)
        answer = _answer_then(then, snapshot.license, as_of=as_of, event_seq=event_seq)
        if not placed:
            return answer
        return replace(answer, register=await _placed(unit, version, answer.register))
    before = await pasts.of(snapshot.license, compared=compared)
    live = _live_status(snapshot, version, before, late, as_of=as_of, event_seq=event_seq)
    # What is right is what the license says now, whichever version's file was shown.
    register = _KNOWN
    if compared:
        values = held_elements(snapshot.license)
        elements = HeldElements(values=values, complete=True, former=before.former)
        register = RegisterEvidence(known=True, elements=elements)
    if placed:
        register = await _placed(unit, version, register)
    return RegisterAnswer(register, live, snapshot.license)


async def _placed(unit: UnitOfWork, version: IssuedVersion, register: RegisterEvidence) -> RegisterEvidence:
    leaf = await unit.transparency_log.leaf_of(version.identifier, kind=EntryKind.ISSUANCE)
    if leaf is None:
        return register
    return replace(register, log_origin=leaf.origin, log_index=leaf.index)


def _answer_then(then: LicenseThen, license: License, *, as_of: datetime, event_seq: int) -> RegisterAnswer:
    status = LiveStatus(
        state=then.state,
        as_of=as_of,
        event_seq=event_seq,
        superseded_by=then.superseded_by,
        successors=then.successors,
        revocation=_kind_of(license),
        source=then.source,
    )
    elements = HeldElements(values=then.elements, complete=True, former=then.former)
    return RegisterAnswer(RegisterEvidence(known=True, elements=elements), status, license)


class LookedUp:
    """What was read at once for many questions: licenses by identifier, and by number and type, and their pasts."""

    def __init__(
        self,
        by_identifier: Mapping[str, tuple[FoundLicense, IssuedVersion]],
        by_number: Mapping[str, Mapping[str, Sequence[FoundLicense]]],
        pasts: Pasts,
        late_since: datetime | None,
    ) -> None:
        """Hold licenses by identifier, and by type code and number; `late_since` as in `late_among`."""
        self.pasts = pasts
        self.late_since = late_since
        self.late: Set[str] = frozenset()
        self.by_identifier = by_identifier
        self._by_number = by_number

    async def read_late(self, unit: UnitOfWork) -> None:
        """Find out which of the licenses looked up a late change is about."""
        numbered = (found for held in self._by_number.values() for some in held.values() for found in some)
        ids = {found.license.id for found in (*(pair[0] for pair in self.by_identifier.values()), *numbered)}
        self.late = await late_among(unit, ids, self.late_since)

    def licenses_of(
        self, credential: Credential | None, reference: LicenseReference | None
    ) -> Sequence[License]:
        """Return the licenses that were looked up for a question about a file, or about a reference."""
        name = credential.claims.license.identifier if credential is not None else None
        if reference is not None:
            name = reference.identifier
            if name is None and reference.number is not None:
                return [found.license for found in self.numbered(reference)]
        found = None if name is None else self.by_identifier.get(name)
        return [] if found is None else [found[0].license]

    def numbered(self, reference: LicenseReference) -> Sequence[FoundLicense]:
        """Return the licenses with the number of a reference as it was asked, else as it would be held."""
        held = self._by_number.get(reference.type_code or "", {})
        return next((held[code] for code in _spellings(reference) if code in held), ())


async def look_up(
    unit: UnitOfWork,
    identifiers: Iterable[str],
    references: Iterable[LicenseReference],
    *,
    late_since: datetime | None,
) -> LookedUp:
    """Read what many questions name by identifier or by number, with as few statements as there are types.

    `late_since` as in `late_among`.
    """
    named, numbers = set(identifiers), dict[str, set[str]]()
    for reference in references:
        if reference.identifier is not None:
            named.add(reference.identifier)
        elif reference.number is not None:
            numbers.setdefault(reference.type_code or "", set()).update(_spellings(reference))
    looked_up = LookedUp(
        await unit.licenses.by_identifiers(sorted(named)),
        {
            type_code: await unit.licenses.find_by_numbers(sorted(some), type_code=type_code)
            for type_code, some in sorted(numbers.items())
        },
        Pasts(unit),
        late_since,
    )
    await looked_up.read_late(unit)
    return looked_up


async def find_licenses(
    unit: UnitOfWork,
    reference: LicenseReference,
    looked_up: LookedUp,
    directory: Directory,
) -> Sequence[tuple[License, LicenseFacts]]:
    """Return every license that fits a reference, as facts for the judge; by holder they are read here."""
    if reference.identifier is not None:
        found = looked_up.by_identifier.get(reference.identifier)
        if found is None:
            return ()
        snapshot, version = found
        return ((snapshot.license, _facts(snapshot, version, directory, looked_up.late)),)
    if reference.number is not None:
        snapshots, late = looked_up.numbered(reference), looked_up.late
    else:
        snapshots = await _find(unit, reference)
        ids = [snapshot.license.id for snapshot in snapshots]
        late = await late_among(unit, ids, looked_up.late_since)
    return tuple(
        (snapshot.license, _facts(snapshot, snapshot.version, directory, late)) for snapshot in snapshots
    )


async def find_then(
    unit: UnitOfWork, reference: LicenseReference, past: PastMoment, directory: Directory
) -> Sequence[tuple[License, LicenseFacts]]:
    """Read every license that fits a reference, as facts of a past moment.

    By number or holder each license answers by the version that was in force then, and a holder's licenses are those
    that named him then, whoever holds them since. Licenses issued later do not count beside those that were; where all
    came later nothing of then is known.
    """
    if reference.identifier is not None:
        found = await unit.licenses.by_identifier(reference.identifier)
        if found is None:
            return ()
        named, version = found
        then = await past.read(unit, named.license, version)
        return ((named.license, _facts_then(then, named.license, version.identifier, directory)),)
    existed: list[tuple[License, LicenseFacts]] = []
    later: list[tuple[License, LicenseFacts]] = []
    for snapshot in await _find_ever(unit, reference):
        license = snapshot.license
        then = await past.read(unit, license, None)
        facts = _facts_then(then, license, then.identifier, directory)
        if not then.existed:
            later.append((license, facts))
        elif reference.holder_code is None or facts.elements.get("holder_code") in _spellings(reference):
            existed.append((license, facts))
    return existed or later


async def _find(unit: UnitOfWork, reference: LicenseReference) -> Sequence[FoundLicense]:
    type_code = reference.type_code or ""
    for code in _spellings(reference):
        found = await (
            unit.licenses.find(holder_code=code, type_code=type_code)
            if reference.number is None
            else unit.licenses.find(number=code, type_code=type_code)
        )
        if found:
            return found
    return ()


async def _find_ever(unit: UnitOfWork, reference: LicenseReference) -> Sequence[FoundLicense]:
    """Find as `_find` does, by holder also the licenses that named him in an earlier version; each license once."""
    found = {snapshot.license.id: snapshot for snapshot in await _find(unit, reference)}
    if reference.number is None:
        type_code = reference.type_code or ""
        for code in _spellings(reference):
            for snapshot in await unit.licenses.find_by_former_holder(code, type_code=type_code):
                found.setdefault(snapshot.license.id, snapshot)
    return tuple(found.values())


def _spellings(reference: LicenseReference) -> Sequence[str]:
    """Return the codes to look for: as asked, then as the register holds them.

    Numbers and codes are stored in one spelling and written with spaces, hyphens, full-width brackets or small letters
    by many.
    """
    return code_spellings(reference.holder_code or "" if reference.number is None else reference.number)


def _is_ours(credential: Credential, version: IssuedVersion, issuer_url: str) -> bool:
    claims = credential.claims
    return (
        version.signing_input_sha256 == credential.signed_digest.hex()
        and version.status_index == claims.status_index
        and list_uri(issuer_url, version.status_list_id) == claims.status_uri
    )


def tell_past(facts: LicenseFacts, past: Past) -> LicenseFacts:
    """Return facts that also tell a license's former values and its successors."""
    if past is NO_PAST:
        return facts
    return replace(
        facts,
        former=past.former,
        successors=past.successors,
        superseded_by=_replacing(facts.superseded_by, past),
    )


def _state_of(snapshot: FoundLicense, version: IssuedVersion, late: Set[str]) -> tuple[str, str | None]:
    """Return the state of a version and the identifier of the one in force, if that is another.

    An earlier version never answers better than superseded, whatever became of the license since.
    """
    if version.version == snapshot.license.version:
        return UNSETTLED if snapshot.license.id in late else snapshot.license.state.value, None
    return "superseded", snapshot.license.identifier


def _replacing(of_license: str | None, past: Past) -> str | None:
    """Return the one identifier that counts instead: where a succession ends, else the license's newer version.

    Of several successors none is the one: all of them are named beside it.
    """
    if not past.successors:
        return of_license
    return past.successors[0] if len(past.successors) == 1 else None


def _kind_of(license: License) -> str | None:
    return None if license.revocation is None else license.revocation.value


def _live_status(
    snapshot: FoundLicense,
    version: IssuedVersion,
    past: Past,
    late: Set[str],
    *,
    as_of: datetime,
    event_seq: int,
) -> LiveStatus:
    state, newer = _state_of(snapshot, version, late)
    return _new_live_status(
        state=state,
        as_of=as_of,
        event_seq=event_seq,
        superseded_by=_replacing(newer, past),
        successors=past.successors,
        revocation=_kind_of(snapshot.license),
        source=None,
    )


def _facts_then(then: LicenseThen, license: License, identifier: str, directory: Directory) -> LicenseFacts:
    return LicenseFacts(
        identifier=identifier,
        state=then.state,
        valid_from=then.valid_from,
        valid_until=then.valid_until,
        elements=then.elements,
        former=then.former,
        superseded_by=then.superseded_by,
        source=then.source,
        successors=then.successors,
        revocation=_kind_of(license),
        kinds=directory.kinds(license.type_code),
    )


def _facts(
    snapshot: FoundLicense, version: IssuedVersion, directory: Directory, late: Set[str]
) -> LicenseFacts:
    state, superseded_by = _state_of(snapshot, version, late)
    license = snapshot.license
    return _new_facts(
        identifier=version.identifier,
        state=state,
        valid_from=license.valid_from,
        valid_until=license.valid_until,
        elements=held_elements(license),
        former=NO_PAST.former,
        superseded_by=superseded_by,
        source=None,
        successors=(),
        revocation=_kind_of(license),
        kinds=directory.kinds(license.type_code),
    )
