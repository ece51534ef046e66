"""The public, signed documents for asyncio: the calls of `_trust`, awaited."""

from collections.abc import Mapping, Sequence

from elicense.client import _trust_calls as calls
from elicense.client._call import AsyncCaller
from elicense.client._protocol import Response


class AsyncTrust:
    """Public, signed documents. Fetching checks nothing: `OfflineVerifier` and `update_bundle` do."""

    def __init__(self, client: AsyncCaller) -> None:
        self._client = client

    async def bundle(self) -> bytes:
        """Fetch all that offline verification needs, in one file."""
        return await self._client._run(calls.bundle())

    async def bundle_since(self, statement_sha256: str, *, deflate: str | None = None) -> Response:
        """Fetch what changed since the bundle with this freshness statement (digest, hex), or the whole bundle.

        The content type tells which: see `elicense.bundle_delta.apply_delta`.
        """
        return await self._client._run(calls.bundle_since(statement_sha256, deflate=deflate))

    async def consistency(self, origin: str, old_size: int, new_size: int) -> Mapping[str, object]:
        """Fetch the proof that a log of `new_size` entries begins with the one of `old_size`."""
        return await self._client._run(calls.consistency(origin, old_size, new_size))

    async def log_proof(
        self,
        *,
        identifier: str | None = None,
        signing_input_sha256: str | None = None,
        trust_list: int | None = None,
        trust_root: int | None = None,
    ) -> Mapping[str, object]:
        """Fetch the proof that an entry stands in the log: a license's issuance by its identifier, a trust list by its
        sequence, or a trust root by its version; name exactly one.

        With `signing_input_sha256` (hex), the digest of the credential's signing input, the answer holds what opens a
        license's entry, too. Raises NotFoundError, and NotLoggedYetError for the seconds until the log has taken it.
        """
        return await self._client._run(
            calls.log_proof(
                identifier=identifier,
                signing_input_sha256=signing_input_sha256,
                trust_list=trust_list,
                trust_root=trust_root,
            )
        )

    async def status_list_proof(self, uri: str, seq: int) -> bytes:
        """Fetch the proof (JSON) that a version of a status list stands in the log. Raises NotFoundError,
        NotLoggedYetError.
        """
        return await self._client._run(calls.status_list_proof(uri, seq))

    async def root(self, *, version: int | None = None) -> bytes:
        """Fetch the trust root, the newest or one version. Compare it with one obtained by another way before pinning
        it. Raises NotFoundError for a version there is not.
        """
        return await self._client._run(calls.root(version))

    async def trust_list(self, *, sequence: int | None = None) -> bytes:
        """Fetch the signed trust list, the newest or an earlier one. Raises NotFoundError for one there is not."""
        return await self._client._run(calls.trust_list(sequence))

    async def freshness(self) -> str:
        """Fetch the signed freshness statement."""
        return await self._client._run(calls.freshness())

    async def status_lists(self) -> list[str]:
        """Fetch the URIs of all status lists."""
        return await self._client._run(calls.status_lists())

    async def status_list(
        self, path: Sequence[str], *, time: int | None = None, seq: int | None = None
    ) -> str:
        """Fetch a status list by the path of its URI: the current version, that of a moment (Unix seconds), or one
        by its number. Raises NotFoundError where none covers the moment.
        """
        return await self._client._run(calls.status_list(path, time=time, seq=seq))
