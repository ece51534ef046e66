"""Alarms for a department: somebody guesses at the elements of one of its licenses."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.auth import authorize, own_authority
from app.api.paging import PageQuery
from app.api.requests import page_answer, read_query, services_of
from app.api.routing import Routes
from app.api.schemas.guessing import AlarmPage
from app.domain.api_client import Scope
from app.domain.guessing import GuessingAlarm
from elicense.encoding import rfc3339

routes = Routes(tag="licenses")


async def list_alarms(request: Request) -> Response:
    """List the alarms about the licenses of the caller's authority."""
    caller = await authorize(request, Scope.LICENSES_READ)
    own_authority(caller)
    query = read_query(request, PageQuery)
    found, next_cursor = await services_of(request).guessing.alarms(
        caller=caller, cursor=query.cursor or None, limit=query.limit
    )
    return page_answer([_alarm_json(alarm) for alarm in found], next_cursor)


def _alarm_json(alarm: GuessingAlarm) -> dict[str, object]:
    return {
        "id": alarm.id,
        "kind": "guessing",
        "license_id": alarm.license_id,
        "raised_at": rfc3339(alarm.raised_at),
        "wrong": alarm.wrong,
        "callers": alarm.callers,
    }


routes.add(
    "GET",
    "/v1/alarms",
    list_alarms,
    summary="告警 · Alarms",
    description="Licenses of the authority whose elements were guessed at by many within an hour: how many wrong "
    "questions, by how many callers. Oldest first.",
    scope=Scope.LICENSES_READ,
    query=PageQuery,
    answer=AlarmPage,
)
