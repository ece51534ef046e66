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
from app.domain.errors import DomainError

_PACKAGE: Final = Path(__file__).resolve().parents[2]
_TABLE: Final = "alembic_version"
_REVISION: Final = re.compile(r'^revision(?:: [^=]+)? = "(\w+)"$', re.MULTILINE)
_BEFORE: Final = re.compile(r'^down_revision(?:: [^=]+)? = "(\w+)"$', re.MULTILINE)


def scripts_folder(package: Path = _PACKAGE) -> Path:
    """Return the folder of the migration scripts: inside the package when installed, else the checkout's."""
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


class WrongSchema(DomainError):
    """Say that a database has another schema than this program needs, and which of the two is behind."""

    def __init__(self, detail: str, *, detail_zh: str) -> None:
        super().__init__("unavailable", detail)
        self.detail_zh = detail_zh


@cache
def _revisions() -> tuple[frozenset[str], frozenset[str]]:
    """Return all revisions this program has scripts for, and those that others come after."""
    scripts = [path.read_text(encoding="utf-8") for path in (scripts_folder() / "versions").glob("*.py")]
    known = frozenset(found[1] for script in scripts if (found := _REVISION.search(script)))
    return known, frozenset(found[1] for script in scripts if (found := _BEFORE.search(script)))


def expected_revision() -> str:
    """Return the revision this version of the program needs: the one that no other comes after."""
    known, passed = _revisions()
    heads = known - passed
    if len(heads) != 1:
        raise unavailable("the migration scripts are missing from this installation")
    return next(iter(heads))


def require_known(revision: str | None) -> None:
    """Raise WrongSchema for the revision of a newer program: no script here leads on from it, or back."""
    if revision is None or revision in _revisions()[0]:
        return
    raise WrongSchema(
        f"the database is of a newer version ({revision}); this program knows up to {expected_revision()}: "
        "install the newer program",
        detail_zh=f"数据库属于更新的版本({revision}),本程序只识别到 {expected_revision()}:请安装新版程序",
    )


def require_expected(revision: str | None) -> None:
    """Raise WrongSchema unless this is the revision this program needs."""
    require_known(revision)
    if revision != expected_revision():
        raise WrongSchema(
            "the database schema is not the one this version needs: run `elicense migrate`",
            detail_zh="数据库结构不是本版本所需:请运行 elicense migrate",
        )


def current_revision(connection: Connection) -> str | None:
    """Return the revision a database is at, None when it is empty."""
    if not connection.dialect.has_table(connection, _TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalars().all()  # noqa: S608
    return str(found[0]) if found else None
