"""For operators: the audit trail (never an element). Clients stand in `clients`."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.auth import authorize
from app.api.requests import page_answer, read_query, services_of
from app.api.routing import Routes
from app.api.schemas.answers import AuditPage
from app.api.schemas.fields import Cursor, Limit, StrictModel
from app.domain.api_client import Scope
from app.domain.events import AuditEntry
from app.services.answers import moment_json

routes = Routes(tag="operators")


class AuditQuery(StrictModel):
    """Which page of the audit trail."""

    cursor: Cursor | None = None
    limit: Limit = 50


async def list_audit(request: Request) -> Response:
    """List who did what to which subject."""
    await authorize(request, Scope.AUDIT_READ)
    query = read_query(request, AuditQuery)
    entries, next_cursor = await services_of(request).audit.page(
        cursor=query.cursor or None, limit=query.limit
    )
    return page_answer([_audit_json(entry) for entry in entries], next_cursor)


def _audit_json(entry: AuditEntry) -> dict[str, object]:
    return {
        "id": entry.id,
        "at": moment_json(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "outcome": entry.outcome,
        "request_id": entry.request_id,
    }


routes.add(
    "GET",
    "/v1/audit",
    list_audit,
    summary="审计记录 · Audit trail",
    scope=Scope.AUDIT_READ,
    query=AuditQuery,
    answer=AuditPage,
)
