"""Verifications as the register keeps them, and the purposes they are made for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from app.domain.errors import FieldError
from app.domain.ids import ClientId, VerificationId


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """Why someone verifies: a stable code, its texts, its legal basis and how long evidence is kept (days)."""

    code: str
    text_zh: str
    text_en: str
    legal_basis: str
    retention_days: int


_PURPOSE_LIST = (
    Purpose(
        code="merchant_onboarding",
        text_zh="平台内经营者入驻核验登记",
        text_en="verification and registration of a merchant joining a platform",
        legal_basis="电子商务法 第二十七条",
        retention_days=1096,
    ),
    Purpose(
        code="periodic_reverification",
        text_zh="平台内经营者定期复核",
        text_en="periodic re-verification of a merchant",
        legal_basis="电子商务法 第二十七条;网络交易监督管理办法 第二十四条",
        retention_days=1096,
    ),
    Purpose(
        code="account_opening",
        text_zh="单位账户开立核验",
        text_en="verification when an entity opens a bank account",
        legal_basis="人民币银行结算账户管理办法",
        retention_days=1827,
    ),
    Purpose(
        code="credit_review",
        text_zh="信贷审查",
        text_en="credit review",
        legal_basis="商业银行授信工作尽职指引",
        retention_days=1827,
    ),
    Purpose(
        code="government_service",
        text_zh="政务服务办理",
        text_en="handling of a government service",
        legal_basis="国务院关于在线政务服务的若干规定",
        retention_days=1096,
    ),
)
PURPOSES: Mapping[str, Purpose] = MappingProxyType({purpose.code: purpose for purpose in _PURPOSE_LIST})


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseReference:
    """Name a license without its credential: by identifier, by number and type, or by holder and type."""

    identifier: str | None = None
    number: str | None = None
    holder_code: str | None = None
    type_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a relying party asks: exactly one of `credential`, `license` and `code`, and what goes with it.

    `elements` are values to compare, never stored; `at` is the past moment asked about (RFC 3339), kept as it was
    written: the receipt's digest covers the question as it was asked.
    """

    credential: str | None = None
    license: LicenseReference | None = None
    code: str | None = None
    elements: Mapping[str, str] | None = None
    purpose: str | None = None
    reference: str | None = None
    policy: str | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedQuestion:
    """One item of a batch that is no question: what is wrong with it, pointers relative to the item."""

    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRecord:
    """One verification as kept: the answer given, whose it is, and when it is due again.

    `answer` is the JSON object returned to the caller (with receipt, without asked element values and without the
    question's salt unless the caller needs it for the receipt); `license_id` is None when no license was found.
    """

    id: VerificationId
    client_id: ClientId
    kind: str
    reference: str | None
    purpose: str
    verdict: str
    reason: str
    license_id: str | None
    verified_at: datetime
    next_check_due: datetime | None
    batch_id: str | None
    answer: Mapping[str, object]
