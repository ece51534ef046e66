"""Find a signed document by its digest.

Who holds a bundle names the freshness statement in it and asks what has changed since.
"""

from alembic import op

revision = "0007"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_signed_documents_sha256", "signed_documents", ["sha256"])
