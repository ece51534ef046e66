"""Policies of relying parties: make a version, list, read."""

from typing import cast

from starlette.requests import Request
from starlette.responses import Response

from app.api.auth import authorize
from app.api.idempotency import answer_once, fresh
from app.api.paging import PageQuery, key_after
from app.api.requests import json_answer, page_answer, read_body, read_query, services_of
from app.api.routing import Routes
from app.api.schemas.policies import (
    DryRunAnswer,
    DryRunBody,
    PolicyBody,
    PolicyPage,
    PolicyVersionQuery,
    StoredPolicyAnswer,
)
from app.domain.api_client import Scope
from app.domain.cursors import encode_cursor, refused_cursor
from app.ports import IdempotentCall
from app.services.policy_dry_run import DryRun
from elicense.encoding import JsonValue
from elicense.own_policy import is_policy_name

routes = Routes(tag="policies")


async def create_policy(request: Request) -> Response:
    """Make a policy, or its next version; parts that the newest version has answer that one."""
    caller = await authorize(request, Scope.VERIFICATIONS_WRITE)
    service = services_of(request).policies

    async def put(call: IdempotentCall | None) -> Response:
        body = read_body(request, PolicyBody)
        parts = cast(dict[str, JsonValue], body.parts)
        return fresh(await service.put(body.name, parts, caller=caller, call=call))

    return await answer_once(request, caller, put)


async def dry_run_policy(request: Request) -> Response:
    """Tell what a policy would have answered for the caller's own verifications; nothing changes."""
    caller = await authorize(request, Scope.VERIFICATIONS_READ)
    service = services_of(request).policy_dry_run

    async def run(call: IdempotentCall | None) -> Response:
        body = read_body(request, DryRunBody)
        wanted = DryRun(
            policy=body.policy,
            parts=None if body.parts is None else cast(dict[str, JsonValue], body.parts),
            since=body.since,
            until=body.until,
            cursor=body.cursor or None,
            limit=body.limit,
        )
        return fresh(await service.run(wanted, caller=caller, call=call))

    return await answer_once(request, caller, run)


async def list_policies(request: Request) -> Response:
    """List the policies the caller can name: its own and the presets."""
    caller = await authorize(request, Scope.VERIFICATIONS_READ)
    query = read_query(request, PageQuery)
    after = key_after(query, listing="policies")
    if after and not is_policy_name(after):
        raise refused_cursor()
    found = await services_of(request).policies.page(caller=caller, after=after, limit=query.limit + 1)
    page = found[: query.limit]
    following = encode_cursor("policies", page[-1].policy.id) if len(found) > len(page) else None
    return page_answer([one.to_json() for one in page], following)


async def get_policy(request: Request) -> Response:
    """Answer one version of a policy."""
    caller = await authorize(request, Scope.VERIFICATIONS_READ)
    service, name = services_of(request).policies, request.path_params["name"]
    newest = await service.get(name, version=None, caller=caller)  # 404 goes before 422
    version = read_query(request, PolicyVersionQuery).version
    if version is None:
        return json_answer(newest.to_json())
    return json_answer((await service.get(name, version=version, caller=caller)).to_json())


routes.add(
    "POST",
    "/v1/policies",
    create_policy,
    summary="制定核验策略 · Make a policy, or its next version",
    description="A version is never changed: other parts make the next one (201), the same parts answer the present "
    "one (200). An own policy can only be stricter in what valid means: it accepts active licenses alone. A question "
    "names it by `policy`, as name (the newest version) or name@version.",
    scope=Scope.VERIFICATIONS_WRITE,
    body=PolicyBody,
    answer=StoredPolicyAnswer,
    status=201,
    also_ok=True,
    problems=("unknown_type", "unknown_area", "conflict", "read_only"),
    headers={"Location": "Path of this version."},
)
routes.add(
    "POST",
    "/v1/policies/dry-run",
    dry_run_policy,
    summary="试算核验策略 · Try a policy on past verifications",
    description="What a policy (by reference or by its parts) would have answered for the caller's verifications of at "
    "most 31 days, judged from what is kept of each. What cannot be judged again from that is counted as "
    "`cannot_tell`, never guessed. The newest are judged first, up to `limit`; `next_cursor` goes on.",
    scope=Scope.VERIFICATIONS_READ,
    body=DryRunBody,
    answer=DryRunAnswer,
    problems=("unknown_policy", "read_only"),
)
routes.add(
    "GET",
    "/v1/policies",
    list_policies,
    summary="查询核验策略 · List policies",
    description="The caller's own policies and the presets, each in its newest version.",
    scope=Scope.VERIFICATIONS_READ,
    query=PageQuery,
    answer=PolicyPage,
)
routes.add(
    "GET",
    "/v1/policies/{name}",
    get_policy,
    summary="读取核验策略 · Read a policy",
    description="The answer is a policy file: the SDK and `elicense verify --policy FILE` take it as it is.",
    scope=Scope.VERIFICATIONS_READ,
    query=PolicyVersionQuery,
    answer=StoredPolicyAnswer,
    problems=("not_found",),
)
