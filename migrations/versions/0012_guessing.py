"""Count wrong guesses by caller and license, and keep the alarms about them."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Add both tables."""
    op.create_table(
        "guesses",
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("started_at", UTC_TIME, nullable=False),
        sa.Column("wrong", sa.Integer, nullable=False),
        sa.Column("lowered_until", UTC_TIME),
        sa.PrimaryKeyConstraint("client_id", "subject", name="pk_guesses"),
    )
    op.create_index("ix_guesses_subject", "guesses", ["subject"])
    op.create_index("ix_guesses_client_wrong", "guesses", ["client_id", "wrong"])
    op.create_table(
        "guessing_alarms",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("authority_code", sa.Text, nullable=False),
        sa.Column("license_id", sa.Text, nullable=False),
        sa.Column("raised_at", UTC_TIME, nullable=False),
        sa.Column("wrong", sa.Integer, nullable=False),
        sa.Column("callers", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_guessing_alarms"),
        sa.ForeignKeyConstraint(["license_id"], ["licenses.id"], name="fk_guessing_alarms_license"),
    )
    op.create_index("ix_guessing_alarms_authority", "guessing_alarms", ["authority_code", "id"])
    op.create_index("ix_guessing_alarms_license", "guessing_alarms", ["license_id", "raised_at"])
