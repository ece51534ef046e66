"""Which schema this program needs and which one a database has. Looked up by every process as it starts.

Alembic knows both, but takes half a second to load, and only whoever migrates needs all that it can do. A test holds
the answers here against its own.
"""

import re
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from app.adapters.db.errors import unavailable

_PACKAGE: Final = Path(__file__).resolve().parents[2]
_TABLE: Final = "alembic_version"
_REVISION: Final = re.compile(r'^revision(?:: [^=]+)? = "(\w+)"$', re.MULTILINE)
_BEFORE: Final = re.compile(r'^down_revision(?:: [^=]+)? = "(\w+)"$', re.MULTILINE)


def scripts_folder(package: Path = _PACKAGE) -> Path:
    """Return the folder of the migration scripts: inside the package when installed, else the checkout's."""
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


@cache
def expected_revision() -> str:
    """Return the revision this version of the program needs: the one that no other comes after."""
    scripts = [path.read_text(encoding="utf-8") for path in (scripts_folder() / "versions").glob("*.py")]
    revisions = {found[1] for script in scripts if (found := _REVISION.search(script))}
    heads = revisions - {found[1] for script in scripts if (found := _BEFORE.search(script))}
    if len(heads) != 1:
        raise unavailable("the migration scripts are missing from this installation")
    return heads.pop()


def current_revision(connection: Connection) -> str | None:
    """Return the revision a database is at, None when it is empty."""
    if not connection.dialect.has_table(connection, _TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalars().all()  # noqa: S608
    return str(found[0]) if found else None
