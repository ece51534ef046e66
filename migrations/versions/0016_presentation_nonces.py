"""Remember which nonces of key bindings were used: each counts once per client."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# Text of one fixed width on SQLite (ISO 8601, UTC), which has no type for time.
UTC_TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "presentation_nonces",
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("nonce_sha256", sa.Text, nullable=False),
        sa.Column("used_by", sa.Text, nullable=False),
        sa.Column("used_at", UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("client_id", "nonce_sha256", name="pk_presentation_nonces"),
    )
    op.create_index("ix_presentation_nonces_used", "presentation_nonces", ["used_at"])
