"""The transparency logs over HTTP: checkpoints and tiles as C2SP tlog-tiles lays them out, proofs, cosignatures."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.arrival import arrival_of
from app.api.caching import IMMUTABLE, SIGNED_SECONDS, public_answer, public_json
from app.api.idempotency import parse_idempotency_key
from app.api.paging import NoQuery
from app.api.requests import json_answer, read_body, read_query, services_of
from app.api.routing import Routes
from app.api.schemas.transparency_log import (
    CheckpointQuery,
    ConsistencyAnswer,
    ConsistencyQuery,
    CosignatureBody,
    CosignaturesAnswer,
    EntryProofAnswer,
    ProofQuery,
)
from app.domain.errors import NotFound
from app.services.answers import moment_json
from app.services.log_proofs import EntryProof, LogProofService
from elicense.encoding import sha256_hex
from elicense.log_entry import EntryKind
from elicense.problems import FormatError
from elicense.tiles import TILE_WIDTH, parse_tile_path

CHECKPOINT_SECONDS = 1
TILE_SECONDS = 10
CHECKPOINT_TYPE = "text/plain"
TILE_TYPE = "application/octet-stream"

routes = Routes(tag="transparency log")


async def get_checkpoint(request: Request) -> Response:
    """Answer the signed note of the public log's newest checkpoint."""
    return await _checkpoint(request, None)


async def get_log_checkpoint(request: Request) -> Response:
    """Answer the signed note of the newest checkpoint of one log."""
    return await _checkpoint(request, request.path_params["name"])


async def get_tile(request: Request) -> Response:
    """Answer a tile or entry bundle of the public log."""
    return await _tile(request, None)


async def get_log_tile(request: Request) -> Response:
    """Answer a tile or entry bundle of one log."""
    return await _tile(request, request.path_params["name"])


async def get_log_proof(request: Request) -> Response:
    """Prove that an entry stands in the log."""
    query = read_query(request, ProofQuery)
    proof = await _prove(services_of(request).log_proofs, query)
    if proof.opening is not None:
        return json_answer(proof.to_json())  # for who asked alone: no cache keeps what opens an entry
    return public_json(request, proof.to_json(), max_age=SIGNED_SECONDS)


async def get_log_consistency(request: Request) -> Response:
    """Prove that the log begins with its earlier self."""
    query = read_query(request, ConsistencyQuery)
    proof = await services_of(request).transparency_log.consistency(
        origin=query.origin, old_size=query.from_, new_size=query.to
    )
    return public_json(request, proof.to_json(), max_age=SIGNED_SECONDS)


async def add_cosignature(request: Request) -> Response:
    """Add a witness's cosignature to a published checkpoint.

    The signature says who calls. Handing one in again changes nothing, so an Idempotency-Key adds nothing to it.
    """
    read_query(request, NoQuery)
    key = arrival_of(request).header(b"idempotency-key")
    if key is not None:
        parse_idempotency_key(key)
    body = read_body(request, CosignatureBody)
    witnesses = await services_of(request).log_witnesses.accept(body.note)
    return json_answer({"witnesses": {name: moment_json(at) for name, at in sorted(witnesses.items())}})


async def _checkpoint(request: Request, name: str | None) -> Response:
    query = read_query(request, CheckpointQuery)
    found = await services_of(request).transparency_log.checkpoint(
        name, witnessed=query.witnessed is not None
    )
    content = found.note.encode("utf-8")
    return _answer(request, content, CHECKPOINT_TYPE, max_age=CHECKPOINT_SECONDS)


async def _tile(request: Request, name: str | None) -> Response:
    read_query(request, NoQuery)
    try:
        tile = parse_tile_path(request.path_params["tile"])
    except FormatError:
        raise NotFound("tile") from None
    content = await services_of(request).transparency_log.tile(name, tile)
    # By its own name a log is one log for ever. `/log` is the one in force: the next begins at the same URLs.
    lasting = name is not None and tile.width == TILE_WIDTH
    return _answer(request, content, TILE_TYPE, max_age=IMMUTABLE if lasting else TILE_SECONDS)


def _answer(request: Request, content: bytes, media_type: str, *, max_age: int) -> Response:
    return public_answer(request, content, media_type=media_type, max_age=max_age, sha256=sha256_hex(content))


async def _prove(proofs: LogProofService, query: ProofQuery) -> EntryProof:
    if query.identifier is not None:
        return await proofs.of_license(query.identifier, signing_input_sha256=query.signing_input_sha256)
    if query.status_list is not None:
        return await proofs.of_status_list(query.status_list, query.seq or 0)
    if query.trust_list is not None:
        return await proofs.of_trust_document(EntryKind.TRUST_LIST, query.trust_list)
    return await proofs.of_trust_document(EntryKind.TRUST_ROOT, query.trust_root or 0)


_LOGS = "`log` is the public log's first origin, `log-2` its next; `receipt-log` is that of receipts."
for _path, _checkpoint_of, _tile_of, _about in (
    ("/log", get_checkpoint, get_tile, "The public log in force, which may become the next one."),
    (
        "/logs/{name}",
        get_log_checkpoint,
        get_log_tile,
        f"One log, frozen ones included: {_LOGS} Full tiles under its name may be kept for ever.",
    ),
):
    routes.add(
        "GET",
        f"{_path}/checkpoint",
        _checkpoint_of,
        summary="存证日志检查点 · Checkpoint of a log",
        description=f"{_about} A signed note (C2SP tlog-checkpoint) by the log's Ed25519 key of the trust list, with "
        "the cosignatures of its witnesses. `witnessed=1` answers the newest that has one.",
        query=CheckpointQuery,
        answer=CHECKPOINT_TYPE,
        problems=("not_found",),
        cacheable=True,
    )
    routes.add(
        "GET",
        f"{_path}/tile/{{tile:path}}",
        _tile_of,
        summary="存证日志分块 · Tile or entry bundle of a log",
        description=f"{_about} C2SP tlog-tiles: `<level>/<number>` or `entries/<number>`, with `.p/<width>` while "
        "partial, the number in groups of three digits. Nothing beyond the served checkpoint.",
        query=NoQuery,
        answer=TILE_TYPE,
        problems=("not_found",),
        cacheable=True,
    )
routes.add(
    "GET",
    "/v1/log/proof",
    get_log_proof,
    summary="存证日志包含证明 · Proof that an entry stands in the log",
    description="Exactly one of `identifier` (the issuance of that version), `status_list` with `seq`, `trust_list` "
    "and `trust_root`. A license's entry is a salted digest; `signing_input_sha256`, which only a holder of the "
    "credential can name, adds what opens it.",
    query=ProofQuery,
    answer=EntryProofAnswer,
    problems=("not_found", "not_logged_yet"),
    cacheable=True,
)
routes.add(
    "GET",
    "/v1/log/consistency",
    get_log_consistency,
    summary="存证日志一致性证明 · Proof that a log only grew",
    description="RFC 6962 section 2.1.2, between two published sizes; `to` is the newest when not given.",
    query=ConsistencyQuery,
    answer=ConsistencyAnswer,
    problems=("not_found",),
    cacheable=True,
)
routes.add(
    "POST",
    "/log/cosignature",
    add_cosignature,
    summary="提交见证联署 · Hand in a witness's cosignature",
    description="The signed note of a published checkpoint with a cosignature/v1 (C2SP tlog-cosignature) of a witness "
    "in the trust list. No API key: the signature says who calls. Of each witness at most 120 new ones a minute for "
    "each log, and 120 repeated ones; beyond that 429 with Retry-After.",
    body=CosignatureBody,
    answer=CosignaturesAnswer,
    problems=("cosignature_refused", "not_found", "rate_limited", "read_only"),
)
