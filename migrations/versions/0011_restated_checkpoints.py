"""Remember when the receipts' state was last put into the public log, where it has not changed since."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Add the column; without a value the leaf that first fixed a checkpoint tells the time."""
    op.add_column("log_checkpoints", sa.Column("restated_at", UTC_TIME))
