"""The public, signed documents of a service, as they come."""

from collections.abc import Callable, Sequence

from elicense.client._models import Json
from elicense.client._protocol import Endpoint, Request, Response, json_object


class Trust:
    """Public, signed documents. Fetching checks nothing: `OfflineVerifier` and `update_bundle` do."""

    def __init__(self, endpoint: Endpoint, send: Callable[[Request], Response]) -> None:
        self._endpoint = endpoint
        self._send = send

    def bundle(self) -> bytes:
        """Fetch all that offline verification needs, in one file."""
        return self._fetch(["v1", "bundle"]).body

    def bundle_since(self, statement_sha256: str, *, deflate: str | None = None) -> Response:
        """Fetch what changed since the bundle with this freshness statement (digest, hex), or the whole bundle.

        The content type tells which: see `elicense.bundle_delta.apply_delta`.
        """
        return self._fetch(["v1", "bundle"], since=statement_sha256, deflate=deflate)

    def consistency(self, origin: str, old_size: int, new_size: int) -> Json:
        """Fetch the proof that a log of `new_size` entries begins with the one of `old_size`."""
        sizes: dict[str, int] = {"from": old_size, "to": new_size}
        return json_object(self._fetch(["v1", "log", "consistency"], origin=origin, **sizes))

    def status_list_proof(self, uri: str, seq: int) -> bytes:
        """Fetch the proof (JSON) that a version of a status list stands in the log. Raises NotFoundError,
        NotLoggedYetError.
        """
        return self._fetch(["v1", "log", "proof"], status_list=uri, seq=seq).body

    def root(self) -> bytes:
        """Fetch the trust root. Compare it with one obtained by another way before pinning it."""
        return self._fetch(["v1", "trust-root"]).body

    def trust_list(self) -> bytes:
        """Fetch the signed trust list."""
        return self._fetch(["v1", "trust-list"]).body

    def freshness(self) -> str:
        """Fetch the signed freshness statement."""
        return self._fetch(["v1", "freshness"]).body.decode("ascii", "replace").strip()

    def status_lists(self) -> list[str]:
        """Fetch the URIs of all status lists."""
        uris = json_object(self._fetch(["v1", "status-lists"])).get("status_lists")
        return [uri for uri in uris if isinstance(uri, str)] if isinstance(uris, list) else []

    def status_list(self, path: Sequence[str], *, time: int | None = None, seq: int | None = None) -> str:
        """Fetch a status list by the path of its URI: the current version, that of a moment (Unix seconds), or one
        by its number. Raises NotFoundError where none covers the moment.
        """
        return self._fetch(path, time=time, seq=seq).body.decode("ascii", "replace").strip()

    def _fetch(self, path: Sequence[str], **query: str | int | None) -> Response:
        return self._send(self._endpoint.request("GET", path, query=query, needs_key=False, accept="*/*"))
