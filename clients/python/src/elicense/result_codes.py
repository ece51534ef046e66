"""What each reason is by the codes of GB/T 36906."""

from collections.abc import Mapping
from types import MappingProxyType

from elicense.problems import INDETERMINATE, Reason

RESULT_CODES: Mapping[Reason, int | None] = MappingProxyType(
    {
        **{reason: None if reason in INDETERMINATE else 6 for reason in Reason},
        Reason.OK: 0,
        Reason.NOT_YET_VALID: 1,
        Reason.SUSPENDED: 2,
        Reason.EXPIRED: 3,
        Reason.REVOKED: 3,
        Reason.CANCELLED: 3,
        Reason.SUPERSEDED: 3,
        Reason.TRANSFERRED: 3,
        Reason.INCOMPLETE: 4,
        Reason.AMBIGUOUS: 4,
        Reason.NOT_FOUND: 5,
        Reason.NOT_REGISTERED: 5,
        Reason.CODE_UNKNOWN: 5,
    }
)
"""The information check of GB/T 36906 for each reason; what is not genuine is 6, wrong information."""
