"""Make room for callers: plans and quotas, networks, keys and tokens of OAuth, request logs."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Text of one fixed width on SQLite (ISO 8601, UTC), which has no type for time.
UTC_TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Create the tables, put every client on a plan and let it read its own request log."""
    _plans()
    _oauth()
    _request_log()
    op.add_column("api_keys", sa.Column("last_used_at", UTC_TIME))
    op.add_column("api_clients", sa.Column("plan", sa.Text, nullable=False, server_default="custom"))
    op.add_column("api_clients", sa.Column("burst", sa.Integer))
    op.add_column("api_clients", sa.Column("calls_per_day", sa.Integer))
    op.add_column("api_clients", sa.Column("allowed_networks", sa.Text, nullable=False, server_default="[]"))
    op.execute(
        "UPDATE api_clients SET plan = 'standard' WHERE calls_per_minute = 2000 AND batch_limit = 1000"
    )
    _let_read_own_requests()


def _plans() -> None:
    plans = op.create_table(
        "plans",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("calls_per_minute", sa.Integer, nullable=False),
        sa.Column("burst", sa.Integer),
        sa.Column("calls_per_day", sa.Integer),
        sa.Column("batch_limit", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_plans"),
    )
    op.bulk_insert(
        plans,
        [
            {"name": "standard", "calls_per_minute": 2000, "calls_per_day": None, "batch_limit": 1000},
            {"name": "trial", "calls_per_minute": 60, "calls_per_day": 5000, "batch_limit": 100},
            {"name": "bulk", "calls_per_minute": 20000, "calls_per_day": None, "batch_limit": 1000},
        ],
    )
    op.create_table(
        "client_quotas",
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("full_at", UTC_TIME, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("day_used", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("client_id", name="pk_client_quotas"),
    )


def _oauth() -> None:
    op.create_table(
        "client_jwks",
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("kid", sa.Text, nullable=False),
        sa.Column("jwk", sa.Text, nullable=False),
        sa.Column("created_at", UTC_TIME, nullable=False),
        sa.Column("ended_at", UTC_TIME),
        sa.Column("last_used_at", UTC_TIME),
        sa.PrimaryKeyConstraint("client_id", "kid", name="pk_client_jwks"),
        sa.ForeignKeyConstraint(["client_id"], ["api_clients.id"], name="fk_client_jwks_client"),
    )
    op.create_table(
        "access_tokens",
        sa.Column("handle", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("secret_sha256", sa.Text, nullable=False),
        sa.Column("kid", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_at", UTC_TIME, nullable=False),
        sa.Column("expires_at", UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("handle", name="pk_access_tokens"),
        sa.ForeignKeyConstraint(["client_id"], ["api_clients.id"], name="fk_access_tokens_client"),
    )
    op.create_index("ix_access_tokens_expires", "access_tokens", ["expires_at"])
    op.create_table(
        "used_assertions",
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("jti_sha256", sa.Text, nullable=False),
        sa.Column("expires_at", UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("client_id", "jti_sha256", name="pk_used_assertions"),
    )
    op.create_index("ix_used_assertions_expires", "used_assertions", ["expires_at"])


def _request_log() -> None:
    op.create_table(
        "request_log",
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("at", UTC_TIME, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("duration_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("client_id", "at", "id", name="pk_request_log"),
    )


def _let_read_own_requests() -> None:
    clients = sa.table("api_clients", sa.column("id", sa.Text), sa.column("scopes", sa.Text))
    connection = op.get_bind()
    for client_id, scopes in connection.execute(sa.select(clients.c.id, clients.c.scopes)).all():
        more = json.dumps(sorted({*json.loads(scopes), "requests:read"}), separators=(",", ":"))
        connection.execute(clients.update().where(clients.c.id == client_id).values(scopes=more))
