"""The composition root: settings → adapters → services. The only place that knows all of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from app.adapters.clock import SystemClock
from app.adapters.db import SqlAuditReader, open_store
from app.adapters.high_water import HighWaterFile
from app.adapters.signed_heads import SignedHeadsFile
from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFileError, KeyFolder
from app.adapters.signers.root_folder import RootKeyFolder
from app.domain.errors import DomainError
from app.domain.guessing import GuessingTerms
from app.domain.license import Action
from app.domain.order import CANCEL_SCHEDULED
from app.log_ports import SignedHeads
from app.ports import Clock, HighWaterKeeper, KeyMaker, Signers, Store
from app.services.amending import AmendingService
from app.services.anchor import Anchor
from app.services.api_clients import LIVE_MODE, TEST_MODE, ApiClientService
from app.services.audit import AuditService
from app.services.bundle_deltas import BundleDeltaService
from app.services.ceremony import CeremonyService
from app.services.change_cancelling import ChangeCancelling
from app.services.container import Services
from app.services.credential_maker import CredentialMaker
from app.services.credentials import CredentialService
from app.services.dependants import Dependants, OtherLicenses, PendingOrders, RelyingParties
from app.services.directory import DirectoryService
from app.services.due_changes import DueChangeService
from app.services.finishing import IntentFinisher
from app.services.freshness import FreshnessService, FreshnessWriter
from app.services.guessing import GuessingService
from app.services.high_water import HighWaterService
from app.services.idempotency import IdempotencyService
from app.services.issuing import IssuingService
from app.services.key_compromise import KeyCompromiseService
from app.services.key_register import KeyRegister
from app.services.key_rotation import KeyRotationService
from app.services.licenses import LicenseService
from app.services.lifecycle import PERFORMS, LifecycleService
from app.services.log_audit import LogAuditService
from app.services.log_keys import LogKeys
from app.services.log_memory import LogMemory
from app.services.log_proofs import LogProofService
from app.services.log_recovery import LogRecovery
from app.services.log_sequencer import LogSequencer
from app.services.log_witnesses import LogWitnessService
from app.services.oauth import OAuthService
from app.services.orders import OrderService
from app.services.performing import Performers
from app.services.plans import PlanService
from app.services.policies import PolicyService
from app.services.policy_dry_run import PolicyDryRunService
from app.services.presentation_nonces import PresentationNonceService
from app.services.previews import PreviewService
from app.services.proposals import ProposalService
from app.services.question_judge import QuestionJudge
from app.services.quotas import QuotaService
from app.services.receipts import ReceiptService
from app.services.recovery import RecoveryService
from app.services.rehearsal import Rehearsal
from app.services.request_log import RequestLogService
from app.services.resigning import ResigningService
from app.services.retention import RetentionService
from app.services.root_rotation import RootRotation
from app.services.sandbox import SandboxService
from app.services.scheduled_changes import ScheduledChangeService
from app.services.signing_clock import SigningClock
from app.services.status_indices import StatusIndices
from app.services.status_lists import StatusListService
from app.services.succession import SuccessionService
from app.services.transparency_log import TransparencyLogService
from app.services.trust_list import TrustListService
from app.services.trust_publication import TrustPublisher
from app.services.verification import VerificationService
from app.services.write_guard import GuardedSigners, GuardedStore, WriteGuard
from app.settings import KEY_LEAD_SECONDS, Settings, SettingsError

__all__ = ["Services", "build_services", "open_root_keys", "open_services"]


@asynccontextmanager
async def open_services(
    settings: Settings,
    *,
    uninitialized: bool = False,
    make_folders: bool = True,
    clock: Clock | None = None,
    high_water: HighWaterKeeper | None = None,
    signed_heads: SignedHeads | None = None,
) -> AsyncIterator[Services]:
    """Open the installation the settings name; its connections close on leaving.

    Raises DomainError `unavailable` when the database is out of reach, has another schema, or was never initialized
    (allowed with `uninitialized`, for the commands that initialize it); SettingsError when settings and stored
    installation disagree or the keys folder is open to others, or missing without `make_folders`.
    """
    store = open_store(settings.database_url)
    try:
        await store.ready()
        issuer_url = await _issuer_url(store, settings, uninitialized=uninitialized)
        signers = FileSigners(_keys_folder(settings, make=make_folders))
        services = build_services(
            store=store,
            clock=clock if clock is not None else SystemClock(),
            signers=signers,
            key_maker=signers,
            high_water=high_water if high_water is not None else HighWaterFile(settings.keys_dir),
            signed_heads=signed_heads if signed_heads is not None else SignedHeadsFile(settings.keys_dir),
            issuer_url=issuer_url,
            env=settings.token_env,
            key_lead=timedelta(seconds=settings.key_lead_seconds),
            guessing=settings.guessing,
            request_log_days=settings.request_log_days,
            sandbox=settings.is_sandbox,
        )
        await services.high_water.compare()
        yield services
    finally:
        await store.close()


@asynccontextmanager
async def open_log_audit(
    settings: Settings, *, pinned_root: bytes | None = None, clock: Clock | None = None
) -> AsyncIterator[LogAuditService]:
    """Open the audit of the register the settings name: nothing but its rows is read, and no key is needed.

    Raises DomainError `unavailable` when the database is out of reach, has another schema, or was never initialized.
    """
    store = open_store(settings.database_url)
    try:
        await store.ready()
        if await store.read(lambda unit: unit.installation.get()) is None:
            raise _uninitialized()
    finally:
        await store.close()
    reader = SqlAuditReader(settings.database_url)
    try:
        yield LogAuditService(
            reader=reader, clock=clock if clock is not None else SystemClock(), pinned_root=pinned_root
        )
    finally:
        await reader.close()


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
    signed_heads: SignedHeads,
    issuer_url: str,
    env: str,
    key_lead: timedelta = timedelta(seconds=KEY_LEAD_SECONDS["development"]),
    guessing: GuessingTerms = GuessingTerms(),  # noqa: B008 -- frozen: it cannot change between calls
    request_log_days: int = 30,
    sandbox: bool = False,
) -> Services:
    """Join services and adapters. Only the high-water mark and the recovery get the store unguarded.

    In a sandbox verifications are rehearsed, and keys are `elk_test_…`; nowhere else is anything of it wired.
    """
    signing_clock, guard = SigningClock(clock), WriteGuard()
    anchor = Anchor(high_water, signing_clock)
    unguarded, store = store, GuardedStore(store, guard)
    log_memory = LogMemory(store=store, signed=signed_heads, guard=guard)
    logs = LogRecovery(log_memory)
    signers = GuardedSigners(signers, guard=guard, signing_clock=signing_clock)
    keeping = HighWaterService(
        store=unguarded,
        signing_clock=signing_clock,
        anchor=anchor,
        guard=guard,
        logs=logs,
        production=env == "live",
    )
    directory = DirectoryService(store, clock)
    trust_list = TrustListService(store, clock)
    keys = KeyRegister(store, clock, signers, trust_list)
    writer = FreshnessWriter(issuer_url=issuer_url, env=env)
    status_lists = StatusListService(
        store=store,
        signing_clock=signing_clock,
        keys=keys,
        freshness=writer,
        guard=guard,
        anchor=anchor,
        issuer_url=issuer_url,
        env=env,
    )
    freshness = FreshnessService(
        store=store,
        signing_clock=signing_clock,
        keys=keys,
        writer=writer,
        guard=guard,
        anchor=anchor,
        env=env,
    )
    transparency_log = TransparencyLogService(store, clock, env=env)
    log_keys = LogKeys(
        store=store,
        signing_clock=signing_clock,
        key_maker=key_maker,
        keys=keys,
        memory=log_memory,
        env=env,
    )
    publisher = TrustPublisher(
        store=store, signing_clock=signing_clock, keys=keys, trust_list=trust_list, anchor=anchor, env=env
    )
    guesses = GuessingService(store, clock, terms=guessing)
    indices = StatusIndices(store, anchor=anchor, guard=guard, issuer_url=issuer_url)
    maker = CredentialMaker(issuer_url=issuer_url, env=env)
    finisher = IntentFinisher(store=store, signing_clock=signing_clock, keys=keys, maker=maker)
    receipts = ReceiptService(keys=keys, log=transparency_log, issuer_url=issuer_url, env=env)
    lifecycle = LifecycleService(store=store, signing_clock=signing_clock, guard=guard)
    succession = SuccessionService(store=store, signing_clock=signing_clock, guard=guard)
    presentation_nonces = PresentationNonceService(store, clock)
    # Who performs which order. Proposals, scheduled changes and previews know orders by these names alone.
    performers: Performers = {
        **{action.value: lifecycle for action in PERFORMS},
        Action.SUCCESSION.value: succession,
    }
    scheduled = ScheduledChangeService(
        store=store, signing_clock=signing_clock, guard=guard, performers=performers
    )
    proposals = ProposalService(
        store=store,
        signing_clock=signing_clock,
        guard=guard,
        # What can only be proposed stands beside what can be ordered.
        performers={
            **performers,
            CANCEL_SCHEDULED: ChangeCancelling(store=store, signing_clock=signing_clock, guard=guard),
        },
        scheduled=scheduled,
    )
    # What hangs on a license. A part that comes to depend on licenses joins here, by one object.
    dependants: list[Dependants] = [RelyingParties(clock), OtherLicenses(clock), PendingOrders(clock)]
    orders = OrderService(
        store=store,
        guard=guard,
        directory=directory,
        performers=performers,
        scheduled=scheduled,
        proposals=proposals,
    )
    amending = AmendingService(
        store=store,
        signing_clock=signing_clock,
        directory=directory,
        trust_list=trust_list,
        keys=keys,
        indices=indices,
        maker=maker,
        finisher=finisher,
        guard=guard,
    )
    api_clients = ApiClientService(store, clock, mode=TEST_MODE if sandbox else LIVE_MODE)
    policies = PolicyService(store=store, signing_clock=signing_clock, directory=directory, guard=guard)
    roots = RootRotation(publisher=publisher, env=env)
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
            indices=indices,
            maker=maker,
            finisher=finisher,
            guard=guard,
        ),
        amending=amending,
        succession=succession,
        lifecycle=lifecycle,
        orders=orders,
        scheduled_changes=scheduled,
        due_changes=DueChangeService(
            store=store, signing_clock=signing_clock, guard=guard, performers=performers
        ),
        proposals=proposals,
        previews=PreviewService(
            store=store,
            signing_clock=signing_clock,
            guard=guard,
            orders=orders,
            performers=performers,
            dependants=dependants,
        ),
        licenses=LicenseService(store, clock),
        credentials=CredentialService(store, clock),
        verification=VerificationService(
            store=store,
            signing_clock=signing_clock,
            trust_list=trust_list,
            directory=directory,
            receipts=receipts,
            judge=QuestionJudge(issuer_url=issuer_url, env=env, guessing=guesses),
            guessing=guesses,
            nonces=presentation_nonces,
            policies=policies,
            guard=guard,
            env=env,
            rehearsal=Rehearsal(store) if sandbox else None,
        ),
        guessing=guesses,
        presentation_nonces=presentation_nonces,
        policies=policies,
        retention=RetentionService(store=store, signing_clock=signing_clock, guard=guard),
        policy_dry_run=PolicyDryRunService(store=store, signing_clock=signing_clock, policies=policies),
        receipts=receipts,
        status_lists=status_lists,
        freshness=freshness,
        bundle_deltas=BundleDeltaService(store=store, freshness=freshness, env=env),
        trust_list=trust_list,
        api_clients=api_clients,
        idempotency=IdempotencyService(store, clock),
        ceremony=CeremonyService(
            store=store,
            signing_clock=signing_clock,
            key_maker=key_maker,
            keys=keys,
            publisher=publisher,
            logs=log_keys,
            guard=guard,
            env=env,
        ),
        audit=AuditService(store),
        high_water=keeping,
        recovery=RecoveryService(
            store=unguarded,
            signing_clock=signing_clock,
            anchor=anchor,
            guard=guard,
            high_water=keeping,
            logs=logs,
            status_lists=status_lists,
            freshness=freshness,
            issuer_url=issuer_url,
            env=env,
        ),
        transparency_log=transparency_log,
        log_proofs=LogProofService(store, issuer_url=issuer_url, env=env),
        log_sequencer=LogSequencer(
            store=store, signing_clock=signing_clock, keys=keys, memory=log_memory, guard=guard, env=env
        ),
        log_memory=log_memory,
        log_keys=log_keys,
        keys=keys,
        key_rotation=KeyRotationService(
            key_maker=key_maker,
            publisher=publisher,
            logs=log_keys,
            roots=roots,
            guard=guard,
            lead=key_lead,
        ),
        key_compromise=KeyCompromiseService(
            store=store,
            signing_clock=signing_clock,
            key_maker=key_maker,
            keys=keys,
            publisher=publisher,
            logs=log_keys,
            roots=roots,
            status_lists=status_lists,
            guard=guard,
            env=env,
        ),
        resigning=ResigningService(store=store, trust_list=trust_list, amending=amending, guard=guard),
        quotas=QuotaService(store, clock),
        plans=PlanService(store, clock, api_clients=api_clients),
        oauth=OAuthService(store=store, clock=clock, api_clients=api_clients, issuer_url=issuer_url),
        request_log=RequestLogService(store, clock, days=request_log_days),
        log_witnesses=LogWitnessService(store=store, clock=clock, keys=keys, guard=guard),
        sandbox=SandboxService(store, signing_clock) if sandbox else None,
    )


async def _issuer_url(store: Store, settings: Settings, *, uninitialized: bool) -> str:
    held = await store.read(lambda unit: unit.installation.get())
    if held is None:
        if not uninitialized:
            raise _uninitialized()
        # Empty where nothing was said: `keys init` then refuses, since what it fixes cannot be changed later.
        return settings.first_issuer_url or ""
    problems = []
    if settings.issuer_url not in (None, held.issuer_url):
        problems.append(
            f"ELICENSE_ISSUER_URL 须保持 must stay {held.issuer_url}(首次初始化时确定 fixed at the first init)"
        )
    if held.env != settings.token_env:
        problems.append(f"ELICENSE_ENV 不符 does not fit:数据库中为 this database holds {held.env} objects")
    if problems:
        raise SettingsError(problems)
    return held.issuer_url


def _uninitialized() -> DomainError:
    return DomainError("unavailable", "this installation is not initialized: run `elicense keys init`")


def _keys_folder(settings: Settings, *, make: bool = True) -> KeyFolder:
    folder = KeyFolder(path=settings.keys_dir, development=settings.environment == "development")
    try:
        if make:
            folder.prepare()
        else:
            folder.check()
    except KeyFileError as error:
        raise SettingsError([str(error)]) from error
    return folder
