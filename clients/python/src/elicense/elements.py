"""Compare what a relying party was told with what the license says, one element at a time.

The answer names the outcome and nothing else: the right value is never echoed, so asking cannot be used to
read a license (the caller's guesses are budgeted elsewhere).
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

from elicense.credential import LicenseClaims
from elicense.report import ElementOutcome, ElementResult

_BRACKETS = str.maketrans({
    "〔": "(", "〕": ")", "【": "(", "】": ")", "［": "(", "］": ")", "[": "(", "]": ")",
    "｛": "(", "｝": ")", "{": "(", "}": ")", "〈": "(", "〉": ")", "《": "(", "》": ")",
    "「": "(", "」": ")", "『": "(", "』": ")", "〖": "(", "〗": ")", "﹝": "(", "﹞": ")",
})  # fmt: skip
_WHITE_SPACE = re.compile(r"[\s\u200b-\u200d\u2060\ufeff]+")

NO_FORMER: Mapping[str, "tuple[FormerValue, ...]"] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FormerValue:
    """Keep one value an element had before a change, and the civil day of that change (+08:00)."""

    value: str
    changed_on: date


@dataclass(frozen=True, slots=True)
class HeldElements:
    """Hold the values an answer may compare against, and what each was before.

    `complete` tells whether these are all of the license's elements: a credential with disclosures removed is
    not, so a name missing from it cannot be told from a name not on the license.
    """

    values: Mapping[str, str]
    complete: bool
    former: Mapping[str, tuple[FormerValue, ...]] = field(default_factory=lambda: NO_FORMER)


def fold(text: str) -> str:
    """Fold a value for a tolerant comparison: NFKC, every bracket to round ones, all white space removed."""
    return _WHITE_SPACE.sub("", unicodedata.normalize("NFKC", text).translate(_BRACKETS))


def compare_element(
    asked: str, held: str | None, *, former: Sequence[FormerValue] = (), complete: bool = True
) -> ElementOutcome:
    """Compare one asked value with the held one and say only how they relate.

    `held` None means the license (as far as it is shown) has no such element: `not_on_license` when the shown
    elements are `complete`, else `cannot_tell`. A former value counts only when the present one differs or was removed.
    """
    if asked == held:
        return ElementOutcome.MATCH
    folded = fold(asked)
    if held is not None and folded == fold(held):
        return ElementOutcome.MATCH_NORMALIZED
    if any(folded == fold(earlier.value) for earlier in former):
        return ElementOutcome.FORMER_VALUE
    if held is not None:
        return ElementOutcome.MISMATCH
    return ElementOutcome.NOT_ON_LICENSE if complete else ElementOutcome.CANNOT_TELL


def compare_elements(asked: Mapping[str, str], held: HeldElements) -> tuple[ElementResult, ...]:
    """Compare every asked element, in the order asked; all mismatches are collected, none stops the rest."""
    results = []
    for name, value in asked.items():
        former = held.former.get(name, ())
        outcome = compare_element(value, held.values.get(name), former=former, complete=held.complete)
        changed_on = None
        if outcome is ElementOutcome.FORMER_VALUE:
            folded = fold(value)
            changed_on = max(earlier.changed_on for earlier in former if fold(earlier.value) == folded)
        results.append(ElementResult(name=name, outcome=outcome, changed_on=changed_on))
    return tuple(results)


def metadata_elements(license_claims: LicenseClaims) -> dict[str, str]:
    """Name the always visible metadata as elements that can be asked (GB/T 36903 names), dates as ISO 8601.

    A license without end (`valid_until` null, 长期) is asked for with the word 长期.
    """
    holder = license_claims.holder
    valid_until = license_claims.valid_until
    return {
        "holder_name": holder.name,
        "holder_code": holder.code,
        "identifier": license_claims.identifier,
        "version": license_claims.version,
        "number": license_claims.number,
        "type_code": license_claims.type_code,
        "type_name": license_claims.type_name,
        "name": license_claims.name,
        "authority_code": license_claims.authority_code,
        "authority_name": license_claims.authority_name,
        "area_code": license_claims.area_code,
        "issue_date": license_claims.issue_date.isoformat(),
        "valid_from": license_claims.valid_from.isoformat(),
        "valid_until": valid_until.isoformat() if valid_until is not None else "长期",
    }
