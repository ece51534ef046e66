"""Backups of a test's database, put back as an operator would: the file copied, or the database made from its copy."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy.engine import make_url

from tests.databases import PostgreSQL


class Backups(Protocol):
    """Copies of one database; nobody may be connected to it while one is taken or put back."""

    def take(self, name: str = "backup") -> None:
        """Copy the database under a name."""
        ...

    def put_back(self, name: str = "backup") -> None:
        """Replace the database by the copy of that name."""
        ...


class _SqliteFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def _files(self) -> list[Path]:
        return [self._path.with_name(self._path.name + suffix) for suffix in ("", "-wal", "-shm")]

    def take(self, name: str = "backup") -> None:
        for file in self._files():
            if file.exists():
                shutil.copyfile(file, file.with_name(f"{name}-{file.name}"))

    def put_back(self, name: str = "backup") -> None:
        for file in self._files():
            file.unlink(missing_ok=True)
            copy = file.with_name(f"{name}-{file.name}")
            if copy.exists():
                shutil.copyfile(copy, file)


class _PostgresqlTemplate:
    def __init__(self, server: PostgreSQL, database_url: str) -> None:
        self._server = server
        self._database = make_url(database_url).database
        self.copies: set[str] = set()

    def _copy(self, name: str) -> str:
        return f"{self._database}_{name}"

    def take(self, name: str = "backup") -> None:
        copy = self._copy(name)
        self._server.execute(
            # A connection that was just closed may still be counted, and a template must have none.
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._database}'",
            f'DROP DATABASE IF EXISTS "{copy}"',
            f'CREATE DATABASE "{copy}" TEMPLATE "{self._database}"',
        )
        self.copies.add(copy)

    def put_back(self, name: str = "backup") -> None:
        self._server.execute(
            f'DROP DATABASE "{self._database}" WITH (FORCE)',
            f'CREATE DATABASE "{self._database}" TEMPLATE "{self._copy(name)}"',
        )

    def drop(self) -> None:
        self._server.execute(*(f'DROP DATABASE "{copy}" WITH (FORCE)' for copy in sorted(self.copies)))


@pytest.fixture
def backups(database_url: str, database_kind: str, request: pytest.FixtureRequest) -> Iterator[Backups]:
    """Give the backups of this test's database."""
    if database_kind == "sqlite":
        path = make_url(database_url).database
        assert path is not None
        yield _SqliteFile(Path(path))
        return
    server: PostgreSQL = request.getfixturevalue("postgresql_server")
    copies = _PostgresqlTemplate(server, database_url)
    yield copies
    copies.drop()
