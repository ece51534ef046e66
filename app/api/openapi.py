"""The OpenAPI document: FastAPI's description of the routes, completed by the models the routes name themselves."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from app.api.caching import DIRECTORY_SECONDS, public_answer
from app.api.examples import EXAMPLES, TAGS
from app.api.routing import Routes
from app.api.schemas import (
    answers,
    callers,
    guessing,
    orders,
    policies,
    presentation_nonces,
    sandbox,
    transparency_log,
)
from app.api.schemas.amending import AmendBody, RenewBody, SuccessionBody
from app.api.schemas.answers import JsonObject
from app.api.schemas.callers import (
    AllowListBody,
    ClientPlanBody,
    JwkBody,
    NewClientBody,
    NoBody,
    PlanBody,
    RotateBody,
    TokenForm,
)
from app.api.schemas.fields import StrictModel
from app.api.schemas.licenses import ChangeBody, NewLicenseBody, RevokeBody
from app.api.schemas.orders import ApprovalBody, EndingBody
from app.api.schemas.policies import DryRunBody, PolicyBody
from app.api.schemas.presentation_nonces import NonceBody
from app.api.schemas.sandbox import ClockBody
from app.api.schemas.transparency_log import CosignatureBody
from app.api.schemas.verifications import BatchBody, QuestionBody
from elicense.encoding import dump_json, sha256_hex

REQUEST_MODELS: tuple[type[BaseModel], ...] = (
    NewLicenseBody,
    ChangeBody,
    RevokeBody,
    AmendBody,
    RenewBody,
    SuccessionBody,
    ApprovalBody,
    EndingBody,
    QuestionBody,
    BatchBody,
    PolicyBody,
    DryRunBody,
    CosignatureBody,
    ClockBody,
    NewClientBody,
    RotateBody,
    NoBody,
    ClientPlanBody,
    AllowListBody,
    JwkBody,
    PlanBody,
    TokenForm,
    NonceBody,
)
ANSWER_MODELS: tuple[type[BaseModel], ...] = tuple(
    model
    for module in (
        answers,
        callers,
        guessing,
        orders,
        policies,
        presentation_nonces,
        sandbox,
        transparency_log,
    )
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == module.__name__
    if not issubclass(model, StrictModel) and model is not TokenForm
)
_REFERENCE = "#/components/schemas/{model}"
_ABOUT = """\
电子证照共享服务:颁发机构签发电子证照文件,持证主体持有并出示,平台与银行核验。
Electronic license service: issuing authorities issue, merchants hold, platforms and banks verify.

拒绝一律为问题文档(RFC 9457),代码固定,文字按 Accept-Language 使用中文或英文;`GET /v1/reasons` 解释每个代码。
Errors are problem documents (RFC 9457) with stable codes; texts follow Accept-Language, Chinese first.
`GET /v1/reasons` explains every code.

核验示例中的代码属于沙箱,用以 `elk_test_` 开头的密钥即可试用。
The questions shown as examples are about the sandbox: try them with a key that begins with `elk_test_`."""

routes = Routes(tag="operation")


async def get_openapi_document(request: Request) -> Response:
    """Answer this document."""
    content, sha256 = _rendered(request.app)
    return public_answer(
        request, content, media_type="application/json", max_age=DIRECTORY_SECONDS, sha256=sha256
    )


def _rendered(app: FastAPI) -> tuple[bytes, str]:
    """Return the document's bytes and their digest, made once: it is large, and anyone may ask."""
    kept: tuple[bytes, str] | None = getattr(app.state, "openapi_rendered", None)
    if kept is None:
        content = dump_json(app.openapi())
        kept = app.state.openapi_rendered = (content, sha256_hex(content))
    return kept


routes.add(
    "GET",
    "/openapi.json",
    get_openapi_document,
    summary="接口描述 · This document",
    answer=JsonObject,
    cacheable=True,
)


def describe(app: FastAPI) -> dict[str, Any]:
    """Build the document once and keep it on the application."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=_ABOUT,
            routes=app.routes,
            tags=[{"name": name, "description": description} for name, description in TAGS],
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(_schemas())
        document["components"]["securitySchemes"] = {
            "apiKey": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "elk_live_<id>_<secret> or elk_at_<id>_<secret>",
            }
        }
        app.openapi_schema = document
    return app.openapi_schema


def _schemas() -> dict[str, Any]:
    requests = models_json_schema(
        [(model, "validation") for model in REQUEST_MODELS], ref_template=_REFERENCE
    )[1]
    replies = models_json_schema(
        [(model, "serialization") for model in ANSWER_MODELS], ref_template=_REFERENCE
    )[1]
    # A batch's items are questions; the model leaves them open only because each is judged by itself.
    schemas: dict[str, Any] = {**requests["$defs"], **replies["$defs"]}
    schemas["BatchBody"]["properties"]["items"]["items"] = {"$ref": "#/components/schemas/QuestionBody"}
    schemas["BatchBody"]["properties"]["items"]["maxItems"] = 1000
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
    return schemas
