"""Find guesses that have run out, and the access tokens of a key that ends, by an index."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes; both tables are small, since what they hold runs out within minutes or hours."""
    op.create_index("ix_guesses_started", "guesses", ["started_at"])
    op.create_index("ix_access_tokens_client", "access_tokens", ["client_id", "kid"])
