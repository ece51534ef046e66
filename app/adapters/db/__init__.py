"""The register's database: the only code that speaks SQL."""

from app.adapters.db.audit_reader import SqlAuditReader
from app.adapters.db.engine import open_transactions
from app.adapters.db.migrate import migrate
from app.adapters.db.unit_of_work import SqlStore, SqlUnitOfWork

__all__ = ["SqlAuditReader", "SqlStore", "SqlUnitOfWork", "migrate", "open_store"]


def open_store(database_url: str, *, pool_size: int = 10) -> SqlStore:
    """Open the store of a database. Connects at the first use; `SqlStore.ready` tells whether it can serve.

    `pool_size` is the number of connections one process keeps. Raises DomainError `unavailable` for a URL that is
    neither `sqlite+aiosqlite:///FILE` nor `postgresql+asyncpg://…`.
    """
    return SqlStore(open_transactions(database_url, pool_size=pool_size))
