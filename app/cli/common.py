"""What all commands share: settings, output, and one place that turns errors into exit codes."""

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from app.adapters.signers.key_files import KeyFileError
from app.domain.errors import STOPS_EVERYTHING, DomainError, ServiceRefusal
from app.settings import SANDBOX_MARK, Environment, Settings, SettingsError, load_settings
from elicense.policy import parse_duration
from elicense.problems import PROBLEMS
from elicense.service_reasons import SERVICE_REASONS

if TYPE_CHECKING:
    from app.services.container import Services

DONE: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
ERROR: Final = 4
DEVELOPMENT_MARK: Final = "DEVELOPMENT"
"""A file of this name in the data directory says that a demonstration made it: its commands are development ones."""


class UsageError(Exception):
    """Say that the command line or a file it names cannot be meant (exit 2)."""


def say(text: str = "") -> None:
    """Write a line to stdout at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def say_json(value: object) -> None:
    """Write one JSON line to stdout."""
    say(json.dumps(value, ensure_ascii=False))


def settings_of(data_dir: Path | None, *, strict_environment: bool = False, **overrides: Any) -> Settings:
    """Load settings. Commands on a demonstration's directory are development ones unless told otherwise.

    The directory of a sandbox gives the sandbox's settings: they are those of the installation that it stands beside.
    `strict_environment` leaves the default at production whatever the directory says: what serves must be told.
    Raises SettingsError.
    """
    settings = load_settings(data_dir, default_environment="production", **overrides)
    if (settings.data_dir / SANDBOX_MARK).exists():
        beside = settings.data_dir.resolve().parent
        return settings_of(beside, strict_environment=strict_environment, **overrides).for_sandbox()
    marked = (settings.data_dir / DEVELOPMENT_MARK).exists()
    default: Environment = "development" if marked and not strict_environment else "production"
    return load_settings(data_dir, default_environment=default, **overrides)


def configure_logging(level: str) -> None:
    """Send log lines of this process to stderr, from a level on; stdout belongs to answers."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=number, stream=sys.stderr)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # Whatever stderr is when a line is written: it may have been replaced or closed since.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )


def guarded(command: Callable[[], int], *, migrating: bool = False) -> int:
    """Run a command; every error of its own becomes one clear line and an exit code.

    What any command may meet (OSError, no memory, nobody reading) is left to the command line that called it. The log
    is silent meanwhile: what it would say as JSON, traces included, a person is told in words.
    """
    configure_logging("critical")
    try:
        return command()
    except UsageError as error:
        complain(f"用法错误 usage: {error}")
        return USAGE
    except SettingsError as error:
        for problem in error.problems:
            complain(f"设置错误 setting: {problem}")
        return USAGE
    except KeyFileError as error:
        # The keys commands open the root folder themselves; of the online one a SettingsError tells.
        complain(f"设置错误 setting: {error}")
        return USAGE
    except DomainError as error:
        complain(describe(error, migrating=migrating))
        return ERROR if error.code in STOPS_EVERYTHING else REFUSED


def describe(error: DomainError, *, migrating: bool = False) -> str:
    """Return a domain error as text: its title in both languages, its detail, each wrong field.

    Where a database driver stands behind it, also what that said, and what to do about it.
    """
    kind = PROBLEMS.get(error.code)
    title = f"{kind.title.zh} {kind.title.en}" if kind is not None else error.code
    details = " ".join(filter(None, (getattr(error, "detail_zh", ""), error.detail)))
    lines = [f"{title} [{error.code}] {details}".rstrip()]
    lines += [
        f"  {field.pointer}: {' '.join(filter(None, (field.detail_zh, field.detail)))}"
        for field in error.errors
    ]
    if isinstance(error, ServiceRefusal):
        advice = SERVICE_REASONS[error.reason].action
        lines.append(f"  {advice.zh} {advice.en}")
    elif error.code in STOPS_EVERYTHING:
        lines += _behind(error, migrating=migrating)
    return "\n".join(lines)


def _behind(error: DomainError, *, migrating: bool) -> list[str]:
    # Imported late, as in `with_services`.
    from app.adapters.db.faults import database_fault

    fault = database_fault(error, migrating=migrating)
    if fault is None:
        return []
    said = " ".join(filter(None, (fault.kind, fault.code, fault.said)))
    return [f"  {said}", f"  {fault.advice.zh} {fault.advice.en}"]


def duration(text: str, *, option: str) -> timedelta:
    """Read what an option says a length of time is. Raises UsageError."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: 时长须为数字加 s、m、h 或 d,如 24h {error}") from error


def read_input(path: Path, limit: int) -> bytes:
    """Read a file that the command line names. Raises UsageError for more than `limit` bytes, OSError (exit 4)."""
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise UsageError(f"{path}: 文件过大 the file is too large (> {limit} bytes)")
    return content


def with_services(
    settings: Settings, work: Callable[["Services"], Awaitable[int]], *, uninitialized: bool = False
) -> int:
    """Open the services, run the work, close them; a missing schema is named before anything else."""

    # Imported late: the database drivers take longer than everything a wrong command line needs.
    from app.bootstrap import open_services

    async def run() -> int:
        async with open_services(settings, uninitialized=uninitialized) as services:
            return await work(services)

    return asyncio.run(run())


def table(rows: list[Mapping[str, str]]) -> None:
    """Write rows as tab-separated lines under their names."""
    if rows:
        say("\t".join(rows[0]))
    for row in rows:
        say("\t".join(row.values()))
