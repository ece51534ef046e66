"""The tables of the transparency logs; their leaves stand in `tables.py`, beside the rows they accompany."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
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

from app.adapters.db.metadata import metadata
from app.adapters.db.types import UtcTime

# One row per origin; one open origin per log. `size` and `root` are committed, `published_size` leaves are served.
log_heads = Table(
    "log_heads",
    metadata,
    Column("origin", Text, nullable=False),
    Column("log", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("kid", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("row_version", BigInteger, nullable=False),
    Column("published_size", BigInteger, nullable=False),
    PrimaryKeyConstraint("origin", name="pk_log_heads"),
    UniqueConstraint("log", "generation", name="uq_log_heads_generation"),
    CheckConstraint("published_size <= size", name="ck_log_heads_published"),
    Index(
        "uq_log_heads_open",
        "log",
        unique=True,
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
)

# Full tiles never change; the last one of a level is replaced by a wider one until it is full.
log_tiles = Table(
    "log_tiles",
    metadata,
    Column("origin", Text, nullable=False),
    Column("level", SmallInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
    PrimaryKeyConstraint("origin", "level", "number", name="pk_log_tiles"),
)

log_checkpoints = Table(
    "log_checkpoints",
    metadata,
    Column("origin", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("published_at", UtcTime, nullable=False),
    Column("witnessed_at", UtcTime),
    Column("anchor_id", Text),
    Column("restated_at", UtcTime),
    PrimaryKeyConstraint("origin", "size", name="pk_log_checkpoints"),
    Index(
        "ix_log_checkpoints_witnessed",
        "origin",
        "size",
        sqlite_where=text("witnessed_at IS NOT NULL"),
        postgresql_where=text("witnessed_at IS NOT NULL"),
    ),
    Index(
        "ix_log_checkpoints_anchored",
        "origin",
        "size",
        sqlite_where=text("anchor_id IS NOT NULL"),
        postgresql_where=text("anchor_id IS NOT NULL"),
    ),
)

# What was once published of the part of a log that was cut away: never served again, kept as evidence.
log_cut_checkpoints = Table(
    "log_cut_checkpoints",
    metadata,
    Column("origin", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("published_at", UtcTime, nullable=False),
    Column("witnessed_at", UtcTime),
    PrimaryKeyConstraint("origin", "size", name="pk_log_cut_checkpoints"),
)
