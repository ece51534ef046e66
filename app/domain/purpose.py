"""The purposes a verification may be made for: why, on what legal basis, about which elements, kept how long.

The list is closed and its codes never go away: they stand in receipts, and kept verifications are found by them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

ORDINARY = "*"
"""Stands in a purpose's elements for every element that is not personal, metadata included."""

METADATA = frozenset(
    {
        "holder_name",
        "holder_code",
        "identifier",
        "version",
        "number",
        "type_code",
        "type_name",
        "name",
        "authority_code",
        "authority_name",
        "area_code",
        "issue_date",
        "valid_from",
        "valid_until",
    }
)
"""What every license has (GB/T 36903), asked under these names; none of it is personal."""

_THREE_YEARS = 1096
# A merchant's exit lies at most six months after its last verification, when the next one would have been due; the
# three years for which a platform keeps what it knew begin there.
_PLATFORM_DAYS = _THREE_YEARS + 184
_TEN_YEARS = 3653


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """Why someone verifies: a stable code, its names, its legal basis (law and article), what may be asked.

    `elements` names what may be compared; `*` stands for every element that is not personal. A personal element must
    be named. `retention_days` is how long a verification is kept after it was made.
    """

    code: str
    text_zh: str
    text_en: str
    legal_basis: str
    elements: tuple[str, ...]
    retention_days: int

    @property
    def retention(self) -> timedelta:
        """Return how long a verification is kept after it was made."""
        return timedelta(days=self.retention_days)

    def covers(self, name: str, *, personal: bool | None) -> bool:
        """Tell whether an element may be asked for this purpose; `personal` None where nobody knows whether it is."""
        if name in self.elements:
            return True
        return ORDINARY in self.elements and (name in METADATA or personal is False)


_PURPOSE_LIST = (
    Purpose(
        code="merchant_onboarding",
        text_zh="平台内经营者入驻核验登记",
        text_en="verification and registration of a merchant joining a platform",
        legal_basis="电子商务法 第二十七条;网络交易监督管理办法 第二十四条",
        elements=(ORDINARY, "legal_representative", "contact_phone"),
        retention_days=_PLATFORM_DAYS,
    ),
    Purpose(
        code="periodic_reverification",
        text_zh="平台内经营者定期复核",
        text_en="periodic re-verification of a merchant",
        legal_basis="电子商务法 第二十七条;网络交易监督管理办法 第二十四条",
        elements=(ORDINARY, "legal_representative", "contact_phone"),
        retention_days=_PLATFORM_DAYS,
    ),
    Purpose(
        code="account_opening",
        text_zh="单位账户开立核验",
        text_en="verification when an entity opens a bank account",
        legal_basis="人民币银行结算账户管理办法;反洗钱法 第三十四条",
        elements=(ORDINARY, "legal_representative", "contact_phone"),
        retention_days=_TEN_YEARS,
    ),
    Purpose(
        code="credit_review",
        text_zh="信贷审查",
        text_en="credit review",
        legal_basis="商业银行授信工作尽职指引;反洗钱法 第三十四条",
        elements=(ORDINARY, "legal_representative"),
        retention_days=_TEN_YEARS,
    ),
    Purpose(
        code="government_service",
        text_zh="政务服务办理",
        text_en="handling of a government service",
        legal_basis="国务院关于在线政务服务的若干规定 第十条",
        elements=(ORDINARY, "legal_representative", "quality_manager"),
        retention_days=_THREE_YEARS,
    ),
    Purpose(
        code="advertising_review",
        text_zh="广告主资质查验",
        text_en="checking the qualification of an advertiser",
        legal_basis="广告法 第三十四条",
        elements=(
            "holder_name",
            "holder_code",
            "number",
            "type_code",
            "type_name",
            "authority_name",
            "valid_from",
            "valid_until",
            "business_scope",
            "permitted_scope",
            "operating_items",
        ),
        retention_days=_THREE_YEARS,
    ),
)
PURPOSES: Mapping[str, Purpose] = MappingProxyType({purpose.code: purpose for purpose in _PURPOSE_LIST})
