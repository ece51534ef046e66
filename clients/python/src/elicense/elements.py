"""Compare what a relying party was told with what the license says, one element at a time.

The answer names the outcome and nothing else: the right value is never echoed, so asking cannot be used to
read a license (the caller's guesses are budgeted elsewhere).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

from elicense.credential import LicenseClaims
from elicense.element_address import names_another_province
from elicense.element_kinds import NO_KINDS, ElementKind, kind_of
from elicense.element_match import is_same_value
from elicense.element_numbers import NO_END
from elicense.element_text import is_same_text
from elicense.report import ElementOutcome, ElementResult

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
    not, so a name missing from it cannot be told from a name not on the license. `kinds` are what the license type
    declares of its elements; others are compared by the kind of their well-known name, or as text.
    """

    values: Mapping[str, str]
    complete: bool
    former: Mapping[str, tuple[FormerValue, ...]] = field(default_factory=lambda: NO_FORMER)
    kinds: Mapping[str, ElementKind] = field(default_factory=lambda: NO_KINDS)


def compare_element(
    asked: str,
    held: str | None,
    *,
    kind: ElementKind = ElementKind.TEXT,
    former: Sequence[FormerValue] = (),
    complete: bool = True,
    area_code: str = "",
) -> ElementOutcome:
    """Compare one asked value with the held one and say only how they relate; `area_code` is the license's own.

    `held` None means the license (as far as it is shown) has no such element: `not_on_license` when the shown
    elements are `complete`, else `cannot_tell`. A former value counts only when the present one differs or was removed.
    """
    if held is not None:
        if is_same_text(asked, held):
            return ElementOutcome.MATCH
        if is_same_value(asked, held, kind) and not (
            kind is ElementKind.ADDRESS and names_another_province(asked, held, area_code)
        ):
            return ElementOutcome.MATCH_NORMALIZED
    if any(is_same_value(asked, earlier.value, kind) for earlier in former):
        return ElementOutcome.FORMER_VALUE
    if held is not None:
        return ElementOutcome.MISMATCH
    return ElementOutcome.NOT_ON_LICENSE if complete else ElementOutcome.CANNOT_TELL


def compare_elements(asked: Mapping[str, str], held: HeldElements) -> tuple[ElementResult, ...]:
    """Compare every asked element, in the order asked; all mismatches are collected, none stops the rest."""
    results = []
    area_code = held.values.get("area_code", "")
    for name, value in asked.items():
        former, kind = held.former.get(name, ()), kind_of(name, held.kinds)
        present = held.values.get(name)
        outcome = compare_element(
            value, present, kind=kind, former=former, complete=held.complete, area_code=area_code
        )
        changed_on = None
        if outcome is ElementOutcome.FORMER_VALUE:
            changed_on = max(
                earlier.changed_on for earlier in former if is_same_value(value, earlier.value, kind)
            )
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
        "valid_until": valid_until.isoformat() if valid_until is not None else NO_END,
    }
