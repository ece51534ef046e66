"""The calls for public, signed documents: no key goes with them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from elicense.client._call import Call
from elicense.client._models import Json, _texts
from elicense.client._protocol import Response, document_bytes, json_object, token_text
from elicense.client.errors import APIResponseError

T = TypeVar("T")


def bundle() -> Call[bytes]:
    """Fetch the bundle."""
    return _public(["v1", "bundle"], document_bytes)


def bundle_since(statement_sha256: str, *, deflate: str | None) -> Call[Response]:
    """Fetch what changed since a bundle, or the whole one."""
    return _public(["v1", "bundle"], _changes, since=statement_sha256, deflate=deflate)


def consistency(origin: str, old_size: int, new_size: int) -> Call[Json]:
    """Fetch the proof between two sizes of a log."""
    sizes: dict[str, int] = {"from": old_size, "to": new_size}
    return _public(["v1", "log", "consistency"], json_object, origin=origin, **sizes)


def log_proof(
    *,
    identifier: str | None,
    signing_input_sha256: str | None,
    trust_list: int | None,
    trust_root: int | None,
) -> Call[Json]:
    """Fetch the proof that an entry stands in the log."""
    return _public(
        ["v1", "log", "proof"],
        json_object,
        identifier=identifier,
        signing_input_sha256=signing_input_sha256,
        trust_list=trust_list,
        trust_root=trust_root,
    )


def status_list_proof(uri: str, seq: int) -> Call[bytes]:
    """Fetch the log proof of a version of a status list."""
    return _public(["v1", "log", "proof"], document_bytes, status_list=uri, seq=seq)


def root(version: int | None) -> Call[bytes]:
    """Fetch a version of the trust root."""
    return _public(["v1", "trust-root"], document_bytes, version=version)


def trust_list(sequence: int | None) -> Call[bytes]:
    """Fetch a signed trust list."""
    return _public(["v1", "trust-list"], document_bytes, sequence=sequence)


def freshness() -> Call[str]:
    """Fetch the signed freshness statement."""
    return _public(["v1", "freshness"], token_text)


def status_lists() -> Call[list[str]]:
    """Fetch the URIs of all status lists."""
    return _public(["v1", "status-lists"], _uris)


def status_list(path: Sequence[str], *, time: int | None, seq: int | None) -> Call[str]:
    """Fetch one version of a status list."""
    return _public(path, token_text, time=time, seq=seq)


def _public(path: Sequence[str], read: Callable[[Response], T], **query: str | int | None) -> Call[T]:
    return Call(method="GET", path=path, read=read, query=query, needs_key=False, accept="*/*")


def _changes(answer: Response) -> Response:
    document_bytes(answer)
    return answer


def _uris(answer: Response) -> list[str]:
    listed = json_object(answer)
    if "status_lists" not in listed:
        raise APIResponseError("the answer lacks status_lists")
    return list(_texts(listed, "status_lists"))
