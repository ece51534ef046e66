"""Gather: everything one judgement rests on, read from the register at this moment and frozen.

The register's own answer is read anew for every question, so that a change committed anywhere is seen by the next
verification on every process. A stolen key must not borrow a healthy license's status: a credential is only known when
identifier, digest of exactly this signing input, and status entry are all those of one issued version.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.license import License, LicenseVersion
from app.domain.verification import LicenseReference
from app.ports import LicenseSnapshot, UnitOfWork
from app.services.credential_maker import license_claims
from app.services.status_indices import list_uri
from elicense.by_reference import LicenseFacts
from elicense.cn import normalize_code
from elicense.credential import Credential
from elicense.elements import HeldElements, metadata_elements
from elicense.encoding import sha256_hex
from elicense.evidence import LiveStatus, RegisterEvidence

# Events get their sequence from the log's sequencer; until one runs, the register's position is its beginning.
EVENT_SEQ = 0


@dataclass(frozen=True, slots=True)
class RegisterAnswer:
    """What the register says about one credential, and the license it belongs to."""

    register: RegisterEvidence
    status: LiveStatus | None
    license: License | None


UNKNOWN = RegisterAnswer(RegisterEvidence(known=False), None, None)


def held_elements(license: License) -> dict[str, str]:
    """Return all values of a license that may be asked: metadata by their GB/T 36903 names, and elements."""
    return {**metadata_elements(license_claims(license)), **license.elements}


def ask_register(
    found: tuple[LicenseSnapshot, LicenseVersion] | None,
    credential: Credential,
    *,
    issuer_url: str,
    as_of: datetime,
) -> RegisterAnswer:
    """Tell whether the register issued exactly this credential, and what state its version is in.

    `found` is what was read at `as_of` or later under the credential's own identifier.
    """
    if found is None or not _is_ours(credential, found[1], issuer_url):
        return UNKNOWN
    snapshot, version = found
    live = _live_status(snapshot, version, as_of=as_of)
    # Former values come with amendments; until then a version's values are the license's.
    elements = HeldElements(values=held_elements(snapshot.license), complete=True)
    return RegisterAnswer(RegisterEvidence(known=True, elements=elements), live, snapshot.license)


async def find_licenses(
    unit: UnitOfWork, reference: LicenseReference
) -> Sequence[tuple[License, LicenseFacts]]:
    """Read every license that fits a reference, as facts for the judge."""
    if reference.identifier is not None:
        found = await unit.licenses.by_identifier(reference.identifier)
        if found is None:
            return ()
        snapshot, version = found
        return ((snapshot.license, _facts(snapshot, version)),)
    snapshots = await _find(unit, reference)
    return tuple((snapshot.license, _facts(snapshot, snapshot.version)) for snapshot in snapshots)


async def _find(unit: UnitOfWork, reference: LicenseReference) -> Sequence[LicenseSnapshot]:
    type_code = reference.type_code or ""
    asked = reference.holder_code or "" if reference.number is None else reference.number
    normal = normalize_code(asked)
    # Social credit codes, numbers of business licenses among them, are stored in normal form and written with
    # spaces, hyphens or small letters by many: what was asked is looked for first, then its normal form.
    for code in dict.fromkeys((asked, normal)):
        found = await (
            unit.licenses.find(holder_code=code, type_code=type_code)
            if reference.number is None
            else unit.licenses.find(number=code, type_code=type_code)
        )
        if found:
            return found
    return ()


def _is_ours(credential: Credential, version: LicenseVersion, issuer_url: str) -> bool:
    claims = credential.claims
    return (
        version.signing_input_sha256 == sha256_hex(credential.signing_input)
        and version.status_index == claims.status_index
        and list_uri(issuer_url, version.status_list_id) == claims.status_uri
    )


def _state_of(snapshot: LicenseSnapshot, version: LicenseVersion) -> tuple[str, str | None]:
    """Return the state of a version and the identifier of the one in force, if that is another.

    An earlier version never answers better than superseded, whatever became of the license since.
    """
    if version.version == snapshot.license.version:
        return snapshot.license.state.value, None
    return "superseded", snapshot.license.identifier


def _live_status(snapshot: LicenseSnapshot, version: LicenseVersion, *, as_of: datetime) -> LiveStatus:
    state, superseded_by = _state_of(snapshot, version)
    return LiveStatus(state=state, as_of=as_of, event_seq=EVENT_SEQ, superseded_by=superseded_by)


def _facts(snapshot: LicenseSnapshot, version: LicenseVersion) -> LicenseFacts:
    state, superseded_by = _state_of(snapshot, version)
    license = snapshot.license
    return LicenseFacts(
        identifier=version.identifier,
        state=state,
        valid_from=license.valid_from,
        valid_until=license.valid_until,
        elements=held_elements(license),
        superseded_by=superseded_by,
    )
