"""Fixtures every test may use."""

import pytest

from tests.databases import (
    another_store,
    database_kind,
    database_url,
    empty_database_url,
    postgresql_server,
    postgresql_template,
    sqlite_template,
    store,
)

__all__ = [
    "another_store",
    "anyio_backend",
    "database_kind",
    "database_url",
    "empty_database_url",
    "postgresql_server",
    "postgresql_template",
    "sqlite_template",
    "store",
]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio alone: the database drivers know nothing else."""
    return "asyncio"
