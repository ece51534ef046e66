"""The blocking client: `Elicense`. All rules stand in `_protocol`; this file sends, waits and sends again."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from elicense.client import _system
from elicense.client._models import (
    BatchResult,
    HistoryEntry,
    Holder,
    Holding,
    Json,
    License,
    Page,
    Verification,
    batch_of,
    history_entry_of,
    holding_of,
    license_of,
    page_of,
    verification_of,
)
from elicense.client._protocol import (
    Done,
    Endpoint,
    Failed,
    Request,
    Response,
    Timeout,
    Transport,
    ascii_text,
    check_api_key,
    check_base_url,
    json_object,
    next_step,
)
from elicense.client.errors import APIConnectionError, ConfigurationError, TrustError

if TYPE_CHECKING:
    from elicense.receipt import Receipt

DEFAULT_BASE_URL = "http://127.0.0.1:8000"
Question = Mapping[str, object]


class Elicense:
    """Talk to one service: issue and change licenses, verify, fetch credentials and trust documents.

    `api_key` and `base_url` default to ELICENSE_API_KEY and ELICENSE_BASE_URL. `trust_root` (a path or the bytes)
    pins the trust root that receipts are checked against; there is no default one. Each POST carries one
    Idempotency-Key, kept over up to `max_retries` retries; `pause` waits between them. Use it as a context manager,
    or call `close`. Safe to share between threads. Raises ConfigurationError for settings that cannot work.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        trust_root: str | os.PathLike[str] | bytes | None = None,
        timeout: Timeout | None = None,
        max_retries: int = 2,
        language: Literal["zh", "en"] = "zh",
        transport: Transport | None = None,
        pause: Callable[[float], None] = _system.sleep,
    ) -> None:
        key = api_key if api_key is not None else os.environ.get("ELICENSE_API_KEY")
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
        self.licenses = Licenses(self)
        self.verifications = Verifications(self)
        self.trust = Trust(self)

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

    def verify_receipt(self, receipt: str) -> "Receipt":
        """Check a receipt's signature against the pinned trust root and the service's trust list; return it.

        Raises TrustError when no trust root is pinned, when the trust list does not hold, and when the receipt was
        not signed by a key the trust list names for receipts.
        """
        if self._trust_root is None:
            raise TrustError("no_trust_root", "pin a trust root: Elicense(trust_root=…)")
        from elicense.client._evidence import verify_receipt_with

        return verify_receipt_with(
            receipt, trust_root=self._trust_root, bundle=self.trust.bundle(), now=_system.now()
        )

    # What the resources below use.

    def _get(
        self,
        path: Sequence[str],
        *,
        query: Mapping[str, str | int | None] | None = None,
        needs_key: bool = True,
    ) -> Json:
        return json_object(self._send(self._endpoint.request("GET", path, query=query, needs_key=needs_key)))

    def _post(self, path: Sequence[str], body: Mapping[str, object], *, idempotency_key: str | None) -> Json:
        key = idempotency_key or _system.new_idempotency_key()
        return json_object(self._send(self._endpoint.request("POST", path, body=body, idempotency_key=key)))

    def _download(
        self, path: Sequence[str], *, accept: str, needs_key: bool, **query: str | None
    ) -> Response:
        return self._send(
            self._endpoint.request("GET", path, query=query, needs_key=needs_key, accept=accept)
        )

    def _send(self, request: Request) -> Response:
        attempt = 0
        while True:
            outcome: Response | APIConnectionError
            try:
                outcome = self._transport.send(request, timeout=self._timeout)
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


class Licenses:
    """Licenses of the calling authority (or, for reading, of the calling holder)."""

    def __init__(self, client: Elicense) -> None:
        self._client = client

    def issue(
        self,
        *,
        type_code: str,
        number: str,
        holder: Holder | Mapping[str, str],
        area_code: str,
        issue_date: date | str,
        valid_from: date | str,
        valid_until: date | str | None = None,
        elements: Mapping[str, str] | None = None,
        authority_code: str | None = None,
        idempotency_key: str | None = None,
    ) -> License:
        """Issue a license; `valid_until` None means long-term. Dates are civil days at +08:00, the last included.

        Raises NumberTakenError, NotAuthorizedToIssueError, InvalidUsccError, InvalidElementsError and the like.
        """
        named = (
            {"code": holder.code, "code_type": holder.code_type, "name": holder.name}
            if isinstance(holder, Holder)
            else dict(holder)
        )
        body: dict[str, object] = {
            "type_code": type_code,
            "number": number,
            "holder": named,
            "area_code": area_code,
            "issue_date": str(issue_date),
            "valid_from": str(valid_from),
            "elements": dict(elements or {}),
            "authority_code": authority_code,
        }
        # A missing member would be refused: null is how long-term is said.
        long_term = {"valid_until": None if valid_until is None else str(valid_until)}
        return license_of(
            self._client._post(
                ["v1", "licenses"], _without_none(body) | long_term, idempotency_key=idempotency_key
            )
        )

    def get(self, license_id: str) -> License:
        """Fetch the current version. Raises NotFoundError also for a license of somebody else."""
        return license_of(self._client._get(["v1", "licenses", license_id]))

    def list(
        self,
        *,
        holder_code: str | None = None,
        type_code: str | None = None,
        number: str | None = None,
        status: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[License]:
        """Fetch one page of licenses; pass `next_cursor` as `cursor` for the following one."""
        query = {
            "holder_code": holder_code,
            "type_code": type_code,
            "number": number,
            "status": status,
            "cursor": cursor,
            "limit": limit,
        }
        return page_of(self._client._get(["v1", "licenses"], query=query), license_of)

    def iterate(
        self,
        *,
        holder_code: str | None = None,
        type_code: str | None = None,
        number: str | None = None,
        status: str | None = None,
    ) -> Iterator[License]:
        """Go through all pages of `list`, fetching as needed."""
        cursor: str | None = None
        while True:
            page = self.list(
                holder_code=holder_code, type_code=type_code, number=number, status=status, cursor=cursor
            )
            yield from page
            cursor = page.next_cursor
            if cursor is None:
                return

    def history(self, license_id: str, *, cursor: str | None = None) -> Page[HistoryEntry]:
        """Fetch what happened to a license, oldest first; pass `next_cursor` as `cursor` for the following page."""
        path = ["v1", "licenses", license_id, "history"]
        return page_of(self._client._get(path, query={"cursor": cursor}), history_entry_of)

    def credential(self, license_id: str, *, version: str | None = None) -> str:
        """Fetch the signed credential (SD-JWT) of the current or of a named version."""
        answer = self._client._download(
            ["v1", "licenses", license_id, "credential"],
            accept="application/dc+sd-jwt",
            needs_key=True,
            version=version,
        )
        return ascii_text(answer)

    def suspend(
        self, license_id: str, *, reason_code: str, reason: str, idempotency_key: str | None = None
    ) -> License:
        """Suspend an active license. Raises StateConflictError in any other state."""
        return self._act("suspend", license_id, reason_code, reason, idempotency_key)

    def resume(
        self, license_id: str, *, reason_code: str, reason: str, idempotency_key: str | None = None
    ) -> License:
        """Lift a suspension. Raises StateConflictError in any other state."""
        return self._act("resume", license_id, reason_code, reason, idempotency_key)

    def revoke(
        self, license_id: str, *, reason_code: str, reason: str, idempotency_key: str | None = None
    ) -> License:
        """Revoke for good, by the authority. Raises StateConflictError for a license that has ended."""
        return self._act("revoke", license_id, reason_code, reason, idempotency_key)

    def cancel(
        self, license_id: str, *, reason_code: str, reason: str, idempotency_key: str | None = None
    ) -> License:
        """Cancel for good, by the holder's wish. Raises StateConflictError for a license that has ended."""
        return self._act("cancel", license_id, reason_code, reason, idempotency_key)

    def _act(
        self, action: str, license_id: str, reason_code: str, reason: str, idempotency_key: str | None
    ) -> License:
        return license_of(
            self._client._post(
                ["v1", "licenses", license_id, action],
                {"reason_code": reason_code, "reason": reason},
                idempotency_key=idempotency_key,
            )
        )


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
        idempotency_key: str | None = None,
    ) -> Verification:
        """Ask one question: a credential, a reference to a license, or a presentation code.

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
        }
        return verification_of(
            self._client._post(
                ["v1", "verifications"], _without_none(question), idempotency_key=idempotency_key
            )
        )

    def batch(self, items: Sequence[Question], *, idempotency_key: str | None = None) -> BatchResult:
        """Ask up to 1,000 questions at once; answers come in the same order, under one receipt."""
        body = {"items": [_without_none(item) for item in items]}
        return batch_of(
            self._client._post(["v1", "verifications", "batch"], body, idempotency_key=idempotency_key)
        )

    def get(self, verification_id: str) -> Verification:
        """Fetch one verification of the caller. Raises NotFoundError also for somebody else's."""
        return verification_of(self._client._get(["v1", "verifications", verification_id]))

    def list(
        self,
        *,
        reference: str | None = None,
        due_before: datetime | str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[Verification]:
        """Fetch one page of the caller's verifications; `due_before` finds those that must be made again by then."""
        due = _rfc3339(due_before) if isinstance(due_before, datetime) else due_before
        query = {"reference": reference, "due_before": due, "cursor": cursor, "limit": limit}
        return page_of(self._client._get(["v1", "verifications"], query=query), verification_of)


class Trust:
    """Public, signed documents. Fetching checks nothing: `OfflineVerifier` and `update_bundle` do."""

    def __init__(self, client: Elicense) -> None:
        self._client = client

    def bundle(self) -> bytes:
        """Fetch all that offline verification needs, in one file."""
        return self._public(["v1", "bundle"])

    def root(self) -> bytes:
        """Fetch the trust root. Compare it with one obtained by another way before pinning it."""
        return self._public(["v1", "trust-root"])

    def trust_list(self) -> bytes:
        """Fetch the signed trust list."""
        return self._public(["v1", "trust-list"])

    def freshness(self) -> str:
        """Fetch the signed freshness statement."""
        return self._public(["v1", "freshness"]).decode("ascii", "replace").strip()

    def status_lists(self) -> list[str]:
        """Fetch the URIs of all status lists."""
        uris = self._client._get(["v1", "status-lists"], needs_key=False).get("status_lists")
        return [uri for uri in uris if isinstance(uri, str)] if isinstance(uris, list) else []

    def _public(self, path: Sequence[str]) -> bytes:
        return self._client._download(path, accept="*/*", needs_key=False).body


def _without_none(value: Mapping[str, object]) -> dict[str, object]:
    return {name: member for name, member in value.items() if member is not None}


def _rfc3339(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ConfigurationError("times carry their zone")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


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
