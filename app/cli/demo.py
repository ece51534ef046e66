"""`elicense demo`: from nothing to a serving installation with one command."""

import argparse
import asyncio

from app.cli.common import DONE, ERROR, REFUSED, UsageError, complain, configure_logging, guarded, say
from app.demo.files import DemoFiles
from app.settings import Settings, load_settings


def demo(arguments: argparse.Namespace) -> int:
    """Run the demonstration until it is stopped."""

    def command() -> int:
        if not 0 <= arguments.licenses <= 200_000:
            raise UsageError("--licenses: 0 … 200000")
        settings = load_settings(
            arguments.data_dir, default_environment="development", host=arguments.host, port=arguments.port
        )
        if settings.environment != "development":
            raise UsageError(
                "演示仅用于开发环境 the demonstration is for development only: ELICENSE_ENV says production"
            )
        files = DemoFiles(settings.data_dir)
        if not files.is_ours():
            complain(
                f"{settings.data_dir} 中已有其他数据,请另选目录。 "
                "This directory holds data of something else: choose another."
            )
            return REFUSED
        with files.locked() as held:
            if not held:
                complain("该目录已有演示在运行。 A demonstration is running in this directory already.")
                return ERROR
            # Before anything that takes time: whoever waits for demo.json must not find the one of an earlier run.
            files.withdraw()
            if arguments.reset:
                if not settings.database_url.startswith("sqlite"):
                    raise UsageError(
                        "--reset 只删除文件,请自行清空数据库 "
                        "--reset deletes files only: empty the PostgreSQL database yourself"
                    )
                files.reset()
            _run(settings, files, licenses=arguments.licenses)
        return DONE

    return guarded(command)


def _run(settings: Settings, files: DemoFiles, *, licenses: int) -> None:
    from app.cli.processes import server_options
    from app.cli.progress import progress
    from app.demo.running import Demonstration

    configure_logging("warning")
    run = Demonstration(
        settings=settings,
        files=files,
        licenses=licenses,
        server_options={**server_options(settings), "workers": 1, "log_level": "warning"},
        say=say,
        progress=progress,
    )
    asyncio.run(run.run())
