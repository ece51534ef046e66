"""Errors of the client. A license that is not valid is an answer, never an error."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from elicense.pickling import reduce_error


class ElicenseError(Exception):
    """Be the base of everything this package raises on its own account. Passes between processes (`pickle`) whole."""

    __reduce__ = reduce_error


class ConfigurationError(ElicenseError):
    """Say that the client was set up wrongly: no API key, a base URL that is none, a time-out below zero."""


class TrustError(ElicenseError):
    """Refuse trust material: no root is pinned, a signature does not hold, or a sequence went backwards.

    `reason` is a code of `elicense.problems.Reason` or one of `no_trust_root`, `rolled_back`, `unreadable`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class APIConnectionError(ElicenseError):
    """Say that no answer was obtained; whether the service did what was asked is not known."""


class APITimeoutError(APIConnectionError):
    """Say that the service did not answer in time."""


class APIResponseError(ElicenseError):
    """Say that an answer came which is not of the documented shape (a proxy's page, a cut-off body)."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """Name one wrong field of a request: `pointer` is a JSON Pointer (RFC 6901) into it."""

    pointer: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Hold a problem document (RFC 9457) as the service sent it; absent members are empty strings.

    Of an OAuth error (RFC 6749 §5.2) it holds `error` as `code` and `error_description` as `detail`.
    `reason` says what is wrong with the service as a whole, when that is why it refused (`elicense.service_reasons`).
    """

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: tuple[FieldProblem, ...]
    reason: str = ""


class APIStatusError(ElicenseError):
    """Say that the service refused the request.

    `problem` is the document it sent, `request_id` names the call in the service's records, and `retry_after` is
    the number of seconds it asked to wait, None if it did not.
    """

    code: ClassVar[str] = ""

    def __init__(
        self, *, status_code: int, problem: Problem, request_id: str | None, retry_after: float | None
    ) -> None:
        text = f"{status_code} {problem.code or 'unknown'}: {problem.detail or problem.title}"
        fields = "; ".join(f"{error.pointer}: {error.detail}" for error in problem.errors)
        super().__init__(f"{text} [{fields}]" if fields else text)
        self.status_code = status_code
        self.problem = problem
        self.request_id = request_id
        self.retry_after = retry_after


class NotJsonError(APIStatusError):
    """Say: the body is not valid JSON (400)."""

    code = "not_json"


class WrongEncodingError(APIStatusError):
    """Say: the body is not UTF-8 (400)."""

    code = "wrong_encoding"


class UnauthenticatedError(APIStatusError):
    """Say: no valid credentials were sent (401)."""

    code = "unauthenticated"


class KeyExpiredError(APIStatusError):
    """Say: the API key has expired (401)."""

    code = "key_expired"


class KeyRevokedError(APIStatusError):
    """Say: the API key has been revoked (401)."""

    code = "key_revoked"


class WrongEnvironmentError(APIStatusError):
    """Say: the API key belongs to another environment (401)."""

    code = "wrong_environment"


class AddressNotAllowedError(APIStatusError):
    """Say: the client may not call from this address (403)."""

    code = "address_not_allowed"


class ForbiddenError(APIStatusError):
    """Say: the key lacks the scope for this (403)."""

    code = "forbidden"


class NotYourAuthorityError(APIStatusError):
    """Say: the key does not act for this issuing authority (403)."""

    code = "not_your_authority"


class PurposeNotAllowedError(APIStatusError):
    """Say: this purpose is not allowed for the caller (403)."""

    code = "purpose_not_allowed"


class NotAuthorizedToIssueError(APIStatusError):
    """Say: the authority may not issue this license type in this area (403)."""

    code = "not_authorized_to_issue"


class CosignatureRefusedError(APIStatusError):
    """Say: the cosignature does not count (403)."""

    code = "cosignature_refused"


class OwnProposalError(APIStatusError):
    """Say: another client of the authority must approve this proposal (403)."""

    code = "own_proposal"


class NotFoundError(APIStatusError):
    """Say: not found (404)."""

    code = "not_found"


class MethodNotAllowedError(APIStatusError):
    """Say: the method is not allowed here (405)."""

    code = "method_not_allowed"


class NotAcceptableError(APIStatusError):
    """Say: the requested format is not offered (406)."""

    code = "not_acceptable"


class NumberTakenError(APIStatusError):
    """Say: the license number is taken (409)."""

    code = "number_taken"


class StateConflictError(APIStatusError):
    """Say: the license's state does not allow this (409)."""

    code = "state_conflict"


class NoChangeError(APIStatusError):
    """Say: the license says this already (409)."""

    code = "no_change"


class VersionsExhaustedError(APIStatusError):
    """Say: the license's version numbers are used up (409)."""

    code = "versions_exhausted"


class IdempotencyInProgressError(APIStatusError):
    """Say: a request with this Idempotency-Key is still running (409)."""

    code = "idempotency_in_progress"


class NotLoggedYetError(APIStatusError):
    """Say: not in the log yet (409)."""

    code = "not_logged_yet"


class ConflictError(APIStatusError):
    """Say: this conflicts with what exists (409)."""

    code = "conflict"


class AlreadyDecidedError(APIStatusError):
    """Say: the proposal or scheduled change has been decided already (409)."""

    code = "already_decided"


class ProposalExpiredError(APIStatusError):
    """Say: the proposal has run out (409)."""

    code = "proposal_expired"


class ProposalOutdatedError(APIStatusError):
    """Say: the license has changed since it was proposed (409)."""

    code = "proposal_outdated"


class PreconditionFailedError(APIStatusError):
    """Say: the precondition does not hold (412). Reserved: no operation of the service answers it so far."""

    code = "precondition_failed"


class TooLargeError(APIStatusError):
    """Say: the body is too large (413)."""

    code = "too_large"


class UnsupportedMediaTypeError(APIStatusError):
    """Say: the content type is not supported (415)."""

    code = "unsupported_media_type"


class InvalidRequestError(APIStatusError):
    """Say: the request does not have the required shape (422)."""

    code = "invalid_request"


class InvalidUsccError(APIStatusError):
    """Say: the unified social credit code is not well-formed (422)."""

    code = "invalid_uscc"


class UnknownTypeError(APIStatusError):
    """Say: the license type is not known (422)."""

    code = "unknown_type"


class UnknownAreaError(APIStatusError):
    """Say: the area code is not known (422)."""

    code = "unknown_area"


class InvalidElementsError(APIStatusError):
    """Say: the elements do not fit the license type (422)."""

    code = "invalid_elements"


class InvalidDatesError(APIStatusError):
    """Say: the dates are not right (422)."""

    code = "invalid_dates"


class InvalidSuccessionError(APIStatusError):
    """Say: the successors cannot be those (422)."""

    code = "invalid_succession"


class InvalidEffectiveAtError(APIStatusError):
    """Say: the time of effect is not in the future, or more than a year ahead (422)."""

    code = "invalid_effective_at"


class HolderNotSupportedError(APIStatusError):
    """Say: this kind of holder is not supported; natural persons come later (422)."""

    code = "holder_not_supported"


class IdempotencyKeyInvalidError(APIStatusError):
    """Say: the Idempotency-Key is not well-formed (422)."""

    code = "idempotency_key_invalid"


class IdempotencyMismatchError(APIStatusError):
    """Say: the Idempotency-Key was used for a different request (422)."""

    code = "idempotency_mismatch"


class UnknownPolicyError(APIStatusError):
    """Say: the policy is not known (422)."""

    code = "unknown_policy"


class AtInFutureError(APIStatusError):
    """Say: the moment asked about has not come yet (422)."""

    code = "at_in_future"


class RateLimitedError(APIStatusError):
    """Say: too many requests (429)."""

    code = "rate_limited"


class InternalError(APIStatusError):
    """Say: internal error (500)."""

    code = "internal"


class UnavailableError(APIStatusError):
    """Say: the service is unavailable for now (503)."""

    code = "unavailable"


class ReadOnlyError(APIStatusError):
    """Say: the service is read-only for now (503)."""

    code = "read_only"


class OverloadedError(APIStatusError):
    """Say: the service is overloaded (503). Reserved: the service does not answer it so far; see RateLimitedError."""

    code = "overloaded"


PROBLEM_ERRORS: Mapping[str, type[APIStatusError]] = MappingProxyType(
    {
        kind.code: kind
        for kind in (
            NotJsonError,
            WrongEncodingError,
            UnauthenticatedError,
            KeyExpiredError,
            KeyRevokedError,
            WrongEnvironmentError,
            AddressNotAllowedError,
            ForbiddenError,
            NotYourAuthorityError,
            PurposeNotAllowedError,
            NotAuthorizedToIssueError,
            CosignatureRefusedError,
            OwnProposalError,
            NotFoundError,
            MethodNotAllowedError,
            NotAcceptableError,
            NumberTakenError,
            StateConflictError,
            NoChangeError,
            VersionsExhaustedError,
            IdempotencyInProgressError,
            NotLoggedYetError,
            ConflictError,
            AlreadyDecidedError,
            ProposalExpiredError,
            ProposalOutdatedError,
            PreconditionFailedError,
            TooLargeError,
            UnsupportedMediaTypeError,
            InvalidRequestError,
            InvalidUsccError,
            UnknownTypeError,
            UnknownAreaError,
            InvalidElementsError,
            InvalidDatesError,
            InvalidSuccessionError,
            InvalidEffectiveAtError,
            HolderNotSupportedError,
            IdempotencyKeyInvalidError,
            IdempotencyMismatchError,
            UnknownPolicyError,
            AtInFutureError,
            RateLimitedError,
            InternalError,
            UnavailableError,
            ReadOnlyError,
            OverloadedError,
        )
    }
)
"""The error class of each problem code of `elicense.problems`."""
