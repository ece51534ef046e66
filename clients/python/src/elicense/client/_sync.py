"""The blocking client: `Elicense`. All rules stand in `_protocol`; this file sends, waits and sends again."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from elicense.client import _system
from elicense.client._licenses import Licenses
from elicense.client._models import (
    BatchResult,
    Holding,
    Json,
    Page,
    Verification,
    batch_of,
    holding_of,
    page_of,
    verification_of,
)
from elicense.client._orders import Proposals, ScheduledChanges
from elicense.client._policies import Alarm, LoggedRequest, Policies, alarms_of, requests_of
from elicense.client._protocol import (
    Done,
    Endpoint,
    Failed,
    Request,
    Response,
    Timeout,
    Transport,
    check_api_key,
    check_base_url,
    json_object,
    next_step,
    rfc3339,
    without_none,
)
from elicense.client._sandbox import Sandbox
from elicense.client._trust import Trust
from elicense.client.errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    ConfigurationError,
    TrustError,
)

if TYPE_CHECKING:
    from elicense.client._oauth import AccessTokens
    from elicense.keys import Signer
    from elicense.receipt import Receipt

DEFAULT_BASE_URL = "http://127.0.0.1:8000"
Question = Mapping[str, object]


class Elicense:
    """Talk to one service: issue and change licenses, verify, fetch credentials and trust documents.

    `api_key` and `base_url` default to ELICENSE_API_KEY and ELICENSE_BASE_URL. Instead of a key, `client_id` and
    `private_key` (P-256: a PEM file's path, its bytes, or a signer) get access tokens by OAuth 2.0, from `issuer` (by
    default the base URL itself). `trust_root` (a path or the bytes) pins the trust root that receipts are checked
    against; there is no default one. Each POST carries one Idempotency-Key, kept over up to `max_retries` retries;
    `pause` waits between them. Use it as a context manager, or call `close`. Safe to share between threads. Raises
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
        trust_root: str | os.PathLike[str] | bytes | None = None,
        timeout: Timeout | None = None,
        max_retries: int = 2,
        language: Literal["zh", "en"] = "zh",
        transport: Transport | None = None,
        pause: Callable[[float], None] = _system.sleep,
    ) -> None:
        by_oauth = client_id is not None or private_key is not None
        if by_oauth and (client_id is None or private_key is None or api_key is not None):
            raise ConfigurationError("give an api_key, or client_id with private_key")
        key = api_key if api_key is not None or by_oauth else os.environ.get("ELICENSE_API_KEY")
        url = base_url or os.environ.get("ELICENSE_BASE_URL") or DEFAULT_BASE_URL
        if not 0 <= max_retries <= 10:
            raise ConfigurationError("max_retries is between 0 and 10")
        self._endpoint = Endpoint(
            base_url=check_base_url(url),
            api_key=None if key is None else check_api_key(key),
            language=language,
        )
        self._trust_root = _read_trust_root(trust_root)
        self._timeout = timeout or Timeout()
        self._max_retries = max_retries
        self._pause = pause
        self._transport = transport if transport is not None else _http_transport()
        self._tokens: AccessTokens | None = None
        if client_id is not None and private_key is not None:
            self._tokens = self._access_tokens(client_id, private_key, issuer)
        self.policies = Policies(self)
        self.licenses = Licenses(self)
        self.scheduled_changes = ScheduledChanges(self)
        self.proposals = Proposals(self)
        self.verifications = Verifications(self)
        self.sandbox = Sandbox(self)
        self.trust = Trust(self._endpoint, self._send)

    def __repr__(self) -> str:
        return f"Elicense(base_url={self._endpoint.base_url!r})"

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
        held: list[Holding] = []
        cursor: str | None = None
        while True:
            page = page_of(self._get(["v1", "holdings"], query={"cursor": cursor}), holding_of)
            held += page
            cursor = page.next_cursor
            if cursor is None:
                return held

    def alarms(self, *, cursor: str | None = None) -> "Page[Alarm]":
        """Fetch one page of alarms about guessing at the calling authority's licenses, oldest first."""
        return alarms_of(self, cursor=cursor)

    def requests(self, *, cursor: str | None = None) -> "Page[LoggedRequest]":
        """Fetch one page of this client's own requests, newest first."""
        return requests_of(self, cursor=cursor)

    def verify_receipt(self, receipt: str, *, proof: Mapping[str, object] | None = None) -> "Receipt":
        """Check a receipt's signature against the pinned trust root and the service's trust list; return it.

        `proof` (`verifications.receipt_proof`) shows besides that it stands in the receipts' log. Raises TrustError
        when no trust root is pinned, when the trust list does not hold, when the receipt was not signed by a key the
        list names for receipts, valid when it signed, and when the proof does not hold. For files, and with no
        network: `elicense verify-receipt`, `elicense.receipt_check.check_receipt`.
        """
        if self._trust_root is None:
            raise TrustError("no_trust_root", "pin a trust root: Elicense(trust_root=…)")
        from elicense.client._evidence import verify_receipt_with

        return verify_receipt_with(
            receipt,
            trust_root=self._trust_root,
            bundle=self.trust.bundle(),
            now=_system.now(),
            proof=proof,
        )

    # What the resources below use.

    def _get(
        self,
        path: Sequence[str],
        *,
        query: Mapping[str, str | int | None] | None = None,
        needs_key: bool = True,
    ) -> Json:
        return json_object(
            self._send(self._caller(needs_key).request("GET", path, query=query, needs_key=needs_key))
        )

    def _post(self, path: Sequence[str], body: Mapping[str, object], *, idempotency_key: str | None) -> Json:
        key = idempotency_key or _system.new_idempotency_key()
        return json_object(
            self._send(self._caller(True).request("POST", path, body=body, idempotency_key=key))
        )

    def _download(
        self, path: Sequence[str], *, accept: str, needs_key: bool, **query: str | None
    ) -> Response:
        return self._send(
            self._caller(needs_key).request("GET", path, query=query, needs_key=needs_key, accept=accept)
        )

    def _access_tokens(
        self,
        client_id: str,
        private_key: "str | os.PathLike[str] | bytes | Signer",
        issuer: str | None,
    ) -> "AccessTokens":
        # Imported here: who calls with an API key need not load cryptography.
        from elicense.client._oauth import AccessTokens, read_private_key

        return AccessTokens(
            client_id=client_id,
            signer=read_private_key(private_key),
            endpoint=self._endpoint,
            send=self._exchange,
            issuer=issuer,
        )

    def _caller(self, needs_key: bool) -> Endpoint:
        if self._tokens is None or not needs_key:
            return self._endpoint
        return replace(self._endpoint, api_key=self._tokens.current())

    def _send(self, request: Request) -> Response:
        try:
            return self._exchange(lambda: request)
        except APIStatusError as error:
            if self._tokens is None or error.status_code != 401 or "Authorization" not in request.headers:
                raise
        # The token may have been ended before its time: once with another, under the same Idempotency-Key.
        self._tokens.forget(request.headers["Authorization"].removeprefix("Bearer "))
        again = {**request.headers, "Authorization": f"Bearer {self._tokens.current()}"}
        return self._exchange(lambda: replace(request, headers=again))

    def _exchange(self, make: Callable[[], Request]) -> Response:
        attempt = 0
        while True:
            outcome: Response | APIConnectionError
            try:
                outcome = self._transport.send(make(), timeout=self._timeout)
            except APIConnectionError as error:
                outcome = error
            step = next_step(
                outcome,
                retries_left=self._max_retries - attempt,
                attempt=attempt,
                jitter=_system.fraction(),
                now=_system.now(),
            )
            if isinstance(step, Done):
                return step.response
            if isinstance(step, Failed):
                raise step.error
            self._pause(step.delay)
            attempt += 1


class Verifications:
    """Verifications of the calling relying party."""

    def __init__(self, client: Elicense) -> None:
        self._client = client

    def create(
        self,
        *,
        credential: str | None = None,
        license: Mapping[str, str] | None = None,
        code: str | None = None,
        elements: Mapping[str, str] | None = None,
        purpose: str | None = None,
        reference: str | None = None,
        policy: str | None = None,
        at: datetime | str | None = None,
        key_binding: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Verification:
        """Ask one question: a credential, a reference to a license, or a presentation code.

        With a past `at` (a moment with its time zone, or RFC 3339) the answer says what held then. `key_binding`
        {nonce, audience} asks the presenter of a credential to prove to be the holder; a nonce counts once.
        A license that is not valid is an answer (false), not an error. Raises InvalidRequestError for a question
        of the wrong shape.
        """
        question = {
            "credential": credential,
            "license": None if license is None else dict(license),
            "code": code,
            "elements": None if elements is None else dict(elements),
            "purpose": purpose,
            "reference": reference,
            "policy": policy,
            "at": rfc3339(at) if isinstance(at, datetime) else at,
            "key_binding": None if key_binding is None else dict(key_binding),
        }
        return verification_of(
            self._client._post(
                ["v1", "verifications"], without_none(question), idempotency_key=idempotency_key
            )
        )

    def batch(self, items: Sequence[Question], *, idempotency_key: str | None = None) -> BatchResult:
        """Ask up to 1,000 questions at once; answers come in the same order, under one receipt."""
        body = {"items": [without_none(item) for item in items]}
        return batch_of(
            self._client._post(["v1", "verifications", "batch"], body, idempotency_key=idempotency_key)
        )

    def new_nonce(self) -> str:
        """Get a fresh nonce (128 random bits) to give to one presenter, together with your audience."""
        answer = self._client._post(["v1", "presentation-nonces"], {}, idempotency_key=None)
        nonce = answer.get("nonce")
        if not isinstance(nonce, str) or not nonce:
            raise APIResponseError("the answer holds no nonce")
        return nonce

    def get(self, verification_id: str) -> Verification:
        """Fetch one verification of the caller. Raises NotFoundError also for somebody else's."""
        return verification_of(self._client._get(["v1", "verifications", verification_id]))

    def receipt_proof(self, verification_id: str) -> Json:
        """Fetch the proof that a verification's receipt stands in the receipts' log, and that log in the public one.

        Keep it beside the receipt: `verify_receipt(receipt, proof=…)`. Raises APIStatusError (`not_logged_yet`)
        for the seconds until the log has taken it, NotFoundError also for somebody else's.
        """
        return self._client._get(["v1", "verifications", verification_id, "receipt-proof"])

    def list(
        self,
        *,
        reference: str | None = None,
        due_before: datetime | str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[Verification]:
        """Fetch one page of the caller's verifications; `due_before` finds those that must be made again by then."""
        due = rfc3339(due_before) if isinstance(due_before, datetime) else due_before
        query = {"reference": reference, "due_before": due, "cursor": cursor, "limit": limit}
        return page_of(self._client._get(["v1", "verifications"], query=query), verification_of)


def _read_trust_root(source: str | os.PathLike[str] | bytes | None) -> bytes | None:
    if source is None or isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise TrustError("unreadable", f"the trust root cannot be read: {error.strerror}") from error


def _http_transport() -> Transport:
    from elicense.client._transport import HttpTransport

    return HttpTransport()
