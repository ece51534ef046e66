"""The sandbox: its magic codes, and the caller's own clock. With a live key there is nothing here."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.auth import authorize
from app.api.idempotency import carry_out
from app.api.paging import NoQuery
from app.api.requests import json_answer, page_answer, read_body, read_query, services_of
from app.api.routing import Routes
from app.api.schemas.sandbox import ClockAnswer, ClockBody, CodePage
from app.domain.api_client import Scope
from app.domain.errors import DomainError
from app.services.once import Once
from app.services.sandbox import SandboxClock, SandboxService, ShownCode
from elicense.encoding import rfc3339
from elicense.report import verdict_of

routes = Routes(tag="sandbox")


async def list_sandbox_codes(request: Request) -> Response:
    """List the magic codes with what stands behind each."""
    await authorize(request, Scope.VERIFICATIONS_READ)
    service = _sandbox(request)
    read_query(request, NoQuery)
    return page_answer([_code_json(shown) for shown in await service.codes()], None)


async def get_sandbox_clock(request: Request) -> Response:
    """Tell the caller's own clock."""
    caller = await authorize(request, Scope.VERIFICATIONS_READ)
    service = _sandbox(request)
    read_query(request, NoQuery)
    return json_answer(_clock_json(await service.clock(caller.client.id)))


async def move_sandbox_clock(request: Request) -> Response:
    """Set the caller's own clock, or let it show the true time again."""
    caller = await authorize(request, Scope.VERIFICATIONS_WRITE)
    service = _sandbox(request)

    async def move(once: Once | None) -> SandboxClock:
        body = read_body(request, ClockBody)
        return await service.move(caller.client.id, to=body.now, ahead_seconds=body.ahead_seconds, once=once)

    return await carry_out(request, caller, move, _clock_json)


def _sandbox(request: Request) -> SandboxService:
    sandbox = services_of(request).sandbox
    if sandbox is None:
        raise DomainError("forbidden", "this is for sandbox keys (elk_test_…) only")
    return sandbox


def _code_json(shown: ShownCode) -> dict[str, object]:
    code, reason = shown.code, shown.code.reason
    return {
        "scenario": code.scenario.value,
        "holder_code": code.holder_code,
        "type_code": shown.type_code,
        "number": shown.number,
        "identifier": shown.identifier,
        "credential": shown.credential,
        "valid_until": None if shown.valid_until is None else shown.valid_until.isoformat(),
        "elements": dict(shown.elements),
        "expected": {
            "status": code.status,
            "verdict": None if reason is None else verdict_of(reason).value,
            "reason": None if reason is None else reason.value,
        },
        "text": {"zh": code.text.zh, "en": code.text.en},
    }


def _clock_json(clock: SandboxClock) -> dict[str, object]:
    return {
        "now": rfc3339(clock.now),
        "ahead_seconds": int(clock.ahead.total_seconds()),
        "true_time": rfc3339(clock.true_time),
    }


routes.add(
    "GET",
    "/v1/sandbox/codes",
    list_sandbox_codes,
    summary="沙箱场景代码 · Magic codes of the sandbox",
    description="Each stands for one scenario: ask by `holder_code` and `type_code`, by `identifier` or `number`, or "
    "hand in the `credential`, with the `elements`. `expected` is what the answer is. A refusal (429, 503) concerns "
    "the whole call, a batch as well. Only with a sandbox key (`elk_test_…`).",
    scope=Scope.VERIFICATIONS_READ,
    query=NoQuery,
    answer=CodePage,
)
routes.add(
    "GET",
    "/v1/sandbox/clock",
    get_sandbox_clock,
    summary="读取沙箱时钟 · Your own clock in the sandbox",
    description="The moment that your verifications are judged at. Only with a sandbox key (`elk_test_…`).",
    scope=Scope.VERIFICATIONS_READ,
    query=NoQuery,
    answer=ClockAnswer,
)
routes.add(
    "POST",
    "/v1/sandbox/clock",
    move_sandbox_clock,
    summary="拨动沙箱时钟 · Move your own clock in the sandbox",
    description="Give `now`, the moment it shall show, or `ahead_seconds`, how far it stands ahead (0: the true time "
    "again). It runs on from there, up to ten years ahead; ask about the past with `at` of a verification. It moves "
    "the judging of your own verifications, nobody else's, and neither quotas nor what is signed. Only with a "
    "sandbox key.",
    scope=Scope.VERIFICATIONS_WRITE,
    body=ClockBody,
    answer=ClockAnswer,
)
