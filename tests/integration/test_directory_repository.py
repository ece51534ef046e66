"""Areas, license types and authorities come back whole, and every put raises the revision."""

import asyncio
from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.db import SqlStore
from app.domain.authority import (
    Area,
    Authority,
    AuthorityStatus,
    ElementDefinition,
    ElementKind,
    IssuingScope,
    LicenseType,
)
from tests.builders import AUTHORITY_CODE, TYPE_CODE

pytestmark = pytest.mark.anyio

AREA = Area(code="320100", name="南京市")
LICENSE_TYPE = LicenseType(
    code=TYPE_CODE,
    name="营业执照",
    name_en="Business license",
    defining_authority="11100000MB0143028R",
    schema_version=2,
    elements=(
        ElementDefinition(
            name="address",
            label="住所",
            label_en="address",
            kind=ElementKind.ADDRESS,
            required=True,
            disclosable=False,
            max_length=9,
        ),
        ElementDefinition(name="note", label="备注", label_en="note"),
    ),
    demonstration=True,
    description="一种\n证照",
    two_person=("revoke", "cancel"),
)
AUTHORITY = Authority(
    code=AUTHORITY_CODE,
    name="演示市场监督管理局",
    level="province",
    area_code="320000",
    parent="11320000MB0000000X",
    status=AuthorityStatus.ENDED,
    scopes=(
        IssuingScope(type_code=TYPE_CODE, areas=("32", "320100"), valid_from=date(2020, 1, 1)),
        IssuingScope(type_code="T-2", areas=(), valid_until=date(2030, 12, 31)),
    ),
)


async def test_an_empty_directory_has_revision_zero(store: SqlStore) -> None:
    assert await store.read(lambda unit: unit.directory.revision()) == 0
    assert await store.read(lambda unit: unit.directory.areas()) == []


async def test_definitions_come_back_as_they_were_put(store: SqlStore) -> None:
    await store.write(lambda unit: unit.directory.put_area(AREA))
    await store.write(lambda unit: unit.directory.put_license_type(LICENSE_TYPE))
    await store.write(lambda unit: unit.directory.put_authority(AUTHORITY))
    assert await store.read(lambda unit: unit.directory.areas()) == [AREA]
    assert await store.read(lambda unit: unit.directory.license_types()) == [LICENSE_TYPE]
    assert await store.read(lambda unit: unit.directory.authorities()) == [AUTHORITY]
    assert await store.read(lambda unit: unit.directory.revision()) == 3


async def test_a_second_put_replaces(store: SqlStore) -> None:
    changed = replace(AUTHORITY, status=AuthorityStatus.ACTIVE, parent=None, scopes=())
    await store.write(lambda unit: unit.directory.put_authority(AUTHORITY))
    await store.write(lambda unit: unit.directory.put_authority(changed))
    assert await store.read(lambda unit: unit.directory.authorities()) == [changed]
    assert await store.read(lambda unit: unit.directory.revision()) == 2


async def test_concurrent_puts_each_raise_the_revision(store: SqlStore, another_store: SqlStore) -> None:
    async def put(who: int) -> None:
        area = Area(code=f"3201{who:02}", name=str(who))
        await (store, another_store)[who % 2].write(lambda unit: unit.directory.put_area(area))

    await asyncio.gather(*(put(who) for who in range(10)))
    assert await store.read(lambda unit: unit.directory.revision()) == 10
    assert len(await store.read(lambda unit: unit.directory.areas())) == 10


async def test_what_a_later_version_adds_to_a_definition_is_passed_over(
    store: SqlStore, database_url: str
) -> None:
    await store.write(lambda unit: unit.directory.put_license_type(LICENSE_TYPE))
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        held = str(await connection.scalar(text("SELECT definition FROM license_types")))
        changed = '{"of_tomorrow": 1, ' + held[1:]
        await connection.execute(text("UPDATE license_types SET definition = :changed"), {"changed": changed})
    await engine.dispose()
    assert "earlier" not in held  # the version before knows no such member
    assert await store.read(lambda unit: unit.directory.license_types()) == [LICENSE_TYPE]
