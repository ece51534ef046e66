"""Find a license under the holder it had at a past moment."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

AT_ONCE = 500
KNOWN = sa.text("former_holder_code IS NOT NULL")
# The version in force is left alone: its holder stands in the row of the license, and most licenses have no other.
REPLACED = sa.text(
    "SELECT v.license_id, v.version, v.credential FROM license_versions v"
    " JOIN licenses l ON l.id = v.license_id WHERE v.version <> l.version"
    " AND (v.license_id > :after OR (v.license_id = :after AND v.version > :after_version))"
    " ORDER BY v.license_id, v.version LIMIT :most"
)
FILL = sa.text(
    "UPDATE license_versions SET former_holder_code = :code WHERE license_id = :license_id AND version = :version"
)


def upgrade() -> None:
    """Add the column, fill it from the stored files of replaced versions, then add the partial index."""
    op.add_column("license_versions", sa.Column("former_holder_code", sa.Text))
    connection = op.get_bind()
    for rows in _replaced(connection):
        values = [
            {"code": code, "license_id": row.license_id, "version": row.version}
            for row in rows
            if (code := _holder_code(row.credential)) is not None
        ]
        if values:
            connection.execute(FILL, values)
    op.create_index(
        "ix_license_versions_former_holder",
        "license_versions",
        ["former_holder_code", "license_id"],
        sqlite_where=KNOWN,
        postgresql_where=KNOWN,
    )


def _replaced(connection: sa.Connection) -> Iterator[list[Any]]:
    after, after_version = "", ""
    while True:
        place = {"after": after, "after_version": after_version, "most": AT_ONCE}
        rows = list(connection.execute(REPLACED, place))
        if not rows:
            return
        yield rows
        after, after_version = rows[-1].license_id, rows[-1].version


def _holder_code(credential: str) -> str | None:
    """Read the holder's code from a stored SD-JWT; None where the file is damaged, which is no migration's to mend."""
    try:
        payload = credential.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        code = claims["license"]["holder"]["code"]
    except (IndexError, KeyError, TypeError, ValueError):
        return None
    return code if isinstance(code, str) else None
