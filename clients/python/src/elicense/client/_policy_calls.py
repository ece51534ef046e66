"""The calls about policies."""

from collections.abc import Mapping
from datetime import datetime

from elicense.client._call import Call, get, post
from elicense.client._models import Page, page_of
from elicense.client._policy_models import DryRun, StoredPolicy, dry_run_of, policy_of
from elicense.client._protocol import rfc3339, without_none


def create(name: str, parts: Mapping[str, object], *, idempotency_key: str | None) -> Call[StoredPolicy]:
    """Make a policy, or its next version."""
    body = {"name": name, "parts": dict(parts)}
    return post(["v1", "policies"], body, policy_of, idempotency_key=idempotency_key)


def policy(name: str, *, version: int | None) -> Call[StoredPolicy]:
    """Fetch one version."""
    return get(["v1", "policies", name], policy_of, query={"version": version})


def policies(cursor: str | None, limit: int | None = None) -> Call[Page[StoredPolicy]]:
    """Fetch one page of policies."""
    query = {"cursor": cursor, "limit": limit}
    return get(["v1", "policies"], lambda page: page_of(page, policy_of), query=query)


def dry_run(
    *,
    policy: str | None,
    parts: Mapping[str, object] | None,
    since: datetime | str | None,
    until: datetime | str | None,
    cursor: str | None,
    limit: int | None,
) -> Call[DryRun]:
    """Ask what a policy would have answered."""
    body = {
        "policy": policy,
        "parts": None if parts is None else dict(parts),
        "from": rfc3339(since) if isinstance(since, datetime) else since,
        "to": rfc3339(until) if isinstance(until, datetime) else until,
        "cursor": cursor,
        "limit": limit,
    }
    return post(["v1", "policies", "dry-run"], without_none(body), dry_run_of, idempotency_key=None)
