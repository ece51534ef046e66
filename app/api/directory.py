"""The public directories: license types, authorities, areas, purposes, and every code this service answers with."""

from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from app.api.caching import DIRECTORY_SECONDS, public_json
from app.api.paging import NoQuery, PageQuery, page_by_key
from app.api.requests import read_query, services_of
from app.api.routing import Routes
from app.api.schemas.answers import (
    AreaPage,
    AuthorityPage,
    LicenseTypeAnswer,
    LicenseTypePage,
    PurposePage,
    ReasonPage,
)
from app.domain.authority import Area, Authority, LicenseType
from app.domain.errors import NotFound
from app.domain.purpose import PURPOSES
from elicense.import_reasons import IMPORT_REASONS
from elicense.problems import INDETERMINATE, PROBLEMS, REASONS, Reason, Text
from elicense.service_reasons import SERVICE_REASONS

routes = Routes(tag="directory")


async def list_license_types(request: Request) -> Response:
    """List the license types of this service."""
    directory = await services_of(request).directory.snapshot()
    return _page(request, "license-types", [_type_json(one) for one in directory.license_types.values()])


async def get_license_type(request: Request) -> Response:
    """Answer one license type with its elements."""
    directory = await services_of(request).directory.snapshot()
    found = directory.license_types.get(request.path_params["type_code"])
    if found is None:
        raise NotFound("license type")
    read_query(request, NoQuery)
    return public_json(request, _type_json(found), max_age=DIRECTORY_SECONDS)


async def list_authorities(request: Request) -> Response:
    """List the issuing authorities and what each may issue where."""
    directory = await services_of(request).directory.snapshot()
    return _page(request, "authorities", [_authority_json(one) for one in directory.authorities.values()])


async def list_areas(request: Request) -> Response:
    """List the areas."""
    directory = await services_of(request).directory.snapshot()
    return _page(request, "areas", [_area_json(one) for one in directory.areas.values()])


async def list_purposes(request: Request) -> Response:
    """List the purposes a verification may be made for."""
    return _page(
        request,
        "purposes",
        [
            {
                "code": purpose.code,
                "text": {"zh": purpose.text_zh, "en": purpose.text_en},
                "legal_basis": purpose.legal_basis,
                "elements": list(purpose.elements),
                "retention_days": purpose.retention_days,
            }
            for purpose in PURPOSES.values()
        ],
    )


async def list_reasons(request: Request) -> Response:
    """List every code: what it says, who must act, whether sending the same again can help."""
    return _page(request, "reasons", _REASONS)


def _page(request: Request, listing: str, entries: Sequence[Mapping[str, object]]) -> Response:
    """Answer the page that is asked for."""
    query = read_query(request, PageQuery)
    page, next_cursor = page_by_key(entries, query, listing=listing, key=_sort_key)
    return public_json(request, {"data": page, "next_cursor": next_cursor}, max_age=DIRECTORY_SECONDS)


def _sort_key(entry: Mapping[str, object]) -> str:
    return f"{entry.get('kind', '')}:{entry['code']}"


def _type_json(one: LicenseType) -> dict[str, object]:
    return {
        "code": one.code,
        "name": one.name,
        "name_en": one.name_en,
        "defining_authority": one.defining_authority,
        "schema_version": one.schema_version,
        "demonstration": one.demonstration,
        "description": one.description,
        "two_person": list(one.two_person),
        "elements": [
            {
                "name": element.name,
                "label": element.label,
                "label_en": element.label_en,
                "kind": element.kind.value,
                "required": element.required,
                "disclosable": element.disclosable,
                "max_length": element.max_length,
                "personal": element.is_personal,
            }
            for element in one.elements
        ],
    }


def _authority_json(one: Authority) -> dict[str, object]:
    return {
        "code": one.code,
        "name": one.name,
        "level": one.level,
        "area_code": one.area_code,
        "parent": one.parent,
        "status": one.status.value,
        "scopes": [
            {
                "type_code": scope.type_code,
                "areas": list(scope.areas),
                "from": scope.valid_from.isoformat() if scope.valid_from else None,
                "until": scope.valid_until.isoformat() if scope.valid_until else None,
            }
            for scope in one.scopes
        ],
    }


def _area_json(one: Area) -> dict[str, object]:
    return {"code": one.code, "name": one.name}


def _text_json(text: Text) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}


def _verdict(reason: Reason) -> str:
    if reason is Reason.OK:
        return "valid"
    return "indeterminate" if reason in INDETERMINATE else "invalid"


def _reasons() -> list[dict[str, object]]:
    """Lay out the four tables; a code may stand in several of them with a text of its own, told apart by `kind`."""
    verification: list[dict[str, object]] = [
        {
            "code": reason.value,
            "kind": "verification",
            "text": _text_json(row.text),
            "action": _text_json(row.action),
            "retry": row.retry,
            "verdict": _verdict(reason),
        }
        for reason, row in REASONS.items()
    ]
    problems: list[dict[str, object]] = [
        {
            "code": kind.code,
            "kind": "problem",
            "text": _text_json(kind.title),
            "action": _text_json(kind.action),
            "retry": kind.retry,
            "status": kind.status,
        }
        for kind in PROBLEMS.values()
    ]
    rows: list[dict[str, object]] = [
        {
            "code": code,
            "kind": "import",
            "text": _text_json(text),
            "action": _text_json(_FIX_ROW),
            "retry": False,
        }
        for code, text in IMPORT_REASONS.items()
    ]
    service: list[dict[str, object]] = [
        {
            "code": reason.value,
            "kind": "service",
            "text": _text_json(row.text),
            "action": _text_json(row.action),
            "retry": row.retry,
        }
        for reason, row in SERVICE_REASONS.items()
    ]
    return verification + problems + service + rows


_FIX_ROW = Text("请在文件中更正该行后重新导入。", "Correct the row in the file and import it again.")
_REASONS = _reasons()

_DIRECTORIES = (
    ("/v1/license-types", list_license_types, "证照类型 · License types", LicenseTypePage),
    ("/v1/authorities", list_authorities, "颁发机构 · Issuing authorities", AuthorityPage),
    ("/v1/areas", list_areas, "区域 · Areas", AreaPage),
    ("/v1/purposes", list_purposes, "核验用途 · Purposes of verification", PurposePage),
    ("/v1/reasons", list_reasons, "原因与错误代码 · Every reason and problem code", ReasonPage),
)
for _path, _endpoint, _title, _answer in _DIRECTORIES:
    routes.add("GET", _path, _endpoint, summary=_title, query=PageQuery, answer=_answer, cacheable=True)
routes.add(
    "GET",
    "/v1/license-types/{type_code}",
    get_license_type,
    summary="证照类型详情 · One license type",
    answer=LicenseTypeAnswer,
    problems=("not_found",),
    cacheable=True,
)
