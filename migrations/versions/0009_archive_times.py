"""Find the version of a status list that was the newest at a past moment."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_status_list_versions_time", "status_list_versions", ["list_id", "issued_at", "seq"])
