"""The calls about verifications, and those about the caller as a whole: holdings, alarms, requests."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from elicense.client._call import Call, get, post
from elicense.client._models import Holding, Json, Page, holding_of, page_of
from elicense.client._policy_models import Alarm, LoggedRequest, alarm_of, logged_request_of
from elicense.client._protocol import rfc3339, without_none
from elicense.client._verification_models import BatchResult, Verification, batch_of, verification_of
from elicense.client.errors import APIResponseError

Question = Mapping[str, object]


def create(
    *,
    credential: str | None,
    license: Mapping[str, str] | None,
    code: str | None,
    elements: Mapping[str, str] | None,
    purpose: str | None,
    reference: str | None,
    policy: str | None,
    at: datetime | str | None,
    key_binding: Mapping[str, str] | None,
    idempotency_key: str | None,
) -> Call[Verification]:
    """Ask one question."""
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
    path = ["v1", "verifications"]

    def read(answer: Json) -> Verification:
        return _about(verification_of(answer), reference)

    return post(path, without_none(question), read, idempotency_key=idempotency_key)


def batch(items: Sequence[Question], *, idempotency_key: str | None) -> Call[BatchResult]:
    """Ask many questions at once."""
    questions = [without_none(item) for item in items]

    def read(answer: Json) -> BatchResult:
        return _one_each(batch_of(answer), questions)

    path = ["v1", "verifications", "batch"]
    return post(path, {"items": questions}, read, idempotency_key=idempotency_key)


def new_nonce() -> Call[str]:
    """Get a fresh nonce."""
    return post(["v1", "presentation-nonces"], {}, _nonce_of, idempotency_key=None)


def verification(verification_id: str) -> Call[Verification]:
    """Fetch one verification."""
    return get(["v1", "verifications", verification_id], verification_of)


def receipt_proof(verification_id: str) -> Call[Json]:
    """Fetch the proof that a receipt stands in its log."""
    return get(["v1", "verifications", verification_id, "receipt-proof"], lambda proof: proof)


def verifications(
    *,
    reference: str | None,
    due_before: datetime | str | None,
    cursor: str | None,
    limit: int | None = None,
) -> Call[Page[Verification]]:
    """Fetch one page of verifications."""
    due = rfc3339(due_before) if isinstance(due_before, datetime) else due_before
    query = {"reference": reference, "due_before": due, "cursor": cursor, "limit": limit}
    return get(["v1", "verifications"], lambda page: page_of(page, verification_of), query=query)


def holdings(cursor: str | None) -> Call[Page[Holding]]:
    """Fetch one page of the calling holder's licenses."""
    return get(["v1", "holdings"], lambda page: page_of(page, holding_of), query={"cursor": cursor})


def alarms(cursor: str | None, limit: int | None = None) -> Call[Page[Alarm]]:
    """Fetch one page of alarms."""
    query = {"cursor": cursor, "limit": limit}
    return get(["v1", "alarms"], lambda page: page_of(page, alarm_of), query=query)


def requests(cursor: str | None, limit: int | None = None) -> Call[Page[LoggedRequest]]:
    """Fetch one page of the caller's own requests."""
    query = {"cursor": cursor, "limit": limit}
    return get(["v1", "requests"], lambda page: page_of(page, logged_request_of), query=query)


def _about(answer: Verification, reference: object) -> Verification:
    # What stands in between (a cache, a pool of connections) may have mixed up two answers.
    if answer.reference is not None and answer.reference != reference:
        raise APIResponseError(
            "the answer bears another reference than the question: it is about something else"
        )
    return answer


def _one_each(answer: BatchResult, questions: Sequence[Question]) -> BatchResult:
    """Refuse answers that are not those to the questions, each in its place."""
    if len(answer.results) != len(questions):
        raise APIResponseError(f"{len(answer.results)} answers came to {len(questions)} questions")
    for place, (one, question) in enumerate(zip(answer.results, questions, strict=True)):
        if one.raw.get("index", place) != place:
            raise APIResponseError("the answers are not in the order of the questions")
        # What is wrong with a malformed question may be its reference.
        if not one.errors:
            _about(one, question.get("reference"))
    return answer


def _nonce_of(answer: Json) -> str:
    nonce = answer.get("nonce")
    if not isinstance(nonce, str) or not nonce:
        raise APIResponseError("the answer holds no nonce")
    return nonce
