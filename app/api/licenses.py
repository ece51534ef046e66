"""Licenses: issue, read, list, history, credential, and the four changes of state."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.auth import authorize, own_authority
from app.api.idempotency import answer_once, fresh, replay
from app.api.paging import NoQuery, PageQuery, page_by_position
from app.api.requests import json_answer, page_answer, read_body, read_query, services_of
from app.api.routing import Endpoint, Routes
from app.api.schemas.answers import HistoryPage, LicenseAnswer, LicensePage
from app.api.schemas.licenses import ChangeBody, CredentialQuery, LicenseQuery, NewLicenseBody, RevokeBody
from app.api.schemas.orders import ProposalAnswer, ScheduledChangeAnswer
from app.api.schemas.transparency_log import ProvenCredentialAnswer
from app.domain.api_client import Scope
from app.domain.errors import DomainError
from app.domain.license import Action
from app.domain.order import Order
from app.ports import IdempotentCall
from app.services import answers
from app.services.orders import ordered_answer

CREDENTIAL_TYPE = "application/dc+sd-jwt"

routes = Routes(tag="licenses")


async def issue_license(request: Request) -> Response:
    """Issue a license in the name of the caller's authority and answer once it is signed and durable."""
    caller = await authorize(request, Scope.LICENSES_WRITE)
    own_code = own_authority(caller)
    services = services_of(request)

    async def issue(call: IdempotentCall | None) -> Response:
        body = read_body(request, NewLicenseBody)
        if body.authority_code not in (None, own_code):
            raise DomainError("not_your_authority", "authority_code is not the authority this key acts for")
        issued = await services.issuing.issue(
            body.to_domain(authority_code=own_code),
            actor=caller.client.id,
            request_id=caller.request_id,
            call=call,
        )
        if issued.replayed is not None:
            return replay(issued.replayed)
        assert issued.license is not None
        return fresh(answers.issued_answer(issued.license, services.licenses.today()))

    return await answer_once(request, caller, issue)


async def list_licenses(request: Request) -> Response:
    """List the licenses the caller may read: an authority's own, a holder's own."""
    caller = await authorize(request, Scope.LICENSES_READ)
    query = read_query(request, LicenseQuery)
    services = services_of(request)
    found, next_cursor = await services.licenses.list(
        query.to_filter(), caller=caller, cursor=query.cursor or None, limit=query.limit
    )
    today = services.licenses.today()
    return page_answer([answers.license_json(license, today=today) for license in found], next_cursor)


async def get_license(request: Request) -> Response:
    """Answer a license at its current version."""
    caller = await authorize(request, Scope.LICENSES_READ)
    services = services_of(request)
    license = await services.licenses.get(request.path_params["license_id"], caller=caller)
    read_query(request, NoQuery)
    return json_answer(answers.license_json(license, today=services.licenses.today()))


async def get_license_history(request: Request) -> Response:
    """Answer the events of a license, oldest first; they only grow, so a cursor is a position."""
    caller = await authorize(request, Scope.LICENSES_READ)
    license_id = request.path_params["license_id"]
    entries = await services_of(request).licenses.history(license_id, caller=caller)
    query = read_query(request, PageQuery)
    page, following = page_by_position(entries, query, listing="history", of=license_id)
    return page_answer([answers.history_json(entry) for entry in page], following)


async def get_license_credential(request: Request) -> Response:
    """Answer the signed credential of the current version, or of the one asked for."""
    caller = await authorize(request, Scope.LICENSES_READ)
    services = services_of(request)
    license_id = request.path_params["license_id"]
    await services.licenses.get(license_id, caller=caller)  # 404 goes before 422
    query = read_query(request, CredentialQuery)
    if query.proof is not None:
        proven = await services.log_proofs.of_credential(license_id, version=query.version, caller=caller)
        return json_answer(proven.to_json())
    token = await services.credentials.get(license_id, version=query.version, caller=caller)
    return Response(token, media_type=CREDENTIAL_TYPE)


_BODIES: dict[Action, type[ChangeBody]] = {
    Action.SUSPEND: ChangeBody,
    Action.RESUME: ChangeBody,
    Action.REVOKE: RevokeBody,
    Action.CANCEL: ChangeBody,
}


def _change(action: Action) -> Endpoint:
    async def change_license(request: Request) -> Response:
        caller = await authorize(request, Scope.LICENSES_WRITE)
        own_authority(caller)
        services = services_of(request)
        license_id = request.path_params["license_id"]
        await services.licenses.get(license_id, caller=caller)  # 404 goes before 422

        async def act(call: IdempotentCall | None) -> Response:
            body = read_body(request, _BODIES[action])
            order = Order(
                action=action.value,
                license_id=license_id,
                reason_code=body.reason_code,
                reason=body.reason,
                arguments={"kind": body.kind} if isinstance(body, RevokeBody) else {},
            )
            ordered = await services.orders.order(
                order, effective_at=body.effective_at, caller=caller, call=call
            )
            if ordered.replayed is not None:
                return replay(ordered.replayed)
            return fresh(ordered_answer(ordered, now=services.clock.now()))

        return await answer_once(request, caller, act)

    change_license.__name__ = f"{action.value}_license"
    return change_license


routes.add(
    "POST",
    "/v1/licenses",
    issue_license,
    summary="颁发证照 · Issue a license",
    description="Signed, stored and durable before it is answered. `valid_until` null means long-term (长期). "
    "`number` is unique within its type for ever.",
    scope=Scope.LICENSES_WRITE,
    body=NewLicenseBody,
    answer=LicenseAnswer,
    status=201,
    headers={"Location": "Path of the new license."},
    problems=(
        "not_your_authority",
        "not_authorized_to_issue",
        "number_taken",
        "invalid_uscc",
        "unknown_type",
        "unknown_area",
        "invalid_elements",
        "invalid_dates",
        "holder_not_supported",
        "conflict",
        "read_only",
    ),
)
routes.add(
    "GET",
    "/v1/licenses",
    list_licenses,
    summary="查询证照 · List licenses",
    description="An authority sees the licenses it issued, a holder its own. `status` is what people see today, "
    "`expired` and `not_yet_valid` included.",
    scope=Scope.LICENSES_READ,
    query=LicenseQuery,
    answer=LicensePage,
)
routes.add(
    "GET",
    "/v1/licenses/{license_id}",
    get_license,
    summary="读取证照 · Read a license",
    scope=Scope.LICENSES_READ,
    query=NoQuery,
    answer=LicenseAnswer,
    problems=("not_found",),
)
routes.add(
    "GET",
    "/v1/licenses/{license_id}/history",
    get_license_history,
    summary="证照变更记录 · Read a license's history",
    scope=Scope.LICENSES_READ,
    query=PageQuery,
    answer=HistoryPage,
    problems=("not_found",),
)
routes.add(
    "GET",
    "/v1/licenses/{license_id}/credential",
    get_license_credential,
    summary="下载电子证照文件 · Fetch the signed credential",
    scope=Scope.LICENSES_READ,
    query=CredentialQuery,
    description="The stored file, byte for byte. With `proof=1`: JSON that holds it beside the proof that it was "
    "logged when it was issued.",
    answer=CREDENTIAL_TYPE,
    other_answer=ProvenCredentialAnswer,
    problems=("not_found", "not_logged_yet"),
)
_TITLES = {
    Action.SUSPEND: "暂停证照 · Suspend a license",
    Action.RESUME: "恢复证照 · Resume a suspended license",
    Action.REVOKE: "吊销证照 · Revoke a license",
    Action.CANCEL: "注销证照 · Cancel a license by the holder's wish",
}
_MORE = {
    Action.REVOKE: " `kind` is penalty (吊销) unless it is annulled (撤销): void from its beginning. Online it is told "
    "which; a status list does not distinguish."
}
for _action, _title in _TITLES.items():
    routes.add(
        "POST",
        f"/v1/licenses/{{license_id}}/{_action.value}",
        _change(_action),
        summary=_title,
        description="Every online verification sees it within a second, the published status list within a minute. "
        "`reason_code` is an open list; suggestions: penalty, annulled, holder_request, correction, investigation. "
        "With `effective_at` it is scheduled (202). Where the license type asks for a second person it is proposed "
        "(202), and done when another client of the authority approves." + _MORE.get(_action, ""),
        scope=Scope.LICENSES_WRITE,
        body=_BODIES[_action],
        answer=LicenseAnswer,
        accepted=(ScheduledChangeAnswer, ProposalAnswer),
        problems=("not_found", "state_conflict", "conflict", "invalid_effective_at", "read_only"),
    )
