"""For operators: the API clients (never a secret) and the audit trail (never an element)."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.auth import authorize
from app.api.paging import PageQuery, decode_cursor, encode_cursor
from app.api.requests import moment_json, page_answer, read_query, services_of
from app.api.routing import Routes
from app.api.schemas.answers import AuditPage, ClientPage
from app.api.schemas.fields import Cursor, Limit, StrictModel
from app.domain.api_client import ApiKey, ClientWithKeys, Scope
from app.domain.events import AuditEntry

routes = Routes(tag="operators")


class AuditQuery(StrictModel):
    """Which page of the audit trail."""

    cursor: Cursor | None = None
    limit: Limit = 50


async def list_clients(request: Request) -> Response:
    """List all API clients with their keys' public parts."""
    await authorize(request, Scope.CLIENTS_READ)
    query = read_query(request, PageQuery)
    after = decode_cursor(query.cursor) if query.cursor else ""
    clients = sorted(await services_of(request).api_clients.list(), key=lambda one: one.client.name)
    rest = [one for one in clients if one.client.name > after]
    page = rest[: query.limit]
    next_cursor = encode_cursor(page[-1].client.name) if len(rest) > len(page) else None
    return page_answer([_client_json(one) for one in page], next_cursor)


async def list_audit(request: Request) -> Response:
    """List who did what to which subject."""
    await authorize(request, Scope.AUDIT_READ)
    query = read_query(request, AuditQuery)
    entries, next_cursor = await services_of(request).audit.page(
        cursor=query.cursor or None, limit=query.limit
    )
    return page_answer([_audit_json(entry) for entry in entries], next_cursor)


def _client_json(one: ClientWithKeys) -> dict[str, object]:
    client = one.client
    return {
        "id": client.id,
        "name": client.name,
        "kind": client.kind.value,
        "authority_code": client.authority_code,
        "holder_code": client.holder_code,
        "scopes": sorted(scope.value for scope in client.scopes),
        "purposes": list(client.purposes),
        "default_purpose": client.default_purpose,
        "calls_per_minute": client.calls_per_minute,
        "batch_limit": client.batch_limit,
        "created_at": moment_json(client.created_at),
        "revoked_at": moment_json(client.revoked_at),
        "keys": [_key_json(key) for key in one.keys],
    }


def _key_json(key: ApiKey) -> dict[str, object]:
    return {
        "handle": key.handle,
        "prefix": key.prefix,
        "created_at": moment_json(key.created_at),
        "expires_at": moment_json(key.expires_at),
        "revoked_at": moment_json(key.revoked_at),
    }


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
    "/v1/clients",
    list_clients,
    summary="API 客户端 · API clients",
    scope=Scope.CLIENTS_READ,
    query=PageQuery,
    answer=ClientPage,
)
routes.add(
    "GET",
    "/v1/audit",
    list_audit,
    summary="审计记录 · Audit trail",
    scope=Scope.AUDIT_READ,
    query=AuditQuery,
    answer=AuditPage,
)
