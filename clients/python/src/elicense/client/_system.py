"""The client's one door to the clock and to randomness; everything else is handed values."""

import secrets
import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the current moment, timezone-aware UTC."""
    return datetime.now(UTC)


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


async def async_sleep(seconds: float) -> None:
    """Wait, and let other tasks go on."""
    # Imported here: the blocking client need not load it.
    import asyncio

    await asyncio.sleep(seconds)


def fraction() -> float:
    """Return a random number in [0, 1), for the jitter of retries."""
    return secrets.randbelow(1 << 30) / (1 << 30)


def new_unique_text() -> str:
    """Make a text that is used once: the Idempotency-Key of a call, the `jti` of an assertion. 128 random bits."""
    return secrets.token_hex(16)
