"""Find the verifications of a client and purpose by their time: for retention and for dry runs of policies."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_verifications_purpose", "verifications", ["client_id", "purpose", "verified_at"])
