"""The client for asyncio: `AsyncElicense`. All rules stand in `_protocol`, all calls in `_…_calls`."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TypeVar

from elicense.client import _system
from elicense.client import _verification_calls as calls
from elicense.client._async_directory import AsyncDirectory
from elicense.client._async_licenses import AsyncLicenses
from elicense.client._async_orders import AsyncProposals, AsyncScheduledChanges
from elicense.client._async_policies import AsyncPolicies
from elicense.client._async_sandbox import AsyncSandbox
from elicense.client._async_trust import AsyncTrust
from elicense.client._async_verifications import AsyncVerifications
from elicense.client._call import Call, each_async
from elicense.client._checks import hidden
from elicense.client._models import Holding, Page
from elicense.client._policy_models import Alarm, LoggedRequest
from elicense.client._protocol import AsyncTransport, Endpoint, Request, Response, Timeout
from elicense.client._shell import (
    Settings,
    check_receipt,
    read_settings,
    require_root,
    settle,
    shown,
    token_of,
    with_token,
)
from elicense.client._verification_models import BatchResult, Verification
from elicense.client.errors import APIConnectionError, APIStatusError

if TYPE_CHECKING:
    from elicense.client._async_oauth import AsyncAccessTokens
    from elicense.keys import Signer
    from elicense.receipt import Receipt

T = TypeVar("T")


class AsyncElicense:
    """Talk to one service from asyncio: what `Elicense` does, awaited, with the same settings, answers and errors.

    `api_key` and `base_url` default to ELICENSE_API_KEY and ELICENSE_BASE_URL. Instead of a key, `client_id` and
    `private_key` (P-256: a PEM file's path, its bytes, or a signer) get access tokens by OAuth 2.0, from `issuer`
    (by default the base URL itself). With either the base URL is https, or on this machine; `allow_http` sends them
    in clear text, over a network that protects what passes. `trust_root` (a path or the bytes) pins the trust root
    that receipts are checked against; there is no default one. Each POST carries one Idempotency-Key, kept over up
    to `max_retries` retries; `pause` waits between them. Use it with `async with`, or call `aclose`. Safe to share
    between the tasks of an event loop, and to use in one loop after another (`aclose` closes the connections of the
    loop it is called in). A cancelled call leaves it usable; what the call asked for may have been done. Raises
    ConfigurationError for settings that cannot work.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        client_id: str | None = None,
        private_key: "str | os.PathLike[str] | bytes | Signer | None" = None,
        issuer: str | None = None,
        base_url: str | None = None,
        allow_http: bool = False,
        trust_root: str | os.PathLike[str] | bytes | None = None,
        timeout: Timeout | None = None,
        max_retries: int = 2,
        language: Literal["zh", "en"] = "zh",
        transport: AsyncTransport | None = None,
        pause: Callable[[float], Awaitable[None]] = _system.async_sleep,
    ) -> None:
        # A service that logs local variables of a refusal below logs these, too.
        api_key, private_key = hidden(api_key), hidden(private_key)
        self._settings = read_settings(
            api_key=api_key,
            client_id=client_id,
            private_key=private_key,
            issuer=issuer,
            base_url=base_url,
            allow_http=allow_http,
            by_network=transport is None,
            trust_root=trust_root,
            timeout=timeout,
            max_retries=max_retries,
            language=language,
        )
        self._pause = pause
        self._transport = transport if transport is not None else _http_transport(self._settings)
        self._tokens = self._access_tokens()
        self.policies = AsyncPolicies(self)
        self.licenses = AsyncLicenses(self)
        self.scheduled_changes = AsyncScheduledChanges(self)
        self.proposals = AsyncProposals(self)
        self.verifications = AsyncVerifications(self)
        self.sandbox = AsyncSandbox(self)
        self.directory = AsyncDirectory(self)
        self.trust = AsyncTrust(self)

    def __repr__(self) -> str:
        return shown(self)

    async def __aenter__(self) -> "AsyncElicense":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._tokens is not None:
            await self._tokens.aclose()
        await self._transport.aclose()

    async def holdings(self) -> list[Holding]:
        """Fetch the licenses of the calling holder, each with the path of its credential."""
        return [one async for one in each_async(self, calls.holdings)]

    async def alarms(self, *, cursor: str | None = None, limit: int | None = None) -> "Page[Alarm]":
        """Fetch one page of alarms about guessing at the calling authority's licenses, oldest first."""
        return await self._run(calls.alarms(cursor, limit))

    def iterate_alarms(self) -> "AsyncIterator[Alarm]":
        """Go through all pages of `alarms`, fetching as needed."""
        return each_async(self, calls.alarms)

    async def requests(self, *, cursor: str | None = None, limit: int | None = None) -> "Page[LoggedRequest]":
        """Fetch one page of this client's own requests, newest first."""
        return await self._run(calls.requests(cursor, limit))

    def iterate_requests(self) -> "AsyncIterator[LoggedRequest]":
        """Go through all pages of `requests`, fetching as needed."""
        return each_async(self, calls.requests)

    async def verify_receipt(
        self, receipt: str | Verification | BatchResult | None, *, proof: Mapping[str, object] | None = None
    ) -> "Receipt":
        """Check a receipt's signature against the pinned trust root and the service's trust list; return it.

        Given a whole answer, its receipt is checked and the answer itself held against what that states, every result
        of a batch included. None, and a single result of a batch, hold no receipt, which is a TrustError as well.
        `proof` (`verifications.receipt_proof`) shows besides that it stands in the receipts' log. Raises TrustError
        when no trust root is pinned, when the trust list does not hold, when the receipt was not signed by a key the
        list names for receipts, valid when it signed, and when the proof does not hold. For files, and with no
        network: `elicense verify-receipt`, `elicense.receipt_check.check_receipt`.
        """
        trust_root = require_root(self._settings, "AsyncElicense")
        bundle = await self.trust.bundle()
        # A bundle takes its time to read; the loop goes on meanwhile.
        return await asyncio.to_thread(
            check_receipt, receipt, trust_root=trust_root, bundle=bundle, proof=proof
        )

    # What the resources use.

    async def _run(self, call: Call[T]) -> T:
        return call.read(await self._send(call.request(await self._caller(call.needs_key))))

    def _access_tokens(self) -> "AsyncAccessTokens | None":
        if self._settings.token_steps is None:
            return None
        from elicense.client._async_oauth import AsyncAccessTokens

        return AsyncAccessTokens(self._settings.token_steps, self._exchange)

    async def _caller(self, needs_key: bool) -> Endpoint:
        if self._tokens is None or not needs_key:
            return self._settings.endpoint
        return replace(self._settings.endpoint, api_key=await self._tokens.current())

    async def _send(self, request: Request) -> Response:
        try:
            return await self._exchange(_made(request))
        except APIStatusError as error:
            refused = token_of(request)
            if self._tokens is None or error.status_code != 401 or refused is None:
                raise
        # The token may have been ended before its time: once with another, under the same Idempotency-Key.
        self._tokens.forget(refused)
        return await self._exchange(_made(with_token(request, await self._tokens.current())))

    async def _exchange(self, make: Callable[[], Awaitable[Request]]) -> Response:
        attempt = 0
        while True:
            settled = settle(
                await self._attempt(await make()), attempt=attempt, max_retries=self._settings.max_retries
            )
            if isinstance(settled, Response):
                return settled
            await self._pause(settled)
            attempt += 1

    async def _attempt(self, request: Request) -> Response | APIConnectionError:
        try:
            return await self._transport.send(request, timeout=self._settings.timeout)
        except APIConnectionError as error:
            return error


def _made(request: Request) -> Callable[[], Awaitable[Request]]:
    async def make() -> Request:
        return request

    return make


def _http_transport(settings: Settings) -> AsyncTransport:
    from elicense.client._async_transport import AsyncHttpTransport

    return AsyncHttpTransport(settings.endpoint.base_url)
