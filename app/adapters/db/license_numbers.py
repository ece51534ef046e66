"""Who holds which number: the one table where the uniqueness of license numbers lives."""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import delete, select

from app.adapters.db.session import Session
from app.adapters.db.tables import license_numbers, licenses
from app.domain.errors import NumberTaken
from app.domain.license import License

_KEYS_PER_QUERY: Final = 1000


async def hold_numbers(session: Session, wanted: Sequence[License]) -> None:
    """Hold the number of each license (to be) for its id. Holding what one holds already changes nothing.

    Raises NumberTaken when another license or open intent holds one of them, or two of `wanted` want the same.
    """
    missing: dict[tuple[str, str], str] = {}
    for type_code, group in _by_type(wanted).items():
        holders = await _holders(session, type_code, sorted(group))
        for number, license_id in group.items():
            if number not in holders:
                missing[type_code, number] = license_id
            elif holders[number] != license_id:
                raise NumberTaken
    if not missing:
        return
    # In the order of the key, so that two chunks that overlap meet at their first common number instead of
    # holding one each. Who loses a race waits for the winner's commit here, and is then refused by the key.
    rows = [
        {"type_code": type_code, "number": number, "license_id": license_id}
        for (type_code, number), license_id in sorted(missing.items())
    ]
    await session.insert_many(license_numbers, rows)


async def free_number(session: Session, license_: License) -> None:
    """Free the number a license that never came to be was holding; one that exists keeps its number for ever."""
    exists = select(licenses.c.id).where(licenses.c.id == license_.id).exists()
    await session.run(
        delete(license_numbers).where(
            license_numbers.c.type_code == license_.type_code,
            license_numbers.c.number == license_.number,
            license_numbers.c.license_id == license_.id,
            ~exists,
        )
    )


async def held_numbers(session: Session, *, type_code: str, numbers: Sequence[str]) -> frozenset[str]:
    """Return those of the numbers that a license or an open intent of the type holds."""
    return frozenset(await _holders(session, type_code, numbers))


async def _holders(session: Session, type_code: str, numbers: Sequence[str]) -> dict[str, str]:
    holders: dict[str, str] = {}
    for start in range(0, len(numbers), _KEYS_PER_QUERY):
        statement = select(license_numbers.c.number, license_numbers.c.license_id).where(
            license_numbers.c.type_code == type_code,
            license_numbers.c.number.in_(numbers[start : start + _KEYS_PER_QUERY]),
        )
        holders.update((row.number, row.license_id) for row in await session.rows(statement))
    return holders


def _by_type(wanted: Iterable[License]) -> dict[str, dict[str, str]]:
    groups: dict[str, dict[str, str]] = {}
    for license_ in wanted:
        group = groups.setdefault(license_.type_code, {})
        if group.setdefault(license_.number, license_.id) != license_.id:
            raise NumberTaken
    return groups
