"""Every signature of a register with the time it claims, read from the rows alone."""

import asyncio
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

_ROWS = (
    ("license", "SELECT identifier, issued_at FROM license_versions"),
    ("status list", "SELECT list_id || ':' || seq, issued_at FROM status_list_versions"),
    ("document", "SELECT kind || ':' || sequence, issued_at FROM signed_documents"),
    ("receipt", "SELECT id, verified_at FROM verifications"),
    ("checkpoint", "SELECT origin || ':' || size, published_at FROM log_checkpoints"),
    ("intent", "SELECT identifier, issued_at FROM intents"),
)


class Signed(NamedTuple):
    """One row that holds a signature, or a promise to sign: its kind, what it names, the time in it."""

    kind: str
    name: str
    at: datetime


async def _read(database_url: str) -> set[Signed]:
    engine = create_async_engine(database_url)
    try:
        async with engine.connect() as connection:
            found = set()
            for kind, statement in _ROWS:
                for name, at in await connection.execute(text(statement)):
                    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
                    found.add(Signed(kind, name, moment.astimezone(UTC)))
            return found
    finally:
        await engine.dispose()


def signed_rows(database_url: str) -> set[Signed]:
    """Return every signature and promise of a register, from code that has no event loop."""
    return asyncio.run(_read(database_url))
