"""Keep the holder's public key that a license's file names."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; no license has such a key yet."""
    op.add_column("licenses", sa.Column("holder_key", sa.Text))
