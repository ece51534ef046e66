"""The holder's key in a license's file: taken at issue, kept over versions, never passed on to another holder."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from elicense.credential import parse_credential
from tests.installation import uscc
from tests.integration.http_service import HttpService, assert_problem, license_body, open_http
from tests.simulated_signers import SimulatedSigner

pytestmark = pytest.mark.anyio

HOLDER, OTHER = SimulatedSigner(), SimulatedSigner()
KEY, OTHER_KEY = dict(HOLDER.public_key.jwk), dict(OTHER.public_key.jwk)
on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def change(service: HttpService, license_id: str, action: str, **body: Any) -> dict[str, Any]:
    response = await service.call(
        "authority",
        "POST",
        f"/v1/licenses/{license_id}/{action}",
        json={"reason_code": "wallet", "reason": "更换钱包", **body},
    )
    assert response.status_code == 200, response.text
    license_: dict[str, Any] = response.json()
    return license_


async def named_key(service: HttpService, license_: dict[str, Any]) -> object:
    """Return the key in the file of the version in force; what the register shows must be its thumbprint."""
    cnf = parse_credential(await service.credential(license_["id"])).cnf
    shown = license_["holder_key_thumbprint"]
    assert shown == (None if cnf is None else (HOLDER if cnf["jwk"] == KEY else OTHER).public_key.kid)
    return None if cnf is None else cnf["jwk"]


async def test_a_key_stays_from_version_to_version_until_it_is_replaced_or_taken_away(
    service: HttpService,
) -> None:
    issued = await service.issue(holder_key=KEY)
    assert await named_key(service, issued) == KEY
    read = await service.call("holder", "GET", f"/v1/licenses/{issued['id']}")
    assert read.json() == issued
    amended = await change(service, issued["id"], "amend", elements={"address": "南京市示例路2号"})
    assert await named_key(service, amended) == KEY
    renewed = await change(service, issued["id"], "renew", valid_until=None)
    assert await named_key(service, renewed) == KEY
    replaced = await change(service, issued["id"], "amend", holder_key=OTHER_KEY)
    assert await named_key(service, replaced) == OTHER_KEY
    entry = (await service.call("authority", "GET", f"/v1/licenses/{issued['id']}/history")).json()["data"][
        -1
    ]
    assert entry["details"]["changed"] == "holder_key" and KEY["x"] not in str(entry)
    assert await named_key(service, await change(service, issued["id"], "amend", holder_key=None)) is None


@on_sqlite
async def test_another_holder_does_not_inherit_the_key(service: HttpService) -> None:
    issued = await service.issue(holder_key=KEY)
    renamed = await change(service, issued["id"], "amend", holder={"name": "南京示例商贸集团有限公司"})
    assert await named_key(service, renamed) == KEY
    moved = await change(service, issued["id"], "amend", holder={"code": uscc(2), "name": "他人有限公司"})
    assert await named_key(service, moved) is None
    given = await change(service, issued["id"], "amend", holder={"code": uscc(3)}, holder_key=OTHER_KEY)
    assert await named_key(service, given) == OTHER_KEY


@on_sqlite
async def test_a_key_as_browsers_export_it_goes_into_the_file_in_its_one_form(service: HttpService) -> None:
    exported = {**KEY, "key_ops": ["verify"], "ext": True}
    issued = await service.issue(holder_key=exported)
    assert await named_key(service, issued) == KEY
    amended = await change(service, issued["id"], "amend", holder_key={**OTHER_KEY, "ext": True})
    assert await named_key(service, amended) == OTHER_KEY


@on_sqlite
async def test_a_license_without_a_key_says_so(service: HttpService) -> None:
    assert await named_key(service, await service.issue()) is None


@on_sqlite
@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"kty": "EC", "crv": "P-256", "x": KEY["x"]},
        {**KEY, "d": KEY["x"]},
        {**KEY, "crv": "P-384"},
        {**KEY, "y": KEY["x"]},
        {**KEY, "x": KEY["x"] + "="},
        {**KEY, "jku": "x"},
        {**KEY, "kid": "another"},
        {**KEY, "use": "enc"},
        {"kty": "OKP", "crv": "Ed25519", "x": KEY["x"]},
    ],
)
async def test_what_is_no_public_key_of_a_holder_is_refused_and_not_repeated(
    service: HttpService, wrong: dict[str, str]
) -> None:
    response = await service.call(
        "authority", "POST", "/v1/licenses", json={**license_body(service), "holder_key": wrong}
    )
    assert_problem(response, "invalid_request")
    assert response.json()["errors"][0]["pointer"] == "/holder_key"
    assert KEY["x"] not in response.text
    issued = await service.issue()
    body = {"reason_code": "wallet", "reason": "更换钱包", "holder_key": wrong}
    refused = await service.call("authority", "POST", f"/v1/licenses/{issued['id']}/amend", json=body)
    assert_problem(refused, "invalid_request")
