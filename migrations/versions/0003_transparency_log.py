"""The transparency logs: heads, tiles, checkpoints; leaves found by what they speak of.

Revision ID: 0003
Revises: 0001
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


UTC_TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Create the logs' tables; leaves written before stay and are sequenced once the logs have keys."""
    op.create_table(
        "log_heads",
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("log", sa.Text, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("kid", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("row_version", sa.BigInteger, nullable=False),
        sa.Column("published_size", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("origin", name="pk_log_heads"),
        sa.UniqueConstraint("log", "generation", name="uq_log_heads_generation"),
        sa.CheckConstraint("published_size <= size", name="ck_log_heads_published"),
    )
    is_open = sa.text("state = 'open'")
    op.create_index(
        "uq_log_heads_open",
        "log_heads",
        ["log"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    op.create_table(
        "log_tiles",
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("level", sa.SmallInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("origin", "level", "number", name="pk_log_tiles"),
    )
    op.create_table(
        "log_checkpoints",
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("published_at", UTC_TIME, nullable=False),
        sa.Column("witnessed_at", UTC_TIME),
        sa.Column("anchor_id", sa.Text),
        sa.PrimaryKeyConstraint("origin", "size", name="pk_log_checkpoints"),
    )
    for name, column in (("witnessed", "witnessed_at"), ("anchored", "anchor_id")):
        only = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_log_checkpoints_{name}",
            "log_checkpoints",
            ["origin", "size"],
            sqlite_where=only,
            postgresql_where=only,
        )
    _keep_receipts_out_of_the_index()


def _keep_receipts_out_of_the_index() -> None:
    """Leaves of receipts are found by their id: the index over identifiers need not grow with them."""
    op.drop_index("ix_log_leaves_identifier", "log_leaves")
    only = sa.text("identifier IS NOT NULL")
    op.create_index(
        "ix_log_leaves_identifier",
        "log_leaves",
        ["identifier", "kind"],
        sqlite_where=only,
        postgresql_where=only,
    )
