"""Questions that wait for the database: judged by what holds when their transaction begins, and each for itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.domain.license import License
from app.domain.verification import LicenseReference, Question
from app.ports import Store, UnitOfWork
from app.services.container import Services
from tests.installation import AUTHORITY, Installation, idempotent, open_installation, services_over
from tests.integration.bystander import add_witness, key_of
from tests.integration.test_key_compromise import declare

pytestmark = pytest.mark.anyio
T = TypeVar("T")
Work = Callable[[UnitOfWork], Awaitable[T]]


@pytest.fixture
async def installation(database_url: str, tmp_path: Path) -> AsyncIterator[Installation]:
    async with open_installation(database_url, tmp_path) as opened:
        yield opened


class SlowToBegin:
    """A store whose next read or write begins only after something else has happened."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.before: dict[str, Callable[[], Awaitable[None]]] = {}

    async def write(self, work: Work[T]) -> T:
        await self._wait("write")
        return await self._store.write(work)

    async def read(self, work: Work[T]) -> T:
        await self._wait("read")
        return await self._store.read(work)

    async def _wait(self, kind: str) -> None:
        happens = self.before.pop(kind, None)
        if happens is not None:
            await happens()


def over(installation: Installation, store: object) -> Services:
    signers = FileSigners(KeyFolder(path=installation.settings.keys_dir, development=True))
    return services_over(installation, store, signers)  # type: ignore[arg-type]


async def alone(services: Services, installation: Installation, token: str) -> Any:
    caller = await installation.caller("platform")
    return (await services.verification.verify(Question(credential=token), caller=caller, call=None)).body


async def repeatably(services: Services, installation: Installation, token: str) -> Any:
    caller, question = await installation.caller("platform"), Question(credential=token)
    call = idempotent("k", path="/v1/verifications", client_id=caller.client.id)
    return (await services.verification.verify(question, caller=caller, call=call)).body


async def in_a_batch(services: Services, installation: Installation, token: str) -> Any:
    caller = await installation.caller("platform")
    answer = await services.verification.batch([Question(credential=token)], caller=caller, call=None)
    assert answer.body is not None
    return answer.body["results"][0]  # type: ignore[index]


@pytest.mark.parametrize(("ask", "waits_to"), [(alone, "write"), (repeatably, "read"), (in_a_batch, "read")])
async def test_a_question_that_waited_is_judged_by_the_trust_and_the_time_of_when_it_is_read(
    installation: Installation,
    ask: Callable[[Services, Installation, str], Awaitable[Any]],
    waits_to: str,
) -> None:
    await add_witness(installation)
    token = await installation.credential(await installation.issue())
    await installation.services.log_sequencer.run_until_done()
    store = SlowToBegin(installation.services.store)
    services = over(installation, store)
    assert (await alone(services, installation, token))["reason"] == "ok"
    key = await key_of(installation, "credential", AUTHORITY)

    async def lose_the_key() -> None:
        await declare(installation, key.kid, since=installation.clock.now() - timedelta(hours=1))
        installation.clock.advance(seconds=60)

    begun = installation.clock.now()
    store.before[waits_to] = lose_the_key
    body = await ask(services, installation, token)
    assert body["reason"] == "key_compromised"
    assert datetime.fromisoformat(body["verified_at"]) >= begun.replace(microsecond=0) + timedelta(seconds=60)


async def test_a_row_that_cannot_be_read_fails_the_question_about_it_and_none_of_those_asked_with_it(
    installation: Installation,
) -> None:
    licenses = [await installation.issue() for _ in range(5)]
    engine = create_async_engine(installation.settings.database_url)
    async with engine.begin() as connection:
        spoil = text("UPDATE licenses SET elements = '{oops' WHERE id = :id")
        await connection.execute(spoil, {"id": licenses[2].id})
    await engine.dispose()
    services, caller = installation.services, await installation.caller("platform")

    async def ask(license: License) -> object:
        question = Question(license=LicenseReference(identifier=license.identifier))
        answer = await services.verification.verify(question, caller=caller, call=None)
        return None if answer.record is None else answer.record.reason

    outcomes = await asyncio.gather(*(ask(license) for license in licenses), return_exceptions=True)
    assert isinstance(outcomes[2], Exception)
    assert [*outcomes[:2], *outcomes[3:]] == ["ok"] * 4
    kept, _ = await services.verification.list(
        caller=caller, reference=None, due_before=None, cursor=None, limit=10
    )
    assert len(kept) == 4
