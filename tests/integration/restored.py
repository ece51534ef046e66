"""A register that goes on after its backup was taken: what it gave out then, and what the backup knows."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.adapters.high_water import HighWaterFile
from app.domain.high_water import KeptOutside
from app.domain.license import Action, License
from app.domain.publication import DocumentKind
from app.ports import UnitOfWork
from app.services.container import Services
from tests.backups import Backups
from tests.installation import (
    BUSINESS_LICENSE,
    OTHER_AREA,
    OTHER_AUTHORITY,
    Installation,
    open_again,
    open_installation,
)

NUMBERS = [f"N-{number}" for number in range(40)]


@dataclass
class Lost:
    """What was given out after the backup was taken, and is not in it."""

    tokens: list[str] = field(default_factory=list)
    identifiers: set[str] = field(default_factory=set)
    places: set[tuple[str, int]] = field(default_factory=set)
    list_versions: dict[str, int] = field(default_factory=dict)
    freshness: int = 0
    bundle: bytes = b""


async def places(services: Services, numbers: Sequence[str] | None = None) -> set[tuple[str, int]]:
    """Return every status list entry that a version of a license owns."""

    async def work(unit: UnitOfWork) -> set[tuple[str, int]]:
        found = await unit.licenses.by_numbers(type_code=BUSINESS_LICENSE, numbers=numbers or NUMBERS)
        versions = [await unit.licenses.versions(license.id) for license in found.values()]
        return {(one.status_list_id, one.status_index) for rows in versions for one in rows}

    return await services.store.read(work)


async def issue(installation: Installation, numbers: Sequence[str], **changes: object) -> list[License]:
    return [await installation.issue(number=number, **changes) for number in numbers]


@asynccontextmanager
async def installed(database_url: str, folder: Path, backups: Backups) -> AsyncIterator[Installation]:
    """Make a register of four licenses and its backup; give it at rest."""
    async with open_installation(database_url, folder) as installation:
        await issue(installation, NUMBERS[:4])
        await installation.services.status_lists.publish_due()
        await installation.services.high_water.close()
    backups.take()
    yield installation


async def go_on(installation: Installation) -> Lost:
    """Work after the backup: licenses of two authorities, a list that begins, a revocation, publications."""
    lost = Lost()
    async with open_again(installation) as later:
        services = later.services
        before = await places(services)
        made = await issue(later, NUMBERS[4:7])
        other = {"authority_code": OTHER_AUTHORITY, "area_code": OTHER_AREA}
        made += await issue(later, NUMBERS[7:9], **other)
        await services.lifecycle.act(
            Action.REVOKE,
            made[0].id,
            reason_code="x",
            reason="x",
            caller=await later.caller("authority"),
            call=None,
        )
        await services.status_lists.publish_due()
        lost.tokens = [await later.credential(license) for license in made]
        lost.identifiers = {license.identifier for license in made}
        lost.places = await places(services) - before
        lists = await services.store.read(lambda unit: unit.status.lists())
        lost.list_versions = {row.id: row.seq for row in lists}
        current = await services.freshness.current()
        lost.freshness = current.sequence
        lost.bundle = await services.freshness.bundle()
        await services.high_water.close()
    return lost


async def signed_rows(services: Services) -> tuple[int, int, int]:
    """Count rows that hold a signature: licenses' versions, list versions, documents."""

    async def work(unit: UnitOfWork) -> tuple[int, int, int]:
        numbers = await unit.licenses.by_numbers(type_code=BUSINESS_LICENSE, numbers=NUMBERS)
        lists = await unit.status.lists()
        documents = [len(await unit.documents.all(kind)) for kind in DocumentKind]
        return len(numbers), sum(row.seq for row in lists), sum(documents)

    return await services.store.read(work)


def kept(installation: Installation) -> KeptOutside:
    held = HighWaterFile(installation.settings.keys_dir).load()
    assert held is not None
    return held
