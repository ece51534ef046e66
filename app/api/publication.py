"""What anyone may fetch and check alone: trust documents, freshness, status lists, the bundle, type descriptions."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from app.api.caching import DIRECTORY_SECONDS, IMMUTABLE, SIGNED_SECONDS, public_answer, public_json
from app.api.paging import NoQuery
from app.api.requests import read_query, services_of
from app.api.routing import Routes
from app.api.schemas.answers import JsonObject, StatusListUris
from app.api.schemas.publication import BundleQuery, RootQuery, StatusListQuery, TrustListQuery
from app.domain.authority import ElementDefinition, LicenseType
from app.domain.errors import NotFound
from app.domain.publication import Digested, SignedDocument
from app.domain.type_versions import at_version
from elicense.bundle_delta import BUNDLE_DELTA_TYPE
from elicense.trust_list import Authority, AuthorityState

JOSE_TYPE = "application/jose+json"
JWT_TYPE = "application/jwt"
STATUS_LIST_TYPE = "application/statuslist+jwt"

routes = Routes(tag="publication")


async def get_trust_root(request: Request) -> Response:
    """Answer the trust root: the latest, or the version asked for."""
    query = read_query(request, RootQuery)
    return _exactly(request, await services_of(request).trust_list.root(query.version), JOSE_TYPE)


async def get_trust_list(request: Request) -> Response:
    """Answer the trust list: the latest, or the one asked for."""
    query = read_query(request, TrustListQuery)
    return _exactly(request, await services_of(request).trust_list.trust_list(query.sequence), JOSE_TYPE)


async def get_freshness(request: Request) -> Response:
    """Answer the freshness statement: what is newest of everything published."""
    read_query(request, NoQuery)
    return _exactly(request, await services_of(request).freshness.current(), JWT_TYPE)


async def list_status_lists(request: Request) -> Response:
    """Answer the URIs of all status lists."""
    read_query(request, NoQuery)
    uris = await services_of(request).status_lists.uris()
    return public_json(request, {"status_lists": list(uris)}, max_age=SIGNED_SECONDS)


async def get_status_list(request: Request) -> Response:
    """Answer one status list token (IETF Token Status List), the current one or one of the archive."""
    query = read_query(request, StatusListQuery)
    lists, list_id = services_of(request).status_lists, request.path_params["list_id"]
    lasting = query.seq is not None
    if query.time is not None:
        shown, lasting = await lists.at_time(list_id, datetime.fromtimestamp(query.time, UTC))
    elif query.seq is not None:
        shown = await lists.version(list_id, query.seq)
    else:
        shown = await lists.served(list_id)
    return public_answer(
        request,
        shown.token.encode("ascii"),
        media_type=STATUS_LIST_TYPE,
        max_age=IMMUTABLE if lasting else SIGNED_SECONDS,
        sha256=shown.sha256,
    )


async def get_bundle(request: Request) -> Response:
    """Answer everything offline verification needs, parts that agree with one another, or what of it is new."""
    query = read_query(request, BundleQuery)
    services = services_of(request)
    if query.since is not None:
        delta = await services.bundle_deltas.since(query.since, deflate=query.deflate)
        if delta is not None:
            return _exactly(request, delta, BUNDLE_DELTA_TYPE)
    return _exactly(request, await services.freshness.served_bundle(), "application/json")


async def get_type_metadata(request: Request) -> Response:
    """Answer the SD-JWT VC type metadata of a license type (draft-ietf-oauth-sd-jwt-vc §6), at any version it had."""
    read_query(request, NoQuery)
    services = services_of(request)
    held = (await services.directory.snapshot()).license_types.get(request.path_params["type_code"])
    version = request.path_params["schema_version"]
    found = None if held is None else at_version(held, version)
    if found is None:
        raise NotFound("license type")
    evidence = await services.trust_list.evidence()
    vct = f"{evidence.root.type_base}/types/{found.code}/{version}"
    return public_json(request, _type_metadata(found, vct), max_age=DIRECTORY_SECONDS)


async def get_issuer_metadata(request: Request) -> Response:
    """Answer the JWT VC issuer metadata of an authority (draft-ietf-oauth-sd-jwt-vc §5).

    It serves wallets that know nothing of the trust list; whoever holds the list believes the list alone. Keys said
    to be compromised and distrusted authorities are not named here.
    """
    read_query(request, NoQuery)
    evidence = await services_of(request).trust_list.evidence()
    authority = evidence.trust_list.authorities.get(request.path_params["authority_code"])
    if authority is None or authority.status is AuthorityState.DISTRUSTED:
        raise NotFound("issuer")
    return public_json(request, _issuer_metadata(authority), max_age=SIGNED_SECONDS)


def _exactly(request: Request, served: SignedDocument | Digested, media_type: str) -> Response:
    return public_answer(
        request, served.content, media_type=media_type, max_age=SIGNED_SECONDS, sha256=served.sha256
    )


def _issuer_metadata(authority: Authority) -> dict[str, object]:
    keys = [
        {**entry.key.jwk, "kid": entry.key.kid, "alg": entry.key.profile.alg, "use": "sig"}
        for entry in authority.keys
        if entry.compromised is None
    ]
    return {"issuer": authority.issuer, "jwks": {"keys": keys}}


def _type_metadata(license_type: LicenseType, vct: str) -> dict[str, object]:
    return {
        "vct": vct,
        "name": license_type.name,
        "description": license_type.description,
        "display": [
            {"locale": "zh-CN", "name": license_type.name},
            {"locale": "en", "name": license_type.name_en},
        ],
        "claims": [_element_metadata(element) for element in license_type.elements],
    }


def _element_metadata(element: ElementDefinition) -> dict[str, object]:
    return {
        "path": ["elements", element.name],
        "display": [
            {"locale": "zh-CN", "label": element.label},
            {"locale": "en", "label": element.label_en},
        ],
        "sd": "always",
    }


routes.add(
    "GET",
    "/v1/trust-root",
    get_trust_root,
    summary="信任根 · Trust root",
    description="JWS General JSON. Pin it from a second source: fetching it here proves nothing by itself.",
    query=RootQuery,
    answer=JOSE_TYPE,
    problems=("not_found",),
    cacheable=True,
)
routes.add(
    "GET",
    "/v1/trust-list",
    get_trust_list,
    summary="信任列表 · Trust list",
    description=(
        "JWS General JSON, signed by the trust root's list keys. With `sequence`, an earlier list as it was published:"
        " it was signed under the trust root of its `root_version`."
    ),
    query=TrustListQuery,
    answer=JOSE_TYPE,
    problems=("not_found",),
    cacheable=True,
)
_SIGNED = (("/v1/freshness", get_freshness, "新鲜度声明 · Freshness statement", JWT_TYPE),)
for _path, _endpoint, _title, _media_type in _SIGNED:
    routes.add(
        "GET",
        _path,
        _endpoint,
        summary=_title,
        query=NoQuery,
        answer=_media_type,
        problems=("not_found",),
        cacheable=True,
    )
routes.add(
    "GET",
    "/v1/status-lists/{list_id}",
    get_status_list,
    summary="状态列表 · A status list",
    description="The current version; with `time` (Unix seconds) the one that was the newest at that moment (IETF "
    "Token Status List, historical resolution), 404 where none covers it; with `seq` one by its number. Version `seq` "
    "was the newest until the `iat` of `seq + 1`. What has a successor never changes and may be kept forever.",
    query=StatusListQuery,
    answer=STATUS_LIST_TYPE,
    problems=("not_found",),
    cacheable=True,
)
routes.add(
    "GET",
    "/v1/status-lists",
    list_status_lists,
    summary="状态列表目录 · All status lists",
    query=NoQuery,
    answer=StatusListUris,
    cacheable=True,
)
routes.add(
    "GET",
    "/v1/bundle",
    get_bundle,
    summary="离线验证包 · Bundle for offline verification",
    description=(
        "Everything offline verification needs. With `since`, the SHA-256 (hex) of the freshness statement in the"
        f" bundle you hold, the answer is what changed, as `{BUNDLE_DELTA_TYPE}`: apply it with"
        " `elicense.bundle_delta.apply_delta`; its digests show whether the result is exact. `deflate` is your"
        " zlib's `elicense.folding.deflate_fingerprint` and makes the delta smaller. The whole bundle is answered"
        " (`application/json`) when that statement is unknown or the delta would be no smaller."
    ),
    query=BundleQuery,
    answer=JsonObject,
    also=(BUNDLE_DELTA_TYPE,),
    problems=("not_found",),
    cacheable=True,
)
_OBJECTS = (
    ("/types/{type_code}/{schema_version}", get_type_metadata, "类型元数据 · Type metadata"),
    (
        "/.well-known/jwt-vc-issuer/authorities/{authority_code}",
        get_issuer_metadata,
        "颁发机构元数据 · Issuer metadata",
    ),
)
for _path, _endpoint, _title in _OBJECTS:
    routes.add(
        "GET",
        _path,
        _endpoint,
        summary=_title,
        query=NoQuery,
        answer=JsonObject,
        problems=("not_found",),
        cacheable=True,
    )
