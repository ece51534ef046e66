"""Set up a sandbox beside an installation and bring it up to date: for the demonstration and `sandbox init`."""

from dataclasses import replace

from app.adapters.db.migrate import migrate
from app.bootstrap import open_root_keys, open_services
from app.demo.sandbox_seeding import seed_sandbox
from app.services.container import Services
from app.services.demo_data import demo_plan
from app.settings import SANDBOX_MARK, Settings

ROOT_FILE = "trust-root.json"
_ACTOR = "sandbox"
_MARK_TEXT = (
    "沙箱:试用密钥与虚构数据。此文件在,服务即提供沙箱。\n"
    "Sandbox: test keys and invented data. It is served while this file is here.\n"
)


async def prepare_sandbox(settings: Settings, *, issuer_url: str) -> None:
    """Make or update the sandbox beside an installation: schema, keys, trust documents, magic codes; idempotent.

    `issuer_url` is the live one. The sandbox is served from the next start on. Raises DomainError and OSError.
    """
    own = replace(settings, issuer_url=issuer_url).for_sandbox()
    own.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    await migrate(own.database_url)
    async with open_services(own, uninitialized=True) as services:
        await services.directory.apply(demo_plan(), dry_run=False, actor=_ACTOR)
        await services.ceremony.init(root_keys=open_root_keys(own), issuer_url=services.issuer_url)
    async with open_services(own) as services:
        await _fill(services)
        root = await services.trust_list.root()
        (own.data_dir / ROOT_FILE).write_bytes(root.content)
    # Last: what is half made is not served.
    (own.data_dir / SANDBOX_MARK).write_text(_MARK_TEXT, encoding="utf-8")


async def _fill(services: Services) -> None:
    while await services.issuing.recover():
        pass
    await seed_sandbox(services)
    await services.status_lists.publish_due()
    await services.log_sequencer.run_until_done()
    await services.freshness.publish_due()
