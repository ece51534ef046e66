"""Policies for asyncio: the calls of `_policies`, awaited."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime

from elicense.client import _policy_calls as calls
from elicense.client._call import AsyncCaller, each_async
from elicense.client._models import Page
from elicense.client._policy_models import DryRun, StoredPolicy


class AsyncPolicies:
    """Policies of the calling relying party, and the presets."""

    def __init__(self, client: AsyncCaller) -> None:
        self._client = client

    async def create(
        self, name: str, parts: Mapping[str, object], *, idempotency_key: str | None = None
    ) -> StoredPolicy:
        """Make a policy, or its next version; parts that the newest version has already answer that one."""
        return await self._client._run(calls.create(name, parts, idempotency_key=idempotency_key))

    async def get(self, name: str, *, version: int | None = None) -> StoredPolicy:
        """Fetch one version, the newest when none is named. Raises NotFoundError."""
        return await self._client._run(calls.policy(name, version=version))

    async def list(self, *, cursor: str | None = None, limit: int | None = None) -> Page[StoredPolicy]:
        """Fetch one page of the policies that may be named, each in its newest version."""
        return await self._client._run(calls.policies(cursor, limit))

    def iterate(self) -> AsyncIterator[StoredPolicy]:
        """Go through all pages of `list`, fetching as needed."""
        return each_async(self._client, calls.policies)

    async def dry_run(
        self,
        *,
        policy: str | None = None,
        parts: Mapping[str, object] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> DryRun:
        """Tell what a policy (by reference or by its parts) would have answered in at most 31 days; nothing changes.

        `since` and `until` are moments with their time zone, or RFC 3339.
        The newest verifications are judged first; pass `next_cursor` as `cursor` to go on.
        """
        return await self._client._run(
            calls.dry_run(policy=policy, parts=parts, since=since, until=until, cursor=cursor, limit=limit)
        )
