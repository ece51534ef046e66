"""Public keys: stored once, with one use."""

from dataclasses import replace

import pytest

from app.adapters.db import SqlStore
from app.domain.errors import DomainError
from app.domain.publication import ServiceKey
from tests.builders import AUTHORITY_CODE, NOON, minutes

pytestmark = pytest.mark.anyio

KEY = ServiceKey(
    kid="kid-1",
    use="credential",
    profile="es256",
    jwk={"kty": "EC", "crv": "P-256", "x": "x", "y": "y"},
    authority_code=AUTHORITY_CODE,
    uri="file:kid-1",
    valid_from=NOON,
    valid_until=NOON + minutes(5),
)


async def test_keys_come_back_as_they_were_added(store: SqlStore) -> None:
    older = replace(KEY, kid="kid-2", use="status", authority_code=None, valid_from=NOON - minutes(1))
    await store.write(lambda unit: unit.keys.add(KEY))
    await store.write(lambda unit: unit.keys.add(older))
    assert await store.read(lambda unit: unit.keys.all()) == [older, KEY]


async def test_one_key_has_one_use(store: SqlStore) -> None:
    await store.write(lambda unit: unit.keys.add(KEY))
    with pytest.raises(DomainError) as refused:
        await store.write(lambda unit: unit.keys.add(replace(KEY, use="receipt")))
    assert refused.value.code == "conflict"
