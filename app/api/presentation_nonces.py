"""Nonces for presenters: what a key binding must answer, for relying parties that make none themselves."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.auth import authorize
from app.api.idempotency import answer_once, fresh, replay
from app.api.requests import read_body, services_of
from app.api.routing import Routes
from app.api.schemas.presentation_nonces import NonceAnswerBody, NonceBody
from app.domain.api_client import Scope
from app.ports import IdempotentCall

routes = Routes(tag="verifications")


async def create_presentation_nonce(request: Request) -> Response:
    """Hand out a fresh nonce."""
    caller = await authorize(request, Scope.VERIFICATIONS_WRITE)
    service = services_of(request).presentation_nonces

    async def make(call: IdempotentCall | None) -> Response:
        read_body(request, NonceBody)
        made = await service.fresh(call)
        return replay(made.answer) if made.replayed else fresh(made.answer)

    return await answer_once(request, caller, make)


routes.add(
    "POST",
    "/v1/presentation-nonces",
    create_presentation_nonce,
    summary="领取出示随机数 · Get a nonce for a presenter",
    description="128 random bits. Give it to one presenter together with your audience; the holder's wallet signs both "
    "(RFC 9901, key binding), and you ask with `key_binding` {nonce, audience}. A nonce of your own does as well. Each "
    "counts once per client.",
    scope=Scope.VERIFICATIONS_WRITE,
    body=NonceBody,
    answer=NonceAnswerBody,
    problems=("read_only",),
)
