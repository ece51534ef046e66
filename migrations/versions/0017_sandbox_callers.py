"""Remember of a sandbox's clients how far each has moved its own clock."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "sandbox_callers",
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("ahead_seconds", sa.BigInteger, nullable=False),
        sa.Column("unavailable_turns", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("client_id", name="pk_sandbox_callers"),
        sa.ForeignKeyConstraint(["client_id"], ["api_clients.id"], name="fk_sandbox_callers_client"),
    )
