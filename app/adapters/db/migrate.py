"""Bring a database to the current schema. Alembic's scripts come with the wheel."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, text

from app.adapters.db.engine import open_transactions
from app.adapters.db.errors import TryAgain, translate, unavailable
from app.adapters.db.revisions import current_revision, expected_revision, require_known, scripts_folder
from app.adapters.db.transactions import DRIVER_FAULTS, Transactions

if TYPE_CHECKING:
    from alembic.config import Config

LOCK_SECONDS: Final = 5.0
_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 0.25


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts_folder()).replace("%", "%%"))
    return config


def _upgrade(connection: Connection, *, to: str, lock_seconds: float) -> None:
    # Loaded late: every process of the service comes by here, and only who migrates needs it.
    from alembic import command

    require_known(current_revision(connection))
    if connection.dialect.name == "postgresql":
        # Whoever comes after a change of a table that waits for its lock waits too, a mere reader as well.
        connection.execute(text(f"SET LOCAL lock_timeout = {round(lock_seconds * 1000)}"))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


async def migrate(database_url: str, *, lock_seconds: float = LOCK_SECONDS) -> None:
    """Bring the database at `database_url` to the current schema, from nothing or from any earlier revision.

    On an empty database all scripts stand in one transaction, else each in one of its own: a crash leaves the schema
    after the last script that was finished, and doing it again goes on from there. Doing it once more, or in two
    processes at once, changes nothing. On PostgreSQL a script waits at most `lock_seconds` for a table that others use.
    Raises DomainError `unavailable` when the database is out of reach or of a newer version, or a table was in use at
    every attempt.
    """
    transactions = open_transactions(database_url, pool_size=1, statement_seconds=None, create=True)
    try:
        await _migrate(transactions, lock_seconds=lock_seconds)
    finally:
        await transactions.close()


async def _migrate(transactions: Transactions, *, lock_seconds: float) -> None:
    reached: str | None = ""
    failures = 0
    while True:
        try:
            async with transactions.transaction(write=True) as link:
                revision = await link.run_sync(current_revision)
                if revision == expected_revision():
                    return
                if revision != reached:
                    reached, failures = revision, 0
                # An empty database is in nobody's way.
                to = "head" if revision is None else "+1"
                await link.run_sync(partial(_upgrade, to=to, lock_seconds=lock_seconds))
                await link.commit()
        except (TryAgain, *DRIVER_FAULTS) as error:
            # Another process may just have made the same tables; then the next look finds them.
            failures += 1
            if failures == _ATTEMPTS:
                raise _told(error) from error
            await asyncio.sleep(_PAUSE_SECONDS * failures)


def _told(error: Exception) -> Exception:
    """Say what ended the last attempt: a time-out of a lock, which is to be run again, is told by what to do."""
    fault = error if isinstance(error, TryAgain) else translate(error)
    if not isinstance(fault, TryAgain):
        return fault
    if fault.lost_connection:
        return unavailable()
    return unavailable(
        "other transactions kept what the migration changes: stop `elicense serve` and `elicense worker`, or wait for "
        "the other migration, and run `elicense migrate` again"
    )
