"""A past moment judged offline as online, over the real HTTP, after the key that signed its lists was stolen."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from app.domain.license import Action
from elicense import Elicense, OfflineVerifier
from elicense.client._evidence import BundleUpdate
from elicense.client._protocol import Request, Response, Timeout
from elicense.client._updating import fetch_update
from elicense.encoding import rfc3339
from tests.amending import act
from tests.integration.bystander import add_witness, key_of, witness
from tests.integration.http_service import HttpService, open_http
from tests.integration.test_key_compromise import declare, settle

pytestmark = pytest.mark.anyio


class InProcess:
    """Carries the SDK's calls from its thread to the service in the test's own loop."""

    def __init__(self, service: HttpService) -> None:
        self.service = service
        self.loop = asyncio.get_running_loop()

    def send(self, request: Request, *, timeout: Timeout) -> Response:
        path = request.url.removeprefix("http://service.example")
        call = self.service.call(None, request.method, path, headers=dict(request.headers))
        answer = asyncio.run_coroutine_threadsafe(call, self.loop).result(30)
        return Response(status=answer.status_code, headers=dict(answer.headers), body=answer.content)

    def close(self) -> None: ...


async def fetch(service: HttpService, *, root: bytes, held: bytes | None, at: datetime) -> BundleUpdate:
    client = Elicense(base_url="http://service.example", transport=InProcess(service), max_retries=0)
    now = service.installation.clock.now()
    return await asyncio.to_thread(fetch_update, client.trust, trust_root=root, held=held, now=now, at=at)


async def test_offline_a_past_moment_is_judged_as_online_when_its_status_key_was_stolen_since(
    database_url: str, tmp_path: Path
) -> None:
    async with open_http(database_url, tmp_path) as service:
        installation, services = service.installation, service.installation.services
        await add_witness(installation)
        license = await installation.issue()
        token = await installation.credential(license)
        root = (await services.trust_list.root(1)).content
        moments = []
        for action in (Action.SUSPEND, Action.RESUME, None):
            await settle(installation)
            moments.append(installation.clock.now().replace(microsecond=0))
            installation.clock.advance(seconds=300)
            if action is not None:
                await act(installation, action, license.id)
        await settle(installation)
        await witness(installation)
        await declare(installation, (await key_of(installation, "status")).kid)
        await settle(installation)
        held = None
        for at, expected in zip(moments, ("ok", "suspended", "ok"), strict=True):
            update = await fetch(service, root=root, held=held, at=at)
            assert update.uncovered == 0
            held = update.content
            online = await service.verify(credential=token, at=rfc3339(at))
            verifier = OfflineVerifier(trust_root=root, bundle=held, clock=installation.clock.now)
            offline = verifier.verify(token, at=at)
            assert (online["reason"], offline.reason.value) == (expected, expected)
            assert offline.status_source is not None
            assert offline.status_source["sha256"] == online["status_source"]["sha256"]
