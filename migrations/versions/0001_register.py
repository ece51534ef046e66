"""Make the register's tables: configuration, licenses, status lists, callers, journal."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Text of one fixed width on SQLite (ISO 8601, UTC), which has no type for time.
UTC_TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Create all tables in an empty database."""
    _configuration()
    _licenses()
    _status_lists()
    _callers()
    _journal()


def _configuration() -> None:
    op.create_table(
        "installation",
        sa.Column("id", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("issuer_url", sa.Text, nullable=False),
        sa.Column("env", sa.Text, nullable=False),
        sa.Column("created_at", UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_installation"),
        sa.CheckConstraint("id = 1", name="ck_installation_single"),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.create_table(
        "areas",
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_areas"),
    )
    op.create_table(
        "license_types",
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_license_types"),
    )
    op.create_table(
        "authorities",
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_authorities"),
    )
    op.create_table(
        "service_keys",
        sa.Column("kid", sa.Text, nullable=False),
        sa.Column("use", sa.Text, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("jwk", sa.Text, nullable=False),
        sa.Column("authority_code", sa.Text),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("valid_from", UTC_TIME, nullable=False),
        sa.Column("valid_until", UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("kid", name="pk_service_keys"),
    )
    op.create_table(
        "signed_documents",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("issued_at", UTC_TIME, nullable=False),
        sa.Column("expires_at", UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("kind", "sequence", name="pk_signed_documents"),
    )


def _licenses() -> None:
    op.create_table(
        "license_numbers",
        sa.Column("type_code", sa.Text, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("license_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("type_code", "number", name="pk_license_numbers"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "licenses",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("identifier", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("type_code", sa.Text, nullable=False),
        sa.Column("type_name", sa.Text, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("authority_code", sa.Text, nullable=False),
        sa.Column("authority_name", sa.Text, nullable=False),
        sa.Column("holder_code", sa.Text, nullable=False),
        sa.Column("holder_code_type", sa.Text, nullable=False),
        sa.Column("holder_name", sa.Text, nullable=False),
        sa.Column("area_code", sa.Text, nullable=False),
        sa.Column("issue_date", sa.Date, nullable=False),
        sa.Column("valid_from", sa.Date, nullable=False),
        sa.Column("valid_until", sa.Date),
        sa.Column("elements", sa.Text, nullable=False),
        sa.Column("created_at", UTC_TIME, nullable=False),
        sa.Column("updated_at", UTC_TIME, nullable=False),
        sa.Column("row_version", sa.Integer, nullable=False),
        sa.Column("source_digest", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_licenses"),
    )
    op.create_index("ix_licenses_number_type", "licenses", ["number", "type_code"])
    op.create_index("ix_licenses_holder_type", "licenses", ["holder_code", "type_code", "id"])
    op.create_index("ix_licenses_authority", "licenses", ["authority_code", "id"])
    op.create_table(
        "license_versions",
        sa.Column("license_id", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("identifier", sa.Text, nullable=False),
        sa.Column("credential", sa.Text, nullable=False),
        sa.Column("signing_input_sha256", sa.Text, nullable=False),
        sa.Column("status_list_id", sa.Text, nullable=False),
        sa.Column("status_index", sa.BigInteger, nullable=False),
        sa.Column("kid", sa.Text, nullable=False),
        sa.Column("issued_at", UTC_TIME, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("env", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("license_id", "version", name="pk_license_versions"),
        sa.UniqueConstraint("identifier", name="uq_license_versions_identifier"),
        sa.UniqueConstraint("status_list_id", "status_index", name="uq_license_versions_status_index"),
        sa.ForeignKeyConstraint(["license_id"], ["licenses.id"], name="fk_license_versions_license"),
    )
    op.create_table(
        "license_history",
        sa.Column("license_id", sa.Text, nullable=False),
        sa.Column("row_version", sa.Integer, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("from_state", sa.Text),
        sa.Column("to_state", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("recorded_at", UTC_TIME, nullable=False),
        sa.Column("effective_at", UTC_TIME, nullable=False),
        sa.Column("reason_code", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("details", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("license_id", "row_version", name="pk_license_history"),
        sa.ForeignKeyConstraint(["license_id"], ["licenses.id"], name="fk_license_history_license"),
    )
    op.create_table(
        "intents",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("identifier", sa.Text, nullable=False),
        sa.Column("license", sa.Text, nullable=False),
        sa.Column("signing_input", sa.LargeBinary, nullable=False),
        sa.Column("disclosures", sa.Text, nullable=False),
        sa.Column("kid", sa.Text, nullable=False),
        sa.Column("status_list_id", sa.Text, nullable=False),
        sa.Column("status_index", sa.BigInteger, nullable=False),
        sa.Column("issued_at", UTC_TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("lease_until", UTC_TIME, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("idempotency_id", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_intents"),
        sa.UniqueConstraint("identifier", name="uq_intents_identifier"),
        sa.UniqueConstraint("status_list_id", "status_index", name="uq_intents_status_index"),
    )
    only = sa.text("state = 'open'")
    op.create_index("ix_intents_open", "intents", ["lease_until"], sqlite_where=only, postgresql_where=only)


def _status_lists() -> None:
    op.create_table(
        "status_lists",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("authority_code", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("allocated", sa.BigInteger, nullable=False),
        sa.Column("published_changes", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_status_lists"),
        sa.UniqueConstraint("uri", name="uq_status_lists_uri"),
        sa.CheckConstraint("allocated <= size", name="ck_status_lists_allocated"),
    )
    op.create_table(
        "status_marks",
        sa.Column("list_id", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("list_id", "id", name="pk_status_marks"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "status_entries",
        sa.Column("list_id", sa.Text, nullable=False),
        sa.Column("idx", sa.BigInteger, nullable=False),
        sa.Column("value", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("list_id", "idx", name="pk_status_entries"),
        sa.CheckConstraint("value BETWEEN 1 AND 3", name="ck_status_entries_value"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "status_list_versions",
        sa.Column("list_id", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("event_seq", sa.BigInteger, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("issued_at", UTC_TIME, nullable=False),
        sa.Column("expires_at", UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("list_id", "seq", name="pk_status_list_versions"),
    )


def _callers() -> None:
    op.create_table(
        "api_clients",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("authority_code", sa.Text),
        sa.Column("holder_code", sa.Text),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("purposes", sa.Text, nullable=False),
        sa.Column("default_purpose", sa.Text, nullable=False),
        sa.Column("calls_per_minute", sa.Integer, nullable=False),
        sa.Column("batch_limit", sa.Integer, nullable=False),
        sa.Column("created_at", UTC_TIME, nullable=False),
        sa.Column("revoked_at", UTC_TIME),
        sa.PrimaryKeyConstraint("id", name="pk_api_clients"),
        sa.UniqueConstraint("name", name="uq_api_clients_name"),
    )
    op.create_table(
        "api_keys",
        sa.Column("handle", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("secret_sha256", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("created_at", UTC_TIME, nullable=False),
        sa.Column("expires_at", UTC_TIME),
        sa.Column("revoked_at", UTC_TIME),
        sa.PrimaryKeyConstraint("handle", name="pk_api_keys"),
        sa.ForeignKeyConstraint(["client_id"], ["api_clients.id"], name="fk_api_keys_client"),
    )
    op.create_index("ix_api_keys_client", "api_keys", ["client_id"])
    op.create_table(
        "idempotency",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("body_sha256", sa.Text, nullable=False),
        sa.Column("started_at", UTC_TIME, nullable=False),
        sa.Column("expires_at", UTC_TIME, nullable=False),
        sa.Column("lease_until", UTC_TIME, nullable=False),
        sa.Column("answer_status", sa.SmallInteger),
        sa.Column("answer_headers", sa.Text),
        sa.Column("answer_body", sa.LargeBinary),
        sa.Column("bound_to", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_idempotency"),
        sa.UniqueConstraint("client_id", "method", "path", "key", name="uq_idempotency_call"),
    )
    op.create_index("ix_idempotency_expires", "idempotency", ["expires_at"])
    op.create_table(
        "verifications",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("reference", sa.Text),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("license_id", sa.Text),
        sa.Column("verified_at", UTC_TIME, nullable=False),
        sa.Column("next_check_due", UTC_TIME),
        sa.Column("batch_id", sa.Text),
        sa.Column("answer", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_verifications"),
    )
    op.create_index("ix_verifications_client", "verifications", ["client_id", "id"])
    op.create_index("ix_verifications_reference", "verifications", ["client_id", "reference", "id"])
    op.create_index("ix_verifications_due", "verifications", ["client_id", "next_check_due", "id"])


def _journal() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("license_id", sa.Text, nullable=False),
        sa.Column("type_code", sa.Text, nullable=False),
        sa.Column("occurred_at", UTC_TIME, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.UniqueConstraint("seq", name="uq_events_seq"),
    )
    only = sa.text("seq IS NULL")
    op.create_index("ix_events_unsequenced", "events", ["id"], sqlite_where=only, postgresql_where=only)
    op.create_table(
        "log_leaves",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("log", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("identifier", sa.Text),
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.Column("event_sha256", sa.Text),
        sa.Column("salt", sa.Text),
        sa.Column("recorded_at", UTC_TIME, nullable=False),
        sa.Column("origin", sa.Text),
        sa.Column("idx", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_log_leaves"),
        sa.UniqueConstraint("origin", "idx", name="uq_log_leaves_place"),
    )
    op.create_index("ix_log_leaves_identifier", "log_leaves", ["identifier", "kind"])
    op.create_index(
        "ix_log_leaves_unsequenced",
        "log_leaves",
        ["log", "id"],
        sqlite_where=sa.text("idx IS NULL"),
        postgresql_where=sa.text("idx IS NULL"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("at", UTC_TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
