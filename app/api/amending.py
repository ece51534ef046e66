"""Further versions of a license (amend, renew), and its succession by other licenses."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from app.api.auth import authorize, own_authority
from app.api.idempotency import answer_once, fresh, replay
from app.api.requests import read_body, services_of
from app.api.routing import Routes
from app.api.schemas.amending import AmendBody, RenewBody, SuccessionBody
from app.api.schemas.answers import LicenseAnswer
from app.api.schemas.licenses import ReasonBody
from app.api.schemas.orders import ProposalAnswer
from app.domain.api_client import Caller, Scope
from app.ports import IdempotentCall, UnitOfWork
from app.services import answers
from app.services.container import Services
from app.services.orders import Ordered, ordered_answer
from app.services.performing import Changed
from app.services.succession import succession_order

Body = TypeVar("Body", bound=ReasonBody)
Work = Callable[[Services, str, Body, Caller, IdempotentCall | None], Awaitable[Changed | Ordered]]

routes = Routes(tag="licenses")


async def amend_license(request: Request) -> Response:
    """Make the license's next version with what is to be different merged in."""

    async def amend(
        services: Services, license_id: str, body: AmendBody, caller: Caller, call: IdempotentCall | None
    ) -> Changed:
        return await services.amending.amend(
            license_id,
            body.to_domain(),
            reason_code=body.reason_code,
            reason=body.reason,
            caller=caller,
            call=call,
        )

    return await _change(request, AmendBody, amend)


async def renew_license(request: Request) -> Response:
    """Make the license's next version with a new period."""

    async def renew(
        services: Services, license_id: str, body: RenewBody, caller: Caller, call: IdempotentCall | None
    ) -> Changed:
        return await services.amending.renew(
            license_id,
            body.to_domain(),
            reason_code=body.reason_code,
            reason=body.reason,
            caller=caller,
            call=call,
        )

    return await _change(request, RenewBody, renew)


async def record_succession(request: Request) -> Response:
    """Record which licenses took this one's place, or propose that; one in force ends by it."""

    async def record(
        services: Services, license_id: str, body: SuccessionBody, caller: Caller, call: IdempotentCall | None
    ) -> Ordered:
        order = succession_order(
            license_id,
            body.to_domain(),
            body.successors,
            reason_code=body.reason_code,
            reason=body.reason,
        )

        async def possible(unit: UnitOfWork, _at: datetime) -> None:
            await services.succession.require_possible(unit, order)

        return await services.orders.order(
            order, effective_at=None, caller=caller, call=call, possible=possible
        )

    return await _change(request, SuccessionBody, record)


async def _change(request: Request, model: type[Body], work: "Work[Body]") -> Response:
    caller = await authorize(request, Scope.LICENSES_WRITE)
    own_authority(caller)
    services = services_of(request)
    license_id = request.path_params["license_id"]
    await services.licenses.get(license_id, caller=caller)  # 404 goes before 422

    async def change(call: IdempotentCall | None) -> Response:
        changed = await work(services, license_id, read_body(request, model), caller, call)
        if changed.replayed is not None:
            return replay(changed.replayed)
        if isinstance(changed, Ordered):
            return fresh(ordered_answer(changed, now=services.clock.now()))
        assert changed.license is not None
        return fresh(answers.changed_answer(changed.license, services.licenses.today()))

    return await answer_once(request, caller, change)


_VERSION_PROBLEMS = (
    "not_found",
    "not_authorized_to_issue",
    "invalid_uscc",
    "unknown_type",
    "unknown_area",
    "invalid_elements",
    "invalid_dates",
    "holder_not_supported",
    "state_conflict",
    "versions_exhausted",
    "conflict",
    "read_only",
)
_AT_ONCE = (
    "The new version has its own identifier, credential and status entry and is in force when this is answered; the "
    "one before answers `superseded` from then on, with `superseded_by`. A suspension carries over, an ended license "
    "is refused. It cannot be scheduled: `effective_at` is refused. "
)

routes.add(
    "POST",
    "/v1/licenses/{license_id}/amend",
    amend_license,
    summary="变更证照 · Amend a license",
    description=f"{_AT_ONCE}`elements` are merged by name, null removes one. `reason_code` is an open list; "
    "suggestions: change_of_name, change_of_address, change_of_representative, change_of_scope, correction.",
    scope=Scope.LICENSES_WRITE,
    body=AmendBody,
    answer=LicenseAnswer,
    problems=(*_VERSION_PROBLEMS, "no_change"),
)
routes.add(
    "POST",
    "/v1/licenses/{license_id}/renew",
    renew_license,
    summary="延续或换发证照 · Renew a license",
    description=f"{_AT_ONCE}`valid_from` stays and `issue_date` is today unless given. The end is never earlier than "
    "before; the same end gives a fresh file. Suggested `reason_code`: renewal, reissue.",
    scope=Scope.LICENSES_WRITE,
    body=RenewBody,
    answer=LicenseAnswer,
    problems=_VERSION_PROBLEMS,
)
routes.add(
    "POST",
    "/v1/licenses/{license_id}/succession",
    record_succession,
    summary="登记证照接续 · Record a license's successors",
    description="A license in force becomes `superseded` by it; a cancelled or transferred one stays so; a revoked one "
    "has no successors. It counts at once: `effective_at` is refused. Where the license type asks for a second person "
    "it is proposed (202). Recording again corrects: the newest record counts. Verifying the old license then names "
    "the identifiers where its succession ends. Suggested `reason_code`: merger, division, reissue.",
    scope=Scope.LICENSES_WRITE,
    body=SuccessionBody,
    answer=LicenseAnswer,
    accepted=(ProposalAnswer,),
    problems=("not_found", "invalid_succession", "state_conflict", "conflict", "read_only"),
)
