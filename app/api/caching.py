"""Public answers: entity tags, conditional requests and how long caches may keep them (RFC 9110 §13, RFC 9111)."""

import re

from starlette.requests import Request
from starlette.responses import Response

from app.api.arrival import arrival_of
from elicense.encoding import dump_json, sha256_hex

SIGNED_SECONDS = 30
"""Signed evidence: short, so that a revocation is not held back; a revalidation costs one 304."""

DIRECTORY_SECONDS = 300
"""Directories and type descriptions."""

IMMUTABLE = 31_536_000
"""What never changes: a year, and no revalidation meanwhile (RFC 8246)."""

# A tag may hold commas and stars, so the list is not split at them.
_TAG = re.compile(r'"[!#-~\x80-\xff]*"')
_TAGS = re.compile(rf"[ \t,]*(?:W/)?{_TAG.pattern}(?:[ \t]*,[ \t,]*(?:W/)?{_TAG.pattern})*[ \t,]*")


def public_answer(
    request: Request, content: bytes, *, media_type: str, max_age: int, sha256: str
) -> Response:
    """Answer bytes anyone may cache, or 304 when the caller holds them already.

    `sha256` (hex) is of the content. Whoever serves large things has it beside them: it is not made here, on the event
    loop, for every request.
    """
    etag = f'"{sha256}"'
    lasting = ", immutable" if max_age == IMMUTABLE else ""
    headers = {
        "ETag": etag,
        "Cache-Control": f"public, max-age={max_age}{lasting}",
        "Vary": "Accept-Encoding",
    }
    held = arrival_of(request).header(b"if-none-match")
    if held is not None and _holds(held, etag):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)


def public_json(request: Request, value: object, *, max_age: int) -> Response:
    """Answer a public JSON value as `public_answer` does."""
    content = dump_json(value)
    return public_answer(
        request, content, media_type="application/json", max_age=max_age, sha256=sha256_hex(content)
    )


def _holds(if_none_match: str, etag: str) -> bool:
    """Tell whether a field names an entity tag, by weak comparison (RFC 9110 §13.1.2); a malformed one names none."""
    if if_none_match.strip(" \t") == "*":
        return True
    return _TAGS.fullmatch(if_none_match) is not None and etag in _TAG.findall(if_none_match)
