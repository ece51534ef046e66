"""What has run out is deleted a limited number of rows at once, so that no statement grows with what has gathered."""

from collections.abc import Awaitable, Callable

import pytest

from app.adapters.db import SqlStore
from app.domain.api_client import Scope
from app.domain.ids import new_id
from app.domain.oauth import AccessToken
from app.domain.presentation_nonce import NonceUse
from app.domain.request_log import LoggedRequest
from app.ports import IdempotencyRow, IdempotentCall, StoredAnswer, UnitOfWork
from app.services.presentation_nonces import PresentationNonceService
from app.services.sweeping import ROWS_AT_ONCE, sweep_all
from tests.builders import NOON, minutes
from tests.installation import MovableClock
from tests.quota_clients import client

pytestmark = pytest.mark.anyio

CLIENT = client()
Add = Callable[[UnitOfWork, int], Awaitable[object]]
Sweep = Callable[[UnitOfWork, int], Awaitable[int]]
LATER = NOON + minutes(60)
AFTER = LATER + minutes(60)


def _answered(number: int) -> IdempotencyRow:
    call = IdempotentCall(client_id="c", method="POST", path="/x", key=f"k{number}", body_sha256="ab" * 32)
    answer = StoredAnswer(status=200, headers={}, body=b"")
    return IdempotencyRow(id=new_id(), call=call, started_at=NOON, expires_at=LATER, answer=answer)


def _token(number: int) -> AccessToken:
    return AccessToken(
        handle=f"t{number}",
        client_id=CLIENT.id,
        secret_sha256="ab" * 32,
        kid="k",
        scopes=frozenset({Scope.VERIFICATIONS_READ}),
        created_at=NOON,
        expires_at=LATER,
    )


def _nonce(number: int) -> NonceUse:
    return NonceUse(client_id=CLIENT.id, nonce_sha256=f"{number:064x}", used_by="x", used_at=NOON)


def _logged(number: int) -> LoggedRequest:
    return LoggedRequest(
        id=f"r{number}",
        client_id=CLIENT.id,
        at=NOON,
        method="GET",
        route="/x",
        status=200,
        request_id="x",
        duration_us=1,
    )


SWEPT: dict[str, tuple[Add, Sweep]] = {
    "answers": (
        lambda unit, n: unit.idempotency.add(_answered(n)),
        lambda unit, limit: unit.idempotency.sweep(now=AFTER, limit=limit),
    ),
    "guesses": (
        lambda unit, n: unit.guessing.add(CLIENT.id, f"s{n}", times=1, at=NOON, before=NOON - minutes(60)),
        lambda unit, limit: unit.guessing.sweep(now=AFTER, before=LATER, limit=limit),
    ),
    "access tokens": (
        lambda unit, n: unit.oauth.add_token(_token(n)),
        lambda unit, limit: unit.oauth.sweep(now=AFTER, limit=limit),
    ),
    "used assertions": (
        lambda unit, n: unit.oauth.use_assertion(CLIENT.id, f"j{n}", expires_at=LATER),
        lambda unit, limit: unit.oauth.sweep(now=AFTER, limit=limit),
    ),
    "used nonces": (
        lambda unit, n: unit.presentation_nonces.use([_nonce(n)]),
        lambda unit, limit: unit.presentation_nonces.sweep(before=AFTER, limit=limit),
    ),
    "request log": (
        lambda unit, n: unit.request_log.add_many([_logged(n)]),
        lambda unit, limit: unit.request_log.sweep(before=AFTER, limit=limit),
    ),
}


@pytest.mark.parametrize("swept", SWEPT)
async def test_no_more_rows_than_the_limit_are_deleted_at_once(swept: str, store: SqlStore) -> None:
    add, sweep = SWEPT[swept]
    await store.write(lambda unit: unit.api_clients.add(CLIENT))
    for number in range(5):
        await store.write(lambda unit, n=number: add(unit, n))
    assert await store.write(lambda unit: sweep(unit, 2)) == 2
    assert await sweep_all(store, sweep, at_once=2) == 3
    assert await store.write(lambda unit: sweep(unit, 2)) == 0


async def test_tokens_and_assertions_share_one_limit(store: SqlStore) -> None:
    await store.write(lambda unit: unit.api_clients.add(CLIENT))
    for number in range(2):
        await store.write(lambda unit, n=number: unit.oauth.add_token(_token(n)))
        await store.write(lambda unit, n=number: SWEPT["used assertions"][0](unit, n))
    assert await store.write(lambda unit: unit.oauth.sweep(now=AFTER, limit=3)) == 3
    assert await store.write(lambda unit: unit.oauth.sweep(now=AFTER, limit=3)) == 1


async def test_whatever_has_gathered_is_gone_after_one_turn_of_the_worker(
    store: SqlStore, statements: list[tuple[str, object]]
) -> None:
    gathered = ROWS_AT_ONCE + 1
    await store.write(lambda unit: unit.presentation_nonces.use([_nonce(n) for n in range(gathered)]))
    del statements[:]
    service = PresentationNonceService(store, MovableClock())
    assert await service.sweep() == gathered
    assert sum(sql.startswith("DELETE") for sql, _ in statements) == 2
