"""All services of one process, as the edges use them."""

from dataclasses import dataclass

from app.ports import Clock, Store
from app.services.api_clients import ApiClientService
from app.services.audit import AuditService
from app.services.ceremony import CeremonyService
from app.services.credentials import CredentialService
from app.services.directory import DirectoryService
from app.services.freshness import FreshnessService
from app.services.high_water import HighWaterService
from app.services.idempotency import IdempotencyService
from app.services.issuing import IssuingService
from app.services.licenses import LicenseService
from app.services.lifecycle import LifecycleService
from app.services.receipts import ReceiptService
from app.services.signing_clock import SigningClock
from app.services.status_lists import StatusListService
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
    lifecycle: LifecycleService
    licenses: LicenseService
    credentials: CredentialService
    verification: VerificationService
    receipts: ReceiptService
    status_lists: StatusListService
    freshness: FreshnessService
    trust_list: TrustListService
    api_clients: ApiClientService
    idempotency: IdempotencyService
    ceremony: CeremonyService
    audit: AuditService
    high_water: HighWaterService
