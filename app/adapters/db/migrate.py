"""Bring a database to the current schema. Alembic's scripts come with the wheel."""

from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from app.adapters.db.engine import open_transactions
from app.adapters.db.errors import TryAgain, translate, unavailable
from app.adapters.db.revisions import current_revision, expected_revision, scripts_folder
from app.adapters.db.transactions import DRIVER_FAULTS

if TYPE_CHECKING:
    from alembic.config import Config

_ATTEMPTS: Final = 5


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts_folder()).replace("%", "%%"))
    return config


def _upgrade(connection: Connection) -> None:
    # Loaded late: every process of the service comes by here, and only who migrates needs it.
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def migrate(database_url: str) -> None:
    """Bring the database at `database_url` to the current schema, from nothing or from any earlier revision.

    All steps stand in one transaction on both databases: a crash leaves the schema it found. Doing it again, or in
    two processes at once, changes nothing. Raises DomainError `unavailable` when the database is out of reach.
    """
    transactions = open_transactions(database_url, pool_size=1, statement_seconds=None, create=True)
    try:
        for _ in range(_ATTEMPTS):
            try:
                async with transactions.transaction(write=True) as link:
                    if await link.run_sync(current_revision) != expected_revision():
                        await link.run_sync(_upgrade)
                    await link.commit()
                return
            except (TryAgain, *DRIVER_FAULTS) as error:
                # Another process may just have made the same tables; then the next look finds them.
                fault = error if isinstance(error, TryAgain) else translate(error)
        raise unavailable() if isinstance(fault, TryAgain) else fault
    finally:
        await transactions.close()
