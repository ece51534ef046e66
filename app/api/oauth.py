"""OAuth 2.0: the token endpoint (RFC 6749 §4.4 with RFC 7523) and the authorization server's metadata (RFC 8414)."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from app.api.arrival import arrival_of
from app.api.auth import admit
from app.api.caching import DIRECTORY_SECONDS, public_json
from app.api.requests import json_answer, services_of
from app.api.routing import Routes
from app.api.schemas.answers import JsonObject
from app.api.schemas.callers import OAuthErrorAnswer, TokenAnswer, TokenForm
from app.domain.oauth import OAuthRefusal

routes = Routes(tag="oauth")

ENDPOINT = "/oauth/token"
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_MOST_FIELDS = 32


async def create_token(request: Request) -> Response:
    """Answer an access token for a signed client assertion."""
    service = services_of(request).oauth
    try:
        form = _read_form(arrival_of(request).body)
        proven = await service.prove(form)
        await admit(request, proven.client, handle="", kid=proven.kid)
        issued = await service.issue(proven, form)
    except OAuthRefusal as refusal:
        return _refused(refusal)
    return json_answer(
        {
            "access_token": issued.secret,
            "token_type": "Bearer",
            "expires_in": issued.expires_in,
            "scope": " ".join(sorted(scope.value for scope in issued.scopes)),
        },
        headers=_NO_STORE,
    )


async def get_authorization_server(request: Request) -> Response:
    """Answer the metadata."""
    return public_json(request, services_of(request).oauth.metadata(), max_age=DIRECTORY_SECONDS)


def _read_form(body: bytes) -> Mapping[str, str]:
    """Read a form; a field without a value counts as not sent (RFC 6749 §3.2), a repeated one is refused."""
    try:
        pairs = parse_qsl(body.decode("ascii"), max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise OAuthRefusal("invalid_request", "the body is no form") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise OAuthRefusal("invalid_request", "a field is given more than once")
    return form


def _refused(refusal: OAuthRefusal) -> Response:
    unauthorized = refusal.error == "invalid_client"
    headers = {**_NO_STORE, **({"WWW-Authenticate": 'Bearer realm="elicense"'} if unauthorized else {})}
    body = {"error": refusal.error, "error_description": refusal.detail}
    return json_answer(body, status=401 if unauthorized else 400, headers=headers)


routes.add(
    "POST",
    ENDPOINT,
    create_token,
    summary="以私钥签名换取访问令牌 · An access token for a signed client assertion",
    description="`client_credentials` with `private_key_jwt`: the assertion is ES256, `typ` "
    "`client-authentication+jwt`, `iss` = `sub` = the client id, `aud` the issuer identifier as a string, `jti` once, "
    "`exp` at most five minutes ahead. The token counts for ten minutes, and no longer than its client and key.",
    form=TokenForm,
    answer=TokenAnswer,
    refusals={400: OAuthErrorAnswer, 401: OAuthErrorAnswer},
    problems=("address_not_allowed", "rate_limited", "read_only"),
)
routes.add(
    "GET",
    "/.well-known/oauth-authorization-server",
    get_authorization_server,
    summary="授权服务器元数据 · Authorization server metadata",
    answer=JsonObject,
    cacheable=True,
)
