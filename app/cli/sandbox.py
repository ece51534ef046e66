"""`elicense sandbox`: the test installation beside the live one."""

import argparse
import asyncio

from app.bootstrap import open_services
from app.cli.common import DONE, UsageError, guarded, say, settings_of
from app.demo.sandbox import ROOT_FILE, prepare_sandbox
from app.settings import Settings


def init(arguments: argparse.Namespace) -> int:
    """Make the sandbox beside this installation, or bring it up to date."""

    def command() -> int:
        settings = settings_of(arguments.data_dir)
        if settings.is_sandbox:
            raise UsageError("--data-dir 须为正式服务的目录 must name the live installation, not its sandbox")
        asyncio.run(_prepare(settings))
        own = settings.for_sandbox()
        say(f"沙箱已就绪 sandbox ready: {own.data_dir}")
        say(f"信任根 trust root: {own.data_dir / ROOT_FILE}")
        say("重新启动 serve 与 worker 后生效 served from the next start of serve and worker on")
        say(f"新建密钥 make keys: elicense clients create NAME --kind platform --data-dir {own.data_dir}")
        return DONE

    return guarded(command)


async def _prepare(settings: Settings) -> None:
    async with open_services(settings) as live:
        issuer_url = live.issuer_url
    await prepare_sandbox(settings, issuer_url=issuer_url)
