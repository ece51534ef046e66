"""Verifications: one question or many, each answered with a verdict and a signed receipt.

A refused license is a successful answer; only a bad request is a problem document. The rest of the story stands in
`app/services/verification.py`, `elicense/verify.py` and `elicense/report.py`.
"""

from starlette.requests import Request
from starlette.responses import Response

from app.api.arrival import arrival_of
from app.api.auth import authorize
from app.api.errors import InvalidShape
from app.api.idempotency import answer_once, replay
from app.api.paging import NoQuery
from app.api.requests import json_answer, page_answer, read_body, read_query, read_value, services_of
from app.api.routing import Routes
from app.api.schemas.answers import (
    BatchAnswerBody,
    KeptVerification,
    VerificationAnswerBody,
    VerificationPage,
)
from app.api.schemas.transparency_log import ReceiptProofAnswer
from app.api.schemas.verifications import BatchBody, QuestionBody, VerificationQuery
from app.domain.api_client import Scope
from app.domain.errors import DomainError
from app.domain.verification import MalformedQuestion, Question
from app.ports import IdempotentCall
from app.services.answers import LANGUAGE_HEADERS

MAX_BATCH = 1000

routes = Routes(tag="verifications")


async def create_verification(request: Request) -> Response:
    """Answer one question."""
    caller = await authorize(request, Scope.VERIFICATIONS_WRITE)
    service = services_of(request).verification
    language = arrival_of(request).language

    async def verify(call: IdempotentCall | None) -> Response:
        question = read_body(request, QuestionBody).to_domain()
        answer = await service.verify(question, caller=caller, call=call, lang=language)
        if answer.replayed is not None:
            return replay(answer.replayed)
        assert answer.body is not None
        return json_answer(answer.body, headers=LANGUAGE_HEADERS[language])

    return await answer_once(request, caller, verify)


async def create_verification_batch(request: Request) -> Response:
    """Answer up to 1,000 questions with one receipt; one of wrong shape never fails the others."""
    caller = await authorize(request, Scope.VERIFICATIONS_WRITE)
    service = services_of(request).verification
    language = arrival_of(request).language

    async def verify_all(call: IdempotentCall | None) -> Response:
        items = read_body(request, BatchBody).items
        if len(items) > MAX_BATCH:
            raise DomainError("too_large", f"a batch holds at most {MAX_BATCH} questions")
        questions: list[Question | MalformedQuestion] = []
        for item in items:
            try:
                questions.append(read_value(item, QuestionBody).to_domain())
            except InvalidShape as error:
                questions.append(MalformedQuestion(errors=error.field_errors()))
        answer = await service.batch(questions, caller=caller, call=call, lang=language)
        if answer.replayed is not None:
            return replay(answer.replayed)
        assert answer.body is not None
        return json_answer(answer.body, headers=LANGUAGE_HEADERS[language])

    return await answer_once(request, caller, verify_all)


async def get_verification(request: Request) -> Response:
    """Answer one of the caller's own verifications as it was answered then."""
    caller = await authorize(request, Scope.VERIFICATIONS_READ)
    record = await services_of(request).verification.get(
        request.path_params["verification_id"], caller=caller
    )
    read_query(request, NoQuery)
    return json_answer(record.answer)


async def get_receipt_proof(request: Request) -> Response:
    """Prove that the receipt of one of the caller's own verifications stands in the log."""
    caller = await authorize(request, Scope.VERIFICATIONS_READ)
    services, verification_id = services_of(request), request.path_params["verification_id"]
    await services.verification.get(verification_id, caller=caller)  # 404 goes before 422
    read_query(request, NoQuery)
    return json_answer((await services.log_proofs.of_receipt(verification_id, caller=caller)).to_json())


async def list_verifications(request: Request) -> Response:
    """List the caller's own verifications."""
    caller = await authorize(request, Scope.VERIFICATIONS_READ)
    query = read_query(request, VerificationQuery)
    records, next_cursor = await services_of(request).verification.list(
        caller=caller,
        reference=query.reference,
        due_before=query.due_before,
        cursor=query.cursor or None,
        limit=query.limit,
    )
    return page_answer([record.answer for record in records], next_cursor)


_QUESTION_PROBLEMS = (
    "purpose_not_allowed",
    "unknown_policy",
    "at_in_future",
    "conflict",
    "read_only",
)

routes.add(
    "POST",
    "/v1/verifications",
    create_verification,
    summary="核验证照 · Verify a license",
    description="Exactly one of `credential`, `license` and `code`; `elements` may accompany each. A credential comes "
    "alone or as the text that holds it with its log proof (`?proof=1`). A license that is not valid is a successful "
    "answer (200). `GET /v1/reasons` explains every reason. Wrong elements are counted for "
    "each caller and license; when they are used up (20 an hour unless set otherwise) questions with elements about "
    "that license are refused with 429 and Retry-After. A credential is never refused: its elements are then "
    "compared with what it discloses itself alone. `key_binding` asks the presenter of a credential to prove to be its "
    "holder; a nonce counts once per client.",
    scope=Scope.VERIFICATIONS_WRITE,
    body=QuestionBody,
    answer=VerificationAnswerBody,
    problems=_QUESTION_PROBLEMS,
)
routes.add(
    "POST",
    "/v1/verifications/batch",
    create_verification_batch,
    summary="批量核验 · Verify up to 1,000 licenses",
    description="Each item is a question as for one verification; an item of wrong shape answers `malformed` with its "
    "errors. One signed receipt over a Merkle root; each result carries its path. An item whose budget of wrong "
    "guesses is spent answers `incomplete` with the warning `guess_budget_spent`.",
    scope=Scope.VERIFICATIONS_WRITE,
    body=BatchBody,
    answer=BatchAnswerBody,
    problems=_QUESTION_PROBLEMS,
)
routes.add(
    "GET",
    "/v1/verifications",
    list_verifications,
    summary="查询核验记录 · List your own verifications",
    scope=Scope.VERIFICATIONS_READ,
    query=VerificationQuery,
    answer=VerificationPage,
)
routes.add(
    "GET",
    "/v1/verifications/{verification_id}",
    get_verification,
    summary="读取核验记录 · Read one of your own verifications",
    scope=Scope.VERIFICATIONS_READ,
    answer=KeptVerification,
    problems=("not_found",),
)
routes.add(
    "GET",
    "/v1/verifications/{verification_id}/receipt-proof",
    get_receipt_proof,
    summary="核验回执的存证证明 · Proof that a receipt stands in the log",
    description="The receipt's place in the receipts' log, and, once the public log has fixed that state, the place "
    "of its checkpoint there. One of a batch answers for the batch's receipt.",
    scope=Scope.VERIFICATIONS_READ,
    query=NoQuery,
    answer=ReceiptProofAnswer,
    problems=("not_found", "not_logged_yet"),
)
