"""The two-person rule: read, approve and reject what was proposed. Proposals are made by the actions themselves."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.auth import authorize, own_authority
from app.api.idempotency import answer_once, fresh, replay
from app.api.paging import NoQuery
from app.api.requests import json_answer, page_answer, read_body, read_query, services_of
from app.api.routing import Routes
from app.api.schemas.orders import ApprovalBody, EndingBody, ProposalAnswer, ProposalPage, ProposalQuery
from app.domain.api_client import Scope
from app.domain.proposal import ProposalStatus
from app.ports import IdempotentCall
from app.services.order_answers import decided_answer, proposal_json
from app.services.proposals import Proposed

routes = Routes(tag="orders")

_CLOSED = ("already_decided", "proposal_expired", "proposal_outdated")


async def list_proposals(request: Request) -> Response:
    """List the proposals of the caller's authority."""
    caller = await authorize(request, Scope.LICENSES_READ)
    own_authority(caller)
    query = read_query(request, ProposalQuery)
    services = services_of(request)
    now = services.clock.now()
    found, next_cursor = await services.proposals.list(
        caller=caller,
        status=None if query.status is None else ProposalStatus(query.status),
        now=now,
        cursor=query.cursor or None,
        limit=query.limit,
    )
    return page_answer([proposal_json(proposal, now=now) for proposal in found], next_cursor)


async def get_proposal(request: Request) -> Response:
    """Answer one proposal."""
    caller = await authorize(request, Scope.LICENSES_READ)
    own_authority(caller)
    services = services_of(request)
    proposal = await services.proposals.get(request.path_params["proposal_id"], caller=caller)
    read_query(request, NoQuery)
    return json_answer(proposal_json(proposal, now=services.clock.now()))


async def approve_proposal(request: Request) -> Response:
    """Approve what another client of the authority proposed: it is done (or scheduled) before this is answered."""
    caller = await authorize(request, Scope.LICENSES_WRITE)
    own_authority(caller)
    service = services_of(request).proposals
    proposal_id = request.path_params["proposal_id"]
    await service.get(proposal_id, caller=caller)  # 404 goes before 422

    async def approve(call: IdempotentCall | None) -> Response:
        read_body(request, ApprovalBody)
        return _decided(request, await service.approve(proposal_id, caller=caller, call=call))

    return await answer_once(request, caller, approve)


async def reject_proposal(request: Request) -> Response:
    """Reject a proposal, or take back one's own."""
    caller = await authorize(request, Scope.LICENSES_WRITE)
    own_authority(caller)
    service = services_of(request).proposals
    proposal_id = request.path_params["proposal_id"]
    await service.get(proposal_id, caller=caller)  # 404 goes before 422

    async def reject(call: IdempotentCall | None) -> Response:
        body = read_body(request, EndingBody)
        rejected = await service.reject(proposal_id, reason=body.reason, caller=caller, call=call)
        return _decided(request, rejected)

    return await answer_once(request, caller, reject)


def _decided(request: Request, decided: Proposed) -> Response:
    if decided.replayed is not None:
        return replay(decided.replayed)
    assert decided.proposal is not None
    return fresh(decided_answer(decided.proposal, now=services_of(request).clock.now()))


routes.add(
    "GET",
    "/v1/proposals",
    list_proposals,
    summary="待批准的提议 · Proposals",
    description="What clients of the authority proposed where two persons are needed, oldest first.",
    scope=Scope.LICENSES_READ,
    query=ProposalQuery,
    answer=ProposalPage,
)
routes.add(
    "GET",
    "/v1/proposals/{proposal_id}",
    get_proposal,
    summary="读取提议 · Read a proposal",
    scope=Scope.LICENSES_READ,
    query=NoQuery,
    answer=ProposalAnswer,
    problems=("not_found",),
)
routes.add(
    "POST",
    "/v1/proposals/{proposal_id}/approve",
    approve_proposal,
    summary="批准提议 · Approve a proposal",
    description="By another client of the authority; another key of the same client is refused. The license changes "
    "in the transaction that stores the approval; with `effective_at` it is scheduled there.",
    scope=Scope.LICENSES_WRITE,
    body=ApprovalBody,
    answer=ProposalAnswer,
    problems=("not_found", "own_proposal", *_CLOSED, "state_conflict", "conflict", "read_only"),
)
routes.add(
    "POST",
    "/v1/proposals/{proposal_id}/reject",
    reject_proposal,
    summary="否决提议 · Reject a proposal",
    description="By any client of the authority; who proposed it takes it back so.",
    scope=Scope.LICENSES_WRITE,
    body=EndingBody,
    answer=ProposalAnswer,
    problems=("not_found", *_CLOSED, "read_only"),
)
