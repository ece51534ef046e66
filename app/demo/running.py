"""Run the demonstration: prepare, seed, serve API and worker in one process, tell the visitor what to do."""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from app.adapters.db.migrate import migrate
from app.api.sandbox_switch import PREFIX
from app.bootstrap import open_root_keys, open_services
from app.demo.files import DemoFiles
from app.demo.sandbox import ROOT_FILE, prepare_sandbox
from app.demo.seeding import Sample, Seeded, authority_caller, seed_client, seed_clients, seed_licenses
from app.domain.api_client import ClientKind
from app.domain.sandbox import BY_SCENARIO, Scenario
from app.listening import listening
from app.main import create_application
from app.services.container import Services
from app.services.demo_data import demo_plan
from app.services.demo_directory import BUSINESS_LICENSE
from app.settings import Settings
from app.worker import run_with
from elicense.encoding import civil_today

SANDBOX_KEY = "sandbox"

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """One run: where, with how many licenses, and the doors to the terminal."""

    settings: Settings
    files: DemoFiles
    licenses: int
    server_options: Mapping[str, Any]
    say: Callable[[str], None]
    progress: Progress

    async def run(self) -> None:
        """Prepare, then serve until SIGINT or SIGTERM. Raises DomainError and OSError (a port that is taken)."""
        with listening(self.settings) as listener:
            self.files.prepare()
            await migrate(self.settings.database_url)
            issuer_url = await self._initialize()
            await prepare_sandbox(self.settings, issuer_url=issuer_url)
            async with (
                open_services(self.settings) as services,
                open_services(self.settings.for_sandbox()) as sandbox,
                # The application leaves to whoever opened the services what runs beside them.
                services.request_log.writing(),
                sandbox.request_log.writing(),
            ):
                base_url = _base_url(self.settings, listener)
                facts = {"base_url": base_url} | await self._seed(services)
                facts |= await self._seed_sandbox(sandbox, facts, base_url=base_url)
                await self._serve(services, sandbox, listener, facts)

    async def _initialize(self) -> str:
        self.say("准备密钥与信任文件 preparing keys and trust documents …")
        async with open_services(self.settings, uninitialized=True) as services:
            await services.directory.apply(demo_plan(), dry_run=False, actor="demo")
            await services.ceremony.init(
                root_keys=open_root_keys(self.settings), issuer_url=services.issuer_url
            )
            return services.issuer_url

    async def _seed(self, services: Services) -> dict[str, object]:
        # What a killed run left half done is finished first: its numbers are promised.
        while await services.issuing.recover():
            pass
        today = civil_today(services.clock.now())
        with self.progress("签发演示证照 issuing", self.licenses) as advance:
            seeded = await seed_licenses(services, self.licenses, today=today, on_progress=advance)
        keys = await self._keys(services, seeded)
        await services.status_lists.publish_due()
        # The bundle names the log's first checkpoint, and every sample has its proof from the first call on.
        await services.log_sequencer.run_until_done()
        await services.freshness.publish_due()
        self.files.trust_root.write_bytes((await services.trust_list.root()).content)
        self.files.bundle.write_bytes(await services.freshness.bundle())
        return await self._facts(services, seeded, keys)

    async def _seed_sandbox(
        self, sandbox: Services, facts: Mapping[str, object], *, base_url: str
    ) -> dict[str, object]:
        """Return what demo.json says of the sandbox, and its key beside the others."""
        kept = self.files.read_api_keys()
        key = await seed_client(sandbox, kept.get(SANDBOX_KEY), name="demo-sandbox", kind=ClientKind.PLATFORM)
        keys = facts["keys"]
        assert isinstance(keys, dict)
        own = {**keys, SANDBOX_KEY: key}
        self.files.write_private_json(self.files.api_keys, own)
        root = self.settings.for_sandbox().data_dir / ROOT_FILE
        return {
            "keys": own,
            "sandbox": {
                "base_url": f"{base_url}{PREFIX}",
                "trust_root": str(root.relative_to(self.files.folder)),
            },
        }

    async def _keys(self, services: Services, seeded: Seeded) -> dict[str, str]:
        sample = seeded.samples.get("valid")
        if sample is None:
            return {}
        keys = await seed_clients(
            services,
            self.files.read_api_keys(),
            authority_code=sample.license.authority_code,
            holder_code=sample.license.holder.code,
        )
        return keys

    async def _facts(self, services: Services, seeded: Seeded, keys: Mapping[str, str]) -> dict[str, object]:
        samples = {}
        for name, sample in seeded.samples.items():
            path = self.files.samples / f"{name}.sdjwt"
            license_ = sample.license
            caller = authority_caller(license_.authority_code, created_at=license_.created_at)
            token = await services.credentials.get(license_.id, version=sample.version, caller=caller)
            path.write_text(token, encoding="ascii")
            samples[name] = _shown(sample, str(path.relative_to(self.files.folder)))
        first = seeded.samples["valid"].license if "valid" in seeded.samples else None
        return {
            "authority_code": first.authority_code if first else "",
            "type_code": BUSINESS_LICENSE,
            "area_code": first.area_code if first else "",
            "keys": dict(keys),
            "trust_root": self.files.trust_root.name,
            "bundle": self.files.bundle.name,
            "samples": samples,
            "licenses": seeded.licenses,
        }

    async def _serve(
        self, services: Services, sandbox: Services, listener: socket.socket, facts: dict[str, object]
    ) -> None:
        stop = asyncio.Event()
        app = create_application(self.settings, services=services, sandbox=sandbox)
        server = _Server(uvicorn.Config(app, **self.server_options))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        # The port listens already: whoever finds demo.json is answered as soon as the server has started.
        self.files.write_private_json(self.files.demo, facts)
        worker = asyncio.create_task(_work(stop, services, sandbox))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        up, stopping = asyncio.create_task(server.up.wait()), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({up, serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if server.up.is_set():
                self._tell(facts)
            else:
                self.files.withdraw()
            await asyncio.wait({worker, serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            server.should_exit = True
            for waiting in (up, stopping):
                waiting.cancel()
            await asyncio.gather(worker, serving)
        self.say("演示已结束 the demonstration has ended")

    def _tell(self, facts: Mapping[str, object]) -> None:
        for line in visitor_lines(facts, self.files):
            self.say(line)


async def _work(stop: asyncio.Event, *installations: Services) -> None:
    async with asyncio.TaskGroup() as group:
        for services in installations:
            group.create_task(run_with(services, stop))


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the demonstration stops its worker and its server together."""

    def __init__(self, config: uvicorn.Config) -> None:
        """Serve with a configuration; `up` is set once calls are answered."""
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then say so."""
        await super().startup(sockets)
        if self.started:
            self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the demonstration."""
        yield


def _base_url(settings: Settings, listener: socket.socket) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    port = listener.getsockname()[1]  # the one the system chose where 0 was asked for
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _shown(sample: Sample, credential: str) -> dict[str, str]:
    return {
        "license_id": sample.license.id,
        "identifier": sample.identifier,
        "holder_code": sample.license.holder.code,
        "credential": credential,
    }


def visitor_lines(facts: Mapping[str, object], files: DemoFiles) -> list[str]:
    """Return what a visitor reads: addresses, keys, and commands that work as they are printed."""
    base, keys, samples = facts["base_url"], facts["keys"], facts["samples"]
    lines = [
        "",
        f"服务已启动 serving      {base}",
        f"接口文档 documentation  {base}/docs",
        f"证照数量 licenses       {facts['licenses']}",
        f"数据目录 data           {files.folder.resolve()}",
    ]
    if not (isinstance(keys, dict) and isinstance(samples, dict) and keys and "valid" in samples):
        return [*lines, "", "没有样例 no samples: run it with --licenses 20 or more", ""]
    lines += ["", "API 密钥 API keys(仅供演示 for this demonstration only)"]
    lines += [f"  {name:<10} {key}" for name, key in keys.items()]
    lines += [
        "",
        "在线核验 verify online:",
        _curl(str(base), keys["platform"], samples["valid"]["holder_code"]),
    ]
    if SANDBOX_KEY in keys:
        revoked = BY_SCENARIO[Scenario.REVOKED].holder_code
        lines += ["", "沙箱 in the sandbox:", _curl(str(base), keys[SANDBOX_KEY], revoked)]
    lines += ["", "离线核验 verify with no network:", _verify(files, samples["valid"]["credential"])]
    lines += ["", "更新离线验证包 update the bundle:", _update(files, str(base))]
    return [*lines, "", "Ctrl-C 结束 ends it.", ""]


def _curl(base: str, key: str, holder_code: str) -> str:
    body = f'{{"license": {{"holder_code": "{holder_code}", "type_code": "{BUSINESS_LICENSE}"}}}}'
    words = ["curl", "-sS", f"{base}/v1/verifications", "-H", f"Authorization: Bearer {key}"]
    return shlex.join([*words, "-H", "Content-Type: application/json", "-d", body])


def _verify(files: DemoFiles, credential: str) -> str:
    folder = files.folder.resolve()
    words = ["verify", str(folder / credential), "--trust-root", str(folder / files.trust_root.name)]
    return shlex.join([*_elicense(), *words, "--bundle", str(folder / files.bundle.name)])


def _update(files: DemoFiles, base: str) -> str:
    folder = files.folder.resolve()
    words = ["trust", "update", "--base-url", base, "--trust-root", str(folder / files.trust_root.name)]
    return shlex.join([*_elicense(), *words, "--bundle", str(folder / files.bundle.name)])


def _elicense() -> list[str]:
    """Return how this visitor calls the command: through uv if that is how the demonstration was started."""
    if os.environ.get("UV_RUN_RECURSION_DEPTH") and shutil.which("uv"):
        return ["uv", "run", "elicense"]
    # Started by its path from an environment that is not activated, the bare word would not be found.
    return ["elicense"] if shutil.which("elicense") else [str(Path(sys.argv[0]).absolute())]
