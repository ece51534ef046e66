"""Changes ordered ahead of their time: read and cancelled. They are ordered by the actions themselves."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.auth import authorize, own_authority
from app.api.idempotency import answer_once, fresh, replay
from app.api.paging import NoQuery
from app.api.requests import json_answer, page_answer, read_body, read_query, services_of
from app.api.routing import Routes
from app.api.schemas.orders import (
    EndingBody,
    ProposalAnswer,
    ScheduledChangeAnswer,
    ScheduledChangePage,
    ScheduledQuery,
)
from app.domain.api_client import Caller, Scope
from app.domain.scheduled_change import ChangeStatus
from app.ports import IdempotentCall
from app.services.order_answers import ended_answer, proposed_answer, scheduled_change_json

routes = Routes(tag="orders")


async def list_scheduled_of_license(request: Request) -> Response:
    """List what was ever scheduled for one license."""
    caller = await authorize(request, Scope.LICENSES_READ)
    own_authority(caller)
    license_id = request.path_params["license_id"]
    await services_of(request).licenses.get(license_id, caller=caller)  # 404 goes before 422
    return await _list(request, caller, license_id=license_id)


async def list_scheduled(request: Request) -> Response:
    """List what the caller's authority ever scheduled."""
    caller = await authorize(request, Scope.LICENSES_READ)
    own_authority(caller)
    return await _list(request, caller, license_id=None)


async def get_scheduled(request: Request) -> Response:
    """Answer one scheduled change."""
    caller = await authorize(request, Scope.LICENSES_READ)
    own_authority(caller)
    change = await services_of(request).scheduled_changes.get(request.path_params["change_id"], caller=caller)
    read_query(request, NoQuery)
    return json_answer(scheduled_change_json(change))


async def cancel_scheduled(request: Request) -> Response:
    """Cancel a change that has not been done yet, or propose that where two persons scheduled it."""
    caller = await authorize(request, Scope.LICENSES_WRITE)
    own_authority(caller)
    services = services_of(request)
    change_id = request.path_params["change_id"]
    change = await services.scheduled_changes.get(change_id, caller=caller)  # 404 goes before 422

    async def cancel(call: IdempotentCall | None) -> Response:
        body = read_body(request, EndingBody)
        ordered = await services.orders.cancel_scheduled(change, reason=body.reason, caller=caller, call=call)
        if ordered.replayed is not None:
            return replay(ordered.replayed)
        if ordered.proposal is not None:
            return fresh(proposed_answer(ordered.proposal, now=services.clock.now()))
        assert ordered.scheduled_change is not None
        return fresh(ended_answer(ordered.scheduled_change))

    return await answer_once(request, caller, cancel)


async def _list(request: Request, caller: Caller, *, license_id: str | None) -> Response:
    query = read_query(request, ScheduledQuery)
    found, next_cursor = await services_of(request).scheduled_changes.list(
        caller=caller,
        license_id=license_id,
        status=None if query.status is None else ChangeStatus(query.status),
        cursor=query.cursor or None,
        limit=query.limit,
    )
    return page_answer([scheduled_change_json(change) for change in found], next_cursor)


routes.add(
    "GET",
    "/v1/licenses/{license_id}/scheduled",
    list_scheduled_of_license,
    summary="证照的预定变更 · Scheduled changes of a license",
    description="Waiting, done, cancelled and failed ones, by the time from which they have effect.",
    scope=Scope.LICENSES_READ,
    query=ScheduledQuery,
    answer=ScheduledChangePage,
    problems=("not_found",),
)
routes.add(
    "GET",
    "/v1/scheduled-changes",
    list_scheduled,
    summary="本机构的预定变更 · Scheduled changes of the authority",
    scope=Scope.LICENSES_READ,
    query=ScheduledQuery,
    answer=ScheduledChangePage,
)
routes.add(
    "GET",
    "/v1/scheduled-changes/{change_id}",
    get_scheduled,
    summary="读取预定变更 · Read a scheduled change",
    scope=Scope.LICENSES_READ,
    query=NoQuery,
    answer=ScheduledChangeAnswer,
    problems=("not_found",),
)
routes.add(
    "POST",
    "/v1/scheduled-changes/{change_id}/cancel",
    cancel_scheduled,
    summary="取消预定变更 · Cancel a scheduled change",
    description="Any client of the authority may, until it is done. What two persons scheduled takes two to cancel: it "
    "is proposed (202), as `cancel_scheduled`, and done when another client of the authority approves.",
    scope=Scope.LICENSES_WRITE,
    body=EndingBody,
    answer=ScheduledChangeAnswer,
    accepted=(ProposalAnswer,),
    problems=("not_found", "already_decided", "read_only"),
)
