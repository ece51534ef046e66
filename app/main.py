"""The application: front door, error handlers, routes. What they do stands elsewhere."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI

from app.api import (
    amending,
    clients,
    directory,
    guessing,
    health,
    holdings,
    licenses,
    oauth,
    openapi,
    operators,
    policies,
    presentation_nonces,
    previews,
    proposals,
    publication,
    request_log,
    sandbox,
    scheduled_changes,
    transparency_log,
    verifications,
)
from app.api.application import Application
from app.api.auth import require_known
from app.api.errors import install_error_handlers
from app.api.front_door import FrontDoor
from app.api.sandbox_switch import SandboxSwitch
from app.bootstrap import open_services
from app.domain.address import parse_networks
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
    presentation_nonces,
    policies,
    previews,
    scheduled_changes,
    proposals,
    guessing,
    request_log,
    sandbox,
    clients,
    operators,
    oauth,
    health,
    openapi,
)


def create_application(
    settings: Settings, *, services: Services | None = None, sandbox: Services | None = None
) -> FastAPI | SandboxSwitch:
    """Build what a process serves: the installation, and the sandbox beside it where one was set up.

    Services as in `create_app`, for each of the two.
    """
    live = create_app(settings, services=services)
    if not settings.has_sandbox:
        return live
    return SandboxSwitch(live=live, sandbox=create_app(settings.for_sandbox(), services=sandbox))


def create_app(settings: Settings, *, services: Services | None = None) -> FastAPI:
    """Build the ASGI application of one installation.

    Its lifespan opens the services and closes them; `services` that are already open are used as they are and stay
    the caller's to close.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if services is not None:
            app.state.services = services
            yield
            return
        async with (
            open_services(settings) as opened,
            opened.request_log.writing(),
            opened.high_water.watching(),
        ):
            app.state.services = opened
            _settle_memory()
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
            require_known=require_known,
            metrics=metrics,
            form_paths=frozenset({oauth.ENDPOINT}),
        ),
    )
    if services is not None:
        app.state.services = services  # in-process callers may not run the lifespan
    app.state.trusted_proxies = parse_networks(settings.trusted_proxies)
    app.state.metrics = metrics
    app.state.metrics_token = settings.metrics_token
    # Put in as they are: an included router is searched anew with each request, at several times the cost.
    for noun in _NOUNS:
        app.router.routes.extend(noun.routes.router.routes)
    app.router.routes.extend(docs_routes())
    install_error_handlers(app)
    return app


def _settle_memory() -> None:
    """Let the collector of cycles look at what is new, and seldom.

    What stands now stays for the life of the process. An answer makes next to no cycles, but a batch makes about a
    hundred thousand objects, which by default would be walked through again and again while they are being made.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(250_000, 20, 100)
