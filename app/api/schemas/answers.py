"""Shapes of the answers, for the OpenAPI document and the tests that hold real answers against it.

No answer is built through these: services render JSON once, and the edge sends those bytes.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.licenses import LicenseStatus


class Answer(BaseModel):
    """An answer is closed: a field that is not named here must not leave the service unnoticed."""

    model_config = ConfigDict(extra="forbid")


class ProblemError(Answer):
    """One wrong field: a JSON Pointer (RFC 6901) into the request and what is wrong."""

    pointer: str
    detail: str


class Problem(Answer):
    """A refused request (RFC 9457). `code` is stable; title and detail follow Accept-Language.

    `reason` is there when the service as a whole does not write or sign (`rollback_detected`, `clock_behind` …).
    """

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[ProblemError]
    reason: str = ""


class HolderAnswer(Answer):
    """The holder of a license."""

    code: str
    code_type: str
    name: str


class LicenseAnswer(Answer):
    """A license at its current version. `id` never changes; `identifier` is the version's."""

    id: str
    identifier: str
    version: str
    status: LicenseStatus
    type_code: str
    type_name: str
    number: str
    authority_code: str
    authority_name: str
    holder: HolderAnswer
    area_code: str
    issue_date: str
    valid_from: str
    valid_until: str | None
    elements: dict[str, str]
    holder_key_thumbprint: str | None
    created_at: str
    updated_at: str


class LicensePage(Answer):
    """One page of licenses."""

    data: list[LicenseAnswer]
    next_cursor: str | None


class HistoryEntryAnswer(Answer):
    """One event in the life of a license: who, when recorded, from when, why.

    `details` holds what only some actions have: `previous` (the identifier before) and `changed` (names of what
    differs) of an amendment or renewal, `kind` of a revocation, `relation` and `successors` of a succession.
    """

    version: str
    action: str
    from_status: str | None = None
    to_status: str
    actor: str
    recorded_at: str
    effective_at: str
    reason_code: str | None = None
    reason: str | None = None
    details: dict[str, str]


class HistoryPage(Answer):
    """The whole history of a license, oldest first."""

    data: list[HistoryEntryAnswer]
    next_cursor: str | None


class HoldingAnswer(LicenseAnswer):
    """A holder's own license and the path of its credential."""

    credential: str


class HoldingPage(Answer):
    """A holder's own licenses."""

    data: list[HoldingAnswer]
    next_cursor: str | None


class CheckAnswer(Answer):
    """One named check."""

    id: str
    outcome: Literal["passed", "failed", "cannot_tell", "skipped"]
    code: str
    message: str
    detail: str | None = None


class ElementAnswer(Answer):
    """How one asked element compares; the right value is never told."""

    name: str
    outcome: Literal["match", "match_normalized", "former_value", "mismatch", "not_on_license", "cannot_tell"]
    changed_on: str | None = None


class PolicyAnswer(Answer):
    """The policy a verification was judged by."""

    id: str
    version: int
    sha256: str


class LogPlaceAnswer(Answer):
    """Where in the transparency log the credential stands; `size` is that of the state that proves it."""

    origin: str
    index: int
    size: int | None


class JudgedAnswer(Answer):
    """What every judged question is answered with. Valid speaks of the license, not of who shows it."""

    id: str
    fmt: int
    verdict: Literal["valid", "invalid", "indeterminate"]
    reason: str
    message: str
    action: str
    result_code: int | None = Field(ge=0, le=6)
    file_result_code: int | None = Field(ge=0, le=2)
    env: Literal["test", "live"]
    checks: list[CheckAnswer]
    elements: list[ElementAnswer]
    license: dict[str, Any] | None
    superseded_by: str | None
    successors: list[str] | None = None
    verified_at: str
    evaluated_at: str
    historical: bool
    status_as_of: str | None
    status_source: dict[str, Any] | None
    next_check_due: str | None
    reference: str | None
    purpose: str
    policy: PolicyAnswer
    trust_list: dict[str, Any] | None
    log: LogPlaceAnswer | None
    warnings: list[dict[str, Any]]
    candidates: int | None = None


class VerificationAnswerBody(JudgedAnswer):
    """The answer to one question, with its signed receipt and the salt that opens the receipt's digests."""

    receipt: str
    question_salt: str


class BatchProof(Answer):
    """Where a result stands under the batch's receipt: the statement that was hashed and its Merkle path."""

    index: int
    path: list[str]
    statement: dict[str, Any]


class BatchResult(JudgedAnswer, BatchProof):
    """The answer to one question of a batch."""

    question_salt: str


class MalformedResult(BatchProof):
    """The answer to an item of a batch that was no question."""

    id: None
    verdict: Literal["invalid"]
    reason: Literal["malformed"]
    result_code: Literal[6]
    file_result_code: None
    errors: list[ProblemError]


class BatchSummary(Answer):
    """How many of each verdict."""

    total: int
    valid: int
    invalid: int
    indeterminate: int


class BatchAnswerBody(Answer):
    """Results in the order of the questions, a summary, and one receipt over all."""

    id: str
    results: list[BatchResult | MalformedResult]
    summary: BatchSummary
    receipt: str


class KeptVerification(JudgedAnswer):
    """A verification as it was answered then, without the salt; one of a batch carries its proof."""

    receipt: str
    index: int | None = None
    path: list[str] | None = None
    statement: dict[str, Any] | None = None


class VerificationPage(Answer):
    """One page of the caller's own verifications."""

    data: list[KeptVerification]
    next_cursor: str | None


class TextAnswer(Answer):
    """One sentence in both languages."""

    zh: str
    en: str


class AreaAnswer(Answer):
    """An area (GB/T 2260)."""

    code: str
    name: str


class ScopeAnswer(BaseModel):
    """What an authority may issue: one type, in areas whose codes begin with one of `areas`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    type_code: str
    areas: list[str]
    valid_from: str | None = Field(alias="from")
    valid_until: str | None = Field(alias="until")


class AuthorityAnswer(Answer):
    """An issuing authority."""

    code: str
    name: str
    level: str
    area_code: str
    parent: str | None
    status: Literal["active", "ended", "distrusted"]
    scopes: list[ScopeAnswer]


class ElementDefinitionAnswer(Answer):
    """One element of a license type."""

    name: str
    label: str
    label_en: str
    kind: str
    required: bool
    disclosable: bool
    max_length: int
    personal: bool


class LicenseTypeAnswer(Answer):
    """A license type; `demonstration` marks one no national catalog knows, `two_person` what needs two clients."""

    code: str
    name: str
    name_en: str
    defining_authority: str
    schema_version: int
    demonstration: bool
    description: str
    two_person: list[str]
    elements: list[ElementDefinitionAnswer]


class PurposeAnswer(Answer):
    """A purpose of verifying, its legal basis, what may be asked for it (`*`: all that is not personal), and for how
    many days a verification is kept."""

    code: str
    text: TextAnswer
    legal_basis: str
    elements: list[str]
    retention_days: int


class ReasonAnswer(Answer):
    """One code: what it says, who must act, whether sending the same again can help."""

    code: str
    kind: Literal["verification", "problem", "service", "import"]
    text: TextAnswer
    action: TextAnswer
    retry: bool
    verdict: Literal["valid", "invalid", "indeterminate"] | None = None
    status: int | None = None


class ApiKeyAnswer(Answer):
    """One key of a client, without its secret."""

    handle: str
    prefix: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class ClientAnswer(Answer):
    """An API client."""

    id: str
    name: str
    kind: Literal["operator", "authority", "platform", "bank", "holder"]
    authority_code: str | None
    holder_code: str | None
    scopes: list[str]
    purposes: list[str]
    default_purpose: str
    plan: str
    calls_per_minute: int
    burst: int | None
    calls_per_day: int | None
    batch_limit: int
    allowed_networks: list[str]
    created_at: str
    revoked_at: str | None
    keys: list[ApiKeyAnswer]


class AuditEntryAnswer(Answer):
    """Who did what to which subject, with what outcome."""

    id: str
    at: str
    actor: str
    action: str
    subject: str
    outcome: str
    request_id: str | None


class AreaPage(Answer):
    """One page of areas."""

    data: list[AreaAnswer]
    next_cursor: str | None


class AuthorityPage(Answer):
    """One page of issuing authorities."""

    data: list[AuthorityAnswer]
    next_cursor: str | None


class LicenseTypePage(Answer):
    """One page of license types."""

    data: list[LicenseTypeAnswer]
    next_cursor: str | None


class PurposePage(Answer):
    """One page of purposes."""

    data: list[PurposeAnswer]
    next_cursor: str | None


class ReasonPage(Answer):
    """One page of codes."""

    data: list[ReasonAnswer]
    next_cursor: str | None


class ClientPage(Answer):
    """All API clients."""

    data: list[ClientAnswer]
    next_cursor: str | None


class AuditPage(Answer):
    """One page of the audit trail."""

    data: list[AuditEntryAnswer]
    next_cursor: str | None


class StatusListUris(Answer):
    """Where the status lists are."""

    status_lists: list[str]


class JsonObject(BaseModel):
    """A JSON object whose members its own standard defines."""

    model_config = ConfigDict(extra="allow")


class Health(Answer):
    """That the process answers, or that it is ready to work."""

    status: Literal["ok", "ready"]
