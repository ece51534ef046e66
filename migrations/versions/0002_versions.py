"""Let licenses have further versions and successors: what a promise replaces, kinds of revocation, successions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OPEN_PREDECESSOR = sa.text("state = 'open' AND predecessor_id IS NOT NULL")
PREDECESSOR = sa.text("predecessor_id IS NOT NULL")


def upgrade() -> None:
    """Add nullable columns, partial indexes over the few rows they concern, and one table.

    No row is written anew for a nullable column. PostgreSQL locks the table against everybody for that moment all the
    same, and lets nobody write while an index is built.
    """
    op.add_column("licenses", sa.Column("revocation", sa.Text))
    op.add_column("intents", sa.Column("predecessor_id", sa.Text))
    op.add_column("intents", sa.Column("replaces", sa.Text))
    op.create_index(
        "uq_intents_open_predecessor",
        "intents",
        ["predecessor_id"],
        unique=True,
        sqlite_where=OPEN_PREDECESSOR,
        postgresql_where=OPEN_PREDECESSOR,
    )
    op.create_index(
        "ix_intents_predecessor",
        "intents",
        ["predecessor_id"],
        sqlite_where=PREDECESSOR,
        postgresql_where=PREDECESSOR,
    )
    op.create_table(
        "license_successors",
        sa.Column("license_id", sa.Text, nullable=False),
        sa.Column("row_version", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("relation", sa.Text, nullable=False),
        sa.Column("successor_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("license_id", "row_version", "position", name="pk_license_successors"),
        sa.ForeignKeyConstraint(["license_id"], ["licenses.id"], name="fk_license_successors_license"),
        sa.ForeignKeyConstraint(["successor_id"], ["licenses.id"], name="fk_license_successors_successor"),
    )
