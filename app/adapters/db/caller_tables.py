"""The tables about callers: plans and quotas, keys and tokens of OAuth, request logs (see `tables.py`)."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from app.adapters.db.metadata import metadata
from app.adapters.db.types import JsonText, UtcTime

plans = Table(
    "plans",
    metadata,
    Column("name", Text, nullable=False),
    Column("calls_per_minute", Integer, nullable=False),
    Column("burst", Integer),
    Column("calls_per_day", Integer),
    Column("batch_limit", Integer, nullable=False),
    PrimaryKeyConstraint("name", name="pk_plans"),
)

client_quotas = Table(
    "client_quotas",
    metadata,
    Column("client_id", Text, nullable=False),
    Column("full_at", UtcTime, nullable=False),
    Column("day", Date, nullable=False),
    Column("day_used", BigInteger, nullable=False),
    PrimaryKeyConstraint("client_id", name="pk_client_quotas"),
)

client_jwks = Table(
    "client_jwks",
    metadata,
    Column("client_id", Text, nullable=False),
    Column("kid", Text, nullable=False),
    Column("jwk", JsonText, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("last_used_at", UtcTime),
    PrimaryKeyConstraint("client_id", "kid", name="pk_client_jwks"),
    ForeignKeyConstraint(["client_id"], ["api_clients.id"], name="fk_client_jwks_client"),
)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("handle", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("secret_sha256", Text, nullable=False),
    Column("kid", Text, nullable=False),
    Column("scopes", JsonText, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("handle", name="pk_access_tokens"),
    ForeignKeyConstraint(["client_id"], ["api_clients.id"], name="fk_access_tokens_client"),
    Index("ix_access_tokens_expires", "expires_at"),
    Index("ix_access_tokens_client", "client_id", "kid"),
)

used_assertions = Table(
    "used_assertions",
    metadata,
    Column("client_id", Text, nullable=False),
    Column("jti_sha256", Text, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("client_id", "jti_sha256", name="pk_used_assertions"),
    Index("ix_used_assertions_expires", "expires_at"),
)

# How far the clock of a sandbox's client stands ahead, and how often it met the code that is away once.
sandbox_callers = Table(
    "sandbox_callers",
    metadata,
    Column("client_id", Text, nullable=False),
    Column("ahead_seconds", BigInteger, nullable=False),
    Column("unavailable_turns", BigInteger, nullable=False),
    PrimaryKeyConstraint("client_id", name="pk_sandbox_callers"),
    ForeignKeyConstraint(["client_id"], ["api_clients.id"], name="fk_sandbox_callers_client"),
)

request_log = Table(
    "request_log",
    metadata,
    Column("client_id", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("method", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    # The only index: pages and sweeps go by client, and every further one is paid for with each call.
    PrimaryKeyConstraint("client_id", "at", "id", name="pk_request_log"),
)
