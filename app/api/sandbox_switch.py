"""Which of two installations a request is for: the live one, or the sandbox beside it.

The sandbox gets calls that need a key and bear one of the sandbox, and whatever is asked under `/sandbox`, which is
where its public documents are and what an SDK takes as its base URL. What needs no key is live, whatever key comes
along: caches keep those answers by their URL alone, and must never be given the sandbox's for it. Each side is a whole
application with services of its own, so that a test key can reach no live row whatever a route does.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from app.api.routing import PlainRoute

log = structlog.get_logger(__name__)

PREFIX = "/sandbox"
_PREFIX_BYTES = PREFIX.encode()
_KEY_MARK = b"elk_test_"


class SandboxSwitch:
    """Send each request to one of two applications (plain ASGI)."""

    def __init__(self, *, live: Starlette, sandbox: Starlette) -> None:
        """Serve both; a sandbox that does not open answers 503 and holds up nobody else."""
        self.live = live
        self.sandbox = sandbox
        self._routes = tuple(sandbox.router.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection; the lifespan is that of both."""
        if scope["type"] == "lifespan":
            async with self._sandbox_open():
                await self.live(scope, receive, send)
            return
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith(PREFIX) and path[len(PREFIX) :][:1] in ("", "/"):
                await self.sandbox(_without_prefix(scope), receive, send)
                return
            if _bears_sandbox_key(scope) and self._needs_key(scope):
                await self.sandbox(scope, receive, send)
                return
        await self.live(scope, receive, send)

    def _needs_key(self, scope: Scope) -> bool:
        """Tell whether the operation asked for is one that needs a key; an unknown one is not."""
        found = next((route for route in self._routes if route.matches(scope)[0] is Match.FULL), None)
        return isinstance(found, PlainRoute) and found.needs_key

    @asynccontextmanager
    async def _sandbox_open(self) -> AsyncIterator[None]:
        lifespan = self.sandbox.router.lifespan_context(self.sandbox)
        try:
            await lifespan.__aenter__()
        except Exception:
            # Whatever is wrong with it (database, schema, keys, settings) is no reason to stop the live service.
            log.exception("sandbox_unavailable")
            self.sandbox.state.services = None
            yield
            return
        try:
            yield
        finally:
            await lifespan.__aexit__(None, None, None)


def _bears_sandbox_key(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"authorization":
            return _KEY_MARK in value
    return False


def _without_prefix(scope: Scope) -> Scope:
    raw = scope.get("raw_path")
    if raw is not None and raw.startswith(_PREFIX_BYTES):
        raw = raw[len(_PREFIX_BYTES) :] or b"/"
    return {**scope, "path": scope["path"][len(PREFIX) :] or "/", "raw_path": raw}
