"""The shape of the house: files of a readable size, and imports that the import contracts cannot express."""

import pytest

from tests.architecture.source import PACKAGES, imported_modules, python_files

MOST_LINES = 450
LONGER_FILES = {
    "app/adapters/db/tables.py": "the whole schema, to be read and compared with the migrations as one",
    "app/ports.py": "all that the inside needs from outside, one Protocol after another, no behavior",
    "tests/unit/test_verify.py": "one judge, one change of one valid case after another: they share their case",
}
"""Longer files and why they stay whole."""

ONLY_IN = {
    "sqlalchemy": ("app/adapters/db/", "migrations/"),
    "alembic": ("app/adapters/db/", "migrations/"),
    "sqlite3": ("app/adapters/db/", "migrations/"),
    "aiosqlite": ("app/adapters/db/", "migrations/"),
    "asyncpg": ("app/adapters/db/", "migrations/"),
    "cryptography": ("app/adapters/signers/", "clients/python/src/elicense/keys.py"),
    "orjson": ("clients/python/src/elicense/quick_json.py",),
    "pybase64": ("clients/python/src/elicense/quick_base64.py",),
    "httpx": ("clients/python/src/elicense/client/",),
    "fastapi": ("app/api/", "app/web/", "app/main.py"),
    "starlette": ("app/api/", "app/web/", "app/main.py"),
    "pydantic": ("app/api/", "app/web/", "app/main.py"),
    "app": ("app/", "migrations/"),
}
"""The only places that may import a package."""


def misplaced(name: str, text: str) -> list[str]:
    """Return the imports of a file that belong elsewhere."""
    heads = {module.split(".")[0] for module in imported_modules(text)}
    return sorted(head for head in heads if head in ONLY_IN and not name.startswith(ONLY_IN[head]))


def test_packages_are_imported_only_where_they_belong() -> None:
    found = {name: misplaced(name, text) for name, text in python_files(*PACKAGES, "migrations")}
    assert {name: heads for name, heads in found.items() if heads} == {}


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("app/services/issuing.py", "import sqlalchemy"),
        ("app/services/issuing.py", "def f():\n    from cryptography.hazmat.primitives import hashes"),
        ("app/api/licenses.py", "import sqlite3"),
        ("app/services/issuing.py", "from fastapi import HTTPException"),
        ("clients/python/src/elicense/verify.py", "import httpx"),
        ("clients/python/src/elicense/cli.py", "from app.domain import license"),
    ],
)
def test_the_import_check_catches_what_is_planted(name: str, planted: str) -> None:
    assert misplaced(name, planted)


def too_long(files: dict[str, str]) -> dict[str, int]:
    """Return files over the limit that nobody gave a reason for."""
    lengths = {name: len(text.splitlines()) for name, text in files.items()}
    return {name: count for name, count in lengths.items() if count > MOST_LINES and name not in LONGER_FILES}


def test_files_are_short_or_say_why_not() -> None:
    assert too_long(dict(python_files(*PACKAGES, "migrations", "tests"))) == {}


def test_the_size_check_catches_what_is_planted() -> None:
    assert too_long({"app/x.py": "\n" * (MOST_LINES + 1)}) == {"app/x.py": MOST_LINES + 1}


def test_no_reason_outlives_its_file() -> None:
    assert set(LONGER_FILES) <= {name for name, _ in python_files(*PACKAGES, "migrations", "tests")}
