"""Whether the process lives, whether it can work, and its measurements."""

import hmac

from starlette.requests import Request
from starlette.responses import Response

from app.api.arrival import arrival_of
from app.api.requests import json_answer, services_of
from app.api.routing import Routes
from app.api.schemas.answers import Health
from app.domain.errors import DomainError, NotFound
from app.metrics import CONTENT_TYPE, Metrics
from app.services.log_diagnosis import require_signed

routes = Routes(tag="operation")


async def healthz(request: Request) -> Response:
    """Say that the process answers; it asks nobody else."""
    return json_answer({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Say that all of the service's work can be done, else 503: database, schema, clock, receipt key, nothing lost,
    logs signed as they grow.

    Looks again itself, at most once a second: what an operator has mended is seen at once.
    """
    services = services_of(request)
    await services.store.ready()
    await services.high_water.review_soon()
    services.guard.require_writable()
    services.signing_clock.require_reliable()
    # Read from its file once and kept; a key that could not be read is tried again with each look.
    await services.receipts.require_usable(now=services.clock.now())
    await require_signed(store=services.store, clock=services.clock)
    return json_answer({"status": "ready"})


async def get_metrics(request: Request) -> Response:
    """Answer the measurements of all processes to whoever has the metrics token; without one set, nothing is here."""
    token: str | None = request.app.state.metrics_token
    if token is None:
        raise NotFound
    sent = arrival_of(request).authorization
    if not hmac.compare_digest(sent.encode("latin-1"), f"Bearer {token}".encode("latin-1", "replace")):
        raise DomainError("unauthenticated", "send Authorization: Bearer with the metrics token")
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.render(), headers={"Content-Type": CONTENT_TYPE})


routes.add("GET", "/healthz", healthz, summary="存活检查 · Liveness", answer=Health)
routes.add(
    "GET",
    "/readyz",
    readyz,
    summary="就绪检查 · Readiness",
    description=(
        "503 while the database is away or of another schema, while the key of receipts cannot be used, while the "
        "service is read-only, while nothing is signed because the clock was moved, and while a log has grown and "
        "not been signed for two minutes; `reason` or `detail` of the problem says which. Reading goes on all the "
        "while."
    ),
    answer=Health,
    problems=("unavailable", "read_only"),
)
routes.add(
    "GET",
    "/metrics",
    get_metrics,
    summary="运行指标 · Metrics",
    description=(
        "Prometheus text, of all processes of one `serve` together. Needs the metrics token of the settings; 404 "
        "without one set."
    ),
    answer="text/plain",
    problems=("not_found", "unauthenticated"),
)
