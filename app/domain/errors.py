"""Errors that rules raise. `code` is a key of `elicense.problems.PROBLEMS`; the edge translates once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from elicense.service_reasons import ServiceReason

STOPS_EVERYTHING: Final = frozenset({"unavailable", "read_only", "internal"})
"""Codes that say more of the service than of one row: of many rows none can be done now."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """Name one wrong field: `pointer` is a JSON Pointer (RFC 6901) into the request, `detail` says what is wrong.

    `detail_zh` says it in Chinese.
    """

    pointer: str
    detail: str
    detail_zh: str

    def in_language(self, language: str) -> str:
        """Return what is wrong in `zh` or `en`."""
        return self.detail_zh if language == "zh" else self.detail


class DomainError(Exception):
    """Say that a rule refuses the request. `detail` may be shown to the caller: no secrets, no stored values."""

    def __init__(self, code: str, detail: str = "", *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)


class ServiceRefusal(DomainError):
    """Say that the service as a whole does not write or sign now, and why.

    `code` is `read_only` or `unavailable`, `reason` one of `elicense.service_reasons`; `detail` (English) and
    `detail_zh` say what exactly was found, and name the reason.
    """

    def __init__(self, code: str, reason: ServiceReason, detail: str, *, detail_zh: str) -> None:
        super().__init__(code, f"{detail} [{reason.value}]")
        self.reason = reason
        self.detail_zh = f"{detail_zh} [{reason.value}]"


class TooManyCalls(DomainError):
    """Refuse a caller for a while; in `seconds` it may call again. `detail` says what was used up, else its quota."""

    def __init__(self, seconds: int, detail: str = "") -> None:
        super().__init__("rate_limited", detail or f"this quota allows another call in {seconds} seconds")
        self.seconds = seconds


class NumberTaken(DomainError):
    """Refuse a number that some license of this type has or once had."""

    def __init__(self) -> None:
        super().__init__("number_taken", "this number of this license type is already taken")


class ConcurrentChange(Exception):
    """Tell a service that a compare-and-swap lost: somebody changed the row in between. Never leaves services."""


class NotFound(DomainError):
    """Answer for what does not exist and for what the caller may not see: both look the same."""

    def __init__(self, what: str = "resource") -> None:
        super().__init__("not_found", f"no such {what}")
