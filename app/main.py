"""The application: front door, error handlers, routes. What they do stands elsewhere."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI

from app.api import (
    amending,
    directory,
    health,
    holdings,
    licenses,
    openapi,
    operators,
    previews,
    proposals,
    publication,
    scheduled_changes,
    transparency_log,
    verifications,
)
from app.api.application import Application
from app.api.auth import CallQuota
from app.api.errors import install_error_handlers
from app.api.front_door import FrontDoor
from app.bootstrap import open_services
from app.metrics import Metrics
from app.services.container import Services
from app.settings import Settings
from app.web.docs import docs_routes

# Tried in this order: what is asked most stands first.
_NOUNS = (
    verifications,
    licenses,
    amending,
    publication,
    transparency_log,
    directory,
    holdings,
    previews,
    scheduled_changes,
    proposals,
    operators,
    health,
    openapi,
)


def create_app(settings: Settings, *, services: Services | None = None) -> FastAPI:
    """Build the ASGI application.

    Its lifespan opens the services and closes them; `services` that are already open are used as they are and stay
    the caller's to close.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if services is not None:
            app.state.services = services
            yield
            return
        async with open_services(settings) as opened, opened.high_water.watching():
            app.state.services = opened
            yield

    metrics = Metrics()
    app = Application(
        title="电子证照共享服务 · Electronic license service",
        version=version("elicense-server"),
        lifespan=lifespan,
        front_door=partial(
            FrontDoor,
            max_body_bytes=settings.max_body_bytes,
            large_body_bytes={"/v1/verifications/batch": settings.max_batch_bytes},
            metrics=metrics,
        ),
    )
    if services is not None:
        app.state.services = services  # in-process callers may not run the lifespan
    app.state.quota = CallQuota()
    app.state.metrics = metrics
    app.state.metrics_token = settings.metrics_token
    # Put in as they are: an included router is searched anew with each request, at several times the cost.
    for noun in _NOUNS:
        app.router.routes.extend(noun.routes.router.routes)
    app.router.routes.extend(docs_routes())
    install_error_handlers(app)
    return app
