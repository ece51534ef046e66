"""The application object: FastAPI for its descriptions, with no more layers around the routes than are used."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.dispatch import Dispatch
from app.api.openapi import describe


class Application(FastAPI):
    """Serve front door → dispatch with error translation → endpoints.

    FastAPI's own stack adds layers for what no endpoint here uses (dependencies with exits, uploaded files, its
    telemetry, a second size limit); together they cost more than the routing.
    """

    def __init__(self, *, front_door: Callable[[ASGIApp], ASGIApp], **options: Any) -> None:
        super().__init__(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, **options)
        self._front_door = front_door

    def build_middleware_stack(self) -> ASGIApp:
        """Put the layers together; the front door is the outermost edge and catches what nobody expected."""
        return self._front_door(Dispatch(self.router, self.exception_handlers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        scope["app"] = self
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        await self.middleware_stack(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the complete OpenAPI document."""
        return describe(self)
