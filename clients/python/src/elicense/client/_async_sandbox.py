"""The sandbox for asyncio: the calls of `_sandbox`, awaited."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from elicense.client import _sandbox_calls as calls
from elicense.client._call import AsyncCaller
from elicense.client._sandbox_models import SandboxClock, SandboxCode


class AsyncSandbox:
    """The sandbox as the calling client sees it."""

    def __init__(self, client: AsyncCaller) -> None:
        self._client = client

    async def codes(self) -> Sequence[SandboxCode]:
        """Fetch every magic code."""
        return await self._client._run(calls.codes())

    async def clock(self) -> SandboxClock:
        """Fetch the clock of this client."""
        return await self._client._run(calls.clock())

    async def move_clock(
        self, to: datetime | timedelta, *, idempotency_key: str | None = None
    ) -> SandboxClock:
        """Set the clock of this client to a moment (with its zone), or so far ahead of the true time; it runs on.

        Raises InvalidRequestError for the past, and for more than ten years ahead.
        """
        return await self._client._run(calls.move_clock(to, idempotency_key=idempotency_key))

    async def reset_clock(self, *, idempotency_key: str | None = None) -> SandboxClock:
        """Let the clock of this client show the true time again."""
        return await self._client._run(calls.move_clock(timedelta(), idempotency_key=idempotency_key))
