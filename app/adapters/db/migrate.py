"""Bring a database to the current schema, and tell whether it is there. Alembic's scripts come with the wheel."""

from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from app.adapters.db.engine import open_transactions
from app.adapters.db.errors import TryAgain, translate, unavailable
from app.adapters.db.transactions import DRIVER_FAULTS

_ATTEMPTS: Final = 5


_PACKAGE: Final = Path(__file__).resolve().parents[2]


def scripts_folder(package: Path = _PACKAGE) -> Path:
    """Return the folder of the migration scripts: inside the package when installed, else the checkout's."""
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts_folder()).replace("%", "%%"))
    return config


@cache
def expected_revision() -> str:
    """Return the revision this version of the program needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise unavailable("the migration scripts are missing from this installation")
    return head


def current_revision(connection: Connection) -> str | None:
    """Return the revision a database is at, None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> None:
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
