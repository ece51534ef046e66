"""The OpenAPI document names every route, every parameter and every problem."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from app.api.examples import EXAMPLES
from app.api.openapi import REQUEST_MODELS
from app.api.schemas.verifications import QuestionBody
from app.domain.sandbox import MAGIC_CODES, Scenario
from app.main import create_app
from app.settings import load_settings
from elicense.encoding import sha256_hex
from elicense.problems import PROBLEMS

UNDESCRIBED = {"/docs", "/docs/start.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"}
"""Pages for people, not part of the API."""

OAUTH_ERROR = {"schema": {"$ref": "#/components/schemas/OAuthErrorAnswer"}}
"""How RFC 6749 §5.2 has its refusals; the token endpoint's body is a form, and its `jti` makes a call count once."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    folder: Path = tmp_path_factory.mktemp("openapi")
    return create_app(load_settings(folder, environ={}, default_environment="development"))


def operations(app: FastAPI) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]


def codes_of(response: dict[str, Any]) -> list[str]:
    if response["content"] == {"application/json": OAUTH_ERROR}:
        return []
    schema = response["content"]["application/problem+json"]["schema"]
    codes: list[str] = schema["allOf"][1]["properties"]["code"]["enum"]
    return codes


def test_every_route_is_described(app: FastAPI) -> None:
    routes = {
        (method, getattr(route, "path_format", route.path))
        for route in app.routes
        for method in getattr(route, "methods", ())
    }
    described = {(method, path) for method, path, _ in operations(app)}
    assert {(method, path) for method, path in routes if path not in UNDESCRIBED} == described


def test_every_api_route_is_declared_through_fastapi(app: FastAPI) -> None:
    plain = {getattr(route, "path", "") for route in app.routes if not isinstance(route, APIRoute)}
    assert plain == UNDESCRIBED


def test_every_refusal_is_a_problem_of_a_known_code_under_its_own_status(app: FastAPI) -> None:
    for _, path, operation in operations(app):
        refusals = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert {"400", "406", "413", "415", "500", "503"} <= set(refusals), path
        for status, answer in refusals.items():
            assert all(str(PROBLEMS[code].status) == status for code in codes_of(answer)), (path, status)


@pytest.mark.anyio
async def test_the_document_is_rendered_once(tmp_path: Path) -> None:
    app = create_app(load_settings(tmp_path, environ={}, default_environment="development"))
    described, asked = app.openapi, []
    app.openapi = lambda: asked.append(1) or described()  # type: ignore[func-returns-value,method-assign]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://service.example"
    ) as http:
        answers = [await http.get("/openapi.json") for _ in range(3)]
    assert len({answer.content for answer in answers}) == len(asked) == 1
    assert answers[0].json() == described()
    assert answers[0].headers["etag"] == f'"{sha256_hex(answers[0].content)}"'


@pytest.mark.anyio
async def test_every_media_type_of_an_answer_may_be_asked_for(
    app: FastAPI, subtests: pytest.Subtests
) -> None:
    answered = {
        media_type
        for _, _, operation in operations(app)
        for answer in operation["responses"].values()
        for media_type in answer.get("content", {})
    }
    assert "application/elicense-bundle-delta+json" in answered
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://service.example"
    ) as http:
        for media_type in sorted(answered):
            with subtests.test(media_type=media_type):
                assert (await http.get("/healthz", headers={"accept": media_type})).status_code == 200


def test_every_problem_is_documented_somewhere(app: FastAPI) -> None:
    documented = {
        code
        for _, _, operation in operations(app)
        for status, answer in operation["responses"].items()
        if status >= "400"
        for code in codes_of(answer)
    }
    # No operation has these: one answers paths and methods no operation has, nothing answers the others so far.
    assert set(PROBLEMS) - documented == {"method_not_allowed", "precondition_failed", "overloaded"}


def test_operations_with_a_body_take_an_idempotency_key_and_those_with_a_key_say_so(app: FastAPI) -> None:
    for method, path, operation in operations(app):
        headers = {one["name"] for one in operation["parameters"] if one["in"] == "header"}
        assert ("requestBody" in operation) == (method == "POST"), path
        if path == "/oauth/token":
            assert operation["responses"]["401"]["content"] == {"application/json": OAUTH_ERROR}
            continue
        assert ("Idempotency-Key" in headers) == (method == "POST"), path
        # A witness has no key: its signature says who calls, and it has a limit of its own.
        limited = "security" in operation or path == "/log/cosignature"
        assert limited == ("429" in operation["responses"]), path


def test_path_parameters_are_declared(app: FastAPI) -> None:
    for _, path, operation in operations(app):
        named = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        declared = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert named == declared, path


def test_every_reference_leads_somewhere(app: FastAPI) -> None:
    schemas = app.openapi()["components"]["schemas"]

    def check(node: object) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                assert node["$ref"].removeprefix("#/components/schemas/") in schemas, node
            for value in node.values():
                check(value)
        elif isinstance(node, list):
            for value in node:
                check(value)

    check(app.openapi())


def test_every_schema_has_a_name_of_its_own_which_generators_of_clients_take_for_a_class(
    app: FastAPI,
) -> None:
    schemas = app.openapi()["components"]["schemas"]
    assert all(name.isalnum() for name in schemas), "names of modules stand in names of schemas"
    titles = [schema["title"] for schema in schemas.values()]
    assert len(titles) == len(set(titles))


def test_tiles_are_described_as_bytes(app: FastAPI) -> None:
    described = [
        answer["content"]["application/octet-stream"]["schema"]
        for _, _, operation in operations(app)
        for answer in operation["responses"].values()
        if "application/octet-stream" in answer.get("content", {})
    ]
    assert described == [{"type": "string", "format": "binary"}] * 2


def test_an_answer_to_come_back_later_says_that_it_tells_when(app: FastAPI) -> None:
    for _, path, operation in operations(app):
        for status in {"429", "503"} & operation["responses"].keys():
            assert "Retry-After" in operation["responses"][status]["headers"], (path, status)
        if "304" in operation["responses"]:
            assert "ETag" in operation["responses"]["304"]["headers"], path
            assert "ETag" in operation["responses"]["200"]["headers"], path


def test_operation_ids_are_unique(app: FastAPI) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(app)]
    assert len(ids) == len(set(ids))


def test_no_answer_holds_a_fraction_but_the_duration_of_a_request(app: FastAPI) -> None:
    # Answers are written by a library that would write NaN as null; what is finite by its making is named here.
    schemas = app.openapi()["components"]["schemas"]
    fractions = {
        member
        for schema in schemas.values()
        for member, described in schema.get("properties", {}).items()
        if described.get("type") == "number"
        or any(choice.get("type") == "number" for choice in described.get("anyOf", ()))
    }
    assert fractions == {"duration_ms"}


TAKES_NO_WORDS = {"NoBody", "ApprovalBody", "NonceBody", "RotateBody"}
NEEDS_ONES_OWN = {"CosignatureBody", "JwkBody", "TokenForm"}
"""A key or a signature of one's own, which no example can bring."""


def test_every_body_has_an_example_that_can_be_sent(app: FastAPI) -> None:
    """Swagger UI fills it in; what it makes up itself is refused, of a question all members are null."""
    schemas = app.openapi()["components"]["schemas"]
    without = set()
    for model in REQUEST_MODELS:
        shown = schemas[model.__name__].get("examples", [])
        without |= set() if shown else {model.__name__}
        for body in shown or [{}]:
            if model.__name__ not in NEEDS_ONES_OWN:
                model.model_validate(body)
    assert without == TAKES_NO_WORDS | NEEDS_ONES_OWN


def test_the_example_of_a_question_is_about_the_sandboxes_valid_license() -> None:
    asked = QuestionBody.model_validate(EXAMPLES["QuestionBody"]).license
    (valid,) = (code for code in MAGIC_CODES if code.scenario is Scenario.VALID)
    assert asked is not None
    assert asked.holder_code == valid.holder_code


def test_every_group_of_operations_is_described_in_both_languages(app: FastAPI) -> None:
    used = {tag for _, _, operation in operations(app) for tag in operation["tags"]}
    described = {tag["name"]: tag["description"] for tag in app.openapi()["tags"]}
    assert set(described) == used
    assert all(re.search("[\u4e00-\u9fff].* · .*[a-z]", text) for text in described.values())
