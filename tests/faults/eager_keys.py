"""A deliberately broken service: it signs with whatever key the register holds, listed or not.

`python -m tests.faults.eager_keys` serves like `elicense serve`; with `--register USE` it makes a key of that use and
registers it without publishing the list that names it, as a careless rotation would.
"""

import argparse
import asyncio
from datetime import UTC, datetime

from app.bootstrap import open_services
from app.domain.publication import ServiceKey
from app.services.key_making import make_service_key
from app.services.key_register import KeyRegister
from app.settings import load_settings


async def eager_current(
    self: KeyRegister, use: str, *, now: datetime, authority_code: str | None = None, trust: object = None
) -> ServiceKey:
    """Choose the newest registered key."""
    held = await self._recent.get()
    own = [
        key
        for key in held.keys.values()
        if (key.use, key.authority_code) == (use, authority_code) and key.in_window(now)
    ]
    return max(own, key=lambda key: (key.valid_from, key.uri))


async def register(use: str) -> None:
    """Register a key that no list names."""
    async with open_services(load_settings(default_environment="development")) as services:
        signers = services.key_rotation._key_maker
        now = datetime.now(UTC).replace(microsecond=0)
        key = make_service_key(signers, use=use, authority_code=None, number=99, valid_from=now)
        await services.store.write(lambda unit: unit.keys.add(key))


def main() -> None:
    """Register or serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--register")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    if options.register:
        asyncio.run(register(options.register))
        return
    # Imported here alone: registering needs no web framework.
    import uvicorn

    from app.main import create_app

    KeyRegister.current = eager_current  # type: ignore[method-assign, assignment]
    settings = load_settings(default_environment="development")
    uvicorn.run(create_app(settings), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
