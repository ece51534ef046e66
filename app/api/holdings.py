"""Holdings: what a holder's key shows its holder."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.auth import authorize
from app.api.paging import PageQuery
from app.api.requests import page_answer, read_query, services_of
from app.api.routing import Routes
from app.api.schemas.answers import HoldingPage
from app.domain.api_client import Scope
from app.services import answers

routes = Routes(tag="holdings")


async def list_holdings(request: Request) -> Response:
    """List the caller's own licenses, each with the path of its credential."""
    caller = await authorize(request, Scope.HOLDINGS_READ)
    query = read_query(request, PageQuery)
    services = services_of(request)
    holdings, next_cursor = await services.credentials.holdings(
        caller=caller, cursor=query.cursor or None, limit=query.limit
    )
    today = services.licenses.today()
    return page_answer([answers.holding_json(holding, today=today) for holding in holdings], next_cursor)


routes.add(
    "GET",
    "/v1/holdings",
    list_holdings,
    summary="我的证照 · A holder's own licenses",
    scope=Scope.HOLDINGS_READ,
    query=PageQuery,
    answer=HoldingPage,
)
