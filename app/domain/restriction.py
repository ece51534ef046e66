"""Why this installation may only be read."""

from dataclasses import dataclass

from app.domain.errors import ServiceRefusal
from elicense.service_reasons import ServiceReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Restriction:
    """A reason to write nothing, with what exactly is wrong in both languages.

    `needs_trust_list`: all that is still missing is a trust list newer than the lost one, so the ceremony that
    publishes it may write.
    """

    reason: ServiceReason
    zh: str
    en: str
    needs_trust_list: bool = False

    def refusal(self) -> ServiceRefusal:
        """Return the error that refuses a write."""
        return ServiceRefusal("read_only", self.reason, self.en, detail_zh=self.zh)
