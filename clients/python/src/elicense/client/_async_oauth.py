"""Access tokens for asyncio: the steps of `_oauth`, awaited; many calls that need a token wait for one renewal."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from elicense.client._oauth import TokenSteps
from elicense.client._protocol import Request, Response
from elicense.client.errors import ElicenseError

AsyncMakeRequest: TypeAlias = Callable[[], Awaitable[Request]]


class AsyncAccessTokens:
    """Keep one client in access tokens. Safe between the tasks of one event loop."""

    def __init__(self, steps: TokenSteps, send: Callable[[AsyncMakeRequest], Awaitable[Response]]) -> None:
        """`send` sends what its argument makes, anew for each attempt, and returns the answer."""
        self._steps = steps
        self._send = send
        self._renewal: asyncio.Task[str] | None = None

    async def current(self) -> str:
        """Return a token that is good for a while yet. Raises APIStatusError when the server gives none,
        ElicenseError when the client is closed meanwhile.
        """
        return self._steps.usable() or await self._renewed()

    def forget(self, text: str) -> None:
        """Use this token no more: the server refused it."""
        self._steps.forget(text)

    async def aclose(self) -> None:
        """End a renewal that is under way."""
        renewal = self._renewal
        if renewal is not None and renewal.get_loop() is asyncio.get_running_loop():
            renewal.cancel()
            await asyncio.wait({renewal})

    async def _renewed(self) -> str:
        # A task of its own: who is cancelled while waiting takes it from nobody else, and all learn of its failure
        # at once, rather than one after the other trying again what just failed.
        # One that a loop of before, or of the process that forked, never ended is nothing to wait for.
        if self._renewal is None or self._renewal.get_loop() is not asyncio.get_running_loop():
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(self._ended)
        renewal = self._renewal
        await asyncio.wait({renewal})
        if renewal.cancelled():
            raise ElicenseError("the client was closed")
        return renewal.result()

    def _ended(self, renewal: asyncio.Task[str]) -> None:
        if self._renewal is renewal:
            self._renewal = None
        if not renewal.cancelled():
            renewal.exception()  # seen, even when nobody waits any more

    async def _renew(self) -> str:
        steps = self._steps.renewal()
        make = next(steps)
        while True:
            # Signing may ask a device that takes its time; the loop goes on meanwhile.
            answer = await self._send(partial(asyncio.to_thread, make))
            try:
                make = steps.send(answer)
            except StopIteration as done:
                token: str = done.value
                return token
