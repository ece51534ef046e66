"""Which of the asked elements the purpose of a question covers, and what becomes of those it does not.

Those are never compared: their values do not reach the judge. They answer `cannot_tell`, and the question is
`incomplete`, whatever else was asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.domain.authority import LicenseType
from app.domain.purpose import Purpose
from elicense.problems import Reason, Text
from elicense.report import (
    Check,
    CheckId,
    ElementOutcome,
    ElementResult,
    Outcome,
    VerificationReport,
    decide,
)

_NOT_COVERED = Text(
    "有要素不在所用用途的范围内,未予比对。",
    "The purpose does not cover an element that was asked; it was not compared.",
)


@dataclass(frozen=True, slots=True)
class AskedElements:
    """The elements of one question: all as they were asked, and the ones that may be compared (None: none asked)."""

    asked: Mapping[str, str]
    covered: Mapping[str, str] | None

    def tell(self, report: VerificationReport) -> VerificationReport:
        """Return the report on the covered elements with a word on the others, in the order they were asked."""
        if self.covered is None or len(self.covered) == len(self.asked):
            return report
        told = {result.name: result for result in report.elements}
        results = tuple(
            told.get(name) or ElementResult(name, ElementOutcome.CANNOT_TELL) for name in self.asked
        )
        checks = tuple(self._incomplete(check) for check in report.checks)
        verdict, reason = decide(checks)
        return replace(report, verdict=verdict, reason=reason, checks=checks, elements=results)

    def _incomplete(self, check: Check) -> Check:
        # Skipped though required: what failed before made every comparison pointless, and leads.
        pointless = check.outcome is Outcome.SKIPPED and check.required
        if check.id is not CheckId.ELEMENTS or pointless:
            return check
        left_out = sorted(self.asked.keys() - (self.covered or {}).keys())
        return Check(
            CheckId.ELEMENTS,
            Outcome.CANNOT_TELL,
            Reason.INCOMPLETE,
            text=_NOT_COVERED,
            detail=f"not covered by the purpose: {', '.join(left_out)}",
        )


def cover(
    asked: Mapping[str, str] | None, *, purpose: Purpose, license_type: LicenseType | None
) -> AskedElements:
    """Split the asked elements. Of an unknown type nobody knows what is personal: only what is named is covered."""
    if not asked:
        return AskedElements({}, asked)
    covered = {
        name: value
        for name, value in asked.items()
        if purpose.covers(name, personal=_is_personal(name, license_type))
    }
    return AskedElements(asked, covered)


def _is_personal(name: str, license_type: LicenseType | None) -> bool | None:
    if license_type is None:
        return None
    definition = license_type.element(name)
    return definition is not None and definition.is_personal
