"""A caller's own request log."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.auth import authorize
from app.api.requests import page_answer, read_query, services_of
from app.api.routing import Routes
from app.api.schemas.callers import LoggedRequestPage, RequestQuery
from app.domain.api_client import Scope
from app.services.answers import moment_json

routes = Routes(tag="operation")


async def list_requests(request: Request) -> Response:
    """List the caller's own requests, newest first."""
    caller = await authorize(request, Scope.REQUESTS_READ)
    query = read_query(request, RequestQuery)
    entries, next_cursor = await services_of(request).request_log.page(
        caller, cursor=query.cursor or None, limit=query.limit
    )
    data = [
        {
            "at": moment_json(entry.at),
            "method": entry.method,
            "route": entry.route,
            "status": entry.status,
            "request_id": entry.request_id,
            "duration_ms": entry.duration_us / 1000,
        }
        for entry in entries
    ]
    return page_answer(data, next_cursor)


routes.add(
    "GET",
    "/v1/requests",
    list_requests,
    summary="自己的调用记录 · Your own requests",
    description="Newest first: time, method, route, status, request id, duration. No paths, queries or bodies. Kept "
    "for `ELICENSE_REQUEST_LOG_DAYS`. A convenience, no evidence: a server that is killed loses its last second.",
    scope=Scope.REQUESTS_READ,
    query=RequestQuery,
    answer=LoggedRequestPage,
)
