"""The installation's facts are written once."""

from datetime import UTC, datetime

import pytest

from app.adapters.db import SqlStore
from app.domain.errors import DomainError
from app.domain.publication import Installation

pytestmark = pytest.mark.anyio

FACTS = Installation(
    issuer_url="https://demo.elicense.example",
    env="test",
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
)


async def test_a_new_database_belongs_to_no_installation(store: SqlStore) -> None:
    assert await store.read(lambda unit: unit.installation.get()) is None


async def test_facts_come_back_as_they_were_stored(store: SqlStore) -> None:
    await store.write(lambda unit: unit.installation.create(FACTS))
    assert await store.read(lambda unit: unit.installation.get()) == FACTS


async def test_a_second_installation_is_refused(store: SqlStore) -> None:
    await store.write(lambda unit: unit.installation.create(FACTS))
    with pytest.raises(DomainError) as refused:
        await store.write(lambda unit: unit.installation.create(FACTS))
    assert refused.value.code == "conflict"
