"""The calls for public, signed documents: no key goes with them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from elicense.client._call import Call
from elicense.client._models import Json
from elicense.client._protocol import Response, json_object

T = TypeVar("T")


def bundle() -> Call[bytes]:
    """Fetch the bundle."""
    return _public(["v1", "bundle"], _content)


def bundle_since(statement_sha256: str, *, deflate: str | None) -> Call[Response]:
    """Fetch what changed since a bundle, or the whole one."""
    return _public(["v1", "bundle"], lambda answer: answer, since=statement_sha256, deflate=deflate)


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
    return _public(["v1", "log", "proof"], _content, status_list=uri, seq=seq)


def root(version: int | None) -> Call[bytes]:
    """Fetch a version of the trust root."""
    return _public(["v1", "trust-root"], _content, version=version)


def trust_list(sequence: int | None) -> Call[bytes]:
    """Fetch a signed trust list."""
    return _public(["v1", "trust-list"], _content, sequence=sequence)


def freshness() -> Call[str]:
    """Fetch the signed freshness statement."""
    return _public(["v1", "freshness"], _token)


def status_lists() -> Call[list[str]]:
    """Fetch the URIs of all status lists."""
    return _public(["v1", "status-lists"], _uris)


def status_list(path: Sequence[str], *, time: int | None, seq: int | None) -> Call[str]:
    """Fetch one version of a status list."""
    return _public(path, _token, time=time, seq=seq)


def _public(path: Sequence[str], read: Callable[[Response], T], **query: str | int | None) -> Call[T]:
    return Call(method="GET", path=path, read=read, query=query, needs_key=False, accept="*/*")


def _content(answer: Response) -> bytes:
    return answer.body


def _token(answer: Response) -> str:
    return answer.body.decode("ascii", "replace").strip()


def _uris(answer: Response) -> list[str]:
    uris = json_object(answer).get("status_lists")
    return [uri for uri in uris if isinstance(uri, str)] if isinstance(uris, list) else []
