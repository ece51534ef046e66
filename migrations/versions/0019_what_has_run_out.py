"""Find guesses that have run out, and the tokens of a key that ends, by an index; kept answers need no lease."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# Text of one fixed width on SQLite (ISO 8601, UTC), which has no type for time.
UTC_TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Add the indexes, and let rows of kept answers lack the lease that nobody decides on.

    All three tables are small: what they hold runs out within a day. The column itself stays, because processes of the
    version before write it until they are replaced.
    """
    op.create_index("ix_guesses_started", "guesses", ["started_at"])
    op.create_index("ix_access_tokens_client", "access_tokens", ["client_id", "kid"])
    with op.batch_alter_table("idempotency") as idempotency:
        idempotency.alter_column("lease_until", existing_type=UTC_TIME, nullable=True)
