"""API clients and their keys: several live at once, ended by time or revocation."""

from dataclasses import replace

import pytest

from app.adapters.db import SqlStore
from app.domain.api_client import DEFAULT_SCOPES, ApiClient, ApiKey, ClientKind
from app.domain.errors import DomainError
from app.domain.ids import ClientId
from app.ports import UnitOfWork
from tests.builders import AUTHORITY_CODE, NOON, minutes

pytestmark = pytest.mark.anyio

CLIENT = ApiClient(
    id=ClientId("client-1"),
    name="演示平台",
    kind=ClientKind.PLATFORM,
    authority_code=None,
    holder_code=None,
    scopes=DEFAULT_SCOPES[ClientKind.PLATFORM],
    purposes=("merchant_onboarding", "periodic_reverification"),
    default_purpose="merchant_onboarding",
    calls_per_minute=60,
    batch_limit=100,
    created_at=NOON,
)
OTHER = replace(
    CLIENT, id=ClientId("client-2"), name="another", kind=ClientKind.AUTHORITY, authority_code=AUTHORITY_CODE
)


def _key(handle: str, *, age: float = 0, client: ApiClient = CLIENT) -> ApiKey:
    return ApiKey(
        handle=handle,
        client_id=client.id,
        secret_sha256="ab" * 32,
        prefix="elk_live_",
        created_at=NOON - minutes(age),
    )


async def _with_keys(store: SqlStore, *keys: ApiKey) -> None:
    async def add(unit: UnitOfWork) -> None:
        await unit.api_clients.add(CLIENT)
        await unit.api_clients.add(OTHER)
        for key in keys:
            await unit.api_clients.add_key(key)

    await store.write(add)


async def test_a_client_is_found_by_id_name_and_key_handle(store: SqlStore) -> None:
    await _with_keys(store, _key("aa"), _key("bb", age=1), _key("cc", client=OTHER))

    async def read(unit: UnitOfWork) -> None:
        clients = unit.api_clients
        assert await clients.get(CLIENT.id) == CLIENT
        assert await clients.by_name("演示平台") == CLIENT
        assert await clients.by_handle("bb") == (CLIENT, _key("bb", age=1))
        assert await clients.get("x") is await clients.by_name("x") is await clients.by_handle("x") is None
        listed = {held.client.name: held.keys for held in await clients.all()}
        assert listed == {"演示平台": (_key("aa"), _key("bb", age=1)), "another": (_key("cc", client=OTHER),)}

    await store.read(read)


async def test_names_and_handles_are_unique_and_keys_need_their_client(store: SqlStore) -> None:
    await _with_keys(store, _key("aa"))
    with pytest.raises(DomainError, match="conflict"):
        await store.write(lambda unit: unit.api_clients.add(replace(CLIENT, id=ClientId("client-3"))))
    with pytest.raises(DomainError, match="conflict"):
        await store.write(lambda unit: unit.api_clients.add_key(_key("aa", age=2)))
    orphan = replace(_key("dd"), client_id=ClientId("unknown"))
    with pytest.raises(DomainError, match="not_found"):
        await store.write(lambda unit: unit.api_clients.add_key(orphan))


async def test_rotation_ends_the_other_keys_but_prolongs_none(store: SqlStore) -> None:
    soon, later = NOON + minutes(1), NOON + minutes(10)
    await _with_keys(store, _key("new"), _key("old"), replace(_key("ending"), expires_at=soon))
    await store.write(
        lambda unit: unit.api_clients.expire_keys(CLIENT.id, expires_at=later, except_handle="new")
    )
    (_, held) = await store.read(lambda unit: unit.api_clients.all())
    ends = {key.handle: key.expires_at for key in held.keys}
    assert ends == {"new": None, "old": later, "ending": soon}


async def test_a_client_is_revoked_once_with_all_its_keys(store: SqlStore) -> None:
    await _with_keys(store, _key("aa"), _key("bb"), _key("cc", client=OTHER))

    async def revoke(client_id: str) -> bool:
        return await store.write(lambda unit: unit.api_clients.revoke(client_id, at=NOON))

    assert [await revoke(CLIENT.id), await revoke(CLIENT.id), await revoke("unknown")] == [True, False, False]
    found = await store.read(lambda unit: unit.api_clients.by_handle("aa"))
    assert found == (replace(CLIENT, revoked_at=NOON), replace(_key("aa"), revoked_at=NOON))
    assert await store.read(lambda unit: unit.api_clients.by_handle("cc")) == (
        OTHER,
        _key("cc", client=OTHER),
    )
