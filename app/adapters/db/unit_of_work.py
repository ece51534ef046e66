"""Transactions: the unit of work over all repositories, and the store that runs, commits and retries it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from app import caller_ports, log_ports, ports
from app.adapters.db.api_clients import SqlApiClients
from app.adapters.db.directory import SqlDirectory
from app.adapters.db.documents import SqlDocuments
from app.adapters.db.errors import TryAgain, is_sync_failure, storage_failed, translate, unavailable
from app.adapters.db.guessing import SqlGuessing
from app.adapters.db.high_water import SqlHighWater
from app.adapters.db.idempotency import SqlIdempotency
from app.adapters.db.installation import SqlInstallation
from app.adapters.db.intents import SqlIntents
from app.adapters.db.journal import SqlJournal
from app.adapters.db.keys import SqlKeys
from app.adapters.db.licenses import SqlLicenses
from app.adapters.db.oauth import SqlOAuth
from app.adapters.db.plans import SqlPlans
from app.adapters.db.policies import SqlPolicies
from app.adapters.db.presentation_nonces import SqlPresentationNonces
from app.adapters.db.proposals import SqlProposals
from app.adapters.db.request_log import SqlRequestLog
from app.adapters.db.revisions import current_revision, require_expected
from app.adapters.db.sandbox import SqlSandbox
from app.adapters.db.scheduled_changes import SqlScheduledChanges
from app.adapters.db.session import Session
from app.adapters.db.status_lists import SqlStatusLists
from app.adapters.db.successions import SqlSuccessions
from app.adapters.db.transactions import DRIVER_FAULTS, Link, Transactions
from app.adapters.db.transparency_log import SqlTransparencyLog
from app.adapters.db.verifications import SqlVerifications
from app.domain.errors import DomainError
from app.domain.ids import jitter

T = TypeVar("T")

log = structlog.get_logger()

_ATTEMPTS: Final = 12
_LONGEST_SECONDS: Final = 15.0
_FIRST_PAUSE_SECONDS: Final = 0.004
_LONGEST_PAUSE_SECONDS: Final = 0.5


class SqlUnitOfWork:
    """One transaction over all repositories (implements `ports.UnitOfWork`)."""

    def __init__(self, session: Session) -> None:
        self.directory: ports.DirectoryRepository = SqlDirectory(session)
        self.licenses: ports.LicenseRepository = SqlLicenses(session)
        self.successions: ports.SuccessionRepository = SqlSuccessions(session)
        self.intents: ports.IntentRepository = SqlIntents(session)
        self.status: ports.StatusRepository = SqlStatusLists(session)
        self.documents: ports.DocumentRepository = SqlDocuments(session)
        self.keys: ports.KeyRepository = SqlKeys(session)
        self.api_clients: ports.ApiClientRepository = SqlApiClients(session)
        self.idempotency: ports.IdempotencyRepository = SqlIdempotency(session)
        self.verifications: ports.VerificationRepository = SqlVerifications(session)
        self.guessing: ports.GuessingRepository = SqlGuessing(session)
        self.presentation_nonces: ports.PresentationNonceRepository = SqlPresentationNonces(session)
        self.policies: ports.PolicyRepository = SqlPolicies(session)
        self.scheduled_changes: ports.ScheduledChangeRepository = SqlScheduledChanges(session)
        self.proposals: ports.ProposalRepository = SqlProposals(session)
        self.journal: ports.JournalRepository = SqlJournal(session)
        self.transparency_log: log_ports.TransparencyLogRepository = SqlTransparencyLog(session)
        self.installation: ports.InstallationRepository = SqlInstallation(session)
        self.high_water: ports.HighWaterRepository = SqlHighWater(session)
        self.plans: caller_ports.PlanRepository = SqlPlans(session)
        self.oauth: caller_ports.OAuthRepository = SqlOAuth(session)
        self.request_log: caller_ports.RequestLogRepository = SqlRequestLog(session)
        self.sandbox: caller_ports.SandboxRepository = SqlSandbox(session)


class SqlStore:
    """The database as the inside sees it (implements `ports.Store`)."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._failed = False

    async def write(self, work: Callable[[ports.UnitOfWork], Awaitable[T]]) -> T:
        """Run `work` in one transaction, commit durably, then return its result (see `ports.Store.write`).

        A commit whose outcome is unknown (the connection broke while it was on its way) is never run again: it may
        have been kept. It raises DomainError `unavailable`, and the caller's idempotency key or the recovery of
        intents finds out which it was. Never call it inside another unit of work: SQLite has one writer.

        After a failed fsync nothing is written by this process any more (ServiceRefusal `storage_failed`): a second
        fsync would succeed and prove nothing, since the pages it missed count as written. Started again, the database
        reads what is truly on the disk, and the promises that lack their license are recovered as always.
        """

        async def attempt() -> T:
            if self._failed:
                raise storage_failed()
            async with self._transactions.transaction(write=True) as link:
                result = await work(SqlUnitOfWork(Session(link)))
                await self._commit(link)
                return result

        return await _with_retries(attempt)

    async def read(self, work: Callable[[ports.UnitOfWork], Awaitable[T]]) -> T:
        """Run `work` on one consistent snapshot; nothing it does is kept (see `ports.Store.read`)."""

        async def attempt() -> T:
            async with self._transactions.transaction(write=False) as link:
                return await work(SqlUnitOfWork(Session(link)))

        return await _with_retries(attempt)

    async def ready(self) -> None:
        """Raise DomainError `unavailable` unless the database answers and has the schema this program needs."""

        async def attempt() -> str | None:
            if self._failed:
                raise storage_failed()
            async with self._transactions.transaction(write=False) as link:
                try:
                    return await link.run_sync(current_revision)
                except DRIVER_FAULTS as error:
                    raise translate(error) from error

        require_expected(await _with_retries(attempt))

    async def close(self) -> None:
        """Close all connections. A transaction still running is rolled back by its database."""
        await self._transactions.close()

    async def _commit(self, link: Link) -> None:
        try:
            await link.commit()
        except asyncio.CancelledError as cancelled:
            # Cancelled while the commit was on its way: the disk has failed all the same.
            self._note_failure(cancelled.__cause__)
            raise
        except (TryAgain, *DRIVER_FAULTS) as error:
            if self._note_failure(error):
                raise storage_failed() from error
            fault = error if isinstance(error, TryAgain) else translate(error)
            if isinstance(fault, TryAgain) and fault.lost_connection:
                raise unavailable("the connection broke while a change was being stored") from error
            raise fault from error

    def _note_failure(self, error: BaseException | None) -> bool:
        """Remember a failed sync; tell whether this is one."""
        if error is None or not is_sync_failure(error):
            return False
        self._failed = True
        log.critical("storage_failed")
        return True


async def _with_retries(attempt: Callable[[], Awaitable[T]]) -> T:
    """Run an attempt again while the database asks for it, with growing, scattered pauses."""
    pause = _FIRST_PAUSE_SECONDS
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + _LONGEST_SECONDS
    for _ in range(_ATTEMPTS):
        try:
            return await attempt()
        except TryAgain:
            if loop.time() > give_up_at:
                break
            await asyncio.sleep(pause * jitter())
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
    raise DomainError("unavailable", "the database is too busy to finish this now")
