"""Turn what a driver raises into what the inside understands. No driver text ever leaves this module."""

import re
from collections.abc import Callable
from typing import Final

from sqlalchemy import UniqueConstraint
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.adapters.db.tables import metadata
from app.domain.errors import ConcurrentChange, DomainError, NotFound, NumberTaken, ServiceRefusal
from elicense.service_reasons import ServiceReason


class TryAgain(Exception):
    """Tell the retry wrapper that the transaction was rolled back for no fault of its own. Never leaves this package.

    `lost_connection` says that the connection broke: run again only where nothing can have been committed.
    """

    def __init__(self, *, lost_connection: bool = False) -> None:
        super().__init__("the database asks to run this transaction again")
        self.lost_connection = lost_connection


def unavailable(detail: str = "the database is out of reach") -> DomainError:
    """Make the error for a database that cannot serve now."""
    return DomainError("unavailable", detail)


def storage_failed() -> DomainError:
    """Make the error for a process that must not write on, because the disk did not take what it wrote."""
    return ServiceRefusal(
        "unavailable",
        ServiceReason.STORAGE_FAILED,
        "the disk did not keep what was written; this process writes no more until it is started again",
        detail_zh="磁盘未能保存所写内容,本进程重新启动前不再写入",
    )


def is_sync_failure(error: BaseException) -> bool:
    """Tell whether a driver's error says that a file could not be synced.

    PostgreSQL never says so: its server stops by itself and recovers from its log, and the connection is lost.
    """
    origin = error.orig if isinstance(error, DBAPIError) else None
    return getattr(origin, "sqlite_errorcode", None) in _SQLITE_NOT_SYNCED


_SQLITE_FOREIGN_KEY: Final = "FOREIGN KEY"


def _lost() -> Exception:
    return ConcurrentChange("another transaction stored this first")


def _conflict(detail: str) -> Callable[[], Exception]:
    return lambda: DomainError("conflict", detail)


# A broken constraint by its name. A constraint that is not here can only break through a fault of ours: `internal`.
_BY_CONSTRAINT: Final[dict[str, Callable[[], Exception]]] = {
    "pk_license_numbers": NumberTaken,
    "pk_license_history": _lost,
    "pk_signed_documents": _lost,
    "pk_status_list_versions": _lost,
    "pk_counters": _lost,
    "uq_events_seq": _lost,
    "pk_log_heads": _lost,
    "uq_log_heads_generation": _lost,
    "uq_log_heads_open": _lost,
    "pk_log_checkpoints": _lost,
    "uq_log_leaves_place": _lost,
    "uq_idempotency_call": _lost,
    "pk_policies": _lost,
    "uq_intents_open_predecessor": _lost,
    "ck_status_lists_allocated": _lost,
    "pk_installation": _conflict("this database belongs to an installation already"),
    "pk_service_keys": _conflict("this key is known already"),
    "pk_status_lists": _conflict("this status list exists already"),
    "uq_status_lists_uri": _conflict("this status list exists already"),
    "uq_api_clients_name": _conflict("an API client of this name exists already"),
    "pk_api_keys": _conflict("this key handle exists already"),
    "pk_client_jwks": _conflict("this client has registered this key already"),
    "fk_client_jwks_client": lambda: NotFound("API client"),
    "fk_api_keys_client": lambda: NotFound("API client"),
    # SQLite does not say which foreign key broke; the others cannot, their rows are written together.
    _SQLITE_FOREIGN_KEY: lambda: NotFound("API client"),
    "uq_license_versions_identifier": _conflict("this license identifier exists already"),
    "uq_license_versions_status_index": _conflict("this status index is in use already"),
    "uq_intents_identifier": _conflict("this license identifier exists already"),
    "uq_intents_status_index": _conflict("this status index is in use already"),
}

# PostgreSQL: serialization_failure, deadlock_detected, lock_not_available: rolled back, nothing kept, run again.
_AGAIN_STATES: Final = frozenset({"40001", "40P01", "55P03"})
# 08 connection exception, 53 insufficient resources, 57 operator intervention (57P01 shutdown, 57P03 starting up),
# 58 system error (I/O), 25006 read-only server, 3D000 and 28 no such database or role, XX server fault.
_UNAVAILABLE_STATES: Final = ("08", "53", "57", "58", "25006", "3D000", "28", "XX", "42P01")
_DATA_STATE: Final = "22"
# SQLite primary result codes: BUSY 5, LOCKED 6.
_SQLITE_AGAIN: Final = frozenset({5, 6})
# SQLITE_IOERR_FSYNC and SQLITE_IOERR_DIR_FSYNC: the disk did not take what was written.
_SQLITE_NOT_SYNCED: Final = frozenset({1034, 1290})
_SQLITE_UNIQUE = re.compile(r"UNIQUE constraint failed: (?P<columns>[\w., ]+)")
_SQLITE_CHECK = re.compile(r"CHECK constraint failed: (?P<name>\w+)")


def _unique_by_columns() -> dict[str, str]:
    """Map the columns SQLite names in its message (`table.a, table.b`) to the constraint's or unique index's name."""
    names: dict[str, str] = {}
    for table in metadata.tables.values():
        for constraint in (table.primary_key, *table.constraints):
            if isinstance(constraint, UniqueConstraint) or constraint is table.primary_key:
                columns = ", ".join(f"{table.name}.{column.name}" for column in constraint.columns)
                names[columns] = str(constraint.name)
        for index in table.indexes:
            if index.unique:
                columns = ", ".join(f"{table.name}.{column.name}" for column in index.columns)
                names[columns] = str(index.name)
    return names


_SQLITE_UNIQUE_NAMES: Final = _unique_by_columns()


def constraint_name(error: IntegrityError) -> str | None:
    """Return the name of the constraint an IntegrityError speaks of, on either database; None when it is not told."""
    origin = error.orig
    name = getattr(getattr(origin, "__cause__", None), "constraint_name", None)
    if isinstance(name, str):
        return name
    message = str(origin)
    if found := _SQLITE_UNIQUE.search(message):
        return _SQLITE_UNIQUE_NAMES.get(found["columns"])
    if found := _SQLITE_CHECK.search(message):
        return found["name"]
    return _SQLITE_FOREIGN_KEY if message.startswith(_SQLITE_FOREIGN_KEY) else None


def translate(error: Exception) -> Exception:
    """Return what to raise instead of a driver's error: a domain error, ConcurrentChange or TryAgain.

    A value the database cannot hold (U+0000 on PostgreSQL, a lone surrogate) is the caller's fault:
    `invalid_request`. What is nobody's but ours becomes `internal`, with the driver's error as its cause.
    """
    if isinstance(error, UnicodeEncodeError):
        return DomainError("invalid_request", "a text holds characters that cannot be stored")
    if isinstance(error, IntegrityError):
        return by_constraint(constraint_name(error))
    if not isinstance(error, DBAPIError):
        return unavailable()  # OSError, time-outs of driver or pool: no connection, or none free in time
    if error.connection_invalidated:
        return TryAgain(lost_connection=True)
    if isinstance(error.orig, AsyncAdapt_asyncpg_dbapi.InvalidCachedStatementError):
        return TryAgain()  # a migration changed what the statement returns; it is prepared anew next time
    return _translate_driver(error)


def by_constraint(name: str | None) -> Exception:
    """Say what a broken constraint means here, by its name."""
    make = _BY_CONSTRAINT.get(name or "")
    return make() if make else DomainError("internal")


def by_state(state: str) -> Exception:
    """Say what an SQLSTATE of PostgreSQL means here."""
    if state in _AGAIN_STATES:
        return TryAgain()
    if state.startswith(_DATA_STATE):
        return DomainError("invalid_request", "a text holds characters that cannot be stored")
    return unavailable() if state.startswith(_UNAVAILABLE_STATES) else DomainError("internal")


def _translate_driver(error: DBAPIError) -> Exception:
    state = getattr(error.orig, "sqlstate", None)
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _SQLITE_AGAIN:
        return TryAgain()
    if isinstance(state, str):
        return by_state(state)
    if code is not None:
        # SQLITE_ERROR (1) is a wrong statement or a missing table; the others (FULL, IOERR, READONLY, CANTOPEN,
        # CORRUPT …) are the file's troubles.
        return unavailable()
    if isinstance(getattr(error.orig, "__cause__", None), (ValueError, TypeError, OverflowError)):
        return DomainError("invalid_request", "a value cannot be stored")
    return unavailable()
