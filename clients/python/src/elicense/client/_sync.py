"""The blocking client: `Elicense`. All rules stand in `_protocol`; this file sends, waits and sends again."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TypeVar

from elicense.client import _system
from elicense.client import _verification_calls as calls
from elicense.client._call import Call, each
from elicense.client._checks import hidden
from elicense.client._directory import Directory
from elicense.client._licenses import Licenses
from elicense.client._models import Holding, Page
from elicense.client._orders import Proposals, ScheduledChanges
from elicense.client._policies import Policies
from elicense.client._policy_models import Alarm, LoggedRequest
from elicense.client._protocol import Endpoint, Request, Response, Timeout, Transport
from elicense.client._sandbox import Sandbox
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
from elicense.client._trust import Trust
from elicense.client._verification_models import BatchResult, Verification
from elicense.client._verifications import Verifications
from elicense.client.errors import APIConnectionError, APIStatusError

if TYPE_CHECKING:
    from elicense.client._oauth import AccessTokens
    from elicense.keys import Signer
    from elicense.receipt import Receipt

T = TypeVar("T")


class Elicense:
    """Talk to one service: issue and change licenses, verify, fetch credentials and trust documents.

    `api_key` and `base_url` default to ELICENSE_API_KEY and ELICENSE_BASE_URL. Instead of a key, `client_id` and
    `private_key` (P-256: a PEM file's path, its bytes, or a signer) get access tokens by OAuth 2.0, from `issuer`
    (by default the base URL itself). With either the base URL is https, or on this machine; `allow_http` sends them
    in clear text, over a network that protects what passes. `trust_root` (a path or the bytes) pins the trust root
    that receipts are checked against; there is no default one. Each POST carries one Idempotency-Key, kept over up
    to `max_retries` retries; `pause` waits between them. Use it as a context manager, or call `close`. Safe to
    share between threads. Raises ConfigurationError for settings that cannot work.
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
        transport: Transport | None = None,
        pause: Callable[[float], None] = _system.sleep,
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
        self.policies = Policies(self)
        self.licenses = Licenses(self)
        self.scheduled_changes = ScheduledChanges(self)
        self.proposals = Proposals(self)
        self.verifications = Verifications(self)
        self.sandbox = Sandbox(self)
        self.directory = Directory(self)
        self.trust = Trust(self)

    def __repr__(self) -> str:
        return shown(self)

    def __enter__(self) -> "Elicense":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def holdings(self) -> list[Holding]:
        """Fetch the licenses of the calling holder, each with the path of its credential."""
        return list(each(self, calls.holdings))

    def alarms(self, *, cursor: str | None = None, limit: int | None = None) -> "Page[Alarm]":
        """Fetch one page of alarms about guessing at the calling authority's licenses, oldest first."""
        return self._run(calls.alarms(cursor, limit))

    def iterate_alarms(self) -> "Iterator[Alarm]":
        """Go through all pages of `alarms`, fetching as needed."""
        yield from each(self, calls.alarms)

    def requests(self, *, cursor: str | None = None, limit: int | None = None) -> "Page[LoggedRequest]":
        """Fetch one page of this client's own requests, newest first."""
        return self._run(calls.requests(cursor, limit))

    def iterate_requests(self) -> "Iterator[LoggedRequest]":
        """Go through all pages of `requests`, fetching as needed."""
        yield from each(self, calls.requests)

    def verify_receipt(
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
        trust_root = require_root(self._settings, "Elicense")
        return check_receipt(receipt, trust_root=trust_root, bundle=self.trust.bundle(), proof=proof)

    # What the resources use.

    def _run(self, call: Call[T]) -> T:
        return call.read(self._send(call.request(self._caller(call.needs_key))))

    def _access_tokens(self) -> "AccessTokens | None":
        if self._settings.token_steps is None:
            return None
        from elicense.client._oauth import AccessTokens

        return AccessTokens(self._settings.token_steps, self._exchange)

    def _caller(self, needs_key: bool) -> Endpoint:
        if self._tokens is None or not needs_key:
            return self._settings.endpoint
        return replace(self._settings.endpoint, api_key=self._tokens.current())

    def _send(self, request: Request) -> Response:
        try:
            return self._exchange(lambda: request)
        except APIStatusError as error:
            refused = token_of(request)
            if self._tokens is None or error.status_code != 401 or refused is None:
                raise
        # The token may have been ended before its time: once with another, under the same Idempotency-Key.
        self._tokens.forget(refused)
        again = with_token(request, self._tokens.current())
        return self._exchange(lambda: again)

    def _exchange(self, make: Callable[[], Request]) -> Response:
        attempt = 0
        while True:
            settled = settle(self._attempt(make()), attempt=attempt, max_retries=self._settings.max_retries)
            if isinstance(settled, Response):
                return settled
            self._pause(settled)
            attempt += 1

    def _attempt(self, request: Request) -> Response | APIConnectionError:
        try:
            return self._transport.send(request, timeout=self._settings.timeout)
        except APIConnectionError as error:
            return error


def _http_transport(settings: Settings) -> Transport:
    from elicense.client._transport import HttpTransport

    return HttpTransport(settings.endpoint.base_url)
