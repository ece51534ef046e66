"""Tell whether two ways of writing an element's value say the same, by the element's kind.

Pure and total: any two texts have an answer, nothing is raised. Two values that differ in what they say never count as
the same; where a value cannot be read with certainty, only the same text does.
"""

import hmac
from collections.abc import Callable, Mapping
from types import MappingProxyType

from elicense.element_address import fold_address, same_address
from elicense.element_kinds import ElementKind
from elicense.element_numbers import fold_amount, fold_date
from elicense.element_text import MAX_FOLDED, fold_code, fold_name, fold_person_name, fold_scope, fold_text

_FOLDS: Mapping[ElementKind, Callable[[str], str]] = MappingProxyType(
    {
        ElementKind.TEXT: fold_text,
        ElementKind.NAME: fold_name,
        ElementKind.PERSON_NAME: fold_person_name,
        ElementKind.CODE: fold_code,
        ElementKind.DATE: fold_date,
        ElementKind.AMOUNT: fold_amount,
        ElementKind.ADDRESS: fold_address,
        ElementKind.SCOPE: fold_scope,
    }
)


def fold_value(text: str, kind: ElementKind) -> str:
    """Fold a value by its kind; values of more than 20,000 characters are left as they stand."""
    return text if len(text) > MAX_FOLDED else _FOLDS[kind](text)


def is_same_text(one: str, other: str) -> bool:
    """Compare two texts as they stand, in a time that does not tell where they begin to differ."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def is_same_value(one: str, other: str, kind: ElementKind) -> bool:
    """Tell whether two values say the same after the folding of their kind."""
    if kind is ElementKind.ADDRESS and max(len(one), len(other)) <= MAX_FOLDED:
        return same_address(one, other)
    return is_same_text(fold_value(one, kind), fold_value(other, kind))
