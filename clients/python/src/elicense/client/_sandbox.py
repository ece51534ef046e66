"""The client's calls about the sandbox. They need a sandbox key (`elk_test_…`)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from elicense.client import _sandbox_calls as calls
from elicense.client._call import Caller
from elicense.client._sandbox_models import SandboxClock, SandboxCode


class Sandbox:
    """The sandbox as the calling client sees it."""

    def __init__(self, client: Caller) -> None:
        self._client = client

    def codes(self) -> Sequence[SandboxCode]:
        """Fetch every magic code."""
        return self._client._run(calls.codes())

    def clock(self) -> SandboxClock:
        """Fetch the clock of this client."""
        return self._client._run(calls.clock())

    def move_clock(self, to: datetime | timedelta, *, idempotency_key: str | None = None) -> SandboxClock:
        """Set the clock of this client to a moment (with its zone), or so far ahead of the true time; it runs on.

        Raises InvalidRequestError for the past, and for more than ten years ahead.
        """
        return self._client._run(calls.move_clock(to, idempotency_key=idempotency_key))

    def reset_clock(self, *, idempotency_key: str | None = None) -> SandboxClock:
        """Let the clock of this client show the true time again."""
        return self._client._run(calls.move_clock(timedelta(), idempotency_key=idempotency_key))
