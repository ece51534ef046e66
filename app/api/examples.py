"""Examples of request bodies in the API description: what `/docs` fills in, and every one of them can be sent.

Codes of holders are the sandbox's, or invented: with a sandbox key the questions are answered as they stand.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from elicense.encoding import JsonValue

_TYPE: Final = "11100000MB0143028R001"
_HOLDER: Final = "91320106MA0BX0015C"
_NEW_HOLDER: Final = "91320106MA0T000116"
_LICENSE_ID: Final = "01a22ff8-f5e7-732b-892d-ab840ab5c2a2"

_QUESTION: Final[dict[str, JsonValue]] = {
    "license": {"holder_code": _HOLDER, "type_code": _TYPE},
    "reference": "shop-8812",
}

EXAMPLES: Final[Mapping[str, JsonValue]] = MappingProxyType(
    {
        "QuestionBody": _QUESTION,
        "BatchBody": {"items": [_QUESTION, {"credential": "eyJ…~", "reference": "shop-8813"}]},
        "NewLicenseBody": {
            "type_code": _TYPE,
            "number": _NEW_HOLDER,
            "holder": {"code": _NEW_HOLDER, "code_type": "001", "name": "示例商贸有限公司"},
            "area_code": "320106",
            "issue_date": "2026-03-02",
            "valid_from": "2026-03-02",
            "valid_until": None,
            "elements": {"legal_representative": "张某", "address": "示例路 1 号"},
        },
        "ChangeBody": {"reason_code": "inspection", "reason": "检查期间暂停"},
        "RevokeBody": {"reason_code": "penalty", "reason": "行政处罚决定", "kind": "penalty"},
        "AmendBody": {
            "elements": {"address": "示例路 2 号"},
            "reason_code": "change_of_address",
            "reason": "住所变更",
        },
        "RenewBody": {"valid_until": "2031-03-01", "reason_code": "renewal", "reason": "到期延续"},
        "SuccessionBody": {
            "relation": "merged_into",
            "successors": [_LICENSE_ID],
            "reason_code": "merger",
            "reason": "吸收合并",
        },
        "EndingBody": {"reason": "不再需要"},
        "PolicyBody": {"name": "food-nanjing", "parts": {"types": [_TYPE], "areas": ["3201"]}},
        "DryRunBody": {"parts": {"areas": ["3201"], "max_status_age": "2h"}},
        "ClockBody": {"ahead_seconds": 34560000},
        "NewClientBody": {
            "name": "a-platform",
            "kind": "platform",
            "purposes": ["merchant_onboarding"],
            "default_purpose": "merchant_onboarding",
            "plan": "standard",
        },
        "ClientPlanBody": {"plan": "bulk"},
        "AllowListBody": {"networks": ["203.0.113.0/24"]},
        "PlanBody": {"name": "trial", "calls_per_minute": 60, "calls_per_day": 5000, "batch_limit": 100},
    }
)
"""By the name of the body's schema. Bodies that are empty or need a key or signature of one's own have none."""

TAGS: Final[tuple[tuple[str, str], ...]] = (
    ("verifications", "核验 · What relying parties ask"),
    ("licenses", "证照:签发、变更、吊销 · What departments do with licenses"),
    ("publication", "公开的签名文件:信任根、信任列表、状态列表 · Public signed documents"),
    ("transparency log", "存证日志 · The public append-only log"),
    ("directory", "公开目录:证照类型、颁发机构、区域、用途、代码 · Public directories"),
    ("holdings", "持证主体自己的证照 · A holder's own licenses"),
    ("policies", "核验策略 · Policies of relying parties"),
    ("orders", "预览、预定变更与双人复核 · Previews, scheduled changes, the two-person rule"),
    ("operation", "运行状况与自己的调用记录 · Health, and your own requests"),
    ("sandbox", "沙箱 · With a key that begins with elk_test_"),
    ("operators", "运营方:调用方、套餐、审计 · Clients, plans, audit"),
    ("oauth", "OAuth 2.0:以私钥签名换取访问令牌 · Access tokens by a private key"),
)
"""Groups of operations in the order of `/docs`, each said in both languages."""
