"""Work that fault tests run in processes of their own, to be raced, stopped and killed from outside.

`python -m tests.faults.process MODE …` with the installation's settings in the environment; each line on stdout is
flushed at once, so that what was printed before a kill was truly acknowledged.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path

from app.adapters.high_water import HighWaterFile
from app.adapters.signed_heads import SignedHeadsFile
from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.bootstrap import build_services, open_services
from app.cli.common import configure_logging
from app.domain.amending import Amendment
from app.domain.api_client import ApiClient, Caller, ClientKind
from app.domain.errors import DomainError, ServiceRefusal
from app.domain.high_water import HighWaterMark, KeptOutside
from app.domain.license import Action, Holder, NewLicense
from app.domain.verification import LicenseReference, Question
from app.ports import Clock, Store
from app.services.container import Services
from app.settings import Settings, load_settings
from app.worker import run_with
from elicense.signed_note import Checkpoint
from tests.faults.answer_twins import ANSWER_TWINS
from tests.faults.log_work import append, sequence, wait_for
from tests.faults.twins import TWINS as STORE_TWINS

TWINS = {**STORE_TWINS, **ANSWER_TWINS}

HOLDER = Holder(code="91320102MAXXX0015L", code_type="001", name="演示商贸(南京)有限公司")


class ShiftedClock:
    """The system's clock, moved: what another process sees once leases have run out.

    With a file it is moved by a step as long as that file exists: a hand that sets it while the process runs.
    """

    def __init__(
        self, shift: timedelta, *, step: timedelta = timedelta(), while_there: Path | None = None
    ) -> None:
        self._shift = shift
        self._step = step
        self._while_there = while_there

    def now(self) -> datetime:
        stepped = self._while_there is not None and self._while_there.exists()
        return datetime.now(UTC) + self._shift + (self._step if stepped else timedelta())

    def monotonic(self) -> float:
        return time.monotonic()


class CredulousClock(ShiftedClock):
    """Broken twin: its monotonic clock is the wall clock, so that no step is ever seen."""

    def monotonic(self) -> float:
        return self.now().timestamp()


class ForgetfulKeeper:
    """Broken twin: keeps nothing outside the database, so that no rollback is ever seen."""

    def load(self) -> None:
        return None

    def raise_to(self, mark: HighWaterMark) -> None:
        return None

    def change(self, work: Callable[[KeptOutside | None], KeptOutside]) -> None:
        work(None)


class ForgetfulHeads:
    """Broken twin: remembers no signed head of a log, so that no fork is ever seen."""

    def load(self) -> Mapping[str, Checkpoint]:
        return {}

    def raise_to(self, head: Checkpoint, *, after: Checkpoint | None) -> bool:
        return True


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


async def _caller(services: Services, fits: Callable[[ApiClient], bool]) -> Caller:
    clients = await services.api_clients.list()
    client = next(entry.client for entry in clients if fits(entry.client))
    return Caller(client=client, key_handle="fault-test", request_id="fault-test")


async def amend(services: Services, options: argparse.Namespace) -> None:
    """Amend every license whose id comes on stdin again and again until it has ended, four at a time; print each
    identifier once it is acknowledged.
    """
    caller = await _caller(services, lambda client: client.authority_code == options.authority)
    turn = asyncio.Semaphore(4)
    say("ready")

    async def one(license_id: str) -> None:
        async with turn:
            for time_ in count():
                amendment = Amendment(elements={"address": f"{options.prefix}第{time_}次变更"})
                try:
                    changed = await services.amending.amend(
                        license_id,
                        amendment,
                        reason_code="fault_test",
                        reason="故障测试",
                        caller=caller,
                        call=None,
                    )
                except DomainError as error:
                    if error.code == "state_conflict":
                        return
                    if error.code != "unavailable":  # others keep changing it: try again
                        raise
                else:
                    assert changed.license is not None
                    say("amended", license_id, changed.license.identifier)

    async with asyncio.TaskGroup() as group:
        for line in sys.stdin:
            group.create_task(one(line.strip()))
    say("done")


async def revoke(services: Services, options: argparse.Namespace) -> None:
    """Revoke every license whose id comes on stdin; print each once it is acknowledged."""
    caller = await _caller(services, lambda client: client.authority_code == options.authority)
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


async def perform(services: Services, options: argparse.Namespace) -> None:
    """Perform scheduled changes, over and over, until the stop file appears."""
    say("ready")
    wait_for(options.start)
    while not options.stop.exists():
        await services.due_changes.perform_due()
        await asyncio.sleep(0.01)
    say("done")


async def work(services: Services, options: argparse.Namespace) -> None:
    """Do all that signs, over and over, beside the worker; print what was signed, and each new reason to refuse."""
    stop = asyncio.Event()
    worker = asyncio.create_task(run_with(services, stop))
    say("ready")
    platform = await _caller(services, lambda client: client.kind is ClientKind.PLATFORM)
    authority = await _caller(services, lambda client: client.authority_code == options.authority)
    said = ""
    for index in range(1_000_000):
        if options.stop.exists():
            break
        new = new_license(
            f"{options.prefix}{index:05d}",
            authority=options.authority,
            type_code=options.type,
            area_code=options.area,
        )
        try:
            issued = await services.issuing.issue(new, actor="worker", request_id=None, call=None)
            assert issued.license is not None
            question = Question(license=LicenseReference(identifier=issued.license.identifier))
            await services.verification.verify(question, caller=platform, call=None)
            await services.lifecycle.act(
                Action.SUSPEND,
                issued.license.id,
                reason_code="inspection",
                reason="故障测试",
                caller=authority,
                call=None,
            )
            said = ""
            say("signed", new.number, issued.license.identifier)
        except ServiceRefusal as refusal:
            if refusal.reason != said:
                say("refused", refusal.code, refusal.reason)
            said = refusal.reason
        except DomainError as error:
            if error.code != "number_taken":  # by an earlier run with the same prefix
                raise
        await asyncio.sleep(0.05)
    stop.set()
    await worker
    say("done")


MODES = {
    "work": work,
    "race": race,
    "publish": publish,
    "amend": amend,
    "revoke": revoke,
    "recover": recover,
    "perform": perform,
    "append": append,
    "sequence": sequence,
}


def options_of(words: list[str]) -> argparse.Namespace:
    """Read a command line: the mode and what it is to do."""
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=[*MODES, "serve"])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--twin", choices=TWINS)
    parser.add_argument("--shift", type=float, default=0.0, help="seconds the clock stands ahead")
    parser.add_argument(
        "--step", type=float, default=0.0, help="seconds more while the file of --step-while exists"
    )
    parser.add_argument("--step-while", type=Path)
    parser.add_argument("--credulous", action="store_true", help="broken twin: a clock that sees no step")
    parser.add_argument("--forgetful", action="store_true", help="broken twin: nothing is kept outside")
    parser.add_argument("--authority", default="")
    parser.add_argument("--type", default="")
    parser.add_argument("--area", default="")
    parser.add_argument("--prefix", default="R-")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--stop", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--port", type=int, default=0)
    return parser.parse_args(words)


async def run(options: argparse.Namespace) -> None:
    """Open the installation and do what the options say, to its end."""
    settings = load_settings(options.data_dir, default_environment="development")
    configure_logging(
        settings.log_level
    )  # to stderr: nobody empties the pipe of stdout while the process runs
    twin = TWINS[options.twin] if options.twin else None
    clocks = CredulousClock if options.credulous else ShiftedClock
    clock = clocks(
        timedelta(seconds=options.shift),
        step=timedelta(seconds=options.step),
        while_there=options.step_while,
    )
    keeper, heads = (ForgetfulKeeper(), ForgetfulHeads()) if options.forgetful else (None, None)
    async with open_services(settings, clock=clock, high_water=keeper, signed_heads=heads) as services:
        if twin is not None:
            services = _with_store(twin(services.store), settings, clock, services)
        if options.mode != "serve":
            await MODES[options.mode](services, options)
            return
        await _serve(services, replace(settings, host="127.0.0.1", port=options.port))


async def _serve(services: Services, settings: Settings) -> None:
    """Serve the API as `elicense serve` does, with a worker in the same process: killed together, at any moment."""
    # Imported here alone: the other modes start in half the time without a web framework.
    import uvicorn

    from app.cli.processes import server_options
    from app.main import create_app

    stop = asyncio.Event()
    worker = asyncio.create_task(run_with(services, stop))
    config = uvicorn.Config(create_app(settings, services=services), **server_options(settings))
    await uvicorn.Server(config).serve()
    stop.set()
    await worker


def _with_store(store: Store, settings: Settings, clock: Clock, real: Services) -> Services:
    signers = FileSigners(KeyFolder(path=settings.keys_dir, development=True))
    return build_services(
        store=store,
        clock=clock,
        signers=signers,
        key_maker=signers,
        high_water=HighWaterFile(settings.keys_dir),
        signed_heads=SignedHeadsFile(settings.keys_dir),
        issuer_url=real.issuer_url,
        env=real.token_env,
    )


if __name__ == "__main__":
    asyncio.run(run(options_of(sys.argv[1:])))
