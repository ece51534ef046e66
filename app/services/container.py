"""All services of one process, as the edges use them."""

from dataclasses import dataclass

from app.ports import Clock, Store
from app.services.amending import AmendingService
from app.services.api_clients import ApiClientService
from app.services.audit import AuditService
from app.services.bundle_deltas import BundleDeltaService
from app.services.ceremony import CeremonyService
from app.services.credentials import CredentialService
from app.services.directory import DirectoryService
from app.services.due_changes import DueChangeService
from app.services.freshness import FreshnessService
from app.services.guessing import GuessingService
from app.services.high_water import HighWaterService
from app.services.idempotency import IdempotencyService
from app.services.issuing import IssuingService
from app.services.key_compromise import KeyCompromiseService
from app.services.key_register import KeyRegister
from app.services.key_rotation import KeyRotationService
from app.services.licenses import LicenseService
from app.services.lifecycle import LifecycleService
from app.services.log_keys import LogKeys
from app.services.log_memory import LogMemory
from app.services.log_proofs import LogProofService
from app.services.log_sequencer import LogSequencer
from app.services.log_witnesses import LogWitnessService
from app.services.oauth import OAuthService
from app.services.orders import OrderService
from app.services.plans import PlanService
from app.services.policies import PolicyService
from app.services.policy_dry_run import PolicyDryRunService
from app.services.presentation_nonces import PresentationNonceService
from app.services.previews import PreviewService
from app.services.proposals import ProposalService
from app.services.quotas import QuotaService
from app.services.receipts import ReceiptService
from app.services.recovery import RecoveryService
from app.services.request_log import RequestLogService
from app.services.resigning import ResigningService
from app.services.retention import RetentionService
from app.services.sandbox import SandboxService
from app.services.scheduled_changes import ScheduledChangeService
from app.services.signing_clock import SigningClock
from app.services.status_lists import StatusListService
from app.services.succession import SuccessionService
from app.services.transparency_log import TransparencyLogService
from app.services.trust_list import TrustListService
from app.services.verification import VerificationService
from app.services.write_guard import WriteGuard


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Every service over one store, for one installation."""

    store: Store
    clock: Clock
    token_env: str
    issuer_url: str
    signing_clock: SigningClock
    guard: WriteGuard
    directory: DirectoryService
    issuing: IssuingService
    amending: AmendingService
    succession: SuccessionService
    lifecycle: LifecycleService
    orders: OrderService
    scheduled_changes: ScheduledChangeService
    due_changes: DueChangeService
    proposals: ProposalService
    previews: PreviewService
    licenses: LicenseService
    credentials: CredentialService
    verification: VerificationService
    guessing: GuessingService
    presentation_nonces: PresentationNonceService
    policies: PolicyService
    retention: RetentionService
    policy_dry_run: PolicyDryRunService
    receipts: ReceiptService
    status_lists: StatusListService
    freshness: FreshnessService
    bundle_deltas: BundleDeltaService
    trust_list: TrustListService
    api_clients: ApiClientService
    idempotency: IdempotencyService
    ceremony: CeremonyService
    audit: AuditService
    high_water: HighWaterService
    transparency_log: TransparencyLogService
    log_proofs: LogProofService
    log_sequencer: LogSequencer
    log_memory: LogMemory
    log_keys: LogKeys
    log_witnesses: LogWitnessService
    recovery: RecoveryService
    keys: KeyRegister
    key_rotation: KeyRotationService
    key_compromise: KeyCompromiseService
    resigning: ResigningService
    quotas: QuotaService
    plans: PlanService
    oauth: OAuthService
    request_log: RequestLogService
    sandbox: SandboxService | None
