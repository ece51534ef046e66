"""Areas, license types and authorities: read by everything, changed by `setup apply`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.domain.authority import Area, Authority, LicenseType, SetupOutcome, SetupPlan
from app.domain.directory import Directory
from app.domain.errors import DomainError
from app.domain.events import AuditEntry
from app.domain.ids import new_id
from app.domain.setup_rules import plan_problems
from app.domain.type_versions import following, settled
from app.ports import Clock, DirectoryRepository, Store, UnitOfWork
from app.services.recent import Recent

Item = TypeVar("Item", Area, LicenseType, Authority)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """What applying would do to one kind of definition."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]


class DirectoryService:
    """The directory, at most a second old, and the one way to change it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._recent: Recent[Directory] = Recent(clock, self._load)

    async def snapshot(self) -> Directory:
        """Return the directory as it stood at most a second ago."""
        return await self._recent.get()

    async def apply(self, plan: SetupPlan, *, dry_run: bool, actor: str) -> SetupOutcome:
        """Merge definitions by code, never deleting; say what was (or with `dry_run` would be) done.

        Raises DomainError `invalid_request` for all that `plan_problems` names.
        """

        async def work(unit: UnitOfWork) -> SetupOutcome:
            directory = await read_directory(unit.directory)
            definitions = settled(plan, directory.license_types)
            errors = plan_problems(definitions, directory)
            if errors:
                raise DomainError("invalid_request", "the definitions cannot be applied", errors=errors)
            if not dry_run:
                await self._put_differences(unit, definitions, directory, actor)
            return _outcome(definitions, directory)

        outcome = await (self._store.read(work) if dry_run else self._store.write(work))
        self._recent.forget()
        return outcome

    async def _load(self, held: Directory | None) -> Directory:
        async def work(unit: UnitOfWork) -> Directory:
            if held is not None and await unit.directory.revision() == held.revision:
                return held
            return await read_directory(unit.directory)

        return await self._store.read(work)

    async def _put_differences(
        self, unit: UnitOfWork, plan: SetupPlan, directory: Directory, actor: str
    ) -> None:
        held = directory.license_types
        types = [
            following(item, held[item.code]) if item.code in held else item for item in plan.license_types
        ]
        changed = [
            *await _put(plan.areas, directory.areas, unit.directory.put_area),
            *await _put(types, directory.license_types, unit.directory.put_license_type),
            *await _put(plan.authorities, directory.authorities, unit.directory.put_authority),
        ]
        at = self._clock.now()
        await unit.journal.add_audit(
            [
                AuditEntry(id=new_id(), at=at, actor=actor, action="setup.apply", subject=code, outcome="ok")
                for code in changed
            ]
        )


async def read_directory(repository: DirectoryRepository) -> Directory:
    """Read the whole directory inside a unit of work."""
    return Directory(
        revision=await repository.revision(),
        areas={area.code: area for area in await repository.areas()},
        license_types={item.code: item for item in await repository.license_types()},
        authorities={item.code: item for item in await repository.authorities()},
    )


async def _put(
    items: Sequence[Item], held: Mapping[str, Item], put: Callable[[Item], Awaitable[None]]
) -> Sequence[str]:
    different = [item for item in items if held.get(item.code) != item]
    for item in different:
        await put(item)
    return [item.code for item in different]


def _compare(items: Sequence[Item], held: Mapping[str, Item]) -> _Comparison:
    return _Comparison(
        added=tuple(item.code for item in items if item.code not in held),
        changed=tuple(item.code for item in items if item.code in held and held[item.code] != item),
        unchanged=tuple(item.code for item in items if held.get(item.code) == item),
    )


def _outcome(plan: SetupPlan, directory: Directory) -> SetupOutcome:
    kinds = {
        "areas": _compare(plan.areas, directory.areas),
        "license_types": _compare(plan.license_types, directory.license_types),
        "authorities": _compare(plan.authorities, directory.authorities),
    }
    return SetupOutcome(
        added={kind: found.added for kind, found in kinds.items()},
        changed={kind: found.changed for kind, found in kinds.items()},
        unchanged={kind: found.unchanged for kind, found in kinds.items()},
    )
