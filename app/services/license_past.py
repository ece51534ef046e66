"""What a license was before, and what came after it: read only where an answer needs it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Final

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

_FILES_AT_ONCE: Final = 50
"""Licenses whose files are read together: a batch about much amended ones must not lie in memory whole."""

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


class Pasts:
    """What answers about licenses need beside the licenses themselves, as one snapshot of the register has it.

    Most licenses need nothing. What many need is read ahead at once; of any other it is read when it is asked for.
    """

    __slots__ = ("_former", "_successors", "_unit")

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit
        self._former: dict[str, Mapping[str, tuple[FormerValue, ...]]] = {}
        self._successors: dict[str, tuple[str, ...]] = {}

    async def read_ahead(self, wanted: Iterable[tuple[License, bool]]) -> None:
        """Read for many licenses, each with whether elements were asked: only then do former values matter."""
        changed: dict[str, License] = {}
        ended: set[str] = set()
        for license, compared in wanted:
            if compared and license.version != FIRST_VERSION and license.id not in self._former:
                changed[license.id] = license
            if license.state in MAY_HAVE_SUCCESSORS and license.id not in self._successors:
                ended.add(license.id)
        if ended:
            self._successors.update(await follow(self._unit, sorted(ended)))
        await self._read_former(changed)

    async def of(self, license: License, *, compared: bool) -> Past:
        """Return what an answer about a license needs; `compared` tells whether elements were asked."""
        compared = compared and license.version != FIRST_VERSION
        if not compared and license.state not in MAY_HAVE_SUCCESSORS:
            return NO_PAST
        await self.read_ahead([(license, compared)])
        former = self._former[license.id] if compared else NO_PAST.former
        successors = self._successors.get(license.id, ())
        return Past(former=former, successors=successors) if former or successors else NO_PAST

    async def _read_former(self, changed: Mapping[str, License]) -> None:
        ids = sorted(changed)
        for start in range(0, len(ids), _FILES_AT_ONCE):
            some = ids[start : start + _FILES_AT_ONCE]
            versions = await self._unit.licenses.versions_of_many(some)
            for license_id in some:
                self._former[license_id] = former_values(versions.get(license_id, ()), changed[license_id])
            await asyncio.sleep(0)  # opening the files takes a while: other callers have their turn


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
