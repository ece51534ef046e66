"""What a license was before, and what came after it: read only where an answer needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

import structlog

from app.domain.license import License, LicenseVersion, State
from app.ports import UnitOfWork
from app.services.credential_maker import FIRST_VERSION, license_claims
from app.services.succession import follow
from elicense.credential import parse_credential
from elicense.elements import FormerValue, metadata_elements
from elicense.encoding import civil_today
from elicense.problems import FormatError

MAY_HAVE_SUCCESSORS = frozenset({State.SUPERSEDED, State.CANCELLED, State.TRANSFERRED})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Former values by element name, and the identifiers at which the license's succession ends."""

    former: Mapping[str, tuple[FormerValue, ...]] = field(default_factory=lambda: MappingProxyType({}))
    successors: tuple[str, ...] = ()


NO_PAST = Past()


def held_elements(license: License) -> dict[str, str]:
    """Return all values of a license that may be asked: metadata by their GB/T 36903 names, and elements."""
    return {**metadata_elements(license_claims(license)), **license.elements}


async def read_past(unit: UnitOfWork, license: License, *, compared: bool) -> Past:
    """Read what an answer about a license needs beside the license itself; most licenses need nothing.

    `compared` tells whether elements were asked: only then do former values matter.
    """
    former: Mapping[str, tuple[FormerValue, ...]] = NO_PAST.former
    if compared and license.version != FIRST_VERSION:
        former = former_values(await unit.licenses.versions(license.id), license)
    successors: tuple[str, ...] = ()
    if license.state in MAY_HAVE_SUCCESSORS:
        successors = await follow(unit, license.id)
    if not former and not successors:
        return NO_PAST
    return Past(former=former, successors=successors)


def former_values(versions: Sequence[LicenseVersion], license: License) -> dict[str, tuple[FormerValue, ...]]:
    """Return what each element of a license was in earlier versions, with the civil day (+08:00) it changed.

    `versions` are all of the license, the first first; their own signed files say what they held. A value counts from
    the version that said otherwise (or nothing) in its place.
    """
    earlier = [(version, values) for version in versions if (values := version_values(version, license))]
    former: dict[str, list[FormerValue]] = {}
    for (_, before), (following, after) in pairwise(earlier):
        changed_on = civil_today(following.issued_at)
        for name, value in before.items():
            if after.get(name) != value:
                former.setdefault(name, []).append(FormerValue(value, changed_on))
    return {name: tuple(values) for name, values in former.items()}


def version_values(version: LicenseVersion, license: License) -> dict[str, str] | None:
    """Return all values of one version as `held_elements` does; None when its stored file cannot be read."""
    if version.version == license.version:
        return held_elements(license)
    try:
        credential = parse_credential(version.credential)
    except FormatError:
        # Our own stored file cannot be read: damage that must be seen to. The questions of others, answered from the
        # same snapshot, must not fail with it; this license's former values then read as mismatches.
        log.error("stored_credential_unreadable", identifier=version.identifier)
        return None
    return {**metadata_elements(credential.claims.license), **credential.elements}
