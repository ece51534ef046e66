"""Work that fault tests run in processes of their own, to be raced, stopped and killed from outside.

`python -m tests.faults.process MODE …` with the installation's settings in the environment; each line on stdout is
flushed at once, so that what was printed before a kill was truly acknowledged.
"""

import argparse
import asyncio
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from app.adapters.high_water import HighWaterFile
from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.bootstrap import build_services, open_services
from app.cli.common import configure_logging
from app.domain.api_client import Caller
from app.domain.errors import DomainError
from app.domain.license import Action, Holder, NewLicense
from app.ports import Clock, Store
from app.services.container import Services
from app.settings import Settings, load_settings
from tests.faults.twins import TWINS

HOLDER = Holder(code="91320102MAXXX0015L", code_type="001", name="演示商贸(南京)有限公司")


class ShiftedClock:
    """The system's clock, moved: what another process sees once leases have run out."""

    def __init__(self, shift: timedelta) -> None:
        self._shift = shift

    def now(self) -> datetime:
        return datetime.now(UTC) + self._shift


def say(*words: object) -> None:
    """Print one line and make sure it has left this process."""
    print(*words, flush=True)


def new_license(number: str, *, authority: str, type_code: str, area_code: str) -> NewLicense:
    """Make a plain request for a license of the given number."""
    return NewLicense(
        type_code=type_code,
        number=number,
        holder=HOLDER,
        area_code=area_code,
        issue_date=date(2024, 3, 1),
        valid_from=date(2024, 3, 1),
        valid_until=None,
        elements={},
        authority_code=authority,
    )


def wait_for(path: Path | None) -> None:
    """Wait until a file exists: the starting gun for several processes, which have nothing else to do yet."""
    while path is not None and not path.exists():
        time.sleep(0.002)


async def race(services: Services, options: argparse.Namespace) -> None:
    """Issue every number, eight at a time; print each winner with its identifier."""
    say("ready")
    wait_for(options.start)
    turn = asyncio.Semaphore(8)

    async def one(number: str) -> None:
        async with turn:
            new = new_license(
                number, authority=options.authority, type_code=options.type, area_code=options.area
            )
            try:
                issued = await services.issuing.issue(new, actor="racer", request_id=None, call=None)
            except DomainError as error:
                if error.code != "number_taken":
                    raise
                return
            assert issued.license is not None
            say("won", number, issued.license.identifier)

    await asyncio.gather(*(one(f"{options.prefix}{index:05d}") for index in range(options.count)))
    say("done")


async def publish(services: Services, options: argparse.Namespace) -> None:
    """Publish whatever is due, over and over, until the stop file appears."""
    say("ready")
    while not options.stop.exists():
        await services.status_lists.publish_due()
        await asyncio.sleep(0.005)
    say("done")


async def revoke(services: Services, options: argparse.Namespace) -> None:
    """Revoke every license whose id comes on stdin; print each once it is acknowledged."""
    found = await services.api_clients.list()
    client = next(entry.client for entry in found if entry.client.authority_code == options.authority)
    caller = Caller(client=client, key_handle="fault-test", request_id="fault-test")
    for line in sys.stdin:
        license_id = line.strip()
        await services.lifecycle.act(
            Action.REVOKE, license_id, reason_code="penalty", reason="故障测试", caller=caller, call=None
        )
        say("revoked", license_id)
        await asyncio.sleep(options.pause)
    say("done")


async def recover(services: Services, options: argparse.Namespace) -> None:
    """Finish what a killed process left behind."""
    while await services.issuing.recover():
        pass
    say("done")


MODES = {"race": race, "publish": publish, "revoke": revoke, "recover": recover}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=[*MODES, "serve"])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--twin", choices=TWINS)
    parser.add_argument("--shift", type=float, default=0.0, help="seconds the clock stands ahead")
    parser.add_argument("--authority", default="")
    parser.add_argument("--type", default="")
    parser.add_argument("--area", default="")
    parser.add_argument("--prefix", default="R-")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--stop", type=Path)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--port", type=int, default=0)
    return parser.parse_args()


async def _run(options: argparse.Namespace) -> None:
    settings = load_settings(options.data_dir, default_environment="development")
    configure_logging(
        settings.log_level
    )  # to stderr: nobody empties the pipe of stdout while the process runs
    twin = TWINS[options.twin] if options.twin else None
    clock = ShiftedClock(timedelta(seconds=options.shift))
    async with open_services(settings, clock=clock) as services:
        if twin is not None:
            services = _with_store(twin(services.store), settings, clock, services)
        if options.mode != "serve":
            await MODES[options.mode](services, options)
            return
        # Imported here alone: the other modes start in half the time without a web framework.
        import uvicorn

        from app.main import create_app

        app = create_app(settings, services=services)
        config = uvicorn.Config(app, host="127.0.0.1", port=options.port, log_level="warning")
        await uvicorn.Server(config).serve()


def _with_store(store: Store, settings: Settings, clock: Clock, real: Services) -> Services:
    signers = FileSigners(KeyFolder(path=settings.keys_dir, development=True))
    return build_services(
        store=store,
        clock=clock,
        signers=signers,
        key_maker=signers,
        high_water=HighWaterFile(settings.keys_dir),
        issuer_url=real.issuer_url,
        env=real.token_env,
    )


if __name__ == "__main__":
    asyncio.run(_run(_options()))
