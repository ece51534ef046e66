"""The SDK's client for asyncio against the real application: many tasks, one client, one access token."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.domain.api_client import ClientKind
from elicense import AsyncElicense, HolderSigner, Timeout
from elicense.client._protocol import Request, Response
from elicense.client.errors import APIStatusError, NotFoundError
from tests.installation import ISSUER_URL
from tests.integration.http_service import HttpService, open_http

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)]
MANY = 100


class Door:
    """Carries the SDK's requests to the application and remembers their paths."""

    def __init__(self, service: HttpService) -> None:
        self._service = service
        self.paths: list[str] = []

    async def send(self, request: Request, *, timeout: Timeout) -> Response:  # noqa: ASYNC109
        self.paths.append(request.url.removeprefix("https://service.example"))
        answer = await self._service.http.request(
            request.method, request.url, headers=dict(request.headers), content=request.body
        )
        return Response(status=answer.status_code, headers=dict(answer.headers), body=answer.content)

    async def aclose(self) -> None: ...


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def test_a_hundred_verifications_at_once_need_one_token(service: HttpService) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    await service.add_client("oauth bank", kind=ClientKind.BANK)
    oauth, jwk = service.installation.services.oauth, dict(HolderSigner.from_pem(pem).public_key.jwk)
    registered = await oauth.register_jwk("oauth bank", jwk, actor="test")
    issued = await service.issue()
    door = Door(service)
    async with AsyncElicense(
        client_id=registered.client_id,
        private_key=pem,
        issuer=ISSUER_URL,
        base_url="https://service.example",
        transport=door,
    ) as bank:
        question = {"number": issued["number"], "type_code": issued["type_code"]}
        answers = await asyncio.gather(
            *(bank.verifications.create(license=question, reference=f"r-{number}") for number in range(MANY))
        )
        assert [one.reference for one in answers] == [f"r-{number}" for number in range(MANY)]
        assert all(answers)
        assert len({one.id for one in answers}) == MANY
        assert door.paths.count("/oauth/token") == 1
        # Once the key is ended no token is to be had any more, for nobody.
        await oauth.end_jwk("oauth bank", registered.kid, actor="test")
        refused = await asyncio.gather(
            *(bank.verifications.get(one.id) for one in answers[:10]), return_exceptions=True
        )
        assert [one.status_code for one in refused if isinstance(one, APIStatusError)] == [401] * 10


async def test_a_department_and_a_platform_work_as_with_the_blocking_client(service: HttpService) -> None:
    department, platform = (
        AsyncElicense(
            api_key=service.installation.keys[role],
            base_url="https://service.example",
            transport=Door(service),
        )
        for role in ("authority", "platform")
    )
    new = service.installation.new_license()
    issued = await department.licenses.issue(
        type_code=new.type_code,
        number=new.number,
        holder={"code": new.holder.code, "code_type": new.holder.code_type, "name": new.holder.name},
        area_code=new.area_code,
        issue_date=new.issue_date,
        valid_from=new.valid_from,
        elements=dict(new.elements),
    )
    assert (await department.licenses.get(issued.id)).number == new.number
    assert [one.id async for one in department.licenses.iterate(number=new.number)] == [issued.id]
    credential = await department.licenses.credential(issued.id)
    batch = await platform.verifications.batch([{"credential": credential}, {"nothing": 1}])
    assert [one.verdict for one in batch.results] == ["valid", "invalid"]
    suspended = await department.licenses.suspend(issued.id, reason_code="inspection", reason="现场检查")
    assert suspended.status == "suspended"
    assert [one.action for one in await department.licenses.history(issued.id)] == ["issue", "suspend"]
    made = await platform.policies.create("strict", {"max_status_age": "1h"})
    assert await platform.policies.get("strict") == made
    with pytest.raises(NotFoundError):
        await platform.policies.get("nobodys")
