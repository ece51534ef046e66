"""The tables of the register, as SQLAlchemy Core sees them. `migrations/` creates them; a test compares both.

Every constraint has a name, because names are what `errors.py` turns into errors of the domain. No triggers, no
sequences, no session state: the same statements run on SQLite and PostgreSQL.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from app.adapters.db.caller_tables import access_tokens as access_tokens
from app.adapters.db.caller_tables import client_jwks as client_jwks
from app.adapters.db.caller_tables import client_quotas as client_quotas
from app.adapters.db.caller_tables import plans as plans
from app.adapters.db.caller_tables import request_log as request_log
from app.adapters.db.caller_tables import sandbox_callers as sandbox_callers
from app.adapters.db.caller_tables import used_assertions as used_assertions
from app.adapters.db.log_tables import log_checkpoints as log_checkpoints
from app.adapters.db.log_tables import log_cut_checkpoints as log_cut_checkpoints
from app.adapters.db.log_tables import log_heads as log_heads
from app.adapters.db.log_tables import log_tiles as log_tiles
from app.adapters.db.metadata import metadata as metadata
from app.adapters.db.types import JsonText, OwnJson, UtcTime

installation = Table(
    "installation",
    metadata,
    Column("id", SmallInteger, autoincrement=False, nullable=False),
    Column("issuer_url", Text, nullable=False),
    Column("env", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("id", name="pk_installation"),
    CheckConstraint("id = 1", name="ck_installation_single"),
)

# Numbers that grow by compare-and-swap: the revision of the directory, the last event sequence.
counters = Table(
    "counters",
    metadata,
    Column("name", Text, nullable=False),
    Column("value", BigInteger, nullable=False),
    PrimaryKeyConstraint("name", name="pk_counters"),
)

areas = Table(
    "areas",
    metadata,
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    PrimaryKeyConstraint("code", name="pk_areas"),
)

license_types = Table(
    "license_types",
    metadata,
    Column("code", Text, nullable=False),
    Column("definition", JsonText, nullable=False),
    PrimaryKeyConstraint("code", name="pk_license_types"),
)

authorities = Table(
    "authorities",
    metadata,
    Column("code", Text, nullable=False),
    Column("definition", JsonText, nullable=False),
    PrimaryKeyConstraint("code", name="pk_authorities"),
)

# Who holds a number of a type: an open intent or a license, ended ones included. The one place of uniqueness.
license_numbers = Table(
    "license_numbers",
    metadata,
    Column("type_code", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("license_id", Text, nullable=False),
    PrimaryKeyConstraint("type_code", "number", name="pk_license_numbers"),
    sqlite_with_rowid=False,
)

licenses = Table(
    "licenses",
    metadata,
    Column("id", Text, nullable=False),
    Column("identifier", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("type_code", Text, nullable=False),
    Column("type_name", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("authority_code", Text, nullable=False),
    Column("authority_name", Text, nullable=False),
    Column("holder_code", Text, nullable=False),
    Column("holder_code_type", Text, nullable=False),
    Column("holder_name", Text, nullable=False),
    Column("area_code", Text, nullable=False),
    Column("issue_date", Date, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_until", Date),
    Column("elements", JsonText, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("row_version", Integer, nullable=False),
    Column("source_digest", Text),
    Column("revocation", Text),
    Column("holder_key", JsonText),
    PrimaryKeyConstraint("id", name="pk_licenses"),
    Index("ix_licenses_number_type", "number", "type_code"),
    Index("ix_licenses_holder_type", "holder_code", "type_code", "id"),
    Index("ix_licenses_authority", "authority_code", "id"),
)

# `former_holder_code`: who held the license under a version that another took the place of; of the version in force the
# license's own row says it.
license_versions = Table(
    "license_versions",
    metadata,
    Column("license_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("identifier", Text, nullable=False),
    Column("credential", Text, nullable=False),
    Column("signing_input_sha256", Text, nullable=False),
    Column("status_list_id", Text, nullable=False),
    Column("status_index", BigInteger, nullable=False),
    Column("kid", Text, nullable=False),
    Column("issued_at", UtcTime, nullable=False),
    Column("state", Text, nullable=False),
    Column("env", Text, nullable=False),
    Column("former_holder_code", Text),
    PrimaryKeyConstraint("license_id", "version", name="pk_license_versions"),
    UniqueConstraint("identifier", name="uq_license_versions_identifier"),
    UniqueConstraint("status_list_id", "status_index", name="uq_license_versions_status_index"),
    ForeignKeyConstraint(["license_id"], ["licenses.id"], name="fk_license_versions_license"),
    Index(
        "ix_license_versions_former_holder",
        "former_holder_code",
        "license_id",
        sqlite_where=text("former_holder_code IS NOT NULL"),
        postgresql_where=text("former_holder_code IS NOT NULL"),
    ),
)

# `row_version` is the license's after the change: it orders the history whatever the clock did meanwhile.
license_history = Table(
    "license_history",
    metadata,
    Column("license_id", Text, nullable=False),
    Column("row_version", Integer, nullable=False),
    Column("id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    Column("effective_at", UtcTime, nullable=False),
    Column("reason_code", Text),
    Column("reason", Text),
    Column("details", JsonText, nullable=False),
    PrimaryKeyConstraint("license_id", "row_version", name="pk_license_history"),
    ForeignKeyConstraint(["license_id"], ["licenses.id"], name="fk_license_history_license"),
)

# Which licenses took the place of an ended one, in the order named. Of several records of one license the one with the
# highest `row_version` counts; the earlier ones stay for the history.
license_successors = Table(
    "license_successors",
    metadata,
    Column("license_id", Text, nullable=False),
    Column("row_version", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("relation", Text, nullable=False),
    Column("successor_id", Text, nullable=False),
    PrimaryKeyConstraint("license_id", "row_version", "position", name="pk_license_successors"),
    ForeignKeyConstraint(["license_id"], ["licenses.id"], name="fk_license_successors_license"),
    ForeignKeyConstraint(["successor_id"], ["licenses.id"], name="fk_license_successors_successor"),
)

# A promise of a further version names its license in `predecessor_id` and holds in `replaces` what it compares.
intents = Table(
    "intents",
    metadata,
    Column("id", Text, nullable=False),
    Column("identifier", Text, nullable=False),
    Column("license", JsonText, nullable=False),
    Column("signing_input", LargeBinary, nullable=False),
    Column("disclosures", JsonText, nullable=False),
    Column("kid", Text, nullable=False),
    Column("status_list_id", Text, nullable=False),
    Column("status_index", BigInteger, nullable=False),
    Column("issued_at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("lease_until", UtcTime, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("idempotency_id", Text),
    Column("predecessor_id", Text),
    Column("replaces", JsonText),
    PrimaryKeyConstraint("id", name="pk_intents"),
    UniqueConstraint("identifier", name="uq_intents_identifier"),
    UniqueConstraint("status_list_id", "status_index", name="uq_intents_status_index"),
    # Only the open ones are ever searched; a partial index stays small whatever has been issued before.
    Index(
        "ix_intents_open",
        "lease_until",
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
    # One further version at a time: whoever comes second would only burn an identifier.
    Index(
        "uq_intents_open_predecessor",
        "predecessor_id",
        unique=True,
        sqlite_where=text("state = 'open' AND predecessor_id IS NOT NULL"),
        postgresql_where=text("state = 'open' AND predecessor_id IS NOT NULL"),
    ),
    Index(
        "ix_intents_predecessor",
        "predecessor_id",
        sqlite_where=text("predecessor_id IS NOT NULL"),
        postgresql_where=text("predecessor_id IS NOT NULL"),
    ),
)

status_lists = Table(
    "status_lists",
    metadata,
    Column("id", Text, nullable=False),
    Column("uri", Text, nullable=False),
    Column("authority_code", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("allocated", BigInteger, nullable=False),
    Column("published_changes", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="pk_status_lists"),
    UniqueConstraint("uri", name="uq_status_lists_uri"),
    CheckConstraint("allocated <= size", name="ck_status_lists_allocated"),
)

# One row per change not yet published. A counter on status_lists would make every revocation of an authority
# collide on one row; rows of their own never collide, and counting them gives the same number.
status_marks = Table(
    "status_marks",
    metadata,
    Column("list_id", Text, nullable=False),
    Column("id", Text, nullable=False),
    PrimaryKeyConstraint("list_id", "id", name="pk_status_marks"),
    sqlite_with_rowid=False,
)

# Entries whose value is not 0 (valid): most licenses never get a row here.
status_entries = Table(
    "status_entries",
    metadata,
    Column("list_id", Text, nullable=False),
    Column("idx", BigInteger, nullable=False),
    Column("value", SmallInteger, nullable=False),
    PrimaryKeyConstraint("list_id", "idx", name="pk_status_entries"),
    CheckConstraint("value BETWEEN 1 AND 3", name="ck_status_entries_value"),
    sqlite_with_rowid=False,
)

status_list_versions = Table(
    "status_list_versions",
    metadata,
    Column("list_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("uri", Text, nullable=False),
    Column("event_seq", BigInteger, nullable=False),
    Column("token", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("issued_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("list_id", "seq", name="pk_status_list_versions"),
    # Which version was the newest at a moment; without it every earlier token would be read.
    Index("ix_status_list_versions_time", "list_id", "issued_at", "seq"),
)

signed_documents = Table(
    "signed_documents",
    metadata,
    Column("kind", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("issued_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("kind", "sequence", name="pk_signed_documents"),
    Index("ix_signed_documents_sha256", "sha256"),
)

service_keys = Table(
    "service_keys",
    metadata,
    Column("kid", Text, nullable=False),
    Column("use", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("jwk", JsonText, nullable=False),
    Column("authority_code", Text),
    Column("uri", Text, nullable=False),
    Column("valid_from", UtcTime, nullable=False),
    Column("valid_until", UtcTime, nullable=False),
    Column("origin", Text),
    PrimaryKeyConstraint("kid", name="pk_service_keys"),
)

# Keys that may be in other hands. The statement is kept as the root signed it; the next root signs it again.
key_compromises = Table(
    "key_compromises",
    metadata,
    Column("kid", Text, nullable=False),
    Column("use", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("log_origin", Text),
    Column("log_size", BigInteger, nullable=False),
    Column("log_root", LargeBinary),
    Column("witnessed", Boolean, nullable=False),
    Column("statement", LargeBinary, nullable=False),
    Column("root_version", Integer, nullable=False),
    Column("declared_at", UtcTime, nullable=False),
    Column("reason", Text),
    PrimaryKeyConstraint("kid", name="pk_key_compromises"),
    ForeignKeyConstraint(["kid"], ["service_keys.kid"], name="fk_key_compromises_kid"),
)

api_clients = Table(
    "api_clients",
    metadata,
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("authority_code", Text),
    Column("holder_code", Text),
    Column("scopes", JsonText, nullable=False),
    Column("purposes", JsonText, nullable=False),
    Column("default_purpose", Text, nullable=False),
    Column("calls_per_minute", Integer, nullable=False),
    Column("batch_limit", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
    Column("plan", Text, nullable=False, server_default="custom"),
    Column("burst", Integer),
    Column("calls_per_day", Integer),
    Column("allowed_networks", JsonText, nullable=False, server_default="[]"),
    PrimaryKeyConstraint("id", name="pk_api_clients"),
    UniqueConstraint("name", name="uq_api_clients_name"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("handle", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("secret_sha256", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
    Column("last_used_at", UtcTime),
    PrimaryKeyConstraint("handle", name="pk_api_keys"),
    ForeignKeyConstraint(["client_id"], ["api_clients.id"], name="fk_api_keys_client"),
    Index("ix_api_keys_client", "client_id"),
)

# `lease_until` is of an earlier version, which may still run and write it; to be dropped once that cannot be.
idempotency = Table(
    "idempotency",
    metadata,
    Column("id", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("body_sha256", Text, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("lease_until", UtcTime),
    Column("answer_status", SmallInteger),
    Column("answer_headers", JsonText),
    Column("answer_body", LargeBinary),
    Column("bound_to", JsonText, nullable=False),
    PrimaryKeyConstraint("id", name="pk_idempotency"),
    UniqueConstraint("client_id", "method", "path", "key", name="uq_idempotency_call"),
    Index("ix_idempotency_expires", "expires_at"),
)

verifications = Table(
    "verifications",
    metadata,
    Column("id", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reference", Text),
    Column("purpose", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("license_id", Text),
    Column("verified_at", UtcTime, nullable=False),
    Column("next_check_due", UtcTime),
    Column("batch_id", Text),
    Column("answer", OwnJson, nullable=False),
    PrimaryKeyConstraint("id", name="pk_verifications"),
    Index("ix_verifications_client", "client_id", "id"),
    Index("ix_verifications_reference", "client_id", "reference", "id"),
    Index("ix_verifications_due", "client_id", "next_check_due", "id"),
    Index("ix_verifications_purpose", "client_id", "purpose", "verified_at"),
    Index("ix_verifications_license", "license_id", "next_check_due"),
)

# Wrong guesses of a caller about a license; `subject` is a digest of the license's id, or of what was asked where
# there is none: both kinds of row look the same.
guesses = Table(
    "guesses",
    metadata,
    Column("client_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("wrong", Integer, nullable=False),
    Column("lowered_until", UtcTime),
    PrimaryKeyConstraint("client_id", "subject", name="pk_guesses"),
    Index("ix_guesses_subject", "subject"),
    Index("ix_guesses_client_wrong", "client_id", "wrong"),
    Index("ix_guesses_started", "started_at"),
)

guessing_alarms = Table(
    "guessing_alarms",
    metadata,
    Column("id", Text, nullable=False),
    Column("authority_code", Text, nullable=False),
    Column("license_id", Text, nullable=False),
    Column("raised_at", UtcTime, nullable=False),
    Column("wrong", Integer, nullable=False),
    Column("callers", Integer, nullable=False),
    PrimaryKeyConstraint("id", name="pk_guessing_alarms"),
    ForeignKeyConstraint(["license_id"], ["licenses.id"], name="fk_guessing_alarms_license"),
    Index("ix_guessing_alarms_authority", "authority_code", "id"),
    Index("ix_guessing_alarms_license", "license_id", "raised_at"),
)

# Nonces of key bindings that were used; the primary key decides which of two users was first.
presentation_nonces = Table(
    "presentation_nonces",
    metadata,
    Column("client_id", Text, nullable=False),
    Column("nonce_sha256", Text, nullable=False),
    Column("used_by", Text, nullable=False),
    Column("used_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("client_id", "nonce_sha256", name="pk_presentation_nonces"),
    Index("ix_presentation_nonces_used", "used_at"),
)

# Orders ahead of their time. The partial index holds only what still waits, whatever has been done before.
scheduled_changes = Table(
    "scheduled_changes",
    metadata,
    Column("id", Text, nullable=False),
    Column("authority_code", Text, nullable=False),
    Column("license_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("arguments", JsonText, nullable=False),
    Column("reason_code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("effective_at", UtcTime, nullable=False),
    Column("status", Text, nullable=False),
    Column("ordered_by", Text, nullable=False),
    Column("ordered_at", UtcTime, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("proposal_id", Text),
    Column("proposed_by", Text),
    Column("lease_until", UtcTime, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("ended_at", UtcTime),
    Column("ended_by", Text),
    Column("end_reason", Text),
    Column("outcome", Text),
    PrimaryKeyConstraint("id", name="pk_scheduled_changes"),
    ForeignKeyConstraint(["license_id"], ["licenses.id"], name="fk_scheduled_changes_license"),
    Index("ix_scheduled_changes_license", "license_id", "effective_at", "id"),
    Index("ix_scheduled_changes_authority", "authority_code", "effective_at", "id"),
    Index("ix_scheduled_changes_status", "authority_code", "status", "effective_at", "id"),
    Index(
        "ix_scheduled_changes_due",
        "effective_at",
        sqlite_where=text("status = 'scheduled'"),
        postgresql_where=text("status = 'scheduled'"),
    ),
)

# Orders that wait for a second person. `row_version` is the license's when it was proposed.
proposals = Table(
    "proposals",
    metadata,
    Column("id", Text, nullable=False),
    Column("authority_code", Text, nullable=False),
    Column("license_id", Text, nullable=False),
    Column("row_version", Integer, nullable=False),
    Column("action", Text, nullable=False),
    Column("arguments", JsonText, nullable=False),
    Column("reason_code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("effective_at", UtcTime),
    Column("status", Text, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", UtcTime),
    Column("decision_reason", Text),
    Column("scheduled_change_id", Text),
    PrimaryKeyConstraint("id", name="pk_proposals"),
    ForeignKeyConstraint(["license_id"], ["licenses.id"], name="fk_proposals_license"),
    Index("ix_proposals_authority", "authority_code", "id"),
    Index("ix_proposals_status", "authority_code", "status", "id"),
    Index(
        "ix_proposals_open",
        "license_id",
        sqlite_where=text("status = 'open'"),
        postgresql_where=text("status = 'open'"),
    ),
)

# Policies of relying parties. A version is never changed: receipts name it by its digest.
policies = Table(
    "policies",
    metadata,
    Column("client_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("parts", JsonText, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("client_id", "name", "version", name="pk_policies"),
)

# `seq` stays empty until the sequencer has seen the row committed; then it is gap-free. Readers follow `seq` only.
events = Table(
    "events",
    metadata,
    Column("id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("license_id", Text, nullable=False),
    Column("type_code", Text, nullable=False),
    Column("occurred_at", UtcTime, nullable=False),
    Column("payload", JsonText, nullable=False),
    Column("seq", BigInteger),
    PrimaryKeyConstraint("id", name="pk_events"),
    UniqueConstraint("seq", name="uq_events_seq"),
    Index(
        "ix_events_unsequenced",
        "id",
        sqlite_where=text("seq IS NULL"),
        postgresql_where=text("seq IS NULL"),
    ),
)

# `entry` is what the log holds, `origin` and `idx` where: both stay empty until the sequencer has seen the row
# committed. `salt` and `event_sha256` open a license's entry and never leave the register but for a proof.
# `identifier` is what a leaf is found by: the license version's, or `<uri>#<number>` of a published document. A
# receipt's leaf has the receipt's own id.
log_leaves = Table(
    "log_leaves",
    metadata,
    Column("id", Text, nullable=False),
    Column("log", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("identifier", Text),
    Column("entry", LargeBinary, nullable=False),
    Column("event_sha256", Text),
    Column("salt", Text),
    Column("recorded_at", UtcTime, nullable=False),
    Column("origin", Text),
    Column("idx", BigInteger),
    PrimaryKeyConstraint("id", name="pk_log_leaves"),
    UniqueConstraint("origin", "idx", name="uq_log_leaves_place"),
    # Receipts are found by their id and have no identifier: the index need not grow with them.
    Index(
        "ix_log_leaves_identifier",
        "identifier",
        "kind",
        sqlite_where=text("identifier IS NOT NULL"),
        postgresql_where=text("identifier IS NOT NULL"),
    ),
    Index(
        "ix_log_leaves_unsequenced",
        "log",
        "id",
        sqlite_where=text("idx IS NULL"),
        postgresql_where=text("idx IS NULL"),
    ),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("request_id", Text),
    PrimaryKeyConstraint("id", name="pk_audit"),
)
