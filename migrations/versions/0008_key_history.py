"""Keep the history of keys: which log a key signs for, which keys were lost, and what was cut away from a log."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Add the origin of log keys (that of the log each began with) the compromised keys and the cut checkpoints."""
    op.add_column("service_keys", sa.Column("origin", sa.Text))
    op.execute(
        "UPDATE service_keys SET origin ="
        " (SELECT log_heads.origin FROM log_heads WHERE log_heads.kid = service_keys.kid)"
    )
    op.create_table(
        "key_compromises",
        sa.Column("kid", sa.Text, nullable=False),
        sa.Column("use", sa.Text, nullable=False),
        sa.Column("since", UTC_TIME, nullable=False),
        sa.Column("log_origin", sa.Text),
        sa.Column("log_size", sa.BigInteger, nullable=False),
        sa.Column("log_root", sa.LargeBinary),
        sa.Column("witnessed", sa.Boolean, nullable=False),
        sa.Column("statement", sa.LargeBinary, nullable=False),
        sa.Column("root_version", sa.Integer, nullable=False),
        sa.Column("declared_at", UTC_TIME, nullable=False),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("kid", name="pk_key_compromises"),
        sa.ForeignKeyConstraint(["kid"], ["service_keys.kid"], name="fk_key_compromises_kid"),
    )
    op.create_table(
        "log_cut_checkpoints",
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("published_at", UTC_TIME, nullable=False),
        sa.Column("witnessed_at", UTC_TIME),
        sa.PrimaryKeyConstraint("origin", "size", name="pk_log_cut_checkpoints"),
    )
