"""Work on the transparency logs for fault tests: processes that write leaves, and processes that sequence them."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from app.domain.errors import DomainError
from app.domain.events import LogLeaf, LogName
from app.domain.ids import jitter, new_id
from app.ports import UnitOfWork
from app.services.container import Services

WRITERS = 4
LARGEST_BATCH = 20


def wait_for(path: Path | None) -> None:
    """Wait until a file exists: the starting gun for several processes, which have nothing else to do yet."""
    while path is not None and not path.exists():
        time.sleep(0.002)


def make_leaf(services: Services) -> LogLeaf:
    """Make a leaf with an id of this moment, whenever it may be committed."""
    leaf_id = new_id()
    return LogLeaf(
        id=leaf_id,
        log=LogName.REGISTER,
        kind="change",
        subject="fault-test",
        identifier=leaf_id,
        entry=b"entry of " + leaf_id.encode(),
        event_sha256=None,
        salt=None,
        recorded_at=services.clock.now(),
    )


async def append(services: Services, options: argparse.Namespace) -> None:
    """Write `count` leaves in small transactions, four at a time; note the ids of each once it is acknowledged.

    Some wait between making their ids and writing them, some hold their transaction open: they commit after others
    whose ids are larger.
    """
    print("ready", flush=True)
    wait_for(options.start)
    left = options.count
    with options.out.open("a", encoding="ascii") as out:

        async def one_writer() -> None:
            nonlocal left
            while left > 0:
                size = min(left, 1 + int(jitter() * LARGEST_BATCH * 0.66))
                left -= size
                leaves = [make_leaf(services) for _ in range(size)]
                if size % 3 == 0:
                    await asyncio.sleep(4 * options.pause * jitter())
                await services.store.write(partial(_write, leaves=leaves, pause=options.pause))
                out.write("".join(f"{leaf.id}\n" for leaf in leaves))
                out.flush()

        await asyncio.gather(*(one_writer() for _ in range(WRITERS)))


async def _write(unit: UnitOfWork, *, leaves: Sequence[LogLeaf], pause: float) -> None:
    await unit.journal.add_leaves(leaves)
    if len(leaves) % 2:
        await asyncio.sleep(pause * jitter())  # the transaction stays open meanwhile


async def sequence(services: Services, options: argparse.Namespace) -> None:
    """Do the sequencer's duty over and over until the stop file appears; trouble is named and tried again."""
    print("ready", flush=True)
    wait_for(options.start)
    while not options.stop.exists():
        try:
            await services.log_sequencer.run()
        except DomainError as error:
            print(error, file=sys.stderr, flush=True)
        await asyncio.sleep(0.005)
