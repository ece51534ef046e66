"""The worker: publishes what changed, finishes what a crash left, forgets what has run out.

Any number of workers may run: what they do is claimed or swapped in the database, and losing a race costs nothing. A
duty that fails is logged and tried again; it never stops the others.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from app.bootstrap import open_services
from app.domain.errors import ConcurrentChange, DomainError, ServiceRefusal
from app.services.container import Services
from app.services.sweeping import Progress
from app.settings import Settings

POLL_SECONDS = 0.25
LOG_SECONDS = 1.0
FRESHNESS_SECONDS = 5.0
SCHEDULE_SECONDS = 1.0
RECOVERY_SECONDS = 2.0
SWEEP_SECONDS = 60.0
RETENTION_SECONDS = 600.0
LOOK_SECONDS = 5.0
MARK_SECONDS = 30.0
AGAIN_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Duty:
    """One thing done again and again: its name in the log, what it does, the pause between two times in seconds.

    When `work` returns `Progress.MORE`, it comes again after a second: the pause is for when nothing waits.
    """

    name: str
    work: Callable[[], Awaitable[object]]
    every: float


def duties_of(services: Services) -> tuple[Duty, ...]:
    """Return what a worker does, most urgent first."""
    return (
        Duty("publish_status_lists", services.status_lists.publish_gathered, POLL_SECONDS),
        Duty("perform_due_changes", services.due_changes.perform_due, SCHEDULE_SECONDS),
        Duty("sequence_logs", services.log_sequencer.run, LOG_SECONDS),
        Duty("publish_freshness", services.freshness.publish_due, FRESHNESS_SECONDS),
        Duty("recover_intents", services.issuing.recover, RECOVERY_SECONDS),
        Duty("sweep_idempotency", services.idempotency.sweep, SWEEP_SECONDS),
        Duty("forget_guesses", services.guessing.sweep, SWEEP_SECONDS),
        Duty("sweep_access_tokens", services.oauth.sweep, SWEEP_SECONDS),
        Duty("sweep_request_log", services.request_log.sweep, 10 * SWEEP_SECONDS),
        Duty("sweep_presentation_nonces", services.presentation_nonces.sweep, SWEEP_SECONDS),
        Duty("sweep_freshness", services.freshness.sweep, RETENTION_SECONDS),
        Duty("purge_verifications", services.retention.take_turn, RETENTION_SECONDS),
        Duty("watch_clock_and_anchor", services.high_water.review, LOOK_SECONDS),
        Duty("keep_high_water_mark", services.high_water.keep, MARK_SECONDS),
    )


async def run(settings: Settings, stop: asyncio.Event, *, opened: Callable[[], None] = lambda: None) -> None:
    """Open the installation and work until `stop` is set, for its sandbox too. Raises as `open_services` does.

    Calls `opened` once the installation is open, before any work.
    """
    async with open_services(settings) as services, asyncio.TaskGroup() as group:
        opened()
        if settings.has_sandbox:
            group.create_task(_run_sandbox(settings.for_sandbox(), stop), name="sandbox")
        await run_with(services, stop)


async def _run_sandbox(settings: Settings, stop: asyncio.Event) -> None:
    """Work for the sandbox; while it cannot be opened, try again and leave the live installation alone."""
    while not stop.is_set():
        try:
            async with open_services(settings) as services:
                await run_with(services, stop)
        except Exception:
            # An edge of its own: whatever is wrong with the sandbox must not end the live installation's work.
            log.exception("sandbox_unavailable", again_in=LONGEST_PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), timeout=LONGEST_PAUSE_SECONDS)


async def run_with(services: Services, stop: asyncio.Event) -> None:
    """Work on services that are already open until `stop` is set; what is under way is finished first.

    At the end the high-water mark is kept once more.
    """
    async with asyncio.TaskGroup() as group:
        for duty in duties_of(services):
            group.create_task(_repeat(duty, stop), name=duty.name)
    await services.high_water.close()


async def _repeat(duty: Duty, stop: asyncio.Event) -> None:
    pause = duty.every
    refused: str | None = None
    while not stop.is_set():
        try:
            done = await duty.work()
            pause, refused = (AGAIN_SECONDS if done is Progress.MORE else duty.every), None
        except ServiceRefusal as error:
            # The service as a whole does not write or sign: said once by each duty, until the reason is another.
            pause = min(pause * 2, LOOK_SECONDS)
            if error.reason != refused:
                log.warning("duty_refused", duty=duty.name, error=str(error))
            refused = error.reason
        except (DomainError, ConcurrentChange) as error:
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            log.warning("duty_failed", duty=duty.name, error=str(error), again_in=pause)
        except Exception:
            # The outermost edge of this process: one duty's fault must not end the others.
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            log.exception("duty_broke", duty=duty.name, again_in=pause)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), timeout=pause)
