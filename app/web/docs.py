"""The interactive description of the API: Swagger UI from files that ship with this package, no foreign host."""

import hashlib
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

SWAGGER_VERSION = "5.35.0"

_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_PAGE = b"""<!doctype html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>\xe7\x94\xb5\xe5\xad\x90\xe8\xaf\x81\xe7\x85\xa7\xe6\x8e\xa5\xe5\x8f\xa3 \xc2\xb7 Electronic license API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<noscript><p>\xe6\x9c\xac\xe9\xa1\xb5\xe9\x9c\x80\xe8\xa6\x81 JavaScript\xe3\x80\x82 This page needs JavaScript;
<a href="/openapi.json">/openapi.json</a> does not.</p></noscript>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = b"""window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""


async def show_docs(request: Request) -> Response:
    """Answer the page."""
    return Response(_PAGE, headers=_SECURITY_HEADERS, media_type="text/html; charset=utf-8")


async def start_script(request: Request) -> Response:
    """Answer the few lines that start Swagger UI; they are a file because the page allows no inline script."""
    return _asset(request, _START, "text/javascript; charset=utf-8")


async def stylesheet(request: Request) -> Response:
    """Answer Swagger UI's style sheet."""
    return _asset(request, _vendored("swagger-ui.css"), "text/css; charset=utf-8")


async def script(request: Request) -> Response:
    """Answer Swagger UI's script."""
    return _asset(request, _vendored("swagger-ui-bundle.js"), "text/javascript; charset=utf-8")


def docs_routes() -> list[BaseRoute]:
    """Return the routes of the page and its files."""
    return [
        Route("/docs", show_docs),
        Route("/docs/start.js", start_script),
        Route("/docs/swagger-ui.css", stylesheet),
        Route("/docs/swagger-ui-bundle.js", script),
    ]


@cache
def _vendored(name: str) -> bytes:
    return files("app.web").joinpath("static", "vendor", f"swagger-ui-{SWAGGER_VERSION}", name).read_bytes()


@cache
def _etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'


def _asset(request: Request, content: bytes, media_type: str) -> Response:
    headers = {**_SECURITY_HEADERS, "Cache-Control": "public, max-age=86400", "ETag": _etag(content)}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)
