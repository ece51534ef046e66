"""The application object: FastAPI for its descriptions, with no more layers around the routes than are used."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp

from app.api.openapi import describe


class Application(FastAPI):
    """Serve front door → error translation → routes.

    FastAPI's own stack adds layers for what no endpoint here uses (dependencies with exits, uploaded files, its
    telemetry, a second size limit); together they cost more than the routing.
    """

    def __init__(self, *, front_door: Callable[[ASGIApp], ASGIApp], **options: Any) -> None:
        super().__init__(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, **options)
        self._front_door = front_door

    def build_middleware_stack(self) -> ASGIApp:
        """Put the layers together; the front door is the outermost edge and catches what nobody expected."""
        return self._front_door(ExceptionMiddleware(self.router, handlers=self.exception_handlers))

    def openapi(self) -> dict[str, Any]:
        """Return the complete OpenAPI document."""
        return describe(self)
