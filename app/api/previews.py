"""Looking ahead: what an action on a license would touch."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.auth import authorize, own_authority
from app.api.requests import json_answer, read_query, services_of
from app.api.routing import Routes
from app.api.schemas.orders import PreviewAnswer, PreviewQuery
from app.domain.api_client import Scope
from app.services.previews import preview_json

routes = Routes(tag="orders")


async def preview_action(request: Request) -> Response:
    """Answer what an action would do to a license, and how much hangs on it; nothing changes."""
    caller = await authorize(request, Scope.LICENSES_READ)
    own_authority(caller)
    services = services_of(request)
    license_id = request.path_params["license_id"]
    await services.licenses.get(license_id, caller=caller)  # 404 goes before 422
    query = read_query(request, PreviewQuery)
    preview = await services.previews.preview(query.action, license_id, caller=caller)
    return json_answer(preview_json(preview))


routes.add(
    "GET",
    "/v1/licenses/{license_id}/preview",
    preview_action,
    summary="预览操作影响 · Preview what an action touches",
    description="The state it would lead to, the versions and status entries concerned, and how much hangs on the "
    "license (counts, never who). Nothing changes; the look stands in the audit. Refused as the action itself is.",
    scope=Scope.LICENSES_READ,
    query=PreviewQuery,
    answer=PreviewAnswer,
    problems=("not_found", "state_conflict", "read_only"),
)
