"""Nobody else's data for anyone, and who a key proves to be; `test_roles_matrix` calls every role on every route."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.api.schemas.answers import AuditPage, ClientPage
from app.domain.api_client import ClientKind
from elicense.cn import make_uscc
from tests.integration.http_service import (
    ROLES,
    HttpService,
    assert_problem,
    license_body,
    open_http,
    shown,
)

STRANGER = make_uscc("9", "1", "320100", "MA0T0000")

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def test_another_authority_sees_and_changes_nothing(service: HttpService) -> None:
    issued = await service.issue()
    base = f"/v1/licenses/{issued['id']}"
    for path in (base, f"{base}/history", f"{base}/credential", f"{base}/credential?proof=1"):
        assert_problem(await service.call("other_authority", "GET", path), "not_found")
    for action in ("suspend", "resume", "revoke", "cancel"):
        assert_problem(await service.act(issued["id"], action, role="other_authority"), "not_found")
    assert (await service.call("other_authority", "GET", "/v1/licenses")).json()["data"] == []
    found = await service.call("other_authority", "GET", f"/v1/licenses?number={issued['number']}")
    assert found.json()["data"] == []
    assert (await service.call("authority", "GET", base)).json()["status"] == "active"


async def test_another_holder_sees_nothing(service: HttpService) -> None:
    issued = await service.issue()
    holder = issued["holder"]["code"]
    assert (await service.call("holder", "GET", f"/v1/licenses/{issued['id']}")).status_code == 200
    await service.add_client("stranger", kind=ClientKind.HOLDER, holder_code=STRANGER)
    assert holder != STRANGER
    for path in ("", "/history", "/credential"):
        response = await service.call("stranger", "GET", f"/v1/licenses/{issued['id']}{path}")
        assert_problem(response, "not_found")
    assert (await service.call("stranger", "GET", "/v1/holdings")).json()["data"] == []
    filtered = await service.call("stranger", "GET", f"/v1/licenses?holder_code={holder}")
    assert filtered.json()["data"] == []


async def test_a_verification_is_its_callers_alone(service: HttpService) -> None:
    issued = await service.issue()
    made = await service.verify(license={"identifier": issued["identifier"]}, reference="shop-1")
    path = f"/v1/verifications/{made['id']}"
    own = await service.call("platform", "GET", path)
    assert own.status_code == 200
    assert_problem(await service.call("bank", "GET", path), "not_found")
    assert_problem(await service.call("bank", "GET", f"{path}/receipt-proof"), "not_found")
    assert (await service.call("bank", "GET", "/v1/verifications?reference=shop-1")).json()["data"] == []
    listed = await service.call("platform", "GET", "/v1/verifications?reference=shop-1")
    assert [one["id"] for one in listed.json()["data"]] == [made["id"]]


async def test_the_operators_view_holds_no_secret_and_no_element(service: HttpService) -> None:
    body = license_body(service)
    body["elements"] = {name: f"{value}" for name, value in body["elements"].items()}
    await service.issue()
    clients = await service.call("operator", "GET", "/v1/clients")
    audit = await service.call("operator", "GET", "/v1/audit?limit=200")
    ClientPage.model_validate(clients.json())
    AuditPage.model_validate(audit.json())
    assert len(clients.json()["data"]) >= len(ROLES)
    for role in ROLES:
        # elk_live_<id>_<secret>; a secret may hold underscores of its own.
        secret = service.installation.keys[role].split("_", 3)[3]
        assert secret not in clients.text + audit.text
    for value in body["elements"].values():
        assert value not in audit.text


async def test_anything_but_a_good_key_is_unauthenticated(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    cases: tuple[str | None, ...] = (
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer nonsense",
        "Bearer elk_live_",
        "Bearer elk_live_000000000000_" + "A" * 43,
        "Bearer elk_live_' OR 1=1 --_x",
        "Bearer " + "x" * 5000,
        "Bearer \xff\xfe",
        "Bearer a b",
        "Bearer {key}, Bearer {key}",
        "Bearer {key}x",
        "Bearer {upper}",
    )
    for header in cases:
        with subtests.test(header=shown(header)):
            key = service.installation.keys["operator"]
            headers = []
            if header is not None:
                text = header.replace("{key}", key).replace("{upper}", key.upper())
                headers = [(b"authorization", text.encode("latin-1"))]
            response = await service.http.get("/v1/clients", headers=headers)
            assert_problem(response, "unauthenticated")
            assert response.headers["www-authenticate"].startswith("Bearer")


async def test_white_space_around_the_field_is_no_part_of_it(service: HttpService) -> None:
    for written in ("Bearer {key} ", "Bearer {key}\t ", " \tBearer {key}"):
        text = written.replace("{key}", service.installation.keys["operator"])
        answer = await service.http.get("/v1/clients", headers=[(b"authorization", text.encode("ascii"))])
        assert answer.status_code == 200, written


async def test_the_scheme_is_matched_in_any_case(service: HttpService) -> None:
    headers = {"authorization": f"bearer {service.installation.keys['operator']}"}
    assert (await service.http.get("/v1/clients", headers=headers)).status_code == 200


async def test_calls_over_the_quota_are_told_when_to_come_back(service: HttpService) -> None:
    await service.add_client("slow", kind=ClientKind.OPERATOR, calls_per_minute=2)
    answers = [await service.call("slow", "GET", "/v1/clients") for _ in range(4)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert_problem(refused[0], "rate_limited")
    assert 1 <= int(refused[0].headers["retry-after"]) <= 60
    assert (await service.call("operator", "GET", "/v1/clients")).status_code == 200
