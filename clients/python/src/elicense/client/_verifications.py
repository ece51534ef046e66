"""The client's calls about verifications."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from elicense.client import _verification_calls as calls
from elicense.client._call import Caller, each
from elicense.client._models import Page
from elicense.client._verification_calls import Question
from elicense.client._verification_models import BatchResult, Verification


class Verifications:
    """Verifications of the calling relying party."""

    def __init__(self, client: Caller) -> None:
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
        return self._client._run(
            calls.create(
                credential=credential,
                license=license,
                code=code,
                elements=elements,
                purpose=purpose,
                reference=reference,
                policy=policy,
                at=at,
                key_binding=key_binding,
                idempotency_key=idempotency_key,
            )
        )

    def batch(self, items: Sequence[Question], *, idempotency_key: str | None = None) -> BatchResult:
        """Ask up to 1,000 questions at once; answers come in the same order, under one receipt."""
        return self._client._run(calls.batch(items, idempotency_key=idempotency_key))

    def new_nonce(self) -> str:
        """Get a fresh nonce (128 random bits) to give to one presenter, together with your audience."""
        return self._client._run(calls.new_nonce())

    def get(self, verification_id: str) -> Verification:
        """Fetch one verification of the caller. Raises NotFoundError also for somebody else's."""
        return self._client._run(calls.verification(verification_id))

    def receipt_proof(self, verification_id: str) -> Mapping[str, object]:
        """Fetch the proof that a verification's receipt stands in the receipts' log, and that log in the public one.

        Keep it beside the receipt: `verify_receipt(receipt, proof=…)`. Raises APIStatusError (`not_logged_yet`)
        for the seconds until the log has taken it, NotFoundError also for somebody else's.
        """
        return self._client._run(calls.receipt_proof(verification_id))

    def list(
        self,
        *,
        reference: str | None = None,
        due_before: datetime | str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[Verification]:
        """Fetch one page of the caller's verifications; `due_before` finds those that must be made again by then."""
        return self._client._run(
            calls.verifications(reference=reference, due_before=due_before, cursor=cursor, limit=limit)
        )

    def iterate(
        self, *, reference: str | None = None, due_before: datetime | str | None = None
    ) -> Iterator[Verification]:
        """Go through all pages of `list`, fetching as needed."""
        yield from each(
            self._client,
            lambda cursor: calls.verifications(reference=reference, due_before=due_before, cursor=cursor),
        )
