"""From a request to its endpoint: a path without parameters is looked up, every other is searched for in the router.

To look through all routes, and through the layers that translate errors and watch for an answer begun, costs several
times what is needed where a path names one endpoint. Both ways run the same endpoints and the same translations.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Router
from starlette.types import Receive, Scope, Send

from app.api.routing import PlainRoute

Translation = Callable[[Request, Exception], Awaitable[Response]]


class Dispatch:
    """Serve routes; errors that have a translation become its answer, all others go on to the front door."""

    def __init__(self, router: Router, translations: Mapping[Any, Any]) -> None:
        """Serve the routes that the router has now."""
        self._router = router
        self._searching = ExceptionMiddleware(router, handlers=translations)
        self._translations: Mapping[Any, Translation] = translations
        self._fixed = fixed_routes(router.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        route = self._fixed.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None or scope.get("root_path"):
            await self._searching(scope, receive, send)
            return
        scope["router"] = self._router
        scope["route"] = route
        scope["endpoint"] = route.endpoint
        scope["path_params"] = {}
        try:
            await route.app(scope, receive, send)
        except Exception as error:
            # Raised by the endpoint, so before an answer has begun: answers are whole, sending raises none of these.
            translate = self._translation_of(error)
            if translate is None:
                raise
            response = await translate(Request(scope, receive, send), error)
            await response(scope, receive, send)
            error.__traceback__ = None  # an instance raised again would gather those of all requests

    def _translation_of(self, error: Exception) -> Translation | None:
        for kind in type(error).__mro__:
            found = self._translations.get(kind)
            if found is not None:
                return found
        return None


def fixed_routes(routes: Sequence[BaseRoute]) -> Mapping[tuple[str, str], PlainRoute]:
    """Return the routes whose path has no parameter, by method and path, where the search would choose them too."""
    fixed: dict[tuple[str, str], PlainRoute] = {}
    for route in routes:
        if not isinstance(route, PlainRoute) or "{" in route.path:
            continue
        for method in route.methods or ():
            scope = {"type": "http", "method": method, "path": route.path, "headers": []}
            first = next(one for one in routes if one.matches(scope)[0] is Match.FULL)
            if first is route:
                fixed[method, route.path] = route
    return fixed
