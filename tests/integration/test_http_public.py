"""What anyone may fetch: signed documents, directories, descriptions, health."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel

from app.api.schemas.answers import (
    AreaPage,
    AuthorityPage,
    LicenseTypeAnswer,
    LicenseTypePage,
    PurposePage,
    ReasonPage,
    StatusListUris,
)
from app.domain.authority import ElementDefinition, SetupPlan
from app.domain.errors import DomainError
from app.main import create_app
from elicense.credential import parse_credential
from elicense.import_reasons import IMPORT_REASONS
from elicense.problems import PROBLEMS, REASONS
from elicense.verify import gather_offline
from tests.integration.http_service import HttpService, assert_problem, open_http, shown

pytestmark = pytest.mark.anyio

DIRECTORIES: dict[str, type[BaseModel]] = {
    "/v1/license-types": LicenseTypePage,
    "/v1/authorities": AuthorityPage,
    "/v1/areas": AreaPage,
    "/v1/purposes": PurposePage,
    "/v1/reasons": ReasonPage,
}


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def publish(service: HttpService) -> None:
    """Do what the worker does: publish what changed."""
    await service.installation.services.status_lists.publish_due()
    await service.installation.services.freshness.publish_due()


async def test_signed_documents_are_served_for_caches(service: HttpService) -> None:
    await service.issue()
    await publish(service)
    uris = (await service.http.get("/v1/status-lists")).json()
    StatusListUris.model_validate(uris)
    list_path = "/v1/status-lists/" + uris["status_lists"][0].rsplit("/", 1)[-1]
    types = {
        "/v1/trust-root": "application/jose+json",
        "/v1/trust-root?version=1": "application/jose+json",
        "/v1/trust-list": "application/jose+json",
        "/v1/trust-list?sequence=1": "application/jose+json",
        "/v1/freshness": "application/jwt",
        list_path: "application/statuslist+jwt",
        "/v1/bundle": "application/json",
    }
    for path, media_type in types.items():
        first = await service.http.get(path)
        assert first.status_code == 200, (path, first.text)
        assert first.headers["content-type"] == media_type
        assert first.headers["cache-control"].startswith("public, max-age=")
        etag = first.headers["etag"]
        for held in (etag, f'"other", W/{etag}', f'"with,commas" ,,\t{etag} ,', "*", " *\t"):
            again = await service.http.get(path, headers={"if-none-match": held})
            assert (again.status_code, again.content) == (304, b""), path
            assert again.headers["etag"] == first.headers["etag"]
        for other in (
            '"other"',
            '"a,*,b"',
            '"a","*"',
            f'"x{etag[1:]}',
            etag.strip('"'),
            f"{etag}x",
            f'"a",*,{etag}',
        ):
            answer = await service.http.get(path, headers={"if-none-match": other})
            assert answer.status_code == 200, other


async def test_the_bundle_over_http_is_enough_to_verify_offline(service: HttpService) -> None:
    await service.issue()
    await publish(service)
    root = (await service.http.get("/v1/trust-root")).content
    bundle = (await service.http.get("/v1/bundle")).content
    evidence = gather_offline(trust_root=root, bundle=bundle, now=service.installation.clock.now())
    assert evidence.trust is not None
    assert evidence.status is not None


async def test_what_is_not_published_is_not_found(service: HttpService, subtests: pytest.Subtests) -> None:
    cases: tuple[str, ...] = (
        "/v1/trust-root?version=2",
        "/v1/trust-list?sequence=9",
        "/v1/status-lists/none",
        "/v1/license-types/none",
        "/types/none/1",
        "/.well-known/jwt-vc-issuer/authorities/none",
    )
    for path in cases:
        with subtests.test(path=shown(path)):
            assert_problem(await service.http.get(path), "not_found")


async def test_what_cannot_be_asked_is_refused(service: HttpService, subtests: pytest.Subtests) -> None:
    cases: tuple[str, ...] = (
        "/v1/trust-root?version=0",
        "/v1/trust-root?version=x",
        "/v1/trust-list?sequence=0",
        "/v1/trust-list?sequence=x",
        "/v1/trust-list?time=1",
        "/v1/areas?x=1",
    )
    for path in cases:
        with subtests.test(path=shown(path)):
            assert_problem(await service.http.get(path), "invalid_request")


async def test_directories_are_paged_in_the_order_of_their_codes(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    for path, model in DIRECTORIES.items():
        with subtests.test(path=path):
            whole = (await service.http.get(path)).json()
            model.model_validate(whole)
            assert whole["data"]
            assert whole["next_cursor"] is None
            seen: list[object] = []
            cursor: str | None = ""
            while cursor is not None:
                page = await service.http.get(path, params={"cursor": cursor, "limit": "2"})
                assert len(page.json()["data"]) <= 2
                seen += page.json()["data"]
                cursor = page.json()["next_cursor"]
            assert seen == whole["data"]
            assert_problem(await service.http.get(f"{path}?cursor=!"), "invalid_request")


async def test_one_license_type_is_answered_by_its_code(service: HttpService) -> None:
    code = service.installation.types[0]
    LicenseTypeAnswer.model_validate((await service.http.get(f"/v1/license-types/{code}")).json())


async def test_every_code_is_explained_in_both_languages(service: HttpService) -> None:
    entries = (await service.http.get("/v1/reasons")).json()["data"]
    by_kind = {
        kind: {one["code"] for one in entries if one["kind"] == kind}
        for kind in ("verification", "problem", "import")
    }
    assert by_kind == {
        "verification": {reason.value for reason in REASONS},
        "problem": set(PROBLEMS),
        "import": set(IMPORT_REASONS),
    }
    for entry in entries:
        assert entry["text"]["zh"] and entry["text"]["en"]
        assert entry["action"]["zh"] and entry["action"]["en"]
        assert isinstance(entry["retry"], bool)


async def test_a_credentials_type_and_issuer_are_described_where_they_say(service: HttpService) -> None:
    issued = await service.issue()
    token = await service.credential(issued["id"])
    claims = parse_credential(token).claims
    kind = await service.http.get("/" + claims.vct.split("/", 3)[3])
    assert kind.json()["vct"] == claims.vct
    assert {claim["path"][1] for claim in kind.json()["claims"]} >= set(issued["elements"])
    host, path = claims.issuer.split("://")[1].split("/", 1)
    issuer = (await service.http.get(f"/.well-known/jwt-vc-issuer/{path}")).json()
    assert issuer["issuer"] == f"https://{host}/{path}"
    assert parse_credential(token).kid in {key["kid"] for key in issuer["jwks"]["keys"]}
    assert all("d" not in key for key in issuer["jwks"]["keys"])


async def test_what_is_published_of_a_type_stays_where_credentials_name_it(service: HttpService) -> None:
    directory = service.installation.services.directory
    held = (await directory.snapshot()).license_types[service.installation.types[0]]
    path = f"/types/{held.code}"
    first = (await service.http.get(f"{path}/1")).json()
    note = ElementDefinition(name="note", label="备注", label_en="note")
    other = replace(held, elements=(*held.elements, note))
    for silent in (
        other,
        replace(held, name="另一名称"),
        replace(held, elements=held.elements[1:]),
        replace(held, schema_version=0),
    ):
        for dry_run in (True, False):
            with pytest.raises(DomainError, match="invalid_request") as refused:
                await directory.apply(SetupPlan(license_types=(silent,)), dry_run=dry_run, actor="test")
            assert [error.pointer for error in refused.value.errors] == [
                f"/license_types/{held.code}/schema_version"
            ]
    for version in (2, 4):
        raised = replace(other, schema_version=version, description=f"第{version}版")
        await directory.apply(SetupPlan(license_types=(raised,)), dry_run=False, actor="test")
        stricter = replace(raised, two_person=("revoke",))  # nothing that is published
        await directory.apply(SetupPlan(license_types=(stricter,)), dry_run=False, actor="test")
    assert (await service.http.get(f"{path}/1")).json() == first
    for version in (2, 4):
        found = (await service.http.get(f"{path}/{version}")).json()
        assert found["description"] == f"第{version}版" and found["vct"].endswith(f"/{version}")
        assert "note" in {claim["path"][1] for claim in found["claims"]}
    for unknown in ("0", "3", "5", "01"):
        assert_problem(await service.http.get(f"{path}/{unknown}"), "not_found")


async def test_health_is_told_to_anyone(service: HttpService) -> None:
    assert (await service.http.get("/healthz")).json() == {"status": "ok"}
    assert (await service.http.get("/readyz")).json() == {"status": "ready"}
    assert (await service.http.head("/healthz")).status_code == 200


async def test_the_description_needs_no_foreign_host(service: HttpService) -> None:
    page = await service.http.get("/docs")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "://" not in page.text
    for asset in ("start.js", "swagger-ui.css", "swagger-ui-bundle.js"):
        assert f"/docs/{asset}" in page.text
        answer = await service.http.get(f"/docs/{asset}")
        assert answer.status_code == 200
        again = await service.http.get(f"/docs/{asset}", headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code == 304
    assert json.loads((await service.http.get("/openapi.json")).content)["openapi"].startswith("3.")


async def test_metrics_are_served_only_to_their_token(service: HttpService) -> None:
    assert_problem(await service.http.get("/metrics"), "not_found")
    settings = replace(service.installation.settings, metrics_token="metrics-token-of-tests")
    app = create_app(settings, services=service.installation.services)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service.example") as http:
        assert_problem(await http.get("/metrics"), "unauthenticated")
        answer = await http.get("/metrics", headers={"authorization": "Bearer metrics-token-of-tests"})
    assert answer.status_code == 200
    assert 'elicense_http_requests_total{method="GET",route="/metrics",status="401"} 1.0' in answer.text
