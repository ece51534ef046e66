"""Verify electronic licenses, online and with no network; thin client of the electronic license service.

Names are imported when first used, so that `import elicense` costs next to nothing and offline verification never
loads the HTTP client.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elicense.client._async import AsyncElicense as AsyncElicense
    from elicense.client._directory_models import Area as Area
    from elicense.client._directory_models import Authority as Authority
    from elicense.client._directory_models import AuthorityScope as AuthorityScope
    from elicense.client._directory_models import CodeExplanation as CodeExplanation
    from elicense.client._directory_models import ElementDefinition as ElementDefinition
    from elicense.client._directory_models import LicenseType as LicenseType
    from elicense.client._directory_models import Purpose as Purpose
    from elicense.client._evidence import OfflineVerifier as OfflineVerifier
    from elicense.client._models import HistoryEntry as HistoryEntry
    from elicense.client._models import Holder as Holder
    from elicense.client._models import Holding as Holding
    from elicense.client._models import License as License
    from elicense.client._models import Page as Page
    from elicense.client._offline_report import OfflineReport as OfflineReport
    from elicense.client._order_models import ApprovalPendingError as ApprovalPendingError
    from elicense.client._order_models import Dependant as Dependant
    from elicense.client._order_models import Preview as Preview
    from elicense.client._order_models import Proposal as Proposal
    from elicense.client._order_models import ScheduledChange as ScheduledChange
    from elicense.client._order_models import VersionEffect as VersionEffect
    from elicense.client._policy_models import Alarm as Alarm
    from elicense.client._policy_models import DryRun as DryRun
    from elicense.client._policy_models import DryRunCount as DryRunCount
    from elicense.client._policy_models import LoggedRequest as LoggedRequest
    from elicense.client._policy_models import StoredPolicy as StoredPolicy
    from elicense.client._protocol import AsyncTransport as AsyncTransport
    from elicense.client._protocol import Request as Request
    from elicense.client._protocol import Response as Response
    from elicense.client._protocol import Timeout as Timeout
    from elicense.client._protocol import Transport as Transport
    from elicense.client._sandbox_models import SandboxClock as SandboxClock
    from elicense.client._sandbox_models import SandboxCode as SandboxCode
    from elicense.client._sync import Elicense as Elicense
    from elicense.client._verification_models import AnswerWarning as AnswerWarning
    from elicense.client._verification_models import BatchResult as BatchResult
    from elicense.client._verification_models import CheckResult as CheckResult
    from elicense.client._verification_models import ElementAnswer as ElementAnswer
    from elicense.client._verification_models import FieldError as FieldError
    from elicense.client._verification_models import LogPosition as LogPosition
    from elicense.client._verification_models import Verification as Verification
    from elicense.client._wallet import present as present
    from elicense.client.errors import APIConnectionError as APIConnectionError
    from elicense.client.errors import APIResponseError as APIResponseError
    from elicense.client.errors import APIStatusError as APIStatusError
    from elicense.client.errors import APITimeoutError as APITimeoutError
    from elicense.client.errors import ConfigurationError as ConfigurationError
    from elicense.client.errors import ElicenseError as ElicenseError
    from elicense.client.errors import NotFoundError as NotFoundError
    from elicense.client.errors import TrustError as TrustError
    from elicense.evidence import Evidence as Evidence
    from elicense.keys import HolderSigner as HolderSigner
    from elicense.keys import Signer as Signer
    from elicense.policy import Policy as Policy
    from elicense.problems import Reason as Reason
    from elicense.receipt import Receipt as Receipt
    from elicense.report import Verdict as Verdict
    from elicense.report import VerificationReport as VerificationReport
    from elicense.verify import verify_credential as verify_credential

_HOMES = {
    "elicense.client._async": ("AsyncElicense",),
    "elicense.client._directory_models": (
        "Area",
        "Authority",
        "AuthorityScope",
        "CodeExplanation",
        "ElementDefinition",
        "LicenseType",
        "Purpose",
    ),
    "elicense.client._evidence": ("OfflineVerifier",),
    "elicense.client._models": ("HistoryEntry", "Holder", "Holding", "License", "Page"),
    "elicense.client._offline_report": ("OfflineReport",),
    "elicense.client._order_models": (
        "ApprovalPendingError",
        "Dependant",
        "Preview",
        "Proposal",
        "ScheduledChange",
        "VersionEffect",
    ),
    "elicense.client._policy_models": ("Alarm", "DryRun", "DryRunCount", "LoggedRequest", "StoredPolicy"),
    "elicense.client._protocol": ("AsyncTransport", "Request", "Response", "Timeout", "Transport"),
    "elicense.client._sandbox_models": ("SandboxClock", "SandboxCode"),
    "elicense.client._sync": ("Elicense",),
    "elicense.client._verification_models": (
        "AnswerWarning",
        "BatchResult",
        "CheckResult",
        "ElementAnswer",
        "FieldError",
        "LogPosition",
        "Verification",
    ),
    "elicense.client._wallet": ("present",),
    "elicense.client.errors": (
        "APIConnectionError",
        "APIResponseError",
        "APIStatusError",
        "APITimeoutError",
        "ConfigurationError",
        "ElicenseError",
        "NotFoundError",
        "TrustError",
    ),
    "elicense.evidence": ("Evidence",),
    "elicense.keys": ("HolderSigner", "Signer"),
    "elicense.policy": ("Policy",),
    "elicense.problems": ("Reason",),
    "elicense.receipt": ("Receipt",),
    "elicense.report": ("Verdict", "VerificationReport"),
    "elicense.verify": ("verify_credential",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'elicense' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOME_OF]
