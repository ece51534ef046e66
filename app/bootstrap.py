"""The composition root: settings → adapters → services. The only place that knows all of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.adapters.clock import SystemClock
from app.adapters.db import open_store
from app.adapters.high_water import HighWaterFile
from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFileError, KeyFolder
from app.adapters.signers.root_folder import RootKeyFolder
from app.domain.errors import DomainError
from app.ports import Clock, HighWaterKeeper, KeyMaker, Signers, Store
from app.services.api_clients import ApiClientService
from app.services.audit import AuditService
from app.services.ceremony import CeremonyService
from app.services.container import Services
from app.services.credential_maker import CredentialMaker
from app.services.credentials import CredentialService
from app.services.directory import DirectoryService
from app.services.freshness import FreshnessService, FreshnessWriter
from app.services.high_water import HighWaterService
from app.services.idempotency import IdempotencyService
from app.services.issuing import IssuingService
from app.services.key_register import KeyRegister
from app.services.licenses import LicenseService
from app.services.lifecycle import LifecycleService
from app.services.question_judge import QuestionJudge
from app.services.receipts import ReceiptService
from app.services.signing_clock import SigningClock
from app.services.status_indices import StatusIndices
from app.services.status_lists import StatusListService
from app.services.trust_list import TrustListService
from app.services.verification import VerificationService
from app.services.write_guard import WriteGuard
from app.settings import Settings, SettingsError

__all__ = ["Services", "build_services", "open_root_keys", "open_services"]


@asynccontextmanager
async def open_services(
    settings: Settings, *, uninitialised: bool = False, clock: Clock | None = None
) -> AsyncIterator[Services]:
    """Open the installation the settings name; its connections close on leaving.

    Raises DomainError `unavailable` when the database is out of reach, has another schema, or was never initialised
    (allowed with `uninitialised`, for the commands that initialise it); SettingsError when settings and stored
    installation disagree or the keys folder is open to others.
    """
    store = open_store(settings.database_url)
    try:
        await store.ready()
        issuer_url = await _issuer_url(store, settings, uninitialised=uninitialised)
        signers = FileSigners(_keys_folder(settings))
        services = build_services(
            store=store,
            clock=clock if clock is not None else SystemClock(),
            signers=signers,
            key_maker=signers,
            high_water=HighWaterFile(settings.keys_dir),
            issuer_url=issuer_url,
            env=settings.token_env,
        )
        await services.high_water.compare()
        yield services
    finally:
        await store.close()


def open_root_keys(settings: Settings) -> RootKeyFolder:
    """Open the root folder. For the `keys` commands and the demo's first run only; serve and worker never do."""
    return RootKeyFolder(settings.root_keys_dir, development=settings.environment == "development")


def build_services(
    *,
    store: Store,
    clock: Clock,
    signers: Signers,
    key_maker: KeyMaker,
    high_water: HighWaterKeeper,
    issuer_url: str,
    env: str,
) -> Services:
    """Join services and adapters."""
    signing_clock, guard = SigningClock(clock), WriteGuard()
    keys = KeyRegister(store, clock, signers)
    directory = DirectoryService(store, clock)
    trust_list = TrustListService(store, clock)
    writer = FreshnessWriter(issuer_url=issuer_url, env=env)
    receipts = ReceiptService(keys=keys, issuer_url=issuer_url, env=env)
    return Services(
        store=store,
        clock=clock,
        token_env=env,
        issuer_url=issuer_url,
        signing_clock=signing_clock,
        guard=guard,
        directory=directory,
        issuing=IssuingService(
            store=store,
            signing_clock=signing_clock,
            directory=directory,
            trust_list=trust_list,
            keys=keys,
            indices=StatusIndices(store, issuer_url=issuer_url),
            maker=CredentialMaker(issuer_url=issuer_url, env=env),
            guard=guard,
        ),
        lifecycle=LifecycleService(store=store, signing_clock=signing_clock, guard=guard),
        licenses=LicenseService(store, clock),
        credentials=CredentialService(store, clock),
        verification=VerificationService(
            store=store,
            signing_clock=signing_clock,
            trust_list=trust_list,
            receipts=receipts,
            judge=QuestionJudge(issuer_url=issuer_url, env=env),
            guard=guard,
            env=env,
        ),
        receipts=receipts,
        status_lists=StatusListService(
            store=store,
            signing_clock=signing_clock,
            keys=keys,
            freshness=writer,
            guard=guard,
            issuer_url=issuer_url,
            env=env,
        ),
        freshness=FreshnessService(
            store=store, signing_clock=signing_clock, keys=keys, writer=writer, guard=guard, env=env
        ),
        trust_list=trust_list,
        api_clients=ApiClientService(store, clock),
        idempotency=IdempotencyService(store, clock),
        ceremony=CeremonyService(
            store=store,
            signing_clock=signing_clock,
            key_maker=key_maker,
            keys=keys,
            trust_list=trust_list,
            guard=guard,
            env=env,
        ),
        audit=AuditService(store),
        high_water=HighWaterService(store=store, signing_clock=signing_clock, keeper=high_water, guard=guard),
    )


async def _issuer_url(store: Store, settings: Settings, *, uninitialised: bool) -> str:
    held = await store.read(lambda unit: unit.installation.get())
    if held is None:
        if not uninitialised:
            raise DomainError("unavailable", "this installation is not initialised: run `elicense keys init`")
        # Empty where nothing was said: `keys init` then refuses, since what it fixes cannot be changed later.
        return settings.issuer_url or ""
    problems = []
    if settings.issuer_url not in (None, held.issuer_url):
        problems.append(f"ELICENSE_ISSUER_URL must stay {held.issuer_url}, fixed at the first init")
    if held.env != settings.token_env:
        problems.append(f"ELICENSE_ENV does not fit: this database holds {held.env} objects")
    if problems:
        raise SettingsError(problems)
    return held.issuer_url


def _keys_folder(settings: Settings) -> KeyFolder:
    folder = KeyFolder(path=settings.keys_dir, development=settings.environment == "development")
    try:
        folder.prepare()
    except KeyFileError as error:
        raise SettingsError([str(error)]) from error
    return folder
