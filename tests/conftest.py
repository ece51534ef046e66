"""Fixtures every test may use."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.backups import backups
from tests.databases import (
    another_store,
    database_kind,
    database_url,
    empty_database_url,
    postgresql_server,
    postgresql_template,
    sqlite_template,
    statements,
    store,
)

__all__ = [
    "another_store",
    "anyio_backend",
    "backups",
    "database_kind",
    "database_url",
    "empty_database_url",
    "postgresql_server",
    "postgresql_template",
    "sqlite_template",
    "statements",
    "store",
]

# How long an example takes says how busy the machine is, nothing about what is tested.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

_SLOW_FIRST = ("/tests/faults/", "/tests/e2e/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that no process is left alone with one of them at the end."""
    items.sort(key=lambda item: not any(folder in item.path.as_posix() for folder in _SLOW_FIRST))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio alone: the database drivers know nothing else."""
    return "asyncio"


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Put logging back as it was: a command that a test runs sets it for its whole process."""
    kept = structlog.get_config()
    yield
    structlog.configure(**kept)
