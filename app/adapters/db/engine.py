"""Which databases are served, and how their transactions are opened."""

import re
from typing import Final

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from app.adapters.db.errors import unavailable
from app.adapters.db.postgresql import PostgresqlTransactions
from app.adapters.db.sqlite import SqliteTransactions
from app.adapters.db.transactions import Transactions

_SQLITE: Final = "sqlite+aiosqlite"
_POSTGRESQL: Final = "postgresql+asyncpg"
_NO_FILE: Final = frozenset({None, "", ":memory:"})
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def parse_url(database_url: str) -> URL:
    """Parse a database URL. Raises DomainError `unavailable` for other databases, drivers or in-memory SQLite.

    The URL may hold a password: it never appears in an error.
    """
    try:
        url = make_url(database_url)
    except ArgumentError:
        raise unavailable("the database URL cannot be read") from None
    if url.drivername not in {_SQLITE, _POSTGRESQL}:
        raise unavailable("the database URL must begin with sqlite+aiosqlite:// or postgresql+asyncpg://")
    if url.drivername == _SQLITE and url.database in _NO_FILE:
        raise unavailable("the database URL must name a file: a database in memory survives nothing")
    return url


def open_transactions(
    database_url: str,
    *,
    pool_size: int = 10,
    statement_seconds: float | None = 60,
    create: bool = False,
) -> Transactions:
    """Open transactions that are durable and consistent on either database; it connects at the first of them.

    `pool_size` is the number of connections one process keeps; `statement_seconds` how long one statement may take
    on PostgreSQL; `create` makes a SQLite file, or a schema, that is not there. `?schema=NAME` in a PostgreSQL URL says
    in which schema the tables are. Raises DomainError as `parse_url`, also for a name that is not plain.
    """
    url = parse_url(database_url)
    if url.drivername == _SQLITE:
        return SqliteTransactions(url, pool_size=pool_size, create=create)
    schema = url.query.get("schema")
    if schema is not None and (not isinstance(schema, str) or not _SCHEMA.fullmatch(schema)):
        raise unavailable("the schema of the database URL must be a plain name in small letters")
    return PostgresqlTransactions(
        url.difference_update_query(["schema"]),
        pool_size=pool_size,
        statement_seconds=statement_seconds,
        schema=schema,
        create=create,
    )
