"""`elicense serve`, `worker`, `migrate`, `doctor`: the processes of an installation and a look at its health."""

import argparse
import asyncio
import os
import signal
from contextlib import nullcontext
from typing import Any

import uvicorn

from app.adapters.db.migrate import migrate as bring_to_current_schema
from app.adapters.db.sqlite import files_open_to_others
from app.api.http_protocol import StrictHttpProtocol
from app.bootstrap import open_services
from app.cli.common import (
    DONE,
    ERROR,
    REFUSED,
    complain,
    configure_logging,
    describe,
    guarded,
    say,
    settings_of,
)
from app.domain.errors import DomainError
from app.listening import listening
from app.main import create_application
from app.metrics import measured_together
from app.services.container import Services
from app.services.diagnosis import Finding, diagnose
from app.services.key_diagnosis import diagnose_keys, diagnose_private_keys
from app.services.log_diagnosis import diagnose_logs
from app.services.retention_diagnosis import diagnose_retention
from app.settings import Settings, SettingsError, unknown_variables
from app.worker import run as run_worker
from elicense.report import rfc3339

SECONDS_TO_FINISH = 20
SECONDS_TO_KEEP_ALIVE = 15
SECONDS_TO_ANSWER = 30
"""How long a process of several may be silent before it is killed and started anew: while it reads its code it cannot
answer, and on a cold disk or a busy machine uvicorn's five seconds kill every process before it has begun."""


def application() -> object:
    """Build the ASGI application from the environment alone: what each process of `serve --workers N` starts from."""
    settings = settings_of(None, strict_environment=True)
    configure_logging(settings.log_level)
    return create_application(settings)


def serve(arguments: argparse.Namespace) -> int:
    """Serve the API until SIGINT or SIGTERM."""

    def command() -> int:
        settings = settings_of(
            arguments.data_dir,
            strict_environment=True,
            host=arguments.host,
            port=arguments.port,
            workers=arguments.workers,
        )
        _warn_of_unknown_variables()
        asyncio.run(_try_to_open(settings))
        with listening(settings):
            pass  # a port in use is one clear line now, not a traceback of each process later
        # Worker processes are started anew and read their settings from the environment, as was done here.
        os.environ["ELICENSE_DATA_DIR"] = str(settings.data_dir)
        several = settings.workers > 1 and settings.metrics_token is not None
        with measured_together() if several else nullcontext():
            return run_server("app.cli.processes:application", **server_options(settings))

    return guarded(command)


def run_server(application: str, **options: Any) -> int:
    """Run uvicorn on a factory until it is told to stop; return the exit code: an error when it could not start.

    What was wrong it has logged by then.
    """
    try:
        uvicorn.run(application, factory=True, **options)
    except SystemExit as ended:
        # With 3 where the application could not be started, which is a verdict among our codes.
        return ERROR if ended.code else DONE
    return DONE


def server_options(settings: Settings) -> dict[str, Any]:
    """Return how uvicorn serves, alike for `serve` and the demonstration."""
    return {
        "host": settings.host,
        "port": settings.port,
        "workers": settings.workers,
        "log_level": settings.log_level,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,  # whom to believe about addresses is said by our own settings alone
        "http": StrictHttpProtocol,
        "ws": "none",
        "timeout_keep_alive": SECONDS_TO_KEEP_ALIVE,
        "timeout_graceful_shutdown": SECONDS_TO_FINISH,
        "timeout_worker_healthcheck": SECONDS_TO_ANSWER,
    }


def _warn_of_unknown_variables() -> None:
    for name in unknown_variables():
        complain(f"警告 warning: 未知变量,不起作用 unknown variable without effect: {name}")


async def _try_to_open(settings: Settings) -> None:
    """Fail with one clear line before any process is started."""
    async with open_services(settings) as services:
        await services.store.ready()


def worker(arguments: argparse.Namespace) -> int:
    """Run the worker until SIGINT or SIGTERM; what it was doing is finished first."""

    def command() -> int:
        settings = settings_of(arguments.data_dir, strict_environment=True)
        _warn_of_unknown_variables()
        configure_logging(settings.log_level)
        asyncio.run(_work(settings))
        return DONE

    return guarded(command)


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await run_worker(settings, stop, opened=lambda: complain("后台发布进程已启动 worker started"))


def migrate(arguments: argparse.Namespace) -> int:
    """Create the database or bring it to the current schema."""

    def command() -> int:
        settings = settings_of(arguments.data_dir)
        _warn_of_unknown_variables()
        if settings.uses_sqlite:
            # On PostgreSQL nothing is kept there yet, and a container's working directory is read-only.
            make_data_dir(settings)
        asyncio.run(bring_to_current_schema(settings.database_url))
        if settings.has_sandbox:
            asyncio.run(bring_to_current_schema(settings.for_sandbox().database_url))
        say("数据库已是最新 the database has the current schema")
        return DONE

    return guarded(command, migrating=True)


def make_data_dir(settings: Settings) -> None:
    """Make the data directory, for its owner only."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


def doctor(arguments: argparse.Namespace) -> int:
    """Print effective settings without secrets, then every finding; exit 1 when something is wrong.

    With `--accept-time` the clock is taken for right first.
    """

    def command() -> int:
        settings = settings_of(arguments.data_dir)
        for name, value in settings.describe().items():
            say(f"{name} = {value}")
        try:
            findings = asyncio.run(_diagnose(settings, accept_time=arguments.accept_time))
        except DomainError as error:
            say(f"✗ {describe(error)}")
            return ERROR
        if settings.has_sandbox:
            findings.append(asyncio.run(_look_at_sandbox(settings.for_sandbox())))
        findings += [
            Finding(
                False, f"未知变量 {name},不起作用。", f"the variable {name} is unknown and without effect."
            )
            for name in unknown_variables()
        ]
        for finding in findings:
            say(f"{'✓' if finding.good else '✗'} {finding.zh} {finding.en}")
        _warn_of_root_keys(settings)
        return DONE if all(finding.good for finding in findings) else REFUSED

    return guarded(command)


def _warn_of_root_keys(settings: Settings) -> None:
    # Whether the folder stands there, no more: only `keys` ever opens it.
    root = settings.root_keys_dir
    if settings.environment == "production" and root.is_relative_to(settings.keys_dir) and root.is_dir():
        say(
            f"! 根密钥目录在联机密钥目录中({root}):请移到离线介质,并以 ELICENSE_ROOT_KEYS_DIR 指定。 "
            "the folder of the root keys stands in that of the online keys: keep it offline, and name it by "
            "ELICENSE_ROOT_KEYS_DIR for `elicense keys`."
        )


async def _diagnose(settings: Settings, *, accept_time: bool) -> list[Finding]:
    async with open_services(settings, make_folders=False) as services:
        await services.store.ready()
        if accept_time:
            accepted = await services.high_water.accept_time(actor="doctor")
            known = "-" if accepted.known is None else rfc3339(accepted.known)
            say(
                f"已接受时间 time accepted: {rfc3339(accepted.time)}(此前最后已知 latest known before: {known})"
            )
        return [*await diagnose_services(services), *diagnose_files(settings)]


async def _look_at_sandbox(settings: Settings) -> Finding:
    """Say in one line whether the sandbox is in order; its own doctor says more."""
    more = f"elicense doctor --data-dir {settings.data_dir}"
    try:
        async with open_services(settings, make_folders=False) as services:
            findings = [*await diagnose_services(services), *diagnose_files(settings)]
    except (DomainError, SettingsError, OSError) as error:
        return Finding(False, f"沙箱无法打开({more})。", f"the sandbox cannot be opened: {error}")
    wrong = [finding for finding in findings if not finding.good]
    if wrong:
        return Finding(False, f"沙箱有 {len(wrong)} 项问题:{more}", f"the sandbox: {wrong[0].en}")
    return Finding(True, "沙箱正常。", "the sandbox is in order.")


def diagnose_files(settings: Settings) -> list[Finding]:
    """Name each database file that other users of this machine may use: it holds what the register knows."""
    return [
        Finding(
            False, f"数据库文件 {file} 对其他用户开放:chmod 600。", f"{file} is open to others: chmod 600."
        )
        for file in files_open_to_others(settings.database_url)
    ]


async def diagnose_services(services: Services) -> list[Finding]:
    """Look at an open installation."""
    store, clock, directory = services.store, services.clock, services.directory
    return [
        *await diagnose(
            store=store,
            clock=clock,
            directory=directory,
            standing=await services.high_water.standing(),
            production=services.high_water.production,
        ),
        *await diagnose_private_keys(store=store, clock=clock, directory=directory, keys=services.keys),
        *await diagnose_logs(store=store, clock=clock),
        *await diagnose_keys(services.resigning),
        *await diagnose_retention(store=store, clock=clock),
    ]
