"""One settings object, read once from the environment; every problem is reported together."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from app.database_url import database_url_problem, mask_password
from app.domain.guessing import GuessingTerms

Environment = Literal["development", "production"]

DEMO_ISSUER_URL = "https://demo.elicense.example"
SANDBOX_FOLDER = "sandbox"
SANDBOX_MARK = "SANDBOX"
"""A file of this name in a data directory says that it is a sandbox's, and that it is to be served."""
SANDBOX_SCHEMA = "elicense_sandbox"
_SANDBOX_GUESSES = 100_000
_PREFIX = "ELICENSE_"
_OPTIONS = frozenset({"host", "port", "workers", "issuer_url"})
_READ_ELSEWHERE = frozenset({"API_KEY", "BASE_URL", "TEST_DATABASE_URL"})  # by the SDK, and by the tests
# A service of this name, or one that begins so, makes them in every container beside it.
_OF_KUBERNETES = re.compile(r"ELICENSE_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_[0-9]+_\w+)?)")
# A bundle counts for seven days: who fetched one a moment before the list must know the key when it signs.
KEY_LEAD_SECONDS = {"production": 8 * 86400, "development": 5}
_LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingsError(ValueError):
    """Name every wrong setting at once; `problems` holds one sentence for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that a process is told from outside.

    `issuer_url` may be None after the first init: the stored one counts then, and a different one is refused.
    `root_keys_dir` is opened by the `keys` commands only. Sizes are bytes. `metrics_token` opens /metrics; without
    one it is not served. `key_lead_seconds` is how long a new key stands in the trust list before it signs. The
    `guess_…` settings are wrong guesses an hour, as in `GuessingTerms`. `trusted_proxies` (CIDR) are believed what they
    write into X-Forwarded-For. Callers' request logs are kept for `request_log_days`. `sandbox_database_url` is only
    needed where the sandbox shall not live beside the live data; `is_sandbox` says that these are a sandbox's own.
    """

    data_dir: Path
    database_url: str = field(repr=False)  # may hold a password
    issuer_url: str | None
    keys_dir: Path
    root_keys_dir: Path
    environment: Environment
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    log_level: str = "info"
    max_body_bytes: int = 1 << 20
    max_batch_bytes: int = 16 << 20
    metrics_token: str | None = field(default=None, repr=False)
    key_lead_seconds: int = 8 * 86400
    trusted_proxies: tuple[str, ...] = ()
    request_log_days: int = 30
    guess_budget: int = 20
    guess_budget_lowered: int = 5
    guess_alarm: int = 60
    sandbox_database_url: str | None = field(default=None, repr=False)
    is_sandbox: bool = False

    @property
    def uses_sqlite(self) -> bool:
        """Tell whether the database is a file of this machine."""
        return self.database_url.startswith("sqlite")

    @property
    def has_sandbox(self) -> bool:
        """Tell whether a sandbox was set up beside this installation (`elicense sandbox init`)."""
        return not self.is_sandbox and (self.data_dir / SANDBOX_FOLDER / SANDBOX_MARK).exists()

    def for_sandbox(self) -> "Settings":
        """Return the settings of the sandbox beside this installation: its own database, keys, root and issuer URL.

        Its environment is development, so that its keys say so and everything it signs is of `env` test.
        """
        base = self.data_dir / SANDBOX_FOLDER
        issuer = self.issuer_url
        return replace(
            self,
            data_dir=base,
            database_url=self.sandbox_database_url or _beside(self.database_url, base),
            issuer_url=None if issuer is None else f"https://sandbox.{issuer.removeprefix('https://')}",
            keys_dir=base / "keys",
            root_keys_dir=base / "keys" / "root",
            environment="development",
            key_lead_seconds=KEY_LEAD_SECONDS["development"],
            metrics_token=None,
            # Who tries out what a wrong value answers must not run out of tries.
            guess_budget=_SANDBOX_GUESSES,
            guess_budget_lowered=_SANDBOX_GUESSES,
            guess_alarm=_SANDBOX_GUESSES,
            sandbox_database_url=None,
            is_sandbox=True,
        )

    @property
    def guessing(self) -> GuessingTerms:
        """Return how many wrong guesses are borne."""
        return GuessingTerms(
            budget=self.guess_budget, lowered=self.guess_budget_lowered, alarm=self.guess_alarm
        )

    @property
    def token_env(self) -> str:
        """Return the `env` of every signed object made here: `test` in development, `live` in production."""
        return "live" if self.environment == "production" else "test"

    @property
    def first_issuer_url(self) -> str | None:
        """Return what a first init would take: the address that was set, in development else the demonstration's."""
        return self.issuer_url or (DEMO_ISSUER_URL if self.environment == "development" else None)

    def describe(self) -> dict[str, str]:
        """Return the effective settings as text, the database password masked."""
        return {
            "environment": self.environment,
            "data_dir": str(self.data_dir),
            "database_url": mask_password(self.database_url),
            "issuer_url": self.issuer_url or "(as stored)",
            "keys_dir": str(self.keys_dir),
            "root_keys_dir": str(self.root_keys_dir),
            "host": self.host,
            "port": str(self.port),
            "workers": str(self.workers),
            "log_level": self.log_level,
            "max_body_bytes": str(self.max_body_bytes),
            "max_batch_bytes": str(self.max_batch_bytes),
            "key_lead_seconds": str(self.key_lead_seconds),
            "guess_budget": str(self.guess_budget),
            "guess_budget_lowered": str(self.guess_budget_lowered),
            "guess_alarm": str(self.guess_alarm),
            "trusted_proxies": ", ".join(self.trusted_proxies) or "none",
            "request_log_days": str(self.request_log_days),
            "sandbox": "served" if self.has_sandbox else ("this is one" if self.is_sandbox else "not set up"),
            "metrics": "served to the token's holder" if self.metrics_token else "not served",
        }


def load_settings(
    data_dir: Path | str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    default_environment: Environment = "production",
    **overrides: object,
) -> Settings:
    """Read `ELICENSE_…` variables; arguments that are not None go before them.

    Overrides are named as the fields of `Settings`. Raises SettingsError with every problem found.
    """
    variables = os.environ if environ is None else environ
    reader = _Reader(variables, {name: value for name, value in overrides.items() if value is not None})
    base = Path(data_dir if data_dir is not None else reader.text("data_dir", ".elicense"))
    environment = reader.choice("env", ("development", "production"), default_environment, name="environment")
    keys_dir = Path(reader.text("keys_dir", str(base / "keys")))
    settings = Settings(
        data_dir=base,
        database_url=reader.database_url(f"sqlite+aiosqlite:///{base / 'elicense.db'}"),
        issuer_url=reader.issuer_url(),
        keys_dir=keys_dir,
        root_keys_dir=Path(reader.text("root_keys_dir", str(keys_dir / "root"))),
        environment=cast(Environment, environment),
        host=reader.text("host", "127.0.0.1"),
        port=reader.number("port", 8000, low=0, high=65535),
        workers=reader.number("workers", 1, low=1, high=256),
        log_level=reader.choice("log_level", _LOG_LEVELS, "info"),
        max_body_bytes=reader.number("max_body_bytes", 1 << 20, low=1024, high=1 << 26),
        max_batch_bytes=reader.number("max_batch_bytes", 16 << 20, low=1024, high=1 << 28),
        key_lead_seconds=reader.number(
            "key_lead_seconds", KEY_LEAD_SECONDS[environment], low=1, high=90 * 86400
        ),
        guess_budget=reader.number("guess_budget", 20, low=1, high=10_000),
        guess_budget_lowered=reader.number("guess_budget_lowered", 5, low=1, high=10_000),
        guess_alarm=reader.number("guess_alarm", 60, low=1, high=1_000_000),
        metrics_token=reader.secret("metrics_token", at_least=16),
        sandbox_database_url=reader.sandbox_database_url(),
        trusted_proxies=reader.networks("trusted_proxies"),
        request_log_days=reader.number("request_log_days", 30, low=1, high=3660),
    )
    reader.refuse_unknown(set(Settings.__dataclass_fields__) - {"is_sandbox"})
    if reader.problems:
        raise SettingsError(reader.problems)
    return settings


def _beside(database_url: str, folder: Path) -> str:
    """Return where the sandbox's rows are: a schema of the same PostgreSQL database, a file of its own on SQLite."""
    if database_url.startswith("sqlite"):
        return f"sqlite+aiosqlite:///{folder / 'elicense.db'}"
    return f"{database_url}{'&' if '?' in database_url else '?'}schema={SANDBOX_SCHEMA}"


def unknown_variables(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the variables that begin as ours do and are none of ours: misspelled, most likely, and without effect."""
    fields = {field.upper() for field in Settings.__dataclass_fields__} - {"ENVIRONMENT", "IS_SANDBOX"}
    known = {f"{_PREFIX}{name}" for name in fields | {"ENV"} | _READ_ELSEWHERE}
    named = {name for name in (os.environ if environ is None else environ) if name.startswith(_PREFIX)}
    return tuple(sorted(name for name in named - known if not _OF_KUBERNETES.fullmatch(name)))


class _Reader:
    """Takes settings one by one and collects what is wrong with them."""

    def __init__(self, variables: Mapping[str, str], overrides: Mapping[str, object]) -> None:
        self._variables = variables
        self._overrides = overrides
        self.problems: list[str] = []

    def refuse_unknown(self, known: set[str]) -> None:
        self.problems += [f"未知设置 unknown setting {name}" for name in sorted(set(self._overrides) - known)]

    def _named(self, field: str) -> str:
        """Name a setting as it was given: by its option, else by its variable."""
        if field in _OPTIONS and field in self._overrides:
            return f"--{field.replace('_', '-')}"
        return f"{_PREFIX}{field.upper()}"

    def _raw(self, field: str, variable: str) -> object | None:
        if field in self._overrides:
            return self._overrides[field]
        return self._variables.get(f"{_PREFIX}{variable.upper()}") or None

    def text(self, field: str, default: str) -> str:
        value = self._raw(field, field)
        return default if value is None else str(value)

    def secret(self, field: str, *, at_least: int) -> str | None:
        value = self._raw(field, field)
        if value is None:
            return None
        text = str(value)
        if len(text) < at_least or not (text.isascii() and text.isprintable()):
            self.problems.append(
                f"{self._named(field)} 至少须有 {at_least} 个可打印 ASCII 字符 "
                f"must be at least {at_least} printable ASCII characters"
            )
        return text

    def choice(self, variable: str, allowed: Sequence[str], default: str, *, name: str | None = None) -> str:
        value = self._raw(name or variable, variable)
        if value is None:
            return default
        if value not in allowed:
            names = ", ".join(allowed)
            self.problems.append(f"{self._named(variable)} 须为以下之一 must be one of {names}")
            return default
        return str(value)

    def number(self, field: str, default: int, *, low: int, high: int) -> int:
        value = self._raw(field, field)
        if value is None:
            return default
        text = str(value)
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            self.problems.append(
                f"{self._named(field)} 须为 {low} 到 {high} 的整数 must be a whole number from {low} to {high}"
            )
            return default
        return int(text)

    def networks(self, field: str) -> tuple[str, ...]:
        value = self._raw(field, field)
        if value is None:
            return ()
        texts = value if isinstance(value, tuple) else str(value).split(",")
        try:
            return tuple(str(ip_network(text.strip())) for text in texts)
        except ValueError:
            self.problems.append(
                f"{self._named(field)} 须为以逗号分隔的网段 must be networks (CIDR) with commas between them"
            )
            return ()

    def database_url(self, default: str) -> str:
        return self._database("database_url", self.text("database_url", default))

    def sandbox_database_url(self) -> str | None:
        value = self._raw("sandbox_database_url", "sandbox_database_url")
        return None if value is None else self._database("sandbox_database_url", str(value))

    def _database(self, field: str, value: str) -> str:
        problem = database_url_problem(value)
        if problem is not None:
            self.problems.append(f"{self._named(field)} {problem}")
        return value

    def issuer_url(self) -> str | None:
        value = self._raw("issuer_url", "issuer_url")
        if value is None:
            return None  # the stored one counts
        text = str(value)
        problem = issuer_url_problem(text)
        if problem is not None:
            self.problems.append(f"{self._named('issuer_url')} {problem}")
        return text


def issuer_url_problem(url: str) -> str | None:
    """Return what is wrong with an issuer URL in both languages, or None: https, a host, and nothing else."""
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return "不是网址 is not a URL"
    if parts.scheme != "https" or not parts.hostname or not port_is_fine or not url.isascii():
        return "须为 https 网址 must be an https URL"
    if url != f"https://{parts.netloc}" or "@" in parts.netloc:
        return "不得带路径、参数、片段或用户 must have no path, query, fragment or user"
    return None
