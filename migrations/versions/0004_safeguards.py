"""Make room for departments' safeguards: changes ordered ahead of their time, and proposals for a second person."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Text of one fixed width on SQLite (ISO 8601, UTC), which has no type for time.
UTC_TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Create both tables, and the index that counts who relies on a license."""
    _scheduled_changes()
    _proposals()
    op.create_index("ix_verifications_license", "verifications", ["license_id", "next_check_due"])


def _scheduled_changes() -> None:
    op.create_table(
        "scheduled_changes",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("authority_code", sa.Text, nullable=False),
        sa.Column("license_id", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("reason_code", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("effective_at", UTC_TIME, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("ordered_by", sa.Text, nullable=False),
        sa.Column("ordered_at", UTC_TIME, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("proposal_id", sa.Text),
        sa.Column("proposed_by", sa.Text),
        sa.Column("lease_until", UTC_TIME, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("ended_at", UTC_TIME),
        sa.Column("ended_by", sa.Text),
        sa.Column("end_reason", sa.Text),
        sa.Column("outcome", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_scheduled_changes"),
        sa.ForeignKeyConstraint(["license_id"], ["licenses.id"], name="fk_scheduled_changes_license"),
    )
    op.create_index("ix_scheduled_changes_license", "scheduled_changes", ["license_id", "effective_at", "id"])
    op.create_index(
        "ix_scheduled_changes_authority", "scheduled_changes", ["authority_code", "effective_at", "id"]
    )
    op.create_index(
        "ix_scheduled_changes_status", "scheduled_changes", ["authority_code", "status", "effective_at", "id"]
    )
    op.create_index(
        "ix_scheduled_changes_due",
        "scheduled_changes",
        ["effective_at"],
        sqlite_where=sa.text("status = 'scheduled'"),
        postgresql_where=sa.text("status = 'scheduled'"),
    )


def _proposals() -> None:
    op.create_table(
        "proposals",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("authority_code", sa.Text, nullable=False),
        sa.Column("license_id", sa.Text, nullable=False),
        sa.Column("row_version", sa.Integer, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("reason_code", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("effective_at", UTC_TIME),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("proposed_by", sa.Text, nullable=False),
        sa.Column("proposed_at", UTC_TIME, nullable=False),
        sa.Column("expires_at", UTC_TIME, nullable=False),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_at", UTC_TIME),
        sa.Column("decision_reason", sa.Text),
        sa.Column("scheduled_change_id", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_proposals"),
        sa.ForeignKeyConstraint(["license_id"], ["licenses.id"], name="fk_proposals_license"),
    )
    op.create_index("ix_proposals_authority", "proposals", ["authority_code", "id"])
    op.create_index("ix_proposals_status", "proposals", ["authority_code", "status", "id"])
    op.create_index(
        "ix_proposals_open",
        "proposals",
        ["license_id"],
        sqlite_where=sa.text("status = 'open'"),
        postgresql_where=sa.text("status = 'open'"),
    )
